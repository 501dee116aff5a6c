"""d2l.py attention|encoder: runs the compiled function and the interpreter on the chapter's inputs."""
import json
import math
import pathlib
import random
import struct
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Reference/Inputs"))
from tensors import read, weights, write


def shape(path, name):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))[name]["shape"]


def offsets(lengths):
    return ("I32", [len(lengths) + 1], [sum(lengths[:i]) for i in range(len(lengths) + 1)])


def compare(program, module, function, inputs, result, what):
    weights(module, "weights.safetensors")
    write("inputs.safetensors", inputs)
    arguments = ["--model=weights.safetensors", "--input=inputs.safetensors"]
    subprocess.run([program, "run", function, *arguments, "--output=given.safetensors"], check=True)
    subprocess.run(["xf-interpret", module, f"--entry={function}", *arguments, "--output=expected.safetensors"], check=True)
    given, expected = read("given.safetensors")[result], read("expected.safetensors")[result]
    assert math.dist(given, expected) <= 1e-5 * math.hypot(*expected), what
    print(f"{what}: {result} {shape('given.safetensors', result)}, as the interpreter's", end="")
    return given


draw = random.Random(1)
if sys.argv[1] == "attention":
    for lengths in ([3, 2], [4, 0]):
        keys = sum(lengths)
        inputs = {
            "queries": ("F32", [8, 100], [draw.gauss(0, 1) for _ in range(800)]),
            "keys": ("F32", [keys, 100], [draw.gauss(0, 1) for _ in range(100 * keys)]),
            "query_offsets": offsets([4, 4]),
            "key_offsets": offsets(lengths),
        }
        result = compare("./attention", "attention.mlir", "attend", inputs, "result", f"valid lengths {lengths}")
        if not lengths[1]:
            assert not any(result[400:]) and any(result[:400])
            print(", and zeros in the second sequence", end="")
        print()
else:
    for what, lengths in (("(2, 100)", [100, 100]), ("valid lengths [3, 2]", [3, 2])):
        ids = ("I32", [sum(lengths)], [draw.randrange(200) for _ in range(sum(lengths))])
        compare("./encoder", "stages/1-input.mlir", "encode", {"ids": ids, "offsets": offsets(lengths)}, "states", what)
        print()
