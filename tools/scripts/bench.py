#!/usr/bin/env python3
"""Measures xf on a list of works, one JSON line each, with the fields that the peers' scripts print.

Every work is compiled into an executable of its own, linked with Google Benchmark in the place of its `--repeat`
(tools/xf-bench). Works are those of tools/scripts/bench-works.json, or of --works; there is also what is asked of them, as
ratios to peers. Batches are random tokens. What the machine computes and reads in a second is measured first, and said on stderr."""
import argparse
import array
import json
import math
import os
import pathlib
import random
import re
import statistics
import struct
import subprocess
import sys
import tempfile

import bench_peers

SCRIPTS = pathlib.Path(__file__).resolve().parent
ROOT = SCRIPTS.parent.parent
SHARED = ROOT / ".." / "shared"
FIELDS = "section work pass peer version threads median_s best_s runs gflops gb_per_s tokens_per_s decode_tokens_per_s prompt_s extra_mib peak_rss_mib".split()


class Unsupported(Exception):
    """What the compiler or the executable said, for a work that xf can't do."""


def write_safetensors(path, tensors):
    """tensors: name -> (dtype 'I32' or 'F32', shape, values)."""
    header, data = {}, bytearray()
    for name, (dtype, shape, values) in tensors.items():
        raw = array.array({"I32": "i", "F32": "f"}[dtype], values).tobytes()
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def execute(command, stdin=None):
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsupported(f"{' '.join(map(str, command[:2]))}: exit code {done.returncode}: {done.stderr.strip()[:600]}")
    return done.stdout


def build(model, options, folder, *arguments):
    """The executable of a model, as xf-compile would have linked it but for what times its calls."""
    execute([options.compiler, model, *arguments, "--emit=object", "-o", folder / "model.o"])
    libraries = options.compiler.resolve().parent.parent / "lib" / "xf"
    parts = [folder / "model.o", libraries / "libxf_bench.a", libraries / "libxf_runtime.a", "-lbenchmark", "-lpthread"]
    execute(["clang++-22", "-fuse-ld=lld", *parts, "-o", folder / "model"])
    return folder / "model"


def repeat(executable, function, batch, options, seconds, extra=()):
    """Times one function of an executable: as many calls as fit into `seconds`, at least 5."""
    return timed([executable, "run", function, f"--input={batch}", "--seed=1", *extra], options, seconds)


def timed(command, options, seconds, stdin=None):
    command = bound(command, options)

    def calls(runs):
        aggregates = {line["aggregate_name"]: line for line in json.loads(execute(command + [f"--repeat={runs}"], stdin))["benchmarks"]}
        median = aggregates["median"]
        figures = {"median_s": median["real_time"] * 1e-3, "best_s": aggregates["best"]["real_time"] * 1e-3, "runs": median["repetitions"]}
        return figures | {k: median[k] for k in ("extra_mib", "peak_rss_mib")}

    first = calls(2)
    return calls(max(5, min(500, math.ceil(seconds / max(first["best_s"], 1e-3)))))


def bound(command, options):
    """The command with its threads, each on a core of its own."""
    return ["taskset", "-c", os.environ.get("XF_BENCH_CORES", f"0-{options.threads - 1}"), *command, f"--threads={options.threads}"]


def machine(options, folder):
    """What --profile measures before it begins: multiply-adds in registers, and loads from memory."""
    module, inputs = matmul_module({"m": 4, "k": 16, "n": 16})
    (folder / "work.mlir").write_text(module)
    write_safetensors(folder / "batch.safetensors", inputs)
    executable = build(folder / "work.mlir", options, folder, "--compile-from=fuse")
    done = subprocess.run(bound([executable, "run", "forward", f"--input={folder}/batch.safetensors", f"--output={folder}/c", "--profile"], options),
                          capture_output=True, text=True, check=False)
    found = re.search(r"([\d.]+) GFLOP/s, ([\d.]+) GB/s", done.stdout + done.stderr)
    if not found:
        raise Unsupported(f"--profile printed no limits: {done.stderr.strip()[-300:]}")
    return {"gflops": float(found.group(1)), "gb_per_s": float(found.group(2))}


