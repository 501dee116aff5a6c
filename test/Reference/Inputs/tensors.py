"""Safetensors files for tests of the tools.
tensors.py write FILE NAME=TYPE:SHAPE:VALUES...   values separated by commas, A..B for all between; shape by x, empty for a scalar
tensors.py weights MODULE FILE                    random values for every xf.param of a module's text
tensors.py compare A B LIMIT [PREFIX]             every tensor of A is in B (as PREFIX + name) within the relative distance; key biases, whose
                                                  gradient is zero but for rounding, absolutely
"""
import json
import math
import random
import re
import struct
import sys

FORMATS = {"F32": "f", "F64": "d", "I32": "i", "I64": "q"}


def write(path, tensors):
    header, data = {}, b""
    for name, (kind, shape, values) in tensors.items():
        part = struct.pack(f"<{len(values)}{FORMATS[kind]}", *values)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            kind = FORMATS[entry["dtype"]]
            tensors[name] = struct.unpack(f"<{(end - begin) // struct.calcsize(kind)}{kind}", content[begin:end])
    return tensors


def weights(module, path):
    random.seed(1)
    tensors = {}
    with open(module) as file:
        for name, extents in re.findall(r"xf.param @([\w.]+) : tensor<([\dx]+)xf32>", file.read()):
            shape = [int(extent) for extent in extents.split("x")]
            centre = 1.0 if name.endswith("norm.weight") else 0.0
            tensors[name] = ("F32", shape, [random.gauss(centre, 0.2) for _ in range(math.prod(shape))])
    write(path, tensors)


def seen(distance):
    """A distance that is no number is infinite, or no maximum would see it."""
    return math.inf if math.isnan(distance) else distance


def compare(first, second, limit, prefix=""):
    a, b = read(first), read(second)
    worst = (0.0, "nothing")
    for name, values in a.items():
        others = b[prefix + name]
        distance = math.dist(values, others)
        if not name.endswith("key.bias"):
            distance /= max(math.hypot(*others), 1e-9)
        worst = max(worst, (seen(distance), name))
    print(f"{len(a)} tensors, the worst {worst[1]} at {worst[0]:.2e}")
    return 0 if a and worst[0] <= limit else 1


def expand(text, number):
    """The values of a list like 1,5..8."""
    for part in filter(None, text.split(",")):
        first, dots, last = part.partition("..")
        yield from range(int(first), int(last) + 1) if dots else [number(part)]


def main():
    command, *rest = sys.argv[1:]
    if command == "write":
        tensors = {}
        for item in rest[1:]:
            name, text = item.split("=")
            kind, shape, values = text.split(":")
            number = float if kind.startswith("F") else int
            tensors[name] = (kind, [int(extent) for extent in shape.split("x") if extent], list(expand(values, number)))
        write(rest[0], tensors)
        return 0
    if command == "weights":
        weights(*rest)
        return 0
    return compare(rest[0], rest[1], float(rest[2]), *rest[3:])


if __name__ == "__main__":
    sys.exit(main())
