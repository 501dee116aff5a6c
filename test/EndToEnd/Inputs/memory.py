"""memory.py TRANSLATOR FOLDER: the peak resident memory of one step of training is what `info` says, within 3% and 20 MiB."""
import os
import pathlib
import random
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Reference/Inputs"))
import tensors


def batch(tokens, vocabulary):
    """A batch of the shape that `info` counts with: so many tokens on either side, in sentences of 25 and one that takes the rest."""
    draw = random.Random(tokens)
    sequences = tokens // 25
    offsets = ("I32", [sequences + 1], [25 * i for i in range(sequences)] + [tokens])
    ids = {name: ("I32", [tokens], [draw.randrange(3, vocabulary) for _ in range(tokens)]) for name in ("source_ids", "target_ids", "labels")}
    return ids | {"source_offsets": offsets, "target_offsets": offsets}


def main():
    translator, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    info = subprocess.run([translator, "info"], check=True, capture_output=True, text=True).stdout
    arrays = sum(float(size) for size in re.search(r"parameters ([\d.]+) MiB; training adds gradients and moments, ([\d.]+) MiB", info).groups())
    sizes = re.search(r"train_step +workspace for (.*)", info).group(1)
    vocabulary = min(int(size) for size in re.search(r"source (\d+), target (\d+)", info).groups())
    for tokens, workspace in re.findall(r"([\d,]+) tokens ([\d.]+) MiB", sizes):
        tokens, planned = int(tokens.replace(",", "")), arrays + float(workspace)
        tensors.write(folder / "batch.safetensors", batch(tokens, vocabulary))
        command = [translator, "run", "train_step", "--seed=1", f"--input={folder}/batch.safetensors", f"--output={folder}/state.safetensors"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, "run train_step failed"
        peak = usage.ru_maxrss / 1024
        within = abs(peak - planned) <= 0.03 * planned + 20
        print(f"{tokens} tokens: planned {planned:.1f} MiB, peak {peak:.1f} MiB{'' if within else ': too far apart'}")


main()
