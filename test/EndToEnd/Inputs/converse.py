"""converse.py LINES ANSWERS COMMAND...: writes a line to the command, waits for its answer, and then writes the next."""
import subprocess
import sys

lines, answers = (open(path, encoding="utf-8").readlines() for path in sys.argv[1:3])
with subprocess.Popen(sys.argv[3:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as command:
    for line, answer in zip(lines, answers, strict=True):
        command.stdin.write(line)
        command.stdin.flush()
        assert command.stdout.readline() == answer
    command.stdin.close()
    assert command.stdout.read() == ""
assert command.returncode == 0
