"""hugging_face.py FAMILY FOLDER [KEY=JSON...]: a tiny model of the family with random weights, as Hugging Face keeps one, in FOLDER (keys of its
config.json overridden; `shards=2`, `dtype="F16"`, `prefix=""`, `old_names=true` say how weights are kept; null leaves a key out), and beside it FOLDER.batch.safetensors
and what the model makes of it, FOLDER.expected.safetensors, computed here in double precision, as the papers have it, token by token."""
import json
import math
import pathlib
import random
import struct
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Reference/Inputs"))
from tensors import write

FAMILIES = {
    "gpt2": dict(
        architectures=["GPT2LMHeadModel"], model_type="gpt2", n_layer=2, n_embd=12, n_head=3, n_inner=None, vocab_size=19, n_positions=9, n_ctx=9,
        activation_function="gelu_new", layer_norm_epsilon=1e-3, resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1, bos_token_id=18, eos_token_id=18, prefix="transformer.",
    ),
    "bert": dict(
        architectures=["BertModel"], model_type="bert", num_hidden_layers=2, hidden_size=12, num_attention_heads=3, intermediate_size=20, vocab_size=23,
        max_position_embeddings=11, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-3, position_embedding_type="absolute", prefix="",
    ),
    "llama": dict(
        architectures=["LlamaForCausalLM"], model_type="llama", num_hidden_layers=2, hidden_size=12, num_attention_heads=6, num_key_value_heads=2, intermediate_size=20,
        head_dim=None, vocab_size=19, hidden_act="silu", rms_norm_eps=1e-3, rope_theta=100.0, max_position_embeddings=16, tie_word_embeddings=False, bos_token_id=1,
        eos_token_id=[2, 7], prefix="model.",
    ),
}
FAMILIES["roberta"] = {**FAMILIES["bert"], "architectures": ["RobertaModel"], "model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1}
FAMILIES["xlm-roberta"] = {**FAMILIES["roberta"], "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta"}
FAMILIES["distilbert"] = dict(
    architectures=["DistilBertModel"], model_type="distilbert", n_layers=2, dim=12, n_heads=3, hidden_dim=20, vocab_size=23, max_position_embeddings=11, activation="gelu",
    sinusoidal_pos_embds=False, dropout=0.1, attention_dropout=0.1, seq_classif_dropout=0.2, prefix="",
)
FAMILIES["mistral"] = {**FAMILIES["llama"], "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 3, "tie_word_embeddings": True}
FAMILIES["qwen2"] = {**FAMILIES["llama"], "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "sliding_window": 3, "use_sliding_window": False}
FAMILIES["qwen3"] = {**FAMILIES["qwen2"], "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 4}

ACTIVATIONS = {
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))),
    "gelu_new": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def linear(x, weight, bias=None):
    """Weights are (out, in)."""
    return [sum(a * b for a, b in zip(row, x)) + (bias[i] if bias else 0) for i, row in enumerate(weight)]


def add(*vectors):
    return [sum(values) for values in zip(*vectors)]


def layer_norm(x, weight, bias, epsilon):
    mean = sum(x) / len(x)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in x) / len(x) + epsilon)
    return [(value - mean) / deviation * w + b for value, w, b in zip(x, weight, bias)]


def rms_norm(x, weight, epsilon):
    root = math.sqrt(sum(value * value for value in x) / len(x) + epsilon)
    return [value / root * w for value, w in zip(x, weight)]


def attend(queries, keys, values, heads, groups, sees):
    """Rows of a sequence: heads of queries, `groups` of keys and values."""
    width = len(queries[0]) // heads
    result = []
    for i, query in enumerate(queries):
        row = []
        for head in range(heads):
            of = head // (heads // groups)
            part = slice(of * width, (of + 1) * width)
            seen = [j for j in range(len(keys)) if sees(i, j)]
            scores = [sum(a * b for a, b in zip(query[head * width : (head + 1) * width], keys[j][part])) / math.sqrt(width) for j in seen]
            weights = [math.exp(score - max(scores)) for score in scores]
            row += [sum(weight * values[j][part][d] for weight, j in zip(weights, seen)) / sum(weights) for d in range(width)]
        result.append(row)
    return result