# ---------------------------------------------------------------- training steps
def sequence_lengths(work, data):
    """Batches, each a list of (source length, target length), as the peers' scripts cut them."""
    if work["lengths"] != "multi30k":
        return [[(work["lengths"], work["lengths"])] * work["batch"]]
    import gzip

    def count(side):
        with gzip.open(data / f"multi30k/train.{side}.gz", "rt", encoding="utf-8") as lines:
            return [len(re.findall(r"\w+|[^\w\s]", line)) for line in lines]

    if not (data / "multi30k").is_dir():
        raise Unsupported(f"needs the lengths of {data / 'multi30k'}, which is not there")
    pairs = sorted((s + 2, t + 1) for s, t in zip(count("de"), count("en")))
    batches = [pairs[i : i + work["batch"]] for i in range(0, len(pairs), work["batch"])]
    return batches[6::12]


def random_tokens(lengths, vocabulary, rng):
    return "I32", [sum(lengths)], [rng.randrange(4, vocabulary) for _ in range(sum(lengths))]


def offsets(lengths):
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    return "I32", [len(starts)], starts


def packed_batch(work, pairs, rng):
    def tokens(lengths, vocabulary):
        return random_tokens(lengths, vocabulary, rng)

    source, target = [s for s, _ in pairs], [t for _, t in pairs]
    if work["kind"] == "lm":
        ids = tokens(target, work["vocabulary"])
        return {"ids": ids, "offsets": offsets(target), "labels": tokens(target, work["vocabulary"])}
    return {
        "source_ids": tokens(source, work["source_vocabulary"]),
        "source_offsets": offsets(source),
        "target_ids": tokens(target, work["target_vocabulary"]),
        "target_offsets": offsets(target),
        "labels": tokens(target, work["target_vocabulary"]),
    }


def step_flop(work, source, target):
    """6 x the matrix parameters that each real token meets."""
    d, ff, cross = work["d_model"], work["d_ff"], work["kind"] == "seq2seq"
    vocabulary = work.get("target_vocabulary") or work["vocabulary"]
    decoder = work["layers"] * (4 * d * d + 2 * d * ff + (2 * d * d if cross else 0)) + d * vocabulary
    encoder = work["layers"] * (4 * d * d + 2 * d * ff + 2 * d * d) if cross else 0  # 2 d d: the decoder's keys and values of the memory
    return 6 * (encoder * source + decoder * target)


