"""numbers.py FOLDER: a corpus of number words, its vocabularies and `translator`, transformer-tiny with dropout everywhere, for all tests of this
folder: made once, and again when the compiler or the runtime has changed."""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

PRESET = "preset:transformer-tiny,dropout=0.1,attention_dropout=0.1,activation_dropout=0.1,smoothing=0.1"


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    root = pathlib.Path(__file__).resolve().parents[3]
    compiler = shutil.which("xf-compile")
    made_of = [compiler, pathlib.Path(compiler).parents[1] / "lib/xf/libxf_runtime.a", __file__]
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        translator = folder / "translator"
        if translator.exists() and all(os.path.getmtime(translator) > os.path.getmtime(part) for part in made_of):
            return
        commands = [
            [sys.executable, root / "tools/scripts/number-words.py", ".", "--train=200", "--valid=40", "--test=20"],
            ["xf-vocab", "train.en", "--type=word", "-o", "en.model"],
            ["xf-vocab", "train.de", "--type=word", "-o", "de.model"],
            [compiler, PRESET, "--source-vocab=en.model", "--target-vocab=de.model", "-o", "translator"],
        ]
        for command in commands:
            subprocess.run(command, cwd=folder, check=True)


main()
