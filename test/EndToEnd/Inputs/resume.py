"""resume.py FOLDER RUNS MODEL tries [OPTION...]: trains 50 steps in one go, then so many times with a SIGKILL at a moment drawn from a seed, resumed:
the last checkpoint always has the same bytes, and so has the mean of the last two. And once with Ctrl-C, which writes a checkpoint first."""
import pathlib
import random
import signal
import subprocess
import sys
import time



def main():
    folder, runs, model, tries, *options = sys.argv[1:]
    runs, tries = pathlib.Path(runs), int(tries)
    draw = random.Random(7)

    def train(run, *more):
        command = [model, "train", "--source=train.en", "--target=train.de", "--valid-source=valid.en", "--valid-target=valid.de"]
        command += [f"--output={run}", "--steps=50", "--batch-tokens=64", "--checkpoint-steps=7", "--threads=2", *options, *more]
        return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)

    def finish(process):
        message = process.communicate()[1]
        assert process.returncode == 0, message
        return message

    def last(run):
        averaged = run / "averaged.safetensors"
        files = ["checkpoint-49.safetensors", "checkpoint-50.safetensors"]
        subprocess.run([pathlib.Path(folder, model).resolve(), "average", *files, "--output=averaged.safetensors"], cwd=run, check=True, stderr=subprocess.DEVNULL)
        return [(run / file).read_bytes() for file in ("checkpoint-50.safetensors", "model.safetensors", averaged.name)]

    start = time.monotonic()
    finish(train(runs / "whole"))
    duration = time.monotonic() - start
    expected = last(runs / "whole")

    killed = resumed = 0
    for attempt in range(tries):
        run = runs / str(attempt)
        process = train(run)
        time.sleep(duration * draw.random())
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        resumed += "resuming" in finish(train(run, "--resume"))
        assert last(run) == expected, f"try {attempt} ended in other bits"
    print(f"{tries} tries, {killed} killed while running, {resumed} resumed from a checkpoint: all end in the same bytes")
    assert killed > tries // 2 and resumed > tries // 4

    run = runs / "interrupted"
    process = train(run)
    while not (run / "checkpoint-7.safetensors").exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    message = process.communicate()[1]
    assert process.returncode == 130 and "interrupted: the state is in" in message, message
    finish(train(run, "--resume"))
    assert last(run) == expected
    print("interrupted: exit code 130, and the same bytes")


main()
