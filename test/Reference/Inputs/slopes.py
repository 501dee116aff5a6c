"""slopes.py zero WEIGHTS FILE           the weights with queries that are all zero, so that scores are biases alone
slopes.py compare WEIGHTS SLOPES...   heads of every attention lose SLOPES (powers of two: -2 is 1/4) of a score a token that keys are further back"""
import json
import math
import re
import struct
import sys

from tensors import read, write


def shapes(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return {name: entry["shape"] for name, entry in json.loads(file.read(length)).items() if name != "__metadata__"}


def main():
    command, path, *rest = sys.argv[1:]
    tensors, extents = read(path), shapes(path)
    if command == "zero":
        zeros = re.compile(r"query\.(weight|bias)$")
        write(rest[0], {name: ("F32", extents[name], [0.0] * len(values) if zeros.search(name) else values) for name, values in tensors.items()})
        return 0
    expected = [2.0 ** int(exponent) for exponent in rest]
    for name, values in tensors.items():
        heads, queries, keys = extents[name]
        last = [values[(head * queries + queries - 1) * keys :][:keys] for head in range(heads)]
        found = [math.log(weights[-1] / weights[-2]) for weights in last]
        print(name, found)
        if not all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(found, expected, strict=True)):
            return 1
    return not tensors


if __name__ == "__main__":
    sys.exit(main())
