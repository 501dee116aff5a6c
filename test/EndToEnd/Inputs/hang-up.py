"""hang-up.py RUN COMMAND...: sends SIGHUP to a training run once it has a log, and says how it ended and whether it left a checkpoint."""
import pathlib
import signal
import subprocess
import sys
import time

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and the run would inherit that
run = pathlib.Path(sys.argv[1])
process = subprocess.Popen(sys.argv[2:], stderr=subprocess.DEVNULL)
while not (run / "log.jsonl").exists():
    assert process.poll() is None, "ended by itself"
    time.sleep(0.01)
time.sleep(0.1)
process.send_signal(signal.SIGHUP)
code = process.wait()
print(f"exit code {code}, with a checkpoint: {any(run.glob('checkpoint-*'))}")