def model_of(work):
    keys = {k: work[k] for k in ("layers", "d_model", "heads", "d_ff", "norm", "dropout")}
    keys |= {"d_k": work["d_model"] // work["heads"], "d_v": work["d_model"] // work["heads"], "bias": "all"}
    if work["kind"] == "lm":
        keys |= {"vocabulary": work["vocabulary"], "positions": "learned", "max_positions": 256, "activation": "gelu"}
        return "preset:gpt2-small,attention_dropout=0," + ",".join(f"{k}={v}" for k, v in keys.items())
    if work["tied"]:
        keys |= {"vocabulary": work["source_vocabulary"], "tied": "true"}
    else:
        keys |= {"source_vocabulary": work["source_vocabulary"], "target_vocabulary": work["target_vocabulary"], "tied": "false"}
    return "preset:transformer-base," + ",".join(f"{k}={v}" for k, v in keys.items())


def train_step(work, options, folder):
    rng = random.Random(0)
    batches = sequence_lengths(work, options.data)
    executable = build(model_of(work), options, folder, "--functions=train")
    times = []
    for pairs in batches:
        write_safetensors(folder / "batch.safetensors", packed_batch(work, pairs, rng))
        hyper = ["--learning-rate=5e-4", "--schedule=constant", "--clip-norm=1"]
        times.append(repeat(executable, "train_step", folder / "batch.safetensors", options, options.seconds / len(batches), hyper))
    source = sum(s for pairs in batches for s, _ in pairs) * (work["kind"] == "seq2seq") / len(batches)
    target = sum(t for pairs in batches for _, t in pairs) / len(batches)
    median = statistics.fmean(t["median_s"] for t in times)
    yield {
        "pass": "step",
        "median_s": median,
        "best_s": statistics.fmean(t["best_s"] for t in times),
        "runs": int(min(t["runs"] for t in times)),
        "gflops": 1e-9 * step_flop(work, source, target) / median,
        "tokens_per_s": (source + target) / median,
        "extra_mib": max(t["extra_mib"] for t in times),
        "peak_rss_mib": max(t["peak_rss_mib"] for t in times),
    }


# ---------------------------------------------------------------- inference
def inference(work, options, folder):
    measure = {"encoder": encoder, "seq2seq": translation, "layers": encoder_layers, "lm": decoding}.get(work["kind"])
    if not measure:
        raise Unsupported("of inference, encoders, translation and language models are measured here")
    yield from measure(work, options, folder)


def encoder_flop(lengths, layers, d, ff):
    return sum(layers * n * (2 * (4 * d * d + 2 * d * ff) + 4 * n * d) for n in lengths)


def time_encoder(folder, lengths, inputs, flop, options):
    write_safetensors(folder / "batch.safetensors", inputs | {"offsets": offsets(lengths)})
    times = repeat(folder / "model", "encode", folder / "batch.safetensors", options, options.seconds)
    rates = {"gflops": 1e-9 * flop / times["median_s"], "tokens_per_s": sum(lengths) / times["median_s"]}
    yield {"pass": "forward"} | times | rates


def encoder(work, options, folder):
    """States of a packed batch of texts. The peers' scripts pool and normalise them too, some thousandths of the work."""
    layers, d, ff, vocabulary = 6, 384, 1536, 30522  # MiniLM's shape, the preset's own
    lengths = work.get("lengths") or [work["length"]] * work["batch"]
    build("preset:transformer-encoder", options, folder)
    inputs = {"ids": random_tokens(lengths, vocabulary, random.Random(0))}
    yield from time_encoder(folder, lengths, inputs, encoder_flop(lengths, layers, d, ff), options)


def encoder_layers(work, options, folder):
    """Layers alone, from states to states, as those of the peers that are compilers are given them."""
    d, heads, ff, layers = (work[k] for k in ("d_model", "heads", "d_ff", "layers"))
    lengths = [work["length"]] * work["batch"]
    x = f"tensor<?x{d}xf32>"
    applied = "".join(f'\n  %x{i + 1} = xf.apply @layer as "encoder.{i}" (%x{i}, %offsets) : ({x}, {IDS}) -> {x}' for i in range(layers))
    (folder / "model.mlir").write_text(f"""func.func private @layer(%x: {x}, %offsets: {IDS}) -> {x} {{
  %a = xf.multi_head_attention "attention" (%x, %x, %x) offsets(%offsets, %offsets) heads({heads}) head_dims({d // heads}, {d // heads}) bias : ({x}, {x}, {x}, {IDS}, {IDS}) -> {x}
  %b = xf.add_norm "attention_norm" (%x, %a) : ({x}, {x}) -> {x}
  %f = xf.feed_forward "feed_forward" (%b) hidden({ff}) relu bias : ({x}) -> {x}
  %y = xf.add_norm "feed_forward_norm" (%b, %f) : ({x}, {x}) -> {x}
  return %y : {x}
}}
func.func @encode(%x0: {x} {{xf.name = "x", xf.dims = ["tokens"]}}, %offsets: {IDS} {{xf.name = "offsets", xf.dims = ["offsets"]}}) -> ({x} {{xf.name = "states"}}) attributes {{xf.entry}} {{{applied}
  return %x{layers} : {x}
}}
""")
    build(folder / "model.mlir", options, folder)
    inputs = {"x": ("F32", [sum(lengths), d], random_floats(sum(lengths) * d, random.Random(0)))}
    yield from time_encoder(folder, lengths, inputs, encoder_flop(lengths, layers, d, ff), options)


def random_weights(preset, path, options):
    """A file of weights for a preset: small random numbers, and ones where a norm scales."""
    execute([options.compiler, preset, "--compile-to=input", "-o", f"{path}.mlir"])
    parameters = re.findall(r'xf\.param @"?([\w.]+)"? : tensor<([0-9x]+)xf32>', pathlib.Path(f"{path}.mlir").read_text())
    rng, tensors = random.Random(0), {}
    for name, extents in parameters:
        shape = [int(n) for n in extents.split("x")]
        values = [1.0] * shape[0] if name.endswith("norm.weight") else array.array("f", (0.02 * v for v in random_floats(math.prod(shape), rng)))
        tensors[name] = ("F32", shape, values)
    write_safetensors(path, tensors)


def translation(work, options, folder):
    """64 sentences of 8 to 40 tokens, exactly 32 new ones each; the model is loaded before."""
    preset, sentences, new = "preset:transformer-base,vocabulary=32000", 64, 32
    rng = random.Random(0)
    lengths = [8 + 32 * i // (sentences - 1) for i in range(sentences)]
    rng.shuffle(lengths)
    text = "".join(" ".join(str(rng.randrange(4, 32000)) for _ in range(n)) + "\n" for n in lengths)
    random_weights(preset, folder / "weights.safetensors", options)
    command = [build(preset, options, folder, "--functions=translate"), "translate", f"--model={folder}/weights.safetensors", f"--beam={work['beam']}", f"--min-length={new}", f"--max-length={new}"]
    times = timed(command, options, options.seconds, text)
    yield {"pass": "forward"} | times | {"tokens_per_s": sentences * new / times["median_s"]}


# ---------------------------------------------------------------- single operations
def decoding(work, options, folder):
    """One text, greedy: of a trained model after its begin mark, or of random weights after a prompt; the model is loaded before."""
    new, prompt, weights = work["new_tokens"], [], []
    if "checkpoint" in work:
        model = options.data / work["checkpoint"]
        if not model.is_dir():
            raise Unsupported(f"there is no '{model}'")
    else:
        model = f"preset:{work['preset']}"
        random_weights(model, folder / "weights.safetensors", options)
        weights = [f"--model={folder}/weights.safetensors"]
        rng = random.Random(0)
        prompt = [rng.randrange(4, 32000) for _ in range(work["prompt"] - 1)]  # after the begin mark
    quantize = [f"--quantize={work['quantize']}"] if "quantize" in work else []
    command = [build(model, options, folder, "--functions=generate", *quantize), "generate", *weights, "--temperature=0", f"--prompt={' '.join(map(str, prompt))}"]
    first = timed([*command, "--max-length=1"], options, options.seconds / 4)["median_s"]
    times = timed([*command, f"--max-length={new}"], options, options.seconds)
    yield {"pass": "forward"} | times | {"tokens_per_s": new / times["median_s"], "decode_tokens_per_s": (new - 1) / (times["median_s"] - first), "prompt_s": first}


def tensor(*shape, element="f32"):
    return "tensor<" + "".join("?x" if n is None else f"{n}x" for n in shape) + element + ">"


IDS = tensor(None, element="i32")


def entry(name, arguments, body, results):
    """A function to call: arguments name -> (type, names of its dynamic extents), results name -> (value, type)."""
    taken = ", ".join(
        f'%{k}: {t} {{xf.name = "{k}"' + (f", xf.dims = {json.dumps(dims)}" if dims else "") + "}" for k, (t, dims) in arguments.items()
    )
    given = ", ".join(f'{t} {{xf.name = "{k}"}}' for k, (_, t) in results.items())
    values, types = ", ".join(v for v, _ in results.values()), ", ".join(t for _, t in results.values())
    return f"func.func @{name}({taken}) -> ({given}) attributes {{xf.entry}} {{\n  {body}\n  return {values} : {types}\n}}\n"


def random_floats(count, rng):
    block = array.array("f", (rng.gauss(0, 1) for _ in range(min(count, 65537))))  # a prime, so that rows differ
    return (block * -(-count // len(block)))[:count]


def time_entries(module, inputs, options, folder, flop=None, memory=None, extra=()):
    """Compiles a module of entry points and yields a line for each: inputs name -> tensors; flop and memory name -> operations and bytes."""
    (folder / "work.mlir").write_text(module)
    executable = build(folder / "work.mlir", options, folder, "--compile-from=fuse")
    for name, tensors in inputs.items():
        write_safetensors(folder / "batch.safetensors", tensors)
        times = repeat(executable, name, folder / "batch.safetensors", options, options.seconds / 2, extra)
        rates = {k: 1e-9 * amounts[name] / times["median_s"] for k, amounts in (("gflops", flop), ("gb_per_s", memory)) if amounts and name in amounts}
        yield {"pass": name} | times | rates


def matmul_module(work):
    """A product and its operands."""
    m, k, n = work["m"], work["k"], work["n"]
    ta, tb = work.get("transpose_a"), work.get("transpose_b")
    # The rows of the batch are the extent that changes from call to call; in a transposed A they are what is summed over.
    a = (tensor(None, m), ["rows"]) if ta else (tensor(None, k), ["rows"])
    b = (tensor(None, n), ["rows"]) if ta else (tensor(n, k) if tb else tensor(k, n), [])
    c = tensor(m, n) if ta else tensor(None, n)
    flags = (" transpose_a" if ta else "") + (" transpose_b" if tb else "")
    body = f"%c = xf.matmul %a, %b{flags} : ({a[0]}, {b[0]}) -> {c}"
    rng = random.Random(0)
    inputs = {"a": ("F32", [k, m] if ta else [m, k], random_floats(m * k, rng)), "b": ("F32", [n, k] if tb else [k, n], random_floats(k * n, rng))}
    return entry("forward", {"a": a, "b": b}, body, {"c": ("%c", c)}), inputs


def matmul(work, options, folder):
    m, k, n = work["m"], work["k"], work["n"]
    module, inputs = matmul_module(work)
    memory = {"forward": 4 * (m * k + k * n + m * n)}
    yield from time_entries(module, {"forward": inputs}, options, folder, {"forward": 2 * m * k * n}, memory)


SCORES = {  # by name: captured tensors, and a region's body up to %s and the derivative %d
    "soft_cap": ({}, """%cap = arith.constant 50.0 : f32
    %inverse = arith.constant 0.02 : f32
    %ratio = arith.mulf %score, %inverse : f32
    %tanh = math.tanh %ratio : f32
    %s = arith.mulf %tanh, %cap : f32""", """%one = arith.constant 1.0 : f32
    %square = arith.mulf %tanh, %tanh : f32
    %d = arith.subf %one, %square : f32"""),
    "alibi": ({}, """%distance = arith.subi %key, %query : index
    %h = arith.index_cast %head : index to i32
    %number = arith.sitofp %h : i32 to f32
    %negative = arith.negf %number : f32
    %slope = math.exp2 %negative : f32
    %i = arith.index_cast %distance : index to i32
    %real = arith.sitofp %i : i32 to f32
    %far = math.absf %real : f32
    %bias = arith.mulf %far, %slope : f32
    %s = arith.subf %score, %bias : f32""", "%d = arith.constant 1.0 : f32"),
    "relative": ({"table": 257}, """%distance = arith.subi %key, %query : index
    %farthest = arith.constant 128 : index
    %place = arith.addi %distance, %farthest : index
    %bias = tensor.extract %table[%head, %place] : TABLE
    %s = arith.addf %score, %bias : f32""", """%d = arith.constant 1.0 : f32
    xf.add_gradient %d at %table[%head, %place] : TABLE"""),
}


def attention_module(work):
    """Attention, and with its gradients; the inputs of both, and the operations of the forward."""
    heads, d = work["heads"], work["head_dim"]
    key_heads = work.get("key_value_heads", heads)
    lengths = work.get("lengths") or [work["query_length"]] * work["batch"]
    rows, keys, lse = tensor(None, heads * d), tensor(None, key_heads * d), tensor(None, heads)
    given = f"offsets(%offsets, %offsets) heads({heads}){'' if key_heads == heads else f' key_value_heads({key_heads})'} scale({d ** -0.5!r})" + (" causal" if work.get("causal") else "")
    given += f" window({work['window']})" if "window" in work else ""
    captured, body, derivative = SCORES.get(work.get("score"), ({}, "", ""))
    tables = {name: tensor(heads, columns) for name, columns in captured.items()}

    def score(*yielded):
        if not body:
            return ""
        code = body + (f"\n    {derivative}" if len(yielded) > 1 else "")
        for name, table in tables.items():
            code = code.replace(name.upper(), table)
        values = "".join(f", %{name}: {table}" for name, table in tables.items())
        return f""" score{"(" + ", ".join("%" + name for name in tables) + ")" if tables else ""} {{
  ^bb0(%score: f32, %head: index, %query: index, %key: index{values}):
    {code}
    xf.yield {", ".join(yielded)} : {", ".join("f32" for _ in yielded)}
  }}"""

    arguments = {"query": (rows, ["tokens"]), "key": (keys, ["tokens"]), "value": (keys, ["tokens"]), "offsets": (IDS, ["sequences_plus_1"])}
    arguments |= {name: (table, []) for name, table in tables.items()}
    types = "".join(f", {table}" for table in tables.values())
    sums = {name: tensor(None, heads * columns) for name, columns in captured.items()}
    forward = f"%o, %lse = xf.attention %query, %key, %value {given}{score('%s')} : ({rows}, {keys}, {keys}, {IDS}, {IDS}{types}) -> ({rows}, {lse})"
    backward = (
        f"%dq, %dk, %dv{''.join(f', %d{name}' for name in sums)} = xf.attention_backward %cotangent, %query, %key, %value, %o, %lse {given}{score('%s', '%d')}"
        f" : ({rows}, {rows}, {keys}, {keys}, {rows}, {lse}, {IDS}, {IDS}{types}) -> ({', '.join([rows, keys, keys, *sums.values()])})"
    )
    module = entry("forward", arguments, forward, {"result": ("%o", rows)})
    module += entry(
        "forward_backward",
        arguments | {"cotangent": (rows, ["tokens"])},
        forward + "\n  " + backward,
        {"query_gradient": ("%dq", rows), "key_gradient": ("%dk", keys), "value_gradient": ("%dv", keys)} | {f"{name}_gradient": (f"%d{name}", t) for name, t in sums.items()},
    )
    rng, tokens = random.Random(0), sum(lengths)
    widths = {"query": heads * d, "key": key_heads * d, "value": key_heads * d, "cotangent": heads * d}
    values = {k: ("F32", [tokens, width], random_floats(tokens * width, rng)) for k, width in widths.items()}
    inputs = {k: v for k, v in values.items() if k != "cotangent"} | {"offsets": offsets(lengths)}
    inputs |= {name: ("F32", [heads, columns], random_floats(heads * columns, rng)) for name, columns in captured.items()}
    flop = 4 * heads * d * sum(n * min(n, 2 * work.get("window", n) + 1) for n in lengths) / (2 if work.get("causal") else 1)
    return module, {"forward": inputs, "forward_backward": inputs | {"cotangent": values["cotangent"]}}, flop


def attention(work, options, folder):
    module, calls, flop = attention_module(work)
    yield from time_entries(module, calls, options, folder, {"forward": flop, "forward_backward": 3.5 * flop})


def row(work, options, folder):
    yield from {"softmax": softmax, "layer_norm": layer_norm, "adam": adam, "linear_cross_entropy": linear_cross_entropy}[work["op"]](work, options, folder)


def softmax(work, options, folder):
    """xf's own form: probabilities leave the compiled model as logarithms."""
    rows, columns = work["rows"], work["columns"]
    x = tensor(None, columns)
    module = entry("forward", {"x": (x, ["tokens"])}, f"%y = xf.log_softmax %x : {x}", {"y": ("%y", x)})
    values = {"x": ("F32", [rows, columns], random_floats(rows * columns, random.Random(0)))}
    yield from time_entries(module, {"forward": values}, options, folder, memory={"forward": 8 * rows * columns})


def layer_norm(work, options, folder):
    """Backward finds mean and deviation again: what forward saved is its input."""
    rows, columns = work["rows"], work["columns"]
    x, vector, each = tensor(None, columns), tensor(columns), tensor(None)
    weight = {"weight": (vector, [])}
    forward = entry(
        "forward", {"x": (x, ["tokens"])} | weight | {"bias": (vector, [])},
        f"%y = xf.layer_norm %x, %weight, %bias : ({x}, {vector}, {vector}) -> {x}", {"y": ("%y", x)},
    )
    backward = entry(
        "backward", {"dy": (x, ["tokens"]), "x": (x, ["tokens"])} | weight,
        f"""%dx, %mean, %r = xf.layer_norm_backward %dy, %x, %weight : ({x}, {x}, {vector}) -> ({x}, {each}, {each})
  %dw, %db = xf.layer_norm_parameter_backward %dy, %x, %mean, %r : ({x}, {x}, {each}, {each}) -> ({vector}, {vector})""",
        {"dx": ("%dx", x), "dw": ("%dw", vector), "db": ("%db", vector)},
    )
    rng = random.Random(0)
    values = {k: ("F32", [rows, columns], random_floats(rows * columns, rng)) for k in ("x", "dy")}
    values |= {k: ("F32", [columns], random_floats(columns, rng)) for k in ("weight", "bias")}
    inputs = {"forward": {k: values[k] for k in ("x", "weight", "bias")}, "backward": {k: values[k] for k in ("dy", "x", "weight")}}
    yield from time_entries(forward + backward, inputs, options, folder, memory={"forward": 8 * rows * columns, "backward": 12 * rows * columns})


def adam(work, options, folder):
    """One step over one parameter, whose gradient another call has left."""
    p = tensor(work["elements"])
    state = '%random: tensor<2xi64> {xf.name = "random"}, %hyper: tensor<8xf32> {xf.name = "hyper"}'
    module = f"""xf.param @p : {p} ones(0.0)
func.func @step({state}) -> (tensor<f32> {{xf.name = "rate"}}) attributes {{xf.entry}} {{
  %g = xf.get_gradient @p : {p}
  %norm = arith.constant dense<1.0> : tensor<f32>
  %rate = xf.learning_rate %random, %hyper d_model(512) : (tensor<2xi64>, tensor<8xf32>) -> tensor<f32>
  xf.adam %g parameters [@p] norm(%norm) learning_rate(%rate) state(%random, %hyper) : {p}, tensor<f32>, tensor<f32>, tensor<2xi64>, tensor<8xf32>
  return %rate : tensor<f32>
}}
"""
    gradient = {"grad.p": ("F32", [work["elements"]], random_floats(work["elements"], random.Random(0)))}
    yield from time_entries(module, {"step": gradient}, options, folder, memory={"step": 28 * work["elements"]})


def linear_cross_entropy(work, options, folder):
    """By as many rows of logits as take 16 MiB, as xf-chunk-logits would with such a limit."""
    rows, columns, vocabulary = work["rows"], work["columns"], work["vocabulary"]
    x, each, weight, logits = tensor(None, columns), tensor(None), tensor(vocabulary, columns), tensor(None, vocabulary)
    taken = {"x": (x, ["tokens"]), "weight": (weight, []), "labels": (IDS, ["tokens"]), "cotangent": (each, ["tokens"])}
    chunk = max(16, (16 << 20) // (4 * vocabulary) // 16 * 16)
    body = f"""%zero = arith.constant dense<0.0> : {weight}
  %r:3 = xf.chunked rows({chunk}) of(%x, %labels, %cotangent : {x}, {IDS}, {each}) into(%zero : {weight}) {{
  ^bb0(%xs: {x}, %ls: {IDS}, %cs: {each}, %sum: {weight}):
    %z = xf.linear %xs, %weight : ({x}, {weight}) -> {logits}
    %loss, %nll, %lse = xf.cross_entropy %z, %ls smoothing(0.1) : ({logits}, {IDS}) -> ({each}, {each}, {each})
    %dz = xf.cross_entropy_backward %cs, %z, %ls, %lse smoothing(0.1) : ({each}, {logits}, {IDS}, {each}) -> {logits}
    %dx = xf.matmul %dz, %weight : ({logits}, {weight}) -> {x}
    %dw = xf.matmul %dz, %xs into %sum transpose_a : ({logits}, {x}, {weight}) -> {weight}
    xf.yield %loss, %dx, %dw : {each}, {x}, {weight}
  }} : {each}, {x}, {weight}"""
    module = entry("forward_backward", taken, body, {"loss": ("%r#0", each), "dx": ("%r#1", x), "dw": ("%r#2", weight)})
    rng = random.Random(0)
    values = {
        "x": ("F32", [rows, columns], random_floats(rows * columns, rng)),
        "weight": ("F32", [vocabulary, columns], array.array("f", (0.02 * v for v in random_floats(vocabulary * columns, rng)))),
        "labels": ("I32", [rows], [rng.randrange(vocabulary) for _ in range(rows)]),
        "cotangent": ("F32", [rows], [1 / rows] * rows),
    }
    yield from time_entries(module, {"forward_backward": values}, options, folder, {"forward_backward": 6 * rows * columns * vocabulary})


class Parser(argparse.ArgumentParser):
    """A mistake is the user's: exit code 1."""

    def error(self, message):
        self.exit(1, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def path(text):
    """As it was typed: tools/dev goes to the repository's root first."""
    return pathlib.Path(os.environ.get("XF_CALLED_FROM", "."), text)


def whole(text):
    if (number := int(text)) < 1:
        raise ValueError
    return number


def read_works(file, wanted, parser):
    """The list of works, in which those that are wanted must be."""
    try:
        works = json.loads(file.read_text())
    except (OSError, ValueError) as problem:
        parser.error(f"can't read the works of '{file}': {getattr(problem, 'strerror', None) or problem}")
    names = [work["name"] for section in works.values() for work in section]
    if unknown := [name for name in wanted or [] if name not in names]:
        parser.error(f"no work '{unknown[0]}' in '{file}', which has {', '.join(names)}")
    return works


SECTIONS = {"train_step": train_step, "inference": inference, "matmul": matmul, "attention": attention, "row": row}


def main():
    parser = Parser(prog="tools/dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", type=path, default=SCRIPTS / "bench-works.json", help="a list of works")
    parser.add_argument("--section", choices=sorted(SECTIONS), help="only this section")
    parser.add_argument("--work", help="only these works: names with commas")
    parser.add_argument("--threads", type=whole, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure a work (%(default)s)")
    parser.add_argument("--json", action="store_true", help="JSON lines alone, nothing for people")
    parser.add_argument("--peers", nargs="?", const="all", metavar="NAMES", help="the installed peers in turn, or those named, with commas; and a table of ratios")
    parser.add_argument("--peers-folder", type=path, default=SHARED / "bench", help="where their scripts are")
    parser.add_argument("--markdown", type=path, metavar="FILE", help="where the tables go too")
    parser.add_argument("--data", type=path, default=SHARED / "data")
    parser.add_argument("--compiler", type=path, default=ROOT / "build" / "bin" / "xf-compile")
    options = parser.parse_args()
    wanted = options.work.split(",") if options.work else None
    works = read_works(options.works, wanted, parser)
    lines, failed = [], False

    def tell(line):
        line = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()}
        lines.append(line)
        if line["section"] != "machine":
            print(json.dumps(line), flush=True)
        if not options.json:
            print(bench_peers.describe(line), file=sys.stderr)

    def attempt(name, measure):
        nonlocal failed
        with tempfile.TemporaryDirectory(prefix="xf-bench-") as folder:
            try:
                measure(pathlib.Path(folder))
            except Unsupported as error:
                failed = True
                print(f"{name}: {error}", file=sys.stderr)

    def measure_work(section, work, measure, folder):
        fixed = {"section": section, "work": work["name"], "peer": "xf", "version": version}
        for result in measure(work, options, folder):
            line = fixed | {"threads": options.threads} | result
            tell({k: line[k] for k in FIELDS if k in line})
        if options.peers and "key_value_heads" not in work:  # which their scripts would not heed
            for line in bench_peers.run(section, work, options):
                tell(line)

    version = execute_version(options.compiler)
    attempt("machine", lambda folder: tell({"section": "machine", "version": version, "threads": options.threads} | machine(options, folder)))
    for section, measure in SECTIONS.items():
        for work in works.get(section, []):
            if options.section in (None, section) and (not wanted or work["name"] in wanted):
                attempt(f"{section} {work['name']}", lambda folder, s=section, w=work, m=measure: measure_work(s, w, m, folder))
    tables = bench_peers.tables(lines, works)
    if not options.json:
        print(tables, file=sys.stderr)
    if options.markdown:
        options.markdown.write_text(tables)
    return 1 if failed else 0


def execute_version(compiler):
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found.group(0) if found else "unknown"


if __name__ == "__main__":
    sys.exit(main())
