"""attention-kernels.py NAME=KEY,VALUE[,OPTION]...: a module, as after stage outline, of attention's kernels in bf16, forward and backward.

Two heads of KEY and VALUE features; options: causal, window, lengths, dropout, score, mask (a window as a score region, after what `score` makes of scores), shared (six heads, of which
three share those of keys and values).
"""
import sys

SCORE = """
    %cap = arith.constant 1.5 : f32
    %inverse = arith.constant 0.6666667 : f32
    %scaled = arith.mulf %score, %inverse : f32
    %tanh = math.tanh %scaled : f32
    %capped = arith.mulf %tanh, %cap : f32
    %distance = arith.subi %key, %query : index
    %number = arith.index_cast %distance : index to i32
    %far = arith.sitofp %number : i32 to f32
    %slope = arith.constant 0.125 : f32
    %bias = arith.mulf %far, %slope : f32
    %s = arith.addf %capped, %bias : f32"""
DERIVATIVE = """
    %square = arith.mulf %tanh, %tanh : f32
    %one = arith.constant 1.0 : f32
    %d = arith.subf %one, %square : f32"""
MASK = """
    %reach = arith.constant 100 : index
    %begin = arith.subi %query, %reach : index
    %is_near = arith.cmpi sge, %key, %begin : index
    %is_past = arith.cmpi sle, %key, %query : index
    %is_seen = arith.andi %is_near, %is_past : i1
    %none = arith.constant 0xFF800000 : f32
    %masked = arith.select %is_seen, {score}, %none : f32"""
MASKED_DERIVATIVE = """
    %zero = arith.constant 0.0 : f32
    %masked_d = arith.select %is_seen, {derivative}, %zero : f32"""
OFFSETS = [("queries_at", "tensor<?xi32>"), ("keys_at", "tensor<?xi32>")]


def listed(pairs, text):
    return ", ".join(text.format(name=name, type=kind) for name, kind in pairs)


def kernel(name, key, value, options, backward):
    heads = 6 if "shared" in options else 2
    q, k, v, o = (f"tensor<?x{count * width}xbf16>" for count, width in ((heads, key), (2, key), (2, value), (heads, value)))
    sums = f"tensor<?x{heads}xf32>"
    wide = lambda kind: kind.replace("bf16", "f32")
    matrices = [("query", q), ("key", k), ("value", v)]
    numbers, extra, results = [], [], [("result", o)]
    if backward:
        matrices, numbers = [("cotangent", o), *matrices, ("forward", o)], [("sums", sums)]
        results = [("query_gradient", q), ("key_gradient", k), ("value_gradient", v)]
    attributes = f"offsets(%queries_at, %keys_at) heads({heads}) " + ("key_value_heads(2) " if heads > 2 else "") + f"scale({key ** -0.5:.6f})"
    if "causal" in options:
        attributes += " causal"
    if "window" in options:
        attributes += " window(64)"
    if "lengths" in options:
        attributes += " lengths(%lengths)"
        extra.append(("lengths", "tensor<?xi32>"))
    if "dropout" in options:
        attributes += " dropout(0.1, %random, %site)"
        extra += [("random", "tensor<2xi64>"), ("site", "i64")]
    if "score" in options or "mask" in options:
        score, derivative, text, ones = "%score", "%one", "", "\n    %one = arith.constant 1.0 : f32"
        if "score" in options:
            score, derivative, text, ones = "%s", "%d", SCORE, DERIVATIVE
        if backward:
            text += ones
        if "mask" in options:
            text += MASK.format(score=score) + (MASKED_DERIVATIVE.format(derivative=derivative) if backward else "")
            score, derivative = "%masked", "%masked_d"
        attributes += " score {\n  ^bb0(%score: f32, %head: index, %query: index, %key: index):" + text
        attributes += f"\n    xf.yield {score}, {derivative} : f32, f32\n  }}" if backward else f"\n    xf.yield {score} : f32\n  }}"
    operands = matrices + numbers + OFFSETS + extra
    given = listed(results, "{type}") + ("" if backward else f", {sums}")
    names = listed(results, "%{name}") + ("" if backward else ", %sums")
    casts = "".join(f"  %{name}_f32 = xf.cast %{name} : {kind} to {wide(kind)}\n" for name, kind in matrices)
    rounded = "".join(f"  %{name}_bf16 = xf.cast %{name} : {wide(kind)} to {kind}\n" for name, kind in results)
    rows = [next(i for i, (name, _) in enumerate(matrices) if name == of) for of in ("query", "key", "value")]
    extents = ", ".join(f"{kind} {{xf.extents = [array<i64: {row}, 0>]}}" for (_, kind), row in zip(results, rows))
    dimensions = {"key": "keys", "value": "keys", "queries_at": "sequences", "keys_at": "sequences"}
    declared = ", ".join(f'%{name}: {kind} {{xf.name = "{name}"' + (f', xf.dims = ["{dimensions.get(name, "queries")}"]' if "?" in kind else "") + "}"
                         for name, kind in operands if name != "site")
    outputs = ", ".join(f'{kind} {{xf.name = "{name}"}}' for name, kind in results + ([] if backward else [("log_sum_exp", sums)]))
    count = len(results) + (not backward)
    return f"""
func.func private @{name}({listed(operands, "%{name}: {type}")}) -> ({extents}{"" if backward else f", {sums} {{xf.extents = [array<i64: 0, 0>]}}"})
    attributes {{xf.kernel = #xf<kernel attention{"_backward" if backward else ""}>}} {{
{casts}  {names} = xf.attention{"_backward" if backward else ""} {listed(matrices, "%{name}_f32")}{", %sums" if backward else ""} {attributes}
    : ({listed([(n, wide(t)) for n, t in operands if n != "site"] + [x for x in extra if x[0] == "site"], "{type}")}) -> ({wide(given)})
{rounded}  return {listed(results, "%{name}_bf16")}{"" if backward else ", %sums"} : {given}
}}
func.func @run_{name}({declared}) -> ({outputs}) attributes {{xf.entry}} {{
  %site = arith.constant 3 : i64
  %r:{count} = xf.dispatch @{name} "{name}"({listed(operands, "%{name}")}) : ({listed(operands, "{type}")}) -> ({given})
  return {", ".join(f"%r#{i}" for i in range(count))} : {given}
}}"""


for argument in sys.argv[1:]:
    name, _, shape = argument.partition("=")
    key, value, *options = shape.split(",")
    for backward in (False, True):
        print(kernel(f"{name}_backward" if backward else name, int(key), int(value), options, backward))
