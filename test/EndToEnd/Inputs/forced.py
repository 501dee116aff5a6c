"""forced.py MODEL WEIGHTS TOLERANCE [DRIVER]: what decoding token by token says of given translations (their scores) is what the whole model says of them at once (the loss's
token_nll), within a relative TOLERANCE; on the emulated GPU where its DRIVER is named."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Reference/Inputs"))
import tensors

PAIRS = [([5, 6, 7], [8, 9, 10, 4, 5]), ([11, 4], [6]), ([4, 5, 6, 7, 8, 9, 10], [9, 8, 7, 6, 5, 4, 11, 10, 9, 8, 7, 6])]


def packed(lists):
    offsets = [0]
    for each in lists:
        offsets.append(offsets[-1] + len(each))
    return ("I32", [offsets[-1]], [token for each in lists for token in each]), ("I32", [len(offsets)], offsets)


def main():
    model, weights, tolerance, *driver = sys.argv[1:]
    environment = os.environ | ({"LD_LIBRARY_PATH": driver[0]} if driver else {})
    bos, eos = 1, 2
    source, source_offsets = packed([ids + [eos] for ids, _ in PAIRS])
    target, target_offsets = packed([[bos] + ids for _, ids in PAIRS])
    labels, _ = packed([ids + [eos] for _, ids in PAIRS])
    batch = {"source_ids": source, "source_offsets": source_offsets, "target_ids": target, "target_offsets": target_offsets, "labels": labels}
    tensors.write("forced.safetensors", batch)
    command = [model, "run", "loss", f"--model={weights}", "--input=forced.safetensors", "--output=whole.safetensors"]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    nll = tensors.read("whole.safetensors")["token_nll"]
    offsets = target_offsets[2]
    whole = [-sum(nll[a:b]) for a, b in zip(offsets, offsets[1:])]
    lines = "".join(f"{' '.join(map(str, a))}\t{' '.join(map(str, b))}\n" for a, b in PAIRS)
    # Nothing may follow a prefix that is as long as a translation may be.
    command = [model, "translate", f"--model={weights}", "--beam=1", "--length-penalty=0", "--prefix-column", "--max-length=1", "--scores"]
    done = subprocess.run(command, input=lines, check=True, env=environment, capture_output=True, text=True)
    scores = [float(line.split("\t")[0]) for line in done.stdout.splitlines()]
    worst = max(abs(a - b) / abs(a) for a, b in zip(whole, scores, strict=True))
    print(f"{len(PAIRS)} translations: {'as the whole model says' if worst <= float(tolerance) else f'too far apart: {whole} {scores}'}")


main()
