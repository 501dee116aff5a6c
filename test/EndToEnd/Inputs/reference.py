"""reference.py MODEL CASE FOLDER, with CASE torch-reference's sequence_to_sequence_tied or adam (.safetensors): calls the executable on the case's
parameters and batches, and compares what it gives with what torch gave: relative distance of every tensor."""
import json
import math
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Reference/Inputs"))
import tensors

LIMIT = 1e-4


def extract(case, prefix, path):
    """Writes the tensors of a case whose names start with the prefix, without it."""
    content = pathlib.Path(case).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = {}, b""
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name.startswith(prefix):
            begin, end = entry["data_offsets"]
            header[name[len(prefix) :]] = entry | {"data_offsets": [len(data), len(data) + end - begin]}
            data += content[8 + length + begin : 8 + length + end]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def compare(what, given, expected):
    """Every expected tensor is given; a key bias and other gradients that are rounding alone are compared absolutely."""
    assert expected, what
    worst = (0.0, "")
    for name, values in expected.items():
        norm = math.hypot(*values)
        worst = max(worst, (tensors.seen(math.dist(given[name], values) / (norm if norm > 1e-6 else 1)), name))
    print(f"{what}: {len(expected)} tensors, the worst {worst[1]} at {worst[0]:.1e}")
    assert worst[0] <= LIMIT, what


def main():
    model, case, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    expected = tensors.read(case)

    def under(prefix):
        return {name[len(prefix) :]: values for name, values in expected.items() if name.startswith(prefix)}

    def run(function, weights, batch, output, *more):
        command = [model, "run", function, f"--model={weights}", f"--input={batch}", f"--output={output}", *more]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return dict(line.split() for line in printed.splitlines()), tensors.read(output)

    def close(what, given, value):
        print(f"{what}: {given}, torch's {value:.9g}")
        assert abs(float(given) - value) <= LIMIT * abs(value), what

    weights = folder / "weights.safetensors"
    extract(case, "param.", weights)
    steps = sorted({name.split(".")[1] for name in expected if name.startswith("input.step")})
    if not steps:
        extract(case, "input.", folder / "batch.safetensors")
        _, given = run("loss", weights, folder / "batch.safetensors", folder / "loss.safetensors")
        compare("loss", given, {name: under("output.")[name] for name in ("loss", "token_nll")})
        _, given = run("gradients", weights, folder / "batch.safetensors", folder / "gradients.safetensors")
        compare("gradients", given, {"grad." + name: values for name, values in under("grad.param.").items()})
    for step in steps:
        batch, output = folder / f"{step}.safetensors", folder / f"state-{step}.safetensors"
        extract(case, f"input.{step}.", batch)
        printed, given = run("train_step", weights, batch, output, "--learning-rate=1", "--schedule=noam", "--warmup=4", "--clip-norm=1")
        for scalar in ("loss", "gradient_norm", "learning_rate"):
            close(f"{step} {scalar}", printed[scalar], expected[f"{step}.{scalar}"][0])
        compare(f"{step} parameters", given, under(f"{step}.param."))
        for moment in ("first_moment.", "second_moment."):
            if step == steps[-1]:  # the case has those of the last step
                compare(f"{step} {moment}*", given, {moment + name: values for name, values in under(f"{step}.{moment}").items()})
        weights = output


main()
