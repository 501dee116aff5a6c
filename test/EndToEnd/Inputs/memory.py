"""memory.py FOLDER: for 12 combinations of preset, policy of recomputation and batch, the peak resident memory of a step of training is what `info`
says before, within 2%. And of models whose description is much of what they take, shallow and deep, no more than it says, and not much less."""
import os
import pathlib
import re
import subprocess
import sys

import batches

PRESETS = {
    "sequence_to_sequence": "preset:transformer-tiny,layers=2,vocabulary=100,d_model=64,d_ff=128,dropout=0.1",
    "language_model": "preset:transformer-char-lm,layers=3,d_model=64,d_k=16,d_v=16,heads=4,d_ff=128,vocabulary=100",
}
POLICIES = ["none", "full", "80M"]
BATCHES = [(4000, 160), (9000, 300)]


def main():
    folder = pathlib.Path(sys.argv[1])
    for kind, preset in PRESETS.items():
        for policy in POLICIES:
            model = folder / "model"
            command = ["xf-compile", preset, f"--recompute={policy}", "--report-tokens=9000", "--functions=train_step", "-o", model]
            subprocess.run(command, check=True)
            for tokens, sequences in BATCHES:
                info = subprocess.run([model, "info", f"--tokens={tokens}", f"--sequences={sequences}"], check=True, capture_output=True, text=True)
                planned = float(re.search(r"trains +in ([\d.]+) MiB", info.stdout)[1])
                batches.write(folder / "batch.safetensors", kind, tokens, sequences, 100)
                command = [model, "run", "train_step", "--seed=1", f"--input={folder}/batch.safetensors", "--repeat=1"]
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
                _, status, usage = os.wait4(process.pid, 0)
                assert status == 0, "run train_step failed"
                peak = usage.ru_maxrss / 1024
                within = abs(peak - planned) <= 0.02 * planned
                print(f"{kind} {policy} {tokens} tokens: planned {planned:.1f} MiB, peak {peak:.1f} MiB: {'within 2%' if within else 'too far apart'}")
    for layers in (1, 16):
        subprocess.run(["xf-compile", f"preset:transformer-tiny,layers={layers},vocabulary=30,d_model=16,heads=2,d_ff=24", "-o", model], check=True)
        info = subprocess.run([model, "info", "--tokens=100", "--sequences=5", "--threads=1"], check=True, capture_output=True, text=True)
        planned = float(re.search(r"trains +in ([\d.]+) MiB", info.stdout)[1])
        batches.write(folder / "batch.safetensors", "sequence_to_sequence", 100, 5, 30)
        # By way of a shell: what this process takes would count as the child's.
        command = f"{model} run train_step --seed=1 --input={folder}/batch.safetensors --repeat=1 --threads=1; true"
        said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stderr
        peak = int(re.search(r"peak_rss_mib=(\d+)", said)[1])  # rounded down
        bounded = peak <= planned <= 1.15 * (peak + 1) + 1
        print(f"{layers} layers: planned {planned:.1f} MiB, peak {peak} MiB: {'bounded' if bounded else 'too far apart'}")


main()
