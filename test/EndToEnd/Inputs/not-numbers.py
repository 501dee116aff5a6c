"""not-numbers.py WEIGHTS OUTPUT TENSOR ROW: the weights with one row of NaN. ROW is a number, or a word of a word vocabulary as FILE:WORD."""
import json
import pathlib
import struct
import sys

weights, output, tensor, row = sys.argv[1:]
data = pathlib.Path(weights).read_bytes()
(length,) = struct.unpack("<Q", data[:8])
header, values = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
header.pop("__metadata__", None)  # it has a checksum
if ":" in row:
    vocabulary, word = row.split(":")
    row = pathlib.Path(vocabulary).read_text(encoding="utf-8").splitlines().index(word) - 1
width = 4 * header[tensor]["shape"][1]
begin = header[tensor]["data_offsets"][0] + int(row) * width
values[begin : begin + width] = struct.pack("<f", float("nan")) * (width // 4)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
pathlib.Path(output).write_bytes(struct.pack("<Q", len(text)) + text + values)
