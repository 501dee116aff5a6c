"""Reads a classifier's text whose last layer is of each text's first token alone; prints the same model with that layer of all tokens, and the first picked of what it gives."""
import re
import sys

lines = sys.stdin.read().split("\n")
begin = next(i for i, line in enumerate(lines) if line.strip().startswith("%rows ="))
apply = next(i for i, line in enumerate(lines) if "@last_encoder_layer as" in line)
form = r'(%x\d+) = xf.apply @last_encoder_layer as ("[^"]+") \(%pooled, (%x\d+), %query_offsets, %offsets\) : \((\S+), \S+, (\S+), '
output, name, texts, matrix, ids = re.search(form, lines[apply]).groups()
pooling = [line.replace(f", {texts}, {texts} ", f", {output}, {output} ") for line in lines[begin:apply]]
whole = f"    {output} = xf.apply @encoder_layer as {name} ({texts}, %offsets) : ({matrix}, {ids}) -> {matrix}"
rest = [re.sub(rf"{output}\b", "%pooled", line) for line in lines[apply + 1 :]]
print("\n".join(lines[:begin] + [whole] + pooling + rest))
