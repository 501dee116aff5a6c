#!/usr/bin/env python3
"""Measures training steps, products, attention and kernels of rows on an NVIDIA GPU, beside torch's in the same precision.

    tools/dev bench --gpu [--peers] [--section NAME] [--architecture=sm_80] [--precision=tf32]
A step is compiled, runs on random tokens (the host's work, copies and launches included), and is run again under --profile,
where the GPU's clock times each kernel. With --peers torch does the same in the same run: the whole step, eager and compiled, under
bf16 autocast, or with tf32 allowed in products, with a fused optimizer; and each of the step's products alone (bench_gpu_kernels.py: other
sections). --architecture chooses the code and not the machine: sm_80's runs on every GPU. --folder keeps what is compiled, so that it can be
compiled on one machine (--compile-only) and measured on another (--measure-only)."""
import argparse
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

import bench
import bench_gpu_kernels

HYPER = ["--learning-rate=5e-4", "--schedule=constant", "--clip-norm=1", "--seed=1"]


def works(section, options):
    listed = json.loads(options.works.read_text())
    steps = {w["name"]: w for w in listed["train_step"]}
    if section != "train_step":
        found = [steps.get(w.get("step"), {}) | w for w in listed["gpu_" + section]]
    else:
        found = [steps["base_1k"], steps["base_1k"] | {"name": "base_8k", "batch": 64, "lengths": 128}, steps["gpt2_small"] | {"batch": 32, "lengths": 256}]
    return [w for w in found if not options.work or w["name"] in options.work.split(",")]


def prepare(work, options, folder):
    arguments = ["--functions=train", "--target=cuda", f"--gpu={options.architecture}", f"--precision={options.precision}", f"--cpu={options.cpu}"]
    bench.execute([options.compiler, bench.model_of(work), *arguments, "-o", folder / work["name"]])
    (pairs,) = bench.sequence_lengths(work, options.data)
    words = bench_gpu_kernels.Zipf(0) if work.get("zipf") else random.Random(0)
    bench.write_safetensors(folder / f"{work['name']}.safetensors", bench.packed_batch(work, pairs, words))


def kernels(text):
    """Lines of the table that --profile prints: name, calls, GFLOP, GiB moved, milliseconds, shape."""
    header = next(line for line in text.splitlines() if line.startswith("kernel "))
    for line in text.splitlines():
        found = re.match(r"(\w+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) .*?% +[\d.]+%  (.*?)(?:  |$)", line)
        if found and "calls" in header and found.group(1) != "sum":
            name, calls, gflop, mib, _, ms, shape = found.groups()
            yield {"name": name, "calls": int(calls), "gflop": float(gflop), "mib": float(mib), "ms": float(ms), "shape": shape}


def run(command):
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise bench.Unsupported(f"{command[0]}: exit code {done.returncode}: {done.stderr.strip()[:600]}")
    return done.stdout + done.stderr


def measure_step(work, folder):
    command = [folder / work["name"], "run", "train_step", f"--input={folder / work['name']}.safetensors", *HYPER]
    median = re.search(r"median_s=([\d.e-]+)", run([*command, "--repeat=30"]))
    return float(median.group(1)), list(kernels(run([*command, "--repeat=3", "--profile"])))


