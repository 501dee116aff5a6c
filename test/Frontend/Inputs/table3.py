"""Builds every row of the paper's table 3 as a preset and prints its parameters beside the published millions. The published figures are about 2M
higher than the sum of the matrices that the paper describes; so rows are compared by their distance from base."""
import math
import re
import subprocess

# preset: parameters by the spec or by hand, published (M), M that the difference from base may be off: rounding, or the width's own offset.
ROWS = {
    "transformer-base": (63045632, 65, 0),
    "transformer-base-a1": (63045632, 65, 0),
    "transformer-base-a2": (63045632, 65, 0),
    "transformer-base-a3": (63045632, 65, 0),
    "transformer-base-a4": (63045632, 65, 0),
    "transformer-base-b1": (55967744, 58, 1),
    "transformer-base-b2": (58327040, 60, 1),
    "transformer-base-c1": (33644544, 36, 1),
    "transformer-base-c2": (48345088, 50, 1),
    "transformer-base-c3": (77746176, 80, 1),
    "transformer-base-c4": (26816512, 28, 1),
    "transformer-base-c5": (163815424, 168, 3),
    "transformer-base-c6": (50450432, 53, 1),
    "transformer-base-c7": (88236032, 90, 1),
    "transformer-base-d1": (63045632, 65, 0),
    "transformer-base-d2": (63045632, 65, 0),
    "transformer-base-d3": (63045632, 65, 0),
    "transformer-base-d4": (63045632, 65, 0),
    "transformer-base-e": (63045632 + 2 * 1024 * 512, 65, 2),
    "transformer-big": (214171648, 213, 4),
}


def count(preset):
    text = subprocess.run(["xf-compile", "preset:" + preset, "--compile-to=input"], check=True, capture_output=True, text=True).stdout
    shapes = re.findall(r"xf\.param @\S+ : tensor<([0-9x]+)xf32>", text)
    return sum(math.prod(map(int, shape.split("x"))) for shape in shapes)


def main():
    counts = {preset: count(preset) for preset in ROWS}
    base = counts["transformer-base"]
    for preset, (parameters, published, slack) in ROWS.items():
        difference = (counts[preset] - base) / 1e6
        print(f"{preset}: {counts[preset]}, published {published}M; {difference:+.1f}M from base, published {published - 65:+}M")
        assert counts[preset] == parameters, (preset, parameters)
        assert abs(difference - (published - 65)) <= slack, preset
    print(f"{len(ROWS)} rows of table 3")


main()
