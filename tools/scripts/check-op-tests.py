#!/usr/bin/env python3
"""Fails where an op of the dialect lacks a test, and names it. The kinds:
roundtrip   the example of the op's definition stands in test/Dialect/XF/roundtrip.mlir
invalid     every constraint C1..Cn of the definition has a case `// xf.NAME Cn` in test/Dialect/XF/Invalid
input       a composite op occurs in the tests of the stage that decomposes it
reference   the interpreter's result is compared with known numbers (test/Unit/Reference)
autodiff    the op's derivative is compared with differences (test/Unit/Reference/GradientTest.cpp)
lowering    the op occurs in the tests of the conversion to linalg, of the schedules, or of the kernels over arenas
An op that differentiation makes is run by the derivative's test of the op whose rule makes it."""
import argparse
import collections
import pathlib
import re
import sys

Op = collections.namedtuple("Op", "name cpp primitive composite constraints example rule")


def read_ops(folder):
    """The ops as TableGen files define them."""
    for path in sorted(folder.glob("*.td")):
        text = path.read_text()
        rules = dict(re.findall(r'XF_Activation<"(\w+)", \[\{(.*?)\}\]>', text, re.DOTALL))
        for part in re.split(r"\n(?=def |class )", text):
            found = re.match(r'def XF_(\w+Op) : (XF_\w+)<"(\w+)"', part)
            if not found:
                continue
            cpp, base, name = found.groups()
            description = re.search(r"let description = \[\{(.*?)\}\];", part, re.DOTALL)
            description = description.group(1) if description else ""
            example = re.search(r"```mlir\n(.*?)```", description, re.DOTALL)
            rule = re.search(r"let backward = \[\{(.*?)\}\];", part, re.DOTALL)
            yield Op(
                name=name,
                cpp=cpp,
                primitive=base not in ("XF_Op", "XF_Composite") or "XF_KernelOpInterface" in part,
                composite=base == "XF_Composite",
                constraints=sorted(set(re.findall(r"\b(C\d+)[:.]", description.split("```mlir")[0]))),
                example=" ".join(example.group(1).split()) if example else None,
                rule=rule.group(1) if rule else rules.get(name),
            )


def texts(root, *patterns):
    return "\n".join(path.read_text() for pattern in patterns for path in sorted(root.glob(pattern)))


def mentions(text, name):
    return re.search(rf"\bxf\.{name}\b", text) is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=pathlib.Path, nargs="?", default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args().root
    ops = list(read_ops(root / "include/xf/Dialect/XF/IR"))
    tests = root / "test"
    roundtrip = " ".join(texts(tests, "Dialect/XF/roundtrip.mlir").split())
    invalid = texts(tests, "Dialect/XF/Invalid/*.mlir")
    gradients = texts(tests, "Unit/Reference/GradientTest.cpp")
    reference = texts(tests, "Unit/Reference/*.cpp")
    lowering = texts(tests, "Conversion/**/*.mlir", "Kernels/*.mlir", "Schedule/*.mlir", "Unit/Schedule/*.cpp") if (tests / "Unit/Schedule").is_dir() else None
    decomposition = texts(tests, "Dialect/XF/Transforms/*.mlir", "Transforms/*.mlir", "Frontend/*.mlir")
    made = {cpp: op for op in ops if op.rule for cpp in re.findall(r"(\w+Op)::create\(builder", op.rule)}

    missing = []
    for op in ops:
        def need(kind, present, what=""):
            if not present:
                missing.append(f"xf.{op.name}: no {kind} test{what}")

        need("roundtrip", op.example in roundtrip if op.example else mentions(roundtrip, op.name), " of the definition's example" if op.example else "")
        for constraint in op.constraints:
            need("invalid", re.search(rf"^// xf\.{op.name} {constraint}$", invalid, re.MULTILINE), f" of {constraint}")
        if op.rule:
            need("autodiff", mentions(gradients, op.name))
        if op.composite and decomposition:
            need("input", mentions(decomposition, op.name))
        if op.primitive:
            need("reference", mentions(reference, op.name) or (op.cpp in made and mentions(gradients, made[op.cpp].name)))
            if lowering is not None:
                need("lowering", mentions(lowering, op.name))
    for line in missing:
        print(line)
    print(f"{len(ops)} ops, {len(missing)} tests missing")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
