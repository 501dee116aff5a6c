"""recompute.py PRESET TOKENS: the train step's workspace with budgets between those of no and full recomputation stays within them, and the state
after a step is the same to the last bit."""
import filecmp
import re
import subprocess
import sys

import batches


def workspace(policy, preset, tokens):
    command = ["xf-compile", preset, f"--recompute={policy}", f"--report-tokens={tokens}", "--functions=train_step", "-o", "m"]
    subprocess.run(command, check=True)
    info = subprocess.run(["./m", "info", f"--tokens={tokens}"], check=True, capture_output=True, text=True).stdout
    step = ["./m", "run", "train_step", "--seed=1", "--input=batch.safetensors", f"--output={policy}.safetensors"]
    subprocess.run(step, check=True, stdout=subprocess.DEVNULL)
    if not filecmp.cmp(f"{policy}.safetensors", "none.safetensors", shallow=False):
        print(f"{policy}: the state differs")
    return int(re.search(r"train_step +workspace ([\d,]+) bytes", info)[1].replace(",", ""))


def main():
    preset, tokens = sys.argv[1], int(sys.argv[2])
    batches.write("batch.safetensors", "sequence_to_sequence", 60, 4, 40)
    none, full = (workspace(policy, preset, tokens) for policy in ("none", "full"))
    assert full < none
    seen = {none, full}
    for share in (0.9, 0.7, 0.5, 0.3, 0.1):
        budget = int(full + share * (none - full))
        used = workspace(str(budget), preset, tokens)
        seen.add(used)
        print(f"budget {share}: {'within' if used <= budget else 'over'}, {'much' if budget - used > 0.3 * (none - full) else 'little'} is left")
    print(f"{len(seen)} policies")


main()
