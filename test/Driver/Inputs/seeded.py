"""seeded.py STAGES WHICH [OPTIONS]: makes one stage of a dump wrong, and prints what --check says of it, its exit code, and the tensors it wrote."""
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Reference/Inputs"))
import tensors


def share_parameter(text):
    """Keys are multiplied by the weight of the queries."""
    weights = [re.search(rf'xf.dispatch @\S+ "encoder.0.attention.{name}" ?\(%\S+, (%\d+),', text)[1] for name in ("key", "query")]
    places = [re.search(rf"{weight} = xf.buffer +(parameter\(\d+\))", text)[1] for weight in weights]
    return text.replace(*places)


def turn_comparison(text):
    """The kernel of a product with relu keeps what is negative."""
    begin = text.index("func.func private @linear_relu_")
    end = text.index("func.func", begin + 1)
    return text[:begin] + text[begin:end].replace("arith.cmpf ogt", "arith.cmpf olt") + text[end:]


def drop_more(text):
    """The backward of training drops half of what it should drop a fifth of; evaluation has none of it."""
    begin = text.index("func.func private @encoder_layer.bwd(")
    end = text.index("func.func", begin + 1)
    return text[:begin] + text[begin:end].replace("rate(2.000000e-01)", "rate(5.000000e-01)") + text[end:]


# The files that are edited, and how.
WRONG = {
    "autodiff": (["2-autodiff.mlir"], lambda text: text.replace("scale(4.000000e+00)", "scale(2.000000e+00)")),
    "training": (["2-autodiff.mlir"], drop_more),
    "fuse": (["3-fuse.mlir"], lambda text: re.sub(r" causal +:", " :", text)),
    "rounded": (["4-outline.mlir"], lambda text: text.replace("scale(4.000000e+00)", "scale(3.600000e+00)")),
    "plan": (["5-plan.mlir", "6-schedule.mlir"], share_parameter),
    "schedule": (["6-schedule.mlir"], turn_comparison),
}
# And those where every result of an op is doubled.
DOUBLED = {"outline": ("4-outline.mlir", "xf.relu"), "derivative": ("2-autodiff.mlir", "xf.layer_norm_parameter_backward")}


def main():
    source, which, *options = sys.argv[1:]
    shutil.rmtree("seeded", ignore_errors=True)
    shutil.copytree(source, "seeded")
    if which in DOUBLED:
        name, op = DOUBLED[which]
        subprocess.run(["xf-opt", f"{source}/{name}", f"--test-xf-seed-gradient-error=op={op}", "--mlir-print-debuginfo", "-o", f"seeded/{name}"], check=True)
    else:
        for path in (pathlib.Path("seeded", name) for name in WRONG[which][0]):
            text = path.read_text()
            wrong = WRONG[which][1](text)
            assert wrong != text
            path.write_text(wrong)
    check = subprocess.run(["xf-compile", "seeded", "--check=seeded", *options], capture_output=True, text=True)
    print("exit code", check.returncode)
    print(check.stderr)
    if pathlib.Path("seeded/difference.safetensors").exists():
        print(*sorted(tensors.read("seeded/difference.safetensors")))


main()
