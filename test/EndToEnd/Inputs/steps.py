"""steps.py, where `model` (transformer-tiny without dropout, vocabulary 20) is: trains it in several ways on sentences of ids and compares the runs."""
import json
import math
import pathlib
import random
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Reference/Inputs"))
from tensors import read, seen

draw = random.Random(5)
for side in ("source", "target"):
    lines = [" ".join(str(draw.randrange(3, 20)) for _ in range(draw.randrange(1, 9))) for _ in range(53)]
    pathlib.Path(side).write_text("\n".join(lines) + "\n")


def train(run, *options):
    command = ["./model", "train", "--source=source", "--target=target", f"--output={run}", "--log-steps=1", "--schedule=constant", "--learning-rate=1e-3"]
    subprocess.run([*command, "--warmup=0", *options], check=True, stderr=subprocess.DEVNULL)
    return [json.loads(line) for line in (pathlib.Path(run) / "log.jsonl").read_text().splitlines()]


def distance(a, b):
    """Of the worst tensor; the gradient of a key's bias is rounding alone, which Adam makes steps of."""
    return max(seen(math.dist(a[name], b[name]) / max(math.hypot(*b[name]), 1e-2)) for name in b if not name.endswith("key.bias"))


# Sentences are drawn in one order, however many make a batch.
parts = train("parts", "--batch-size=5", "--accumulate=3", "--epochs=2", "--clip-norm=0.5")
union = train("union", "--batch-size=15", "--epochs=2", "--clip-norm=0.5")
for a, b in zip(parts, union):
    for key in ("loss", "gradient_norm", "learning_rate", "validation_loss", "step", "epoch"):
        assert key not in a or math.isclose(a[key], b[key], rel_tol=1e-4), (key, a, b)
    assert a["kind"] == b["kind"]
worst = distance(read("parts/checkpoint-8.safetensors"), read("union/checkpoint-8.safetensors"))
assert worst < 1e-3, worst
print("3 batches a step are one batch of them all")
assert [record["step"] for record in parts if record["kind"] == "epoch"] == [4, 8]
print("4 steps an epoch of 11 batches")

# What is frozen keeps its bits, whatever moments and decay would do; the norm is that of the others.
FROZEN = ("encoder.", "source_embedding.")
start = read("parts/checkpoint-8.safetensors")
options = ["--batch-size=15", "--weight-decay=0.5"]
log = train("frozen", *options, "--epochs=1", "--freeze=encoder.*,source_embedding.weight", "--model=parts/checkpoint-8.safetensors")
whole = train("whole", *options, "--epochs=1", "--model=parts/checkpoint-8.safetensors")
assert log[0]["loss"] == whole[0]["loss"] and log[0]["gradient_norm"] < whole[0]["gradient_norm"]


def check(run, step, isFrozen):
    state, initial = read(f"{run}/checkpoint-{step}.safetensors"), read("parts/model.safetensors")
    kept = 0
    for name, values in initial.items():
        if isFrozen(name):
            assert state[name] == values, name
            assert not any(state["first_moment." + name]) and not any(state["second_moment." + name]), name
            kept += 1
        else:
            assert state[name] != values, name
    return kept


print(f"frozen: {check('frozen', 4, lambda name: name.startswith(FROZEN))} tensors as they were")
train("frozen", *options, "--epochs=2", "--resume")
check("frozen", 8, lambda name: name.startswith(FROZEN))
print("resumed: still frozen")
train("frozen", *options, "--epochs=3", "--resume", "--freeze=none")
check("frozen", 12, lambda name: False)
# Moments that a parameter already has stay too.
before = read("frozen/checkpoint-12.safetensors")
train("frozen", *options, "--epochs=4", "--resume", "--freeze=projection.*")
after = read("frozen/checkpoint-16.safetensors")
for name in before:
    assert (before[name] == after[name]) == ("projection." in name), name
print("thawed, and frozen again with its moments")

# From a run's weights a step is that of the run itself, but for the moments.
assert read("parts/model.safetensors") == {name: start[name] for name in read("parts/model.safetensors")}
first = train("again", "--batch-size=15", "--steps=1", "--model=parts")
assert first[0]["loss"] == whole[0]["loss"]
print("from the weights of a run")
