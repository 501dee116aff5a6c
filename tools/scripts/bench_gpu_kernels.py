"""Single kernels on an NVIDIA GPU beside the best that PyTorch has there; part of `tools/dev bench --gpu`.

Products beside cuBLAS, attention beside cuDNN and FlashAttention, and FlexAttention where scores have a function or a window; a
training step's kernels of rows beside a copy of as many bytes and torch's op.
Kernels alone are timed, by the GPU's clock: xf's by --profile, torch's by events around 20 calls. What xf computes is compared
with torch's double precision in the same run, of one head or of 256 rows."""
import itertools
import json
import random
import re
import statistics
import struct

import bench


def read_safetensors(path, name):
    """A tensor of f32: its shape and its bytes."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    entry = json.loads(data[8 : 8 + size])[name]
    begin, end = entry["data_offsets"]
    return entry["shape"], bytearray(data[8 + size + begin : 8 + size + end])


def as_torch(given):
    import torch
    shape, data = given
    return torch.frombuffer(data, dtype=torch.float32).reshape(shape).cuda().double()


def time_on_gpu(call, runs=7):
    """Seconds of a call's kernels; many calls between two looks at the clock, so that it is not the launches that are timed."""
    import torch
    each, times = 20, []
    for _ in range(runs):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(each):
            call()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / each)
    return statistics.median(times)


def kind_of(options):
    import torch
    return torch.bfloat16 if options.precision == "bf16" else torch.float32


# ---------------------------------------------------------------- products
def product(work):
    module, inputs = bench.matmul_module(work)
    return module, {"forward": inputs}, {"forward": 2 * work["m"] * work["k"] * work["n"]}


def compare_product(work, inputs, folder):
    a, b = (as_torch((shape, bytearray(values.tobytes()))) for _, shape, values in (inputs["a"], inputs["b"]))
    a, b = a.T if work.get("transpose_a") else a, b.T if work.get("transpose_b") else b
    return as_torch(read_safetensors(folder / "forward.safetensors", "c"))[:256], a[:256] @ b


def torch_products(work, _, options):
    import torch
    m, k, n = work["m"], work["k"], work["n"]
    a, b = ([torch.randn(x, y, device="cuda", dtype=kind_of(options)) for x, y in shapes] for shapes in ([(k, m) if work.get("transpose_a") else (m, k)], [(n, k) if work.get("transpose_b") else (k, n)]))
    a, b = a[0].T if work.get("transpose_a") else a[0], b[0].T if work.get("transpose_b") else b[0]
    yield "cuBLAS", time_on_gpu(lambda: a @ b)


# ---------------------------------------------------------------- attention
def attention(work):
    module, calls, flop = bench.attention_module(work)
    return module, calls, {"forward": flop, "forward_backward": 3.5 * flop}


def score_of(work):
    """The function of scores as FlexAttention takes it, or null."""
    import torch

    def alibi(score, _, head, query, key):
        return score - (query - key).abs() * torch.exp2(-head.float())

    def soft_cap(score, *_):
        return 50.0 * torch.tanh(score / 50.0)

    return {"alibi": alibi, "soft_cap": soft_cap}.get(work.get("score"))


def compare_attention(work, inputs, folder):
    """The first head of the first sequence."""
    import torch
    d, n = work["head_dim"], (work.get("lengths") or [work["query_length"]])[0]
    n = min(n, 4096) if work.get("causal") else n

    def head(given):
        return as_torch(given)[:n, :d]

    q, k, v = (head((inputs[name][1], bytearray(inputs[name][2].tobytes()))) for name in ("query", "key", "value"))
    scores, function = q @ k.T * d**-0.5, score_of(work)
    rows = torch.arange(n, device=q.device)
    if function:
        scores = function(scores, 0, torch.zeros((), device=q.device), rows[:, None], rows[None, :])
    distance = rows[:, None] - rows[None, :]
    if work.get("causal"):
        scores = scores.masked_fill(distance < 0, -torch.inf)
    if "window" in work:
        scores = scores.masked_fill(distance.abs() > work["window"], -torch.inf)
    return head(read_safetensors(folder / "forward.safetensors", "result")), scores.softmax(-1) @ v


