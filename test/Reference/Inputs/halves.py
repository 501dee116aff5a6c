"""halves.py MODEL WEIGHTS PART EXPECTED FOLDER: `accumulate` gives the expected loss and gradients, called again twice the gradients; and with weight 1
and `update` it is `train_step`, bit for bit where nothing is added to."""
import json
import math
import struct
import subprocess
import sys

from tensors import read, seen, write

model, weights, part, expected, folder = sys.argv[1:]
SHAPES = {"source_ids": "I32", "source_offsets": "I32", "target_ids": "I32", "target_offsets": "I32", "labels": "I32"}
batch = {name: (kind, [len(read(part)[name])], read(part)[name]) for name, kind in SHAPES.items()}
random, hyper = ("I64", [2], [3, 1]), ("F32", [8], [1, 4, 1, 1, 0.9, 0.98, 1e-3, 0])


def run(function, inputs, name, state=weights):
    write(f"{folder}/inputs.safetensors", inputs)
    command = [model, "run", function, f"--model={state}", f"--input={folder}/inputs.safetensors", f"--output={folder}/{name}.safetensors"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return read(f"{folder}/{name}.safetensors")


def close(what, given, factor):
    wanted, worst = read(expected), 0.0
    for name, values in wanted.items():
        scale = factor if name.startswith("grad.") else 1
        norm = 1 if name.endswith("key.bias") else max(scale * math.hypot(*values), 1e-9)
        worst = max(worst, seen(math.dist(given[name], [scale * value for value in values]) / norm))
    print(f"{what}: {len(wanted)} tensors, the worst at {worst:.1e}")
    assert worst <= 1e-5


once = run("accumulate", batch | {"random": random, "weight": ("F32", [], [0.375])}, "once")
close("once", once, 1)


def shaped(gradients):
    """Gradients as inputs: of the parameters' shapes, which the file of gradients has."""
    with open(f"{folder}/{gradients}.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {name: ("F32", header[name]["shape"], values) for name, values in read(f"{folder}/{gradients}.safetensors").items() if name.startswith("grad.")}


close("twice", run("accumulate", batch | {"random": random, "weight": ("F32", [], [0.375])} | shaped("once"), "twice"), 2)
run("accumulate", batch | {"random": random, "weight": ("F32", [], [1.0])}, "whole")
updated = run("update", {"random": random, "hyper": hyper} | shaped("whole"), "updated")
stepped = run("train_step", batch | {"random": random, "hyper": hyper}, "stepped")
assert updated.keys() == stepped.keys()
assert all(updated[name] == values for name, values in stepped.items()), [name for name in stepped if updated[name] != stepped[name]]
print("update: the same bits as train_step")
