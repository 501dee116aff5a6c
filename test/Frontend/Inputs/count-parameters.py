"""Prints how many numbers the xf.param ops of a module hold."""
import math
import re
import sys

text = open(sys.argv[1]).read() if len(sys.argv) > 1 else sys.stdin.read()
shapes = re.findall(r"xf\.param @\S+ : tensor<([0-9x]+)xf32>", text)
print(sum(math.prod(map(int, shape.split("x"))) for shape in shapes))
