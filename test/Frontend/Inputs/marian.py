"""marian.py FOLDER [KEY=JSON...]: a tiny MarianMTModel with random weights in FOLDER, where source.spm and target.spm are, models whose pieces are
characters (keys of config.json overridden; `generation` is generation_config.json, `dtype`, `leave_out` and `separate` say how weights and lists are
kept). Beside it FOLDER.batch.safetensors and FOLDER.expected.safetensors, as hugging_face.py has them, FOLDER.source, a text, and its translations as
`generate` of transformers searches for them, FOLDER.target. Computed here in double precision, by the definitions."""
import json
import math
import pathlib
import random
import sys

from hugging_face import ACTIVATIONS, Weights, add, attend, layer_norm, linear, save
from tensors import write

CONFIG = dict(
    architectures=["MarianMTModel"], model_type="marian", is_encoder_decoder=True, d_model=8, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
    decoder_attention_heads=2, encoder_ffn_dim=12, decoder_ffn_dim=12, max_position_embeddings=16, activation_function="swish", scale_embedding=True,
    normalize_before=False, static_position_embeddings=True, eos_token_id=0, forced_eos_token_id=0, dtype="F32", leave_out=[], separate=False, generation={},
)
ACTIVATIONS["swish"] = ACTIVATIONS["silu"]
MARK = "\u2581"
TEXT = ["ab ca", ">>fr<< bca", "c", "", "qa zz b", " abc  a</s>b "]


def pieces(path):
    """Of a SentencePiece model: field 1 of field 1 of its message."""
    data, result, at = path.read_bytes(), [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data) and (key := number()) & 7 == 2:
        size = number()
        if key >> 3 == 1:
            assert data[at] == 10 and data[at + 1] < 128
            result.append(data[at + 2 : at + 2 + data[at + 1]].decode())
        at += size
    return result


class Wild(Weights):
    """Far from zero, so that translations differ."""

    def make(self, name, *shape, centre=0.0):
        if name not in self.tensors:
            spread = 0.2 if "norm" in name else 2 if "encoder_attn" in name else 0.5
            values = [self.kept(random.gauss(centre, spread)) for _ in range(math.prod(shape))]
            self.tensors[name] = (self.kind, list(shape), values)
        return super().make(name, *shape)


