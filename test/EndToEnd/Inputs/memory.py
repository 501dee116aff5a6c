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


def predictions(folder):
    """Weights, and the table that is looked up and multiplied by, take their memory once, however they are come by; a text's decoding takes nearly nothing besides."""
    shape = "layers=6,d_model=256,d_ff=1024,heads=4,d_k=64,d_v=64,vocabulary=6000"
    for name, options in {"f32": [], "int8": ["--quantize=int8"]}.items():
        model = folder / name
        subprocess.run(["xf-compile", f"preset:transformer-char-lm,{shape}", "--functions=train,generate", *options, "-o", model], check=True)
        subprocess.run(["sh", "-c", f"seq 5 90 | tr '\\n' ' ' > {folder}/text && {model} train --text={folder}/text --output={folder}/run-{name} --steps=1 > {folder}/log 2>&1"], check=True)
        info = subprocess.run([model, "info"], check=True, capture_output=True, text=True).stdout
        weights, planned = (float(number) for number in re.search(r"parameters ([\d.]+) MiB.*where it predicts, weights take ([\d.]+) MiB", info).groups())
        command = f"{model} generate --model={folder}/run-{name} --max-length=2 --repeat=1 --threads=1; true"
        said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stderr
        peak = int(re.search(r"peak_rss_mib=(\d+)", said)[1])
        once = planned <= peak <= planned + 12 and planned < {"f32": 1.05, "int8": 0.35}[name] * weights
        print(f"{name}: parameters {weights:.1f} MiB, planned {planned:.1f} MiB, peak {peak} MiB: {'once' if once else 'too far apart'}")


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
    predictions(folder)
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
