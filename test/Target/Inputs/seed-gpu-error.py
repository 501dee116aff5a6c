"""Puts an error into the PTX that an executable holds: `barrier` takes the barriers out of every kernel that has them, `stride` makes
products load rows of shared memory four numbers too far on. Sizes stay, so the file still is what it was."""
import os
import re
import sys

kind, source, target = sys.argv[1:]
data = open(source, "rb").read()
if kind == "barrier":
    data, count = re.subn(rb"bar\.sync \t0;", b"//  removed ", data)
else:
    data, count = re.subn(rb"(ld\.shared\.v4\.b32 \t\{[^}]*\}, \[%rd\d+)\+272\]", rb"\1+288]", data)
if not count:
    sys.exit("nothing to change")
with open(target, "wb") as file:
    file.write(data)
os.chmod(target, 0o755)
