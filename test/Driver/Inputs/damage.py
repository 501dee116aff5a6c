"""Damages four entries of a cache of kernels: one is cut, one is empty, one has a byte changed, one is of another form."""
import pathlib
import sys

entries = sorted(pathlib.Path(sys.argv[1]).glob("llvmcache-*"))[:4]
data = [entry.read_bytes() for entry in entries]
entries[0].write_bytes(data[0][:-1])
entries[1].write_bytes(b"")
entries[2].write_bytes(data[2][:200] + bytes([data[2][200] ^ 1]) + data[2][201:])
entries[3].write_bytes(b"?" + data[3][1:])