# ---------------------------------------------------------------- torch
def torch_step(work, compiled, options):
    """One step as the peers' script for processors makes it, on the GPU."""
    sys.path.insert(0, str(options.peers_folder))
    import peer_train_step
    import torch
    torch.manual_seed(0)
    model = peer_train_step.torch_model(work, False).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, betas=(0.9, 0.98), eps=1e-9, fused=True)
    forward = torch.compile(model) if compiled else model
    ((source, _, target, _, labels),) = peer_train_step.token_batches(work, options.data)
    source, target, labels = (torch.from_numpy(x).cuda() for x in (source, target, labels))

    def step():
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=options.precision == "bf16"):
            loss = forward(source, None, target, None, labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    for _ in range(5):
        step()
    times = []
    for _ in range(20):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def torch_product(m, n, k, options):
    import torch
    a, b = (torch.randn(rows, k, device="cuda", dtype=bench_gpu_kernels.kind_of(options)) for rows in (m, n))
    return bench_gpu_kernels.time_on_gpu(lambda: a @ b.T)


def product_of(kernel):
    """m, n, k of a kernel that is a product: what it writes, and the sums' length by its operations."""
    if not re.match(r"(linear|matmul)_", kernel["name"]):
        return None
    written = re.search(r"-> (\d+)x(\d+)", kernel["shape"])
    if not written:
        return None
    m, n = int(written.group(1)), int(written.group(2))
    return m, n, round(kernel["gflop"] * 1e9 / kernel["calls"] / (2 * m * n))


def report(work, options, folder):
    ours, table = measure_step(work, folder)
    flop = bench.step_flop(work, *(sum(side) for side in zip(*bench.sequence_lengths(work, options.data)[0])))
    print(f"{work['name']}: xf {ours * 1e3:.2f} ms a step, {flop / ours * 1e-12:.0f} TFLOP/s; its kernels, one after another, {sum(k['ms'] for k in table) / min(k['calls'] for k in table):.2f} ms", flush=True)
    if options.peers:
        for name, compiled in (("torch", False), ("torch.compile", True)):
            theirs = torch_step(work, compiled, options)
            print(f"{work['name']}: {name} {theirs * 1e3:.2f} ms a step; xf is {theirs / ours:.2f} times as fast", flush=True)
    calls = min(k["calls"] for k in table)
    print(f"{'kernel':44} {'a step':>6} {'us each':>8} {'TFLOP/s':>8} {'GB/s':>6} {'of cuBLAS':>9}  shape")
    for k in sorted(table, key=lambda k: -k["ms"])[: options.lines]:
        each = k["ms"] / k["calls"] * 1e-3
        product = product_of(k) if options.peers else None
        ratio = f"{torch_product(*product, options) / each:9.2f}" if product else " " * 9
        print(f"{k['name'][:44]:44} {k['calls'] // calls:6} {each * 1e6:8.1f} {k['gflop'] / k['ms']:8.1f} {k['mib'] * 1.048576 / k['ms']:6.0f} {ratio}  {k['shape'][:48]}")


def report_rows(work, options, folder):
    print(f"{work['name']}, {options.precision}:", flush=True)
    bench_gpu_kernels.report_rows(measure_step(work, folder)[1], options)


def section_of(name):
    """Of single kernels: what compiles a work, and what measures it."""
    return partial(bench_gpu_kernels.prepare, name), partial(bench_gpu_kernels.report, name, run, kernels)


SECTIONS = {"train_step": (prepare, report), "rows": (prepare, report_rows)} | {name: section_of(name) for name in bench_gpu_kernels.SECTIONS}


def main():
    parser = bench.Parser(prog="tools/dev bench --gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", type=bench.path, default=bench.SCRIPTS / "bench-works.json", help="a list of works")
    parser.add_argument("--section", choices=SECTIONS, help="only this one")
    parser.add_argument("--work", help="only these works: names with commas")
    parser.add_argument("--architecture", default="sm_90a", help="xf-compile's --gpu (%(default)s)")
    parser.add_argument("--precision", default="bf16", help="as xf-compile's option: bf16, tf32 or f32 (%(default)s)")
    parser.add_argument("--cpu", default="native", help="as xf-compile's option (%(default)s)")
    parser.add_argument("--peers", action="store_true", help="torch, in the same run")
    parser.add_argument("--peers-folder", type=bench.path, default=bench.SHARED / "bench", help="where the peers' scripts are")
    parser.add_argument("--data", type=bench.path, default=bench.SHARED / "data")
    parser.add_argument("--compiler", type=bench.path, default=bench.ROOT / "build" / "bin" / "xf-compile")
    parser.add_argument("--lines", type=int, default=30, help="kernels that are listed (%(default)s)")
    parser.add_argument("--folder", type=bench.path, help="where executables and batches are kept")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--compile-only", action="store_true")
    only.add_argument("--measure-only", action="store_true")
    options = parser.parse_args()
    if options.peers and not options.compile_only:
        import torch
        torch.backends.cuda.matmul.allow_tf32 = options.precision == "tf32"
    with tempfile.TemporaryDirectory(prefix="xf-bench-") as temporary:
        folder = options.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        failed = 0  # what comes after is measured all the same
        for section in [options.section] if options.section else SECTIONS:
            compiled, measured = SECTIONS[section]
            for work in works(section, options):
                try:
                    if not options.measure_only:
                        compiled(work, options, folder)
                    if not options.compile_only:
                        measured(work, options, folder)
                except bench.Unsupported as error:
                    print(f"{work['name']}: {error}", file=sys.stderr)
                    failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
