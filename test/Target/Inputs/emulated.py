"""Runs an executable on the emulated GPU, and reads what its driver counted."""
import os
import re
import subprocess


def run(driver, command, text=""):
    """What the command printed, and the driver's counts by name."""
    environment = os.environ | {"LD_LIBRARY_PATH": driver, "XF_GPU_LOG": "1"}
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    numbers = re.search(r"emulated GPU: (\d+) launches, (\d+) graphs, (\d+) copies \((\d+) bytes home\), (\d+) calls, at most (\d+) bytes", done.stderr)
    assert numbers, done.stderr
    names = ["launches", "graphs", "copies", "home", "calls", "most"]
    return done.stdout, dict(zip(names, map(int, numbers.groups())))
