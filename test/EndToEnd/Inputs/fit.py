"""fit.py PRESET BYTES: the largest batch that --fit names trains in so much memory, by `run` and by `train`, and one with a token more is refused
with the same number."""
import re
import subprocess
import sys

import batches


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def main():
    preset, memory = sys.argv[1:]
    fit = run("xf-compile", preset, "--functions=train", f"--fit={memory}", "--threads=1").stdout
    tokens = int(re.search(r"trains +(\d+)  needs", fit)[1])
    if (tokens + 1) % 25 == 0:
        sys.exit("choose other BYTES: a token more would make one more sequence of 25")
    assert run("./m", "info", f"--fit={memory}", "--threads=1").stdout == fit, "the executable says something else"
    for count in (tokens, tokens + 1):
        batches.write("batch.safetensors", "sequence_to_sequence", count, count // 25, 50)
        ran = run("./m", "run", "train_step", "--seed=1", "--input=batch.safetensors", "--repeat=1", f"--memory={memory}", "--threads=1")
        print(f"run {'fits' if ran.returncode == 0 else ran.stderr}")
        trained = run("./m", "train", "--source=text", "--target=text", "--output=run", "--steps=1", f"--batch-tokens={count}", f"--memory={memory}", "--threads=1")
        print(f"train {'fits' if trained.returncode == 0 else trained.stderr}")
    print(f"largest {tokens}")


with open("text", "w") as text:  # sentences of 25 tokens with their marks
    for line in range(400):
        print(*((line + word) % 40 + 4 for word in range(24)), file=text)
main()
