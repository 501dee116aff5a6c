"""gpu-memory.py FOLDER DRIVER: for models, precisions and batches, the most of a GPU's memory that a step of training takes is what `info` says before,
within 2%; so is what a batch that is refused is said to need. A run that this machine has too little memory for is refused before it starts."""
import pathlib
import re
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "EndToEnd/Inputs"))
import batches
import emulated

MODELS = {
    "sequence_to_sequence": "preset:transformer-tiny,layers=1,vocabulary=4000,d_model=32,heads=2,d_ff=64,dropout=0.1",
    "language_model": "preset:transformer-char-lm,layers=1,d_model=32,d_k=16,d_v=16,heads=2,d_ff=64,vocabulary=4000",
}
TARGETS = [([], 30, 3), (["--gpu=sm_90a", "--precision=bf16"], 60, 7)]  # and tokens and sequences of a batch


def main():
    folder, driver = sys.argv[1:]
    model, batch = f"{folder}/model", f"{folder}/batch.safetensors"
    for kind, preset in MODELS.items():
        for target, tokens, sequences in TARGETS:
            subprocess.run(["xf-compile", preset, "--target=cuda", *target, "--functions=train_step", "-o", model], check=True)
            info = subprocess.run([model, "info", f"--tokens={tokens}", f"--sequences={sequences}"], check=True, capture_output=True, text=True).stdout
            planned, own = (float(number) for number in re.search(r"trains +in ([\d.]+) MiB .*the kernels' own ([\d.]+) MiB", info).groups())
            batches.write(batch, kind, tokens, sequences, 4000)
            command = [model, "run", "train_step", "--seed=1", f"--input={batch}", f"--output={folder}/out.safetensors"]
            most = emulated.run(driver, command)[1]["most"] / 2**20
            within = abs(most - planned) <= 0.02 * planned
            counts = own > 0.025 * planned  # or it would not be seen
            print(f"{kind} {' '.join(target)} {tokens} tokens: planned {planned:.1f} MiB, {own:.1f} of them the kernels' own, allocated {most:.2f} MiB: {'within 2%' if within and counts else 'too far apart'}")
            refused = subprocess.run(command + ["--memory=1M"], capture_output=True, text=True, env={"LD_LIBRARY_PATH": driver})
            print(refused.stderr, end="")
    here(folder, driver)


def here(folder, driver):
    """A process that may take less than the parameters and moments of 2,000,000 words."""
    model = f"{folder}/model"
    preset = MODELS["language_model"].replace("vocabulary=4000", "vocabulary=2000000")
    subprocess.run(["xf-compile", preset, "--target=cuda", "--functions=train", "-o", model], check=True)
    pathlib.Path(f"{folder}/text").write_text("5 6 7 8 9\n" * 30)
    refused = subprocess.run(
        [model, "train", f"--text={folder}/text", f"--output={folder}/run", "--steps=1"],
        capture_output=True,
        text=True,
        env={"LD_LIBRARY_PATH": driver, "XF_GPU_MEMORY": str(1 << 40)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20)),
    )
    print(refused.stderr, end="")


main()
