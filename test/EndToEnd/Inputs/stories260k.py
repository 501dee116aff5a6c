"""stories260k.py FOLDER: what ./lm, compiled of the folder, says, beside the folder's known answers."""
import json
import pathlib
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Reference/Inputs"))
from tensors import read, write

known = json.loads(pathlib.Path(sys.argv[1], "greedy.json").read_text())
ids = known["ids"]


def token_nll(ids, labels):
    write("batch.safetensors", {name: ("I32", [len(values)], values) for name, values in {"ids": ids, "offsets": [0, len(ids)], "labels": labels}.items()})
    subprocess.run(["./lm", "run", "loss", "--input=batch.safetensors", "--output=loss.safetensors"], check=True)
    return read("loss.safetensors")["token_nll"]


def generate(prompt, count):
    command = ["./lm", "generate", *([f"--prompt={prompt}"] if prompt else []), "--temperature=0", f"--max-length={count}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


text = generate("", len(ids) - 1)
assert text == known["text"] + "\n", text
print(f"{len(ids) - 1} tokens, as text: equal")
for example in known["tokenizer_examples"]:
    # What follows a text depends on how it was read.
    of_text = generate(example["text"], 1)
    assert of_text.startswith(example["text"]), of_text
    pathlib.Path("text").write_text(example["text"])
    nll = token_nll(example["ids"], example["ids"][1:] + [2])
    told = subprocess.run(["./lm", "evaluate", "--text=text", f"--length={len(nll)}"], check=True, capture_output=True, text=True).stdout
    loss = float(told.split("loss per token")[1].split()[0].rstrip(",;"))
    assert abs(loss - sum(nll) / len(nll)) < 1e-3, (loss, sum(nll) / len(nll))
print(f"{len(known['tokenizer_examples'])} texts, as tokens: equal")
steps = known["first_steps"]
for step, nll in zip(steps, token_nll(ids[:-1], ids[1:])):
    assert abs(nll - (step["log_sum_exp"] - step["max_logit"])) < 1e-4, (step, nll)
print(f"the first {len(steps)} steps: equal within 1e-4")
