"""greedy.py MODEL WEIGHTS FOLDER < TEXT: after each prefix of TEXT (token ids; an end of line is token 2) from the third token on, the next token
is the one to which the loss gives the highest probability."""
import pathlib
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Reference/Inputs"))
from tensors import read, write

model, weights, folder = sys.argv[1:]
VOCABULARY, BEGIN, END = 20, 1, 2
tokens = [BEGIN] + [int(word) for word in sys.stdin.read().rstrip("\n").replace("\n", f" {END} ").split()]
ids, labels, offsets, last = [], [], [0], []
for length in range(3, len(tokens)):
    for candidate in range(VOCABULARY):
        ids += tokens[:length]
        labels += tokens[1:length] + [candidate]
        offsets.append(len(ids))
        last.append(len(ids) - 1)
write(f"{folder}/candidates.safetensors", {name: ("I32", [len(values)], values) for name, values in [("ids", ids), ("labels", labels), ("offsets", offsets)]})
subprocess.run([model, "run", "loss", f"--model={weights}", f"--input={folder}/candidates.safetensors", f"--output={folder}/losses.safetensors"], check=True)
losses = read(f"{folder}/losses.safetensors")["token_nll"]
for i, length in enumerate(range(3, len(tokens))):
    candidates = [losses[row] for row in last[i * VOCABULARY : (i + 1) * VOCABULARY]]
    best = candidates.index(min(candidates))
    assert best == tokens[length] or candidates[tokens[length]] - min(candidates) < 1e-5, f"token {length}: {tokens[length]}, but the loss prefers {best}"
print(f"{len(tokens) - 3} tokens, each the likeliest")
