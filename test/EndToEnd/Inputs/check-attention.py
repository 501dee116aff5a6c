"""check-attention.py FILE TOKENS: the attention of every layer is one distribution for every head and query; the source has so many tokens."""
import json
import math
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Reference/Inputs"))
import tensors

content = pathlib.Path(sys.argv[1]).read_bytes()
header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
values = tensors.read(sys.argv[1])
for name, numbers in values.items():
    shape, keys = header[name]["shape"], header[name]["shape"][-1]
    assert len(shape) == 3 and (keys == int(sys.argv[2])) >= ("cross" in name or "encoder" in name), (name, shape)
    for row in range(0, math.prod(shape), keys):
        assert abs(sum(numbers[row : row + keys]) - 1) < 1e-5, name
print(f"{len(values)} tensors: every row sums to one")