def torch_attentions(work, name, options):
    """Peers of one pass: their names and seconds."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention
    if "lengths" in work:
        return  # sequences of many lengths: none of them takes a packed batch
    shape = work["batch"], work["heads"], work["query_length"], work["head_dim"]
    q, k, v = (torch.randn(shape, device="cuda", dtype=kind_of(options)).requires_grad_(name != "forward") for _ in range(3))

    def timed(call):
        if name == "forward":
            return time_on_gpu(call)
        cotangent = torch.randn(shape, device="cuda", dtype=kind_of(options))
        return time_on_gpu(lambda: torch.autograd.grad(call(), (q, k, v), cotangent))

    if work.get("score") or "window" in work:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        flex, mask = torch.compile(flex_attention), None
        if "window" in work:
            mask = create_block_mask(lambda b, h, i, j: (i - j).abs() <= work["window"], None, None, shape[2], shape[2])
        yield "FlexAttention", timed(lambda: flex(q, k, v, score_mod=score_of(work), block_mask=mask))
        return
    for peer, backend in (("cuDNN", SDPBackend.CUDNN_ATTENTION), ("FlashAttention", SDPBackend.FLASH_ATTENTION)):
        with sdpa_kernel(backend):
            try:
                yield peer, timed(lambda: scaled_dot_product_attention(q, k, v, is_causal=work.get("causal", False)))
            except RuntimeError as error:
                print(f"{work['name']}: {peer}: {str(error).splitlines()[0][:120]}", flush=True)


# ---------------------------------------------------------------- rows
class Zipf(random.Random):
    """Words by their frequency: the n-th is drawn as often as 1/n says."""

    def randrange(self, start, stop):
        return self.choices(range(start, stop), cum_weights=self.sums(stop - start))[0]

    def sums(self, count):
        if len(getattr(self, "known", [])) != count:
            self.known = list(itertools.accumulate(1 / (n + 1) for n in range(count)))
        return self.known


def is_of_rows(kernel):
    return not re.match("linear|matmul|attention|pack", kernel["name"])


def copy_on_gpu(size):
    """Seconds in which a copy moves so many bytes: half is read, half written, in more memory than the second cache has."""
    import torch
    half = max(int(size) // 2, 1)
    pairs = [torch.empty(2, half, device="cuda", dtype=torch.uint8) for _ in range(max(1, min(64, (256 << 20) // (2 * half))))]
    turns = itertools.cycle(pairs)

    def copy():
        pair = next(turns)
        pair[1].copy_(pair[0])

    return time_on_gpu(copy)


def torch_rows(kernel, options):
    """What torch has for a kernel of rows, or null."""
    import torch
    from torch.nn import functional
    sizes = [tuple(map(int, part.split("x"))) for part in re.findall(r"\d+(?:x\d+)*", kernel["shape"])]
    if not sizes or len(sizes[0]) != 2:
        return None
    (rows, columns), name = sizes[0], kernel["name"]

    def numbers(*shape, dtype=kind_of(options)):
        return torch.randn(*shape, device="cuda", dtype=dtype)

    x = numbers(rows, columns)
    if re.fullmatch(r"layer_norm_\d+(_bf16)?", name):
        weight = numbers(columns)
        return lambda: functional.layer_norm(x, (columns,), weight, weight)
    if found := re.fullmatch(r"layer_norm_(parameter_)?backward_\d+(_bf16)?", name):
        y, weight, each = numbers(rows, columns), numbers(columns), numbers(rows, 1, dtype=torch.float32)
        wanted = [not found.group(1), bool(found.group(1)), bool(found.group(1))]
        return lambda: torch.ops.aten.native_layer_norm_backward(y, x, [columns], each, each, weight, weight, wanted)
    if re.match("column_sum_", name):
        return lambda: x.sum(0)
    if re.match(r"dropout_\d", name):
        return lambda: functional.dropout(x, 0.1)
    if re.match("cross_entropy_cross_entropy_backward_", name):
        x.requires_grad_()
        labels = torch.randint(columns, (rows,), device="cuda")
        return lambda: torch.autograd.grad(functional.cross_entropy(x, labels, label_smoothing=0.1), x)
    if found := re.match(r"embedding_backward_(\d+)x\d+", name):
        ids = torch.randint(int(found.group(1)), (rows,), device="cuda")
        return lambda: torch.ops.aten.embedding_dense_backward(x, ids, int(found.group(1)), -1, False)
    if re.match(r"cast_\d", name):
        given = numbers(rows, columns, dtype=torch.float32)
        return lambda: given.to(torch.bfloat16)
    return None


def report_rows(table, options):
    """Of each kernel, from a step's profile, the time of all its launches in one dispatch: chunks of rows are one."""
    print(f"{'kernel of rows':48} {'us':>8} {'GB/s':>6} {'of a copy':>9} {'of torch':>9}  shape")
    for k in sorted(filter(is_of_rows, table), key=lambda k: -k["ms"])[: options.lines]:
        seconds, size = k["ms"] / k["calls"] * 1e-3, k["mib"] / k["calls"] * 2**20
        ratios = [" " * 9, " " * 9]
        if options.peers:
            ratios[0] = f"{copy_on_gpu(size) / seconds:9.2f}"
            if call := torch_rows(k, options):
                ratios[1] = f"{time_on_gpu(call) / seconds:9.2f}"
        print(f"{k['name'][:48]:48} {seconds * 1e6:8.1f} {size / seconds * 1e-9:6.0f} {ratios[0]} {ratios[1]}  {k['shape'][:48]}", flush=True)


SECTIONS = {  # a work's module, inputs and operations; what is compared; and peers
    "matmul": (product, compare_product, torch_products, re.compile("matmul|linear")),
    "attention": (attention, compare_attention, torch_attentions, re.compile("attention")),
}


def prepare(section, work, options, folder):
    module, _, _ = SECTIONS[section][0](work)
    (folder / "work.mlir").write_text(module)
    arguments = ["--compile-from=fuse", "--target=cuda", f"--gpu={options.architecture}", f"--precision={options.precision}", f"--cpu={options.cpu}"]
    bench.execute([options.compiler, folder / "work.mlir", *arguments, "-o", folder / work["name"]])


def report(section, run, kernels, work, options, folder):
    """run(executable, *arguments) gives what it printed, kernels(text) the lines of a profile."""
    make, compare, peers, pattern = SECTIONS[section]
    _, calls, flop = make(work)
    for name, inputs in calls.items():
        bench.write_safetensors(folder / "batch.safetensors", inputs)
        command = [folder / work["name"], "run", name, f"--input={folder}/batch.safetensors"]
        profile = list(kernels(run([*command, f"--output={folder}/{name}.safetensors", "--repeat=10", "--profile"])))
        ours = sum(k["ms"] / k["calls"] for k in profile if pattern.match(k["name"])) * 1e-3
        line = f"{work['name']} {name}: xf {ours * 1e6:.1f} us, {flop[name] / ours * 1e-12:.1f} TFLOP/s"
        if options.peers:
            if name == "forward":
                got, wanted = compare(work, inputs, folder)
                line += f", error {((got - wanted).norm() / wanted.norm()).item():.1e}"
            for peer, theirs in peers(work, name, options):
                line += f"; {peer} {theirs * 1e6:.1f} us, {theirs / ours:.2f}"
        print(line, flush=True)
