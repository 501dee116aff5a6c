#!/usr/bin/env python3
"""Runs a function of an object without the runtime, for processors that it is not built for.

replay.py generate OBJECT FUNCTION      writes a C program to link with the object: it calls the function once, one dispatch
                                        after another as docs/Program.md says, on made-up inputs and parameters, and writes its
                                        outputs and the arenas to stdout. It needs no C library.
replay.py compare A B LIMIT             what two of these wrote agrees within LIMIT, relative to the largest number of an array
"""
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

TOKENS, OFFSETS = 37, [0, 13, 13, 20, 37]
HYPER = [1e-3, 0, 0, 1, 0.9, 0.98, 1e-2, 0.01]  # the last but one smooths what Adam makes of rounding
TYPES = {"f32": ("float", 4), "i32": ("int", 4), "i64": ("long", 8)}

PRELUDE = """
typedef void Kernel(void *const *, const long *, const long *, long, long, void *);
extern Kernel *const xf_kernels[];

static long call(long number, long a, long b, long c) {
#ifdef __x86_64__
  register long result asm("rax") = number, first asm("rdi") = a, second asm("rsi") = b, third asm("rdx") = c;
  asm volatile("syscall" : "+r"(result) : "r"(first), "r"(second), "r"(third) : "rcx", "r11", "memory");
  return result;
#else
  register long which asm("x8") = number, first asm("x0") = a, second asm("x1") = b, third asm("x2") = c;
  asm volatile("svc 0" : "+r"(first) : "r"(which), "r"(second), "r"(third) : "memory");
  return first;
#endif
}
#ifdef __x86_64__
enum { numberOfWrite = 1, numberOfExit = 60 };
asm(".globl _start\\n_start: andq $-64, %rsp\\ncall run");
#else
enum { numberOfWrite = 64, numberOfExit = 93 };
asm(".globl _start\\n_start: bl run");
#endif
void *memset(void *to, int value, unsigned long size) {
  for (unsigned long i = 0; i < size; ++i)
    ((volatile char *)to)[i] = value;
  return to;
}
void *memcpy(void *to, const void *from, unsigned long size) {
  for (unsigned long i = 0; i < size; ++i)
    ((volatile char *)to)[i] = ((const char *)from)[i];
  return to;
}
static void emit(const void *data, long size) {
  for (long done = 0; done < size;)
    done += call(numberOfWrite, 1, (long)data + done, size - done);
}
static void fill(float *to, long count) {
  static unsigned state = 1;
  for (long i = 0; i < count; ++i)
    to[i] = (float)(int)(state = state * 1664525u + 1013904223u) * 5e-11f; // -0.1 .. 0.1
}
"""


def describe(path):
    with tempfile.TemporaryDirectory() as folder:
        section = pathlib.Path(folder) / "json"
        subprocess.run(["llvm-objcopy", f"--dump-section=.rodata.xf_program_json={section}", path, "/dev/null"], check=True)
        return json.loads(section.read_bytes())


def generate(path, name):
    program = describe(path)
    function = next(f for f in program["functions"] if f["name"] == name)
    extents = {dim: len(OFFSETS) if dim.endswith("_plus_1") else TOKENS for dim in function["dims"]}
    values = [size[0] + sum(c * extents[d] for c, d in zip(size[1:], function["dims"])) for size in function["sizes"]]
    arenas = ["parameter", "gradient", "first_moment", "second_moment"]
    out = [PRELUDE]

    def array(symbol, size, kind="char", numbers=None):
        initial = "" if numbers is None else " = {" + ", ".join(map(str, numbers)) + "}"
        out.append(f"static {kind} {symbol}[{max(size, 1)}] __attribute__((aligned(64))){initial};")

    def tensor(group, i, entry):
        count = math.prod(extents.get(n, n) for n in entry["shape"])
        kind, bytes_ = TYPES[entry["type"]]
        numbers = None
        if group == "input" and entry["type"] != "f32":
            given = {"random": [7, 3]}.get(entry["name"], OFFSETS)
            numbers = given if len(given) == count else [n * 5 % 11 for n in range(count)]
        elif entry["name"] == "hyper":
            numbers = HYPER
        array(f"{group}{i}", count, kind, numbers)
        return f"{group}{i}", count, bytes_

    inputs = [tensor("input", i, e) for i, e in enumerate(function["inputs"])]
    outputs = [tensor("output", i, e) for i, e in enumerate(function["outputs"])]
    for i, slot in enumerate(function["slots"]):
        array(f"slot{i}", values[slot["size"]])
    for arena in arenas:
        array(arena, program["parameter_elements"], "float")
    array("scratch", max(8, *(kernel.get("scratch", 0) for kernel in program["kernels"])))

    out.append("void run(void) {\n  fill(parameter, sizeof parameter / 4);")
    for dispatch in function["dispatches"]:
        places = []
        for kind, number, *_ in dispatch["operands"]:
            places.append(f"{kind} + {number}" if kind in arenas else f"{kind}{number}")
        tiles = math.prod(-(-values[extent] // tile) for extent, tile in dispatch["grid"])
        lists = [places, [values[d] for d in dispatch["dims"]], dispatch["scalars"]]
        pointers, dims, scalars = ("{" + ", ".join(map(str, part or [0])) + "}" for part in lists)
        out.append(f"  *(long *)scratch = 0;\n  xf_kernels[{dispatch['kernel']}]((void *[]){pointers}, (long[]){dims}, (long[]){scalars}, 0, {tiles}, scratch);")
    for symbol, count, size in outputs + [(arena, program["parameter_elements"], 4) for arena in arenas]:
        out.append(f"  emit((long[]){{{count * size}}}, 8);\n  emit({symbol}, {count * size});")
    out.append("  call(numberOfExit, 0, 0, 0);\n}")
    print("\n".join(out))


def arrays(path):
    data = pathlib.Path(path).read_bytes()
    while data:
        (size,) = struct.unpack("<q", data[:8])
        yield struct.unpack(f"<{size // 4}f", data[8 : 8 + size])
        data = data[8 + size :]


def compare(a, b, limit):
    for number, (x, y) in enumerate(zip(arrays(a), arrays(b), strict=True)):
        largest = max(map(abs, y))
        distance = max(abs(p - q) if math.isfinite(p) else math.inf for p, q in zip(x, y, strict=True)) / (largest or 1)
        print(f"array {number}: {len(x)} numbers up to {largest:.3g}, distance {distance:.2g}")
        if not distance <= limit:
            sys.exit(f"array {number} differs")


if __name__ == "__main__":
    if sys.argv[1] == "generate":
        generate(sys.argv[2], sys.argv[3])
    else:
        compare(sys.argv[2], sys.argv[3], float(sys.argv[4]))