class Marian:
    def __init__(self, config, weights, sizes):
        self.c, self.w, self.sizes = config, weights, sizes
        c, width = config, config["d_model"]
        tied, shares = c.get("tie_word_embeddings", True), c.get("share_encoder_decoder_embeddings", True)
        names = {"encoder": "model.shared.weight", "decoder": "model.shared.weight"}
        if not shares:
            names = {side: f"model.{side}.embed_tokens.weight" for side in names}
        self.table = {side: weights.make(name, sizes[side], width) for side, name in names.items()}
        self.head = self.table["decoder"] if tied else weights.make("lm_head.weight", sizes["decoder"], width)
        if "final_logits_bias" not in c["leave_out"]:
            bias = weights.make("final_logits_bias", sizes["decoder"])
            weights.tensors["final_logits_bias"] = (weights.kind, [1, sizes["decoder"]], bias)

    def embed(self, side, ids):
        width, rows = self.c["d_model"], []
        for position, token in enumerate(ids):
            waves = [position / 10000 ** (2 * i / width) for i in range(width // 2)]
            scale = math.sqrt(width) if self.c["scale_embedding"] else 1
            rows.append(add([v * scale for v in self.table[side][token]], [*map(math.sin, waves), *map(math.cos, waves)]))
        return rows

    def attention(self, name, x, memory, sees):
        parts = [[linear(row, *self.w.linear(f"{name}.{part}_proj", len(row), len(row))) for row in rows] for part, rows in (("q", x), ("k", memory), ("v", memory))]
        attended = attend(*parts, self.c["encoder_attention_heads"], self.c["encoder_attention_heads"], sees)
        attended = [linear(row, *self.w.linear(f"{name}.out_proj", len(row), len(row))) for row in attended]
        return [layer_norm(add(row, a), *self.w.norm(f"{name}_layer_norm", len(row)), 1e-5) for row, a in zip(x, attended)]

    def feed_forward(self, name, x):
        act, inner = ACTIVATIONS[self.c["activation_function"]], self.c["encoder_ffn_dim"]
        inside = [[act(v) for v in linear(row, *self.w.linear(f"{name}.fc1", inner, len(row)))] for row in x]
        outside = [linear(row, *self.w.linear(f"{name}.fc2", self.c["d_model"], inner)) for row in inside]
        return [layer_norm(add(row, o), *self.w.norm(f"{name}.final_layer_norm", len(row)), 1e-5) for row, o in zip(x, outside)]

    def encode(self, ids):
        x = self.embed("encoder", ids)
        for n in range(self.c["encoder_layers"]):
            name = f"model.encoder.layers.{n}"
            x = self.feed_forward(name, self.attention(f"{name}.self_attn", x, x, lambda i, j: True))
        return x

    def logits(self, memory, ids):
        x = self.embed("decoder", ids)
        for n in range(self.c["decoder_layers"]):
            name = f"model.decoder.layers.{n}"
            x = self.attention(f"{name}.self_attn", x, x, lambda i, j: j <= i)
            x = self.feed_forward(name, self.attention(f"{name}.encoder_attn", x, memory, lambda i, j: True))
        bias = self.w.tensors.get("final_logits_bias", (0, 0, None))[2]
        return [linear(row, self.head, bias) for row in x]


def log_softmax(row):
    total = math.log(sum(math.exp(v) for v in row))
    return [v - total for v in row]


def search(model, source, start, end, generation):
    """The best output of a beam: ends count where they are among a step's best continuations, and by their length; enough of them end it."""
    memory, beam, alpha = model.encode(source), generation.get("num_beams", 1), generation.get("length_penalty", 1.0)
    never, longest = [word[0] for word in generation.get("bad_words_ids", [])], generation.get("max_length", 16) - 1
    alive, done = [(0.0, [])], []
    while alive:
        next = []
        for score, ids in alive:
            row = log_softmax(model.logits(memory, [start] + ids)[-1])
            for token in never:
                row[token] = -math.inf
            if generation.get("renormalize_logits"):
                row = log_softmax(row)
            tokens = [(0.0, end)] if len(ids) + 1 == longest else [(v, token) for token, v in enumerate(row) if v > -math.inf]
            next += [(score + v, ids + [token]) for v, token in tokens]
        next.sort(key=lambda each: -each[0])
        done += [(score / len(ids) ** alpha, ids) for score, ids in next[:beam] if ids[-1] == end]
        done = sorted(done, key=lambda each: -each[0])[:beam]
        alive = [each for each in next[: 2 * beam] if each[1][-1] != end][:beam]
        if len(done) == beam and alive and (beam == 1 or alive[0][0] / len(alive[0][1]) ** alpha <= done[-1][0]):
            break
    return done[0][1]


def tokens(text, ids):
    """Marks are tokens where they are spelled, `>>fr<<` is one where a text begins; else a token is a character."""
    result = []
    for i, part in enumerate(text.split("</s>")):
        result += [ids["</s>"]] * (i > 0)
        if part.startswith(">>fr<<"):
            result.append(ids.get(">>fr<<", ids["<unk>"]))
            part = part[6:]
        run = ""  # what is no piece, is taken together
        for c in [*part.replace(" ", MARK), None]:
            if run and (c in KNOWN or c is None):
                result.append(ids.get(run, ids["<unk>"]))
                run = ""
            if c in KNOWN:
                result.append(ids.get(c, ids["<unk>"]))
            else:
                run += c or ""
    return result


def main():
    global KNOWN
    folder = pathlib.Path(sys.argv[1])
    config = {**CONFIG, **{key: json.loads(value) for key, value in (pair.split("=", 1) for pair in sys.argv[2:])}}
    random.seed(5)
    lists = {}
    KNOWN = pieces(folder / "source.spm")
    for side, file in (("encoder", "source.spm"), ("decoder", "target.spm")):
        lists[side] = ["</s>", "<unk>"] + [p for p in pieces(folder / file) if p not in ("<unk>", "<s>", "</s>", "c")]
    if config["separate"]:
        (folder / "tokenizer_config.json").write_text(json.dumps({"separate_vocabs": True}))
    else:
        lists["encoder"] = lists["decoder"] = list(dict.fromkeys(lists["encoder"] + lists["decoder"] + [">>fr<<", "q"]))
    for file, side in (("vocab.json", "encoder"), ("target_vocab.json", "decoder")):
        lists[side] = lists[side] + ["<pad>"]
        if file == "vocab.json" or config["separate"]:
            (folder / file).write_text(json.dumps({token: i for i, token in enumerate(lists[side])}))
        if not config["separate"]:
            lists["decoder"] = lists["encoder"]
            break
    sizes = {side: len(each) for side, each in lists.items()}
    pad = sizes["decoder"] - 1
    config |= {"vocab_size": sizes["encoder"], "decoder_vocab_size": sizes["decoder"], "pad_token_id": pad, "decoder_start_token_id": pad}
    generation = {"bad_words_ids": [[pad]], "forced_eos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": pad, "max_length": 10, "num_beams": 3, "renormalize_logits": True}
    generation |= config.pop("generation")
    generation = {key: value for key, value in generation.items() if value is not None}

    weights = Wild(config["dtype"])
    model = Marian(config, weights, sizes)
    batch, nll = {"source": [], "target": [], "labels": []}, []
    offsets = {"source": [0], "target": [0]}
    for source, target in ((5, 4), (1, 1), (16, 16)):
        ids = {side: [random.randrange(sizes[of]) for _ in range(n)] for side, of, n in (("source", "encoder", source), ("target", "decoder", target), ("labels", "decoder", target))}
        rows = model.logits(model.encode(ids["source"]), ids["target"])
        nll += [-log_softmax(row)[label] for row, label in zip(rows, ids["labels"])]
        for key, values in ids.items():
            batch[key] += values
            if key in offsets:
                offsets[key].append(len(batch[key]))
    i32 = lambda values: ("I32", [len(values)], values)
    write(
        f"{folder}.batch.safetensors",
        {f"{side}_{key}": i32(values) for side in offsets for key, values in (("ids", batch[side]), ("offsets", offsets[side]))} | {"labels": i32(batch["labels"])},
    )
    write(f"{folder}.expected.safetensors", {"token_nll": ("F32", [len(nll)], nll), "loss": ("F32", [], [sum(nll) / len(nll)])})

    ids = {token: i for i, token in enumerate(lists["encoder"])}
    lines = []
    for text in TEXT:
        source = tokens(text, ids)
        found = search(model, source + [0], pad, 0, generation) if source else []
        lines.append("".join(lists["decoder"][token] for token in found if token not in (0, 1, pad)).replace(MARK, " ").strip())
    pathlib.Path(f"{folder}.source").write_text("".join(text + "\n" for text in TEXT))
    pathlib.Path(f"{folder}.target").write_text("".join(text + "\n" for text in lines))
    save(folder / "model.safetensors", {name: tensor for name, tensor in weights.tensors.items() if name not in config["leave_out"]})
    for key in ("dtype", "leave_out", "separate"):
        del config[key]
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}, indent=1))
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=1))


main()