def frequency(base, scaling):
    """How fast a pair of features turns: as it was learned, slower, or as Llama 3.1 does: slower where waves are long."""
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind not in ("linear", "llama3"):
        return base
    slow = base / scaling["factor"]
    if kind == "linear":
        return slow
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    share = (scaling["original_max_position_embeddings"] * base / (2 * math.pi) - low) / (high - low)
    share = min(max(share, 0), 1)
    return (1 - share) * slow + share * base


def turn(row, heads, position, theta, scaling):
    """Rotary positions: the first half of a head's features with the second."""
    width = len(row) // heads
    result = list(row)
    for head in range(heads):
        for i in range(width // 2):
            angle = position * frequency(theta ** (-2 * i / width), scaling)
            a, b = row[head * width + i], row[head * width + width // 2 + i]
            result[head * width + i] = a * math.cos(angle) - b * math.sin(angle)
            result[head * width + width // 2 + i] = b * math.cos(angle) + a * math.sin(angle)
    return result


class Weights:
    """Random tensors by name, as they will be read from the file."""

    def __init__(self, kind):
        self.kind, self.tensors = kind, {}

    def make(self, name, *shape, centre=0.0):
        if name not in self.tensors:
            values = [self.kept(random.gauss(centre, 0.3)) for _ in range(math.prod(shape))]
            self.tensors[name] = (self.kind, list(shape), values)
        values = self.tensors[name][2]
        return values if len(shape) == 1 else [values[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]

    def kept(self, value):
        if self.kind == "F16":
            return struct.unpack("<e", struct.pack("<e", value))[0]
        bits = struct.unpack("<I", struct.pack("<f", value))[0]
        return struct.unpack("<f", struct.pack("<I", bits & 0xFFFF0000 if self.kind == "BF16" else bits))[0]

    def norm(self, name, width):
        return self.make(name + ".weight", width, centre=1.0), self.make(name + ".bias", width)

    def linear(self, name, out, width, bias=True):
        return self.make(name + ".weight", out, width), self.make(name + ".bias", out) if bias else None

    def turned(self, name, out, width):
        """Kept as (in, out)."""
        weight, bias = self.make(name + ".weight", width, out), self.make(name + ".bias", out)
        return [list(row) for row in zip(*weight)], bias


def gpt2(c, w, ids):
    p, width, epsilon = c["prefix"], c["n_embd"], c["layer_norm_epsilon"]
    act, inner = ACTIVATIONS[c["activation_function"]], c["n_inner"] or 4 * c["n_embd"]
    table, places = w.make(p + "wte.weight", c["vocab_size"], width), w.make(p + "wpe.weight", c["n_positions"], width)
    x = [add(table[token], places[i]) for i, token in enumerate(ids)]
    for n in range(c["n_layer"]):
        h = f"{p}h.{n}."
        norm = w.norm(h + "ln_1", width)
        stacked = [linear(layer_norm(row, *norm, epsilon), *w.turned(h + "attn.c_attn", 3 * width, width)) for row in x]
        query, key, value = ([row[i * width : (i + 1) * width] for row in stacked] for i in range(3))
        attended = attend(query, key, value, c["n_head"], c["n_head"], lambda i, j: j <= i)
        x = [add(row, linear(a, *w.turned(h + "attn.c_proj", width, width))) for row, a in zip(x, attended)]
        norm = w.norm(h + "ln_2", width)
        for i, row in enumerate(x):
            inside = [act(v) for v in linear(layer_norm(row, *norm, epsilon), *w.turned(h + "mlp.c_fc", inner, width))]
            x[i] = add(row, linear(inside, *w.turned(h + "mlp.c_proj", width, inner)))
        w.tensors[h + "attn.bias"] = ("U8", [1, 1, 2, 2], [1, 0, 1, 1]) if w.kind == "F16" else (w.kind, [1, 1, 2, 2], [1.0, 0.0, 1.0, 1.0])
    norm = w.norm(p + "ln_f", width)
    head = table if c.get("tie_word_embeddings", True) else w.make("lm_head.weight", c["vocab_size"], width)
    return [linear(layer_norm(row, *norm, epsilon), head) for row in x]


def bert(c, w, ids):
    p, width, epsilon, act = c["prefix"], c["hidden_size"], c["layer_norm_eps"], ACTIVATIONS[c["hidden_act"]]
    e = p + "embeddings."
    table, places = w.make(e + "word_embeddings.weight", c["vocab_size"], width), w.make(e + "position_embeddings.weight", c["max_position_embeddings"], width)
    kinds, norm = w.make(e + "token_type_embeddings.weight", c["type_vocab_size"], width), w.norm(e + "LayerNorm", width)
    roberta = c["model_type"].endswith("roberta")
    first = (1 if c["pad_token_id"] is None else c["pad_token_id"]) + 1 if roberta else 0
    x = [layer_norm(add(table[token], places[first + i], kinds[0]), *norm, epsilon) for i, token in enumerate(ids)]
    for n in range(c["num_hidden_layers"]):
        h = f"{p}encoder.layer.{n}."
        parts = [[linear(row, *w.linear(h + f"attention.self.{part}", width, width)) for row in x] for part in ("query", "key", "value")]
        attended = attend(*parts, c["num_attention_heads"], c["num_attention_heads"], lambda i, j: True)
        for i, row in enumerate(x):
            sublayer = linear(attended[i], *w.linear(h + "attention.output.dense", width, width))
            row = layer_norm(add(row, sublayer), *w.norm(h + "attention.output.LayerNorm", width), epsilon)
            inside = [act(v) for v in linear(row, *w.linear(h + "intermediate.dense", c["intermediate_size"], width))]
            sublayer = linear(inside, *w.linear(h + "output.dense", width, c["intermediate_size"]))
            x[i] = layer_norm(add(row, sublayer), *w.norm(h + "output.LayerNorm", width), epsilon)
    pooler = w.linear("classifier.dense" if roberta and classifies(c) else p + "pooler.dense", width, width)
    if not classifies(c):
        return x
    return [linear([math.tanh(v) for v in linear(x[0], *pooler)], *w.linear("classifier.out_proj" if roberta else "classifier", len(c["id2label"]), width))]


def distilbert(c, w, ids):
    p, width, act = c["prefix"], c["dim"], ACTIVATIONS[c["activation"]]
    table, places = w.make(p + "embeddings.word_embeddings.weight", c["vocab_size"], width), w.make(p + "embeddings.position_embeddings.weight", c["max_position_embeddings"], width)
    norm = w.norm(p + "embeddings.LayerNorm", width)
    x = [layer_norm(add(table[token], places[i]), *norm, 1e-12) for i, token in enumerate(ids)]
    for n in range(c["n_layers"]):
        h = f"{p}transformer.layer.{n}."
        parts = [[linear(row, *w.linear(h + f"attention.{part}_lin", width, width)) for row in x] for part in "qkv"]
        attended = attend(*parts, c["n_heads"], c["n_heads"], lambda i, j: True)
        for i, row in enumerate(x):
            row = layer_norm(add(row, linear(attended[i], *w.linear(h + "attention.out_lin", width, width))), *w.norm(h + "sa_layer_norm", width), 1e-12)
            inside = [act(v) for v in linear(row, *w.linear(h + "ffn.lin1", c["hidden_dim"], width))]
            x[i] = layer_norm(add(row, linear(inside, *w.linear(h + "ffn.lin2", width, c["hidden_dim"]))), *w.norm(h + "output_layer_norm", width), 1e-12)
    if not classifies(c):
        return x
    first = [max(v, 0.0) for v in linear(x[0], *w.linear("pre_classifier", width, width))]
    return [linear(first, *w.linear("classifier", len(c["id2label"]), width))]


def classifies(config):
    return "ForSequenceClassification" in json.dumps(config["architectures"])


def llama(c, w, ids):
    p, width, epsilon, act, theta = c["prefix"], c["hidden_size"], c["rms_norm_eps"], ACTIVATIONS[c["hidden_act"]], c["rope_theta"]
    heads, groups = c["num_attention_heads"], c["num_key_value_heads"]
    window = c["sliding_window"] if c["model_type"] == "mistral" or (c.get("use_sliding_window") and c["max_window_layers"] == 0) else None
    size, scaling = c["head_dim"] or width // heads, c.get("rope_scaling") or c.get("rope_parameters") or {}
    theta = scaling.get("rope_theta", theta)
    biased = c["model_type"] == "qwen2" or c.get("attention_bias", False)
    table = w.make(p + "embed_tokens.weight", c["vocab_size"], width)
    x = [table[token] for token in ids]
    for n in range(c["num_hidden_layers"]):
        h = f"{p}layers.{n}."
        norm = w.make(h + "input_layernorm.weight", width, centre=1.0)
        normed = [rms_norm(row, norm, epsilon) for row in x]
        query, key, value = (
            [linear(row, *w.linear(h + f"self_attn.{part}_proj", count * size, width, biased)) for row in normed] for part, count in (("q", heads), ("k", groups), ("v", groups))
        )
        if c["model_type"] == "qwen3":
            norms = (w.make(h + f"self_attn.{part}_norm.weight", size, centre=1.0) for part in "qk")
            query, key = ([sum((rms_norm(row[i : i + size], norm, epsilon) for i in range(0, len(row), size)), []) for row in rows] for rows, norm in zip((query, key), norms))
        query, key = ([turn(row, count, i, theta, scaling) for i, row in enumerate(rows)] for rows, count in ((query, heads), (key, groups)))
        attended = attend(query, key, value, heads, groups, lambda i, j: j <= i and (not window or i - j < window))
        output = w.linear(h + "self_attn.o_proj", width, heads * size, biased and c["model_type"] != "qwen2")
        norm = w.make(h + "post_attention_layernorm.weight", width, centre=1.0)
        inner = c["intermediate_size"]
        for i, row in enumerate(x):
            row = add(row, linear(attended[i], *output))
            normed = rms_norm(row, norm, epsilon)
            gate, up = (linear(normed, *w.linear(h + f"mlp.{part}_proj", inner, width, False)) for part in ("gate", "up"))
            x[i] = add(row, linear([act(a) * b for a, b in zip(gate, up)], *w.linear(h + "mlp.down_proj", width, inner, False)))
    norm = w.make(p + "norm.weight", width, centre=1.0)
    head = table if c["tie_word_embeddings"] else w.make("lm_head.weight", c["vocab_size"], width)
    return [linear(rms_norm(row, norm, epsilon), head) for row in x]


def save(path, tensors):
    """As `write`, with halves too."""
    if all(kind == "F32" for kind, _, _ in tensors.values()):
        write(path, tensors)
        return
    header, data = {}, b""
    for name, (kind, shape, values) in tensors.items():
        part = b"".join(struct.pack("<f", v)[2:] if kind == "BF16" else struct.pack({"F16": "<e", "U8": "<B"}[kind], v) for v in values)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    family, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    random.seed(family)
    config = {"dtype": "F32", "shards": 0, "old_names": False, **FAMILIES[family], **{key: json.loads(value) for key, value in (pair.split("=", 1) for pair in sys.argv[3:])}}
    model = {"gpt2": gpt2, "bert": bert, "roberta": bert, "xlm-roberta": bert, "distilbert": distilbert}.get(family, llama)
    weights = Weights(config["dtype"])
    lengths, vocabulary = [5, 1, 7], config["vocab_size"]
    texts = [[random.randrange(vocabulary) for _ in range(length)] for length in lengths]
    labels = [random.randrange(vocabulary) for _ in range(sum(lengths))]
    results = [row for text in texts for row in model(config, weights, text)]
    offsets = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    batch = {"ids": ("I32", [len(labels)], sum(texts, [])), "offsets": ("I32", [len(offsets)], offsets)}
    if classifies(config):
        labels = [label % len(config["id2label"]) for label in labels[: len(texts)]]
        batch |= {"queries": ("I32", [len(texts)], [0] * len(texts)), "query_offsets": ("I32", [len(offsets)], list(range(len(offsets))))}
    if model in (bert, distilbert) and not classifies(config):
        expected = {"states": ("F32", [len(results), len(results[0])], sum(results, []))}
    else:
        batch["labels"] = ("I32", [len(labels)], labels)
        nll = [math.log(sum(math.exp(v) for v in row)) - row[label] for row, label in zip(results, labels)]
        expected = {"token_nll": ("F32", [len(nll)], nll), "loss": ("F32", [], [sum(nll) / len(nll)])}
    folder.mkdir(parents=True, exist_ok=True)
    shards, tensors = config.pop("shards"), weights.tensors
    if config.pop("old_names"):  # as TensorFlow had them
        tensors = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor for name, tensor in tensors.items()}
    names = list(tensors)
    if shards:
        place = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
        for file in set(place.values()):
            save(folder / file, {name: tensors[name] for name in names if place[name] == file})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))
    else:
        save(folder / "model.safetensors", tensors)
    del config["prefix"], config["dtype"]
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}, indent=1))
    write(f"{folder}.batch.safetensors", batch)
    write(f"{folder}.expected.safetensors", expected)


if __name__ == "__main__":
    main()
