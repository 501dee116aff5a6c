"""ended.py FOLDER COMMAND...: ends the command by SIGTERM or SIGINT after ever longer times, with FOLDER for its temporary files, and says how
often nothing was left in FOLDER."""
import os
import pathlib
import signal
import subprocess
import sys
import time

folder = pathlib.Path(sys.argv[1])
clean = 0
start = time.monotonic()
subprocess.run(sys.argv[2:], check=True)
whole = time.monotonic() - start
for i in range(10):
    for file in folder.iterdir():
        file.unlink()
    process = subprocess.Popen(sys.argv[2:], env=os.environ | {"TMPDIR": str(folder)})
    time.sleep(whole * (i + 0.5) / 10)
    process.send_signal(signal.SIGTERM if i % 2 else signal.SIGINT)
    process.wait()
    left = {file.name for file in folder.iterdir()} - {pathlib.Path(sys.argv[-1]).name}  # which is whole where it is
    clean += not left
    if left:
        print(f"left {left}")
print(f"{clean} times nothing was left")
