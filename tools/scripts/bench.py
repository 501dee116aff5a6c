#!/usr/bin/env python3
"""Measures xf on a list of works, one JSON line each, with the fields that the peers' scripts print.

Every work is compiled into an executable of its own, whose `run FUNCTION --repeat=N` does the timing. Works are those of
../shared/bench/works.json where it is there, else of tools/scripts/bench-works.json, or of --works. Batches are random tokens."""
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

SCRIPTS = pathlib.Path(__file__).resolve().parent
ROOT = SCRIPTS.parent.parent
SHARED = ROOT / ".." / "shared"
FIELDS = "section work pass peer version threads median_s best_s runs gflops tokens_per_s extra_mib peak_rss_mib".split()
PEER_SCRIPTS = {"matmul": "peer_matmul.py", "attention": "peer_attention.py", "row": "peer_row.py", "train_step": "peer_train_step.py"}


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


def execute(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsupported(f"{' '.join(map(str, command[:2]))}: exit code {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stderr


def repeat(executable, function, batch, threads, seconds, extra=()):
    """Times one function of an executable: as many calls as fit into `seconds`, at least 5."""
    command = ["taskset", "-c", f"0-{threads - 1}", executable, "run", function, f"--input={batch}", f"--threads={threads}", *extra]

    def timed(runs):
        text = execute(command + [f"--repeat={runs}"])
        found = re.search(r"^repeat: (.*)$", text, re.MULTILINE)
        if not found:
            raise Unsupported(f"'run {function} --repeat' printed no times: {text.strip()[-300:]}")
        return {k: float(v) for k, v in (word.split("=") for word in found.group(1).split())}

    first = timed(2)
    return timed(max(5, min(500, math.ceil(seconds / max(first["best_s"], 1e-6)))))


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


def packed_batch(work, pairs, rng):
    def tokens(lengths, vocabulary):
        return "I32", [sum(lengths)], [rng.randrange(4, vocabulary) for _ in range(sum(lengths))]

    def offsets(lengths):
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        return "I32", [len(starts)], starts

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
        return "preset:gpt2-small," + ",".join(f"{k}={v}" for k, v in keys.items())
    if work["tied"]:
        keys |= {"vocabulary": work["source_vocabulary"], "tied": "true"}
    else:
        keys |= {"source_vocabulary": work["source_vocabulary"], "target_vocabulary": work["target_vocabulary"], "tied": "false"}
    return "preset:transformer-base," + ",".join(f"{k}={v}" for k, v in keys.items())


def train_step(work, options, folder):
    rng = random.Random(0)
    batches = sequence_lengths(work, options.data)
    executable = folder / "model"
    execute([options.compiler, model_of(work), "--functions=train", "-o", executable])
    times, peak = [], 0.0
    for pairs in batches:
        write_safetensors(folder / "batch.safetensors", packed_batch(work, pairs, rng))
        hyper = ["--learning-rate=5e-4", "--schedule=constant", "--clip-norm=1"]
        times.append(repeat(executable, "train_step", folder / "batch.safetensors", options.threads, options.seconds / len(batches), hyper))
        peak = max(peak, times[-1].get("peak_rss_mib", 0.0))
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
        "peak_rss_mib": peak,
    }


SECTIONS = {"train_step": train_step}


def ratios(section, work, ours, options):
    """Runs the peers' script on one work, prints its lines, and how xf compares on stderr."""
    script = SHARED / "bench" / PEER_SCRIPTS[section]
    if not script.exists():
        print(f"{section}: no peers, for {script} is not there", file=sys.stderr)
        return
    done = subprocess.run(
        [sys.executable, script, "--threads", str(options.threads), "--work", work], stdout=subprocess.PIPE, text=True, check=False
    )
    for line in done.stdout.splitlines():
        print(line, flush=True)
        peer = json.loads(line)
        for mine in ours:
            if mine["pass"] == peer.get("pass", mine["pass"]):
                ratio = peer["median_s"] / mine["median_s"]
                print(f"{work} {mine['pass']}: xf is {ratio:.2f} x as fast as {peer['peer']}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="tools/dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", type=pathlib.Path, help="a list of works")
    parser.add_argument("--section", choices=sorted(SECTIONS), help="only this section")
    parser.add_argument("--work", help="only these works: names with commas")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure a work (%(default)s)")
    parser.add_argument("--json", action="store_true", help="JSON lines alone, nothing for people")
    parser.add_argument("--peers", action="store_true", help="the installed peers in turn, and ratios")
    parser.add_argument("--data", type=pathlib.Path, default=SHARED / "data")
    parser.add_argument("--compiler", type=pathlib.Path, default=ROOT / "build" / "bin" / "xf-compile")
    options = parser.parse_args()
    shared = SHARED / "bench" / "works.json"
    works = json.loads((options.works or (shared if shared.exists() else SCRIPTS / "bench-works.json")).read_text())
    version = execute_version(options.compiler)
    wanted = options.work.split(",") if options.work else None
    failed = False
    for section, measure in SECTIONS.items():
        if options.section not in (None, section):
            continue
        for work in works.get(section, []):
            if wanted and work["name"] not in wanted:
                continue
            lines = []
            with tempfile.TemporaryDirectory(prefix="xf-bench-") as folder:
                try:
                    for result in measure(work, options, pathlib.Path(folder)):
                        line = {"section": section, "work": work["name"], "peer": "xf", "version": version, "threads": options.threads} | result
                        line = {k: line[k] for k in FIELDS if k in line}
                        line = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()}
                        lines.append(line)
                        print(json.dumps(line), flush=True)
                except Unsupported as error:
                    failed = True
                    print(f"{section} {work['name']}: {error}", file=sys.stderr)
            if not options.json:
                for line in lines:
                    rate = f", {line['gflops']:.0f} GF/s" if "gflops" in line else ""
                    print(f"{section} {work['name']} {line['pass']}: {line['median_s'] * 1e3:.2f} ms{rate}", file=sys.stderr)
            if options.peers and lines:
                ratios(section, work["name"], lines, options)
    return 1 if failed else 0


def execute_version(compiler):
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found.group(0) if found else "unknown"


if __name__ == "__main__":
    sys.exit(main())
