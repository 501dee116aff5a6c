"""check-attention.py FOLDER TOKENS: in the numbers every row is one distribution, and the page shows exactly them, under names
that a reader finds. The source has so many tokens."""
import base64
import json
import math
import pathlib
import struct
import sys
import xml.etree.ElementTree
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Reference/Inputs"))
import tensors


def pixels(png):
    """Rows of the indices of an image with a palette, whose rows are as they are, or differ so from those above."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (size,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        data = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data), kind
        chunks[kind] = data
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"] and len(chunks[b"PLTE"]) == 768
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    raw = zlib.decompress(chunks[b"IDAT"])
    assert len(raw) == height * (width + 1)
    rows = [raw[i * (width + 1) : (i + 1) * (width + 1)] for i in range(height)]
    image = []
    for filter, *row in rows:
        assert filter in (0, 2)
        image.append([(value + above) % 256 for value, above in zip(row, image[-1])] if filter else row)
    return image


def squares(image, rows, columns):
    """What each of so many equal squares of an image shows."""
    side = len(image) // rows
    assert side > 1 and (len(image), len(image[0])) == (rows * side, columns * side)
    assert all(value == image[i // side * side][j // side * side] for i, row in enumerate(image) for j, value in enumerate(row))
    return [row[::side] for row in image[::side]]


folder = pathlib.Path(sys.argv[1])
content = (folder / "attention.safetensors").read_bytes()
header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
values = tensors.read(folder / "attention.safetensors")
for name, numbers in values.items():
    shape, keys = header[name]["shape"], header[name]["shape"][-1]
    assert len(shape) == 3 and (keys == int(sys.argv[2])) >= ("cross" in name or "encoder" in name), (name, shape)
    for row in range(0, math.prod(shape), keys):
        assert abs(sum(numbers[row : row + keys]) - 1) < 1e-5, name
print(f"{len(values)} tensors: every row sums to one")

page = xml.etree.ElementTree.parse(folder / "attention.svg").getroot()
SVG = "{http://www.w3.org/2000/svg}"
names = [span.text for span in page.iter(f"{SVG}tspan")]
assert names == sorted(values, key=lambda name: (not name.startswith("encoder"), "cross" in name, int(name.split(".")[1]))), names
images = list(page.iter(f"{SVG}image"))
for name in names:
    heads, queries, keys = header[name]["shape"]
    for head in range(heads):
        start, data = "data:image/png;base64,", images.pop(0).get("href")
        assert data.startswith(start)
        shown = squares(pixels(base64.b64decode(data[len(start) :], validate=True)), queries, keys)
        for i, row in enumerate(shown):
            for j, level in enumerate(row):
                assert abs(level - 255 * math.sqrt(values[name][(head * queries + i) * keys + j])) <= 0.501, (name, head, i, j)
assert not images and not any("href" in key and not value.startswith("data:") for part in page.iter() for key, value in part.attrib.items())
print(f"{sum(header[name]['shape'][0] for name in names)} maps show their numbers")
