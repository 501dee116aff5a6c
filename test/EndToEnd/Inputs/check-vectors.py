"""check-vectors.py STATES OFFSETS UNIT MEAN FIRST: lines of vectors that `embed` printed are the states' means and first rows, the unit ones of length 1."""
import math
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Reference/Inputs"))
from tensors import read

states, offsets = read(sys.argv[1])["states"], [int(each) for each in sys.argv[2].split(",")]
width = len(states) // offsets[-1]
unit, mean, first = ([[float(each) for each in line.split()] for line in open(path)] for path in sys.argv[3:])
for i, (begin, end) in enumerate(zip(offsets, offsets[1:])):
    rows = [states[row * width : (row + 1) * width] for row in range(begin, end)]
    expected = [sum(column) / len(rows) for column in zip(*rows)]
    length = math.hypot(*expected)
    assert math.dist(mean[i], expected) < 1e-6 * length, (i, mean[i], expected)
    assert math.dist(unit[i], [each / length for each in expected]) < 1e-6, i
    assert math.dist(first[i], rows[0]) < 1e-6 * math.hypot(*rows[0]), i
print(f"{len(offsets) - 1} vectors of {width} numbers agree")
