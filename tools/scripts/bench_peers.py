"""For bench.py: runs the peers' scripts, which print the same fields, and sets xf's figures against theirs in tables."""
import json
import re
import subprocess
import sys

SCRIPTS = {
    "matmul": "peer_matmul.py", "attention": "peer_attention.py", "row": "peer_row.py", "train_step": "peer_train_step.py",
    "encoder": "peer_encoder.py", "seq2seq": "peer_translate.py", "layers": "peer_compile.py", "lm": "peer_decode.py",
}  # by section, or within `inference` by kind


def run(section, work, options):
    """The lines of the peers' script on one work; those of other phases than the measured are left out."""
    script = options.peers_folder / SCRIPTS[work.get("kind", section) if section == "inference" else section]
    if not script.exists():
        print(f"{work['name']}: no peers, for {script} is not there", file=sys.stderr)
        return
    # A script names the peers it knows.
    wanted = [peer for peer in options.peers.split(",") if peer == "all" or f'"{peer}"' in script.read_text()]
    if not wanted:
        return
    command = [sys.executable, script, "--threads", str(options.threads), "--work", work["name"], "--peer", ",".join(wanted)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:  # its last line says why: one that isn't installed is no module
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        print(f"{work['name']}: no peers of {script.name}: {said[-1]}", file=sys.stderr)
    for text in done.stdout.splitlines():
        line = json.loads(text)
        if "median_s" in line:
            # Some scripts name no pass where there is but one, and peer_compile.py is a section by itself.
            yield line | {"section": section, "pass": line.get("pass", "step" if section == "train_step" else "forward")}


def describe(line):
    rates = "".join(f", {line[k]:.0f} {unit}" for k, unit in (("gflops", "GF/s"), ("gb_per_s", "GB/s")) if k in line)
    if line["section"] == "machine":
        return f"machine, {line['threads']} threads{rates}"
    return f"{line['work']} {line['pass']} {line['peer']}: {line['median_s'] * 1e3:.3f} ms{rates}"


def table(header, rows):
    """In markdown: the first two columns of words, the rest of numbers."""
    align = ["---" if i < 2 else "---:" for i in range(len(header))]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in [header, align, *rows])


def milliseconds(line):
    return f"{line['median_s'] * 1e3:.4g}"


def figures(mine, limits):
    """How much of the machine's limits a line reaches, where it counts operations or bytes."""
    share = {k: f"{mine[k]:.4g} ({100 * mine[k] / limits[k]:.0f}%)" if k in mine and k in limits else mine.get(k, "") for k in ("gflops", "gb_per_s")}
    return [share["gflops"], share["gb_per_s"], mine.get("tokens_per_s", ""), f"{mine.get('extra_mib', 0):.0f}", f"{mine.get('peak_rss_mib', 0):.0f}"]


def tables(lines, works):
    """What xf did, and, where peers ran, its ratios to the best of them and to those that the works name."""
    limits = next((line for line in lines if line["section"] == "machine"), {})
    asked = {work["name"]: work.get("at_least", {}) for section in works.values() for work in section}
    measured = [line for line in lines if line["section"] != "machine"]
    ours = [line for line in measured if line["peer"] == "xf"]
    text = table(
        ["work", "pass", "ms", "GF/s (of the machine's)", "GB/s", "tokens/s", "extra MiB", "peak MiB"],
        [[mine["work"], mine["pass"], milliseconds(mine), *figures(mine, limits)] for mine in ours],
    )
    ratios = []
    for mine in ours:
        # int8 is another computation; it is in the lines for information.
        peers = [p for p in measured if p["peer"] != "xf" and (p["work"], p["pass"]) == (mine["work"], mine["pass"]) and "int8" not in p["peer"]]
        least = asked[mine["work"]].get(mine["pass"], {})
        for name, wanted in (least if isinstance(least, dict) else {"best": least}).items():
            among = [p for p in peers if name == "best" or p["peer"] == name]
            if not among:
                continue
            peer = min(among, key=lambda p: p["median_s"])
            ratio = peer["median_s"] / mine["median_s"]
            memory = f"{mine['peak_rss_mib'] / peer['peak_rss_mib']:.2f}" if "peak_rss_mib" in mine and "peak_rss_mib" in peer else ""
            verdict = "yes" if ratio >= wanted else "no"
            ratios.append([mine["work"], mine["pass"], milliseconds(mine), f"{peer['peer']} {peer['version']}", milliseconds(peer), f"{ratio:.2f}", wanted, verdict, memory])
    if ratios:
        text += "\n" + table(["work", "pass", "xf, ms", "peer", "its ms", "times as fast", "asked", "reached", "peak memory, of its"], ratios)
    return text
