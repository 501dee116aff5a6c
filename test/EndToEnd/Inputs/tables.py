"""tables.py: what --check says of models whose tables of tokens are packed, tied and not, of sizes and odd widths drawn anew by each way of holding them."""
import random
import subprocess

draw = random.Random(7)
for number, options in enumerate(([], ["--precision=bf16"], ["--quantize=int8"], ["--quantize=int8", "--precision=bf16"])):
    size = f"vocabulary={draw.randint(20, 100)},d_model={2 * draw.randint(4, 40) + 1},tied={draw.choice(['true', 'false'])}"
    preset = f"preset:transformer-char-lm,layers=1,d_k=5,d_v=7,heads=3,d_ff=24,{size}"
    done = subprocess.run(["xf-compile", preset, *options, f"--check=tables-{number}"], check=True, capture_output=True, text=True)
    print(size, *options, done.stdout, flush=True)
