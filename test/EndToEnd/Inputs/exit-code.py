"""exit-code.py CODE COMMAND...: succeeds where the command ends with that exit code, and nothing else: no signal, no other mistake."""
import subprocess
import sys

code = subprocess.run(sys.argv[2:]).returncode
if code != int(sys.argv[1]):
    sys.exit(f"expected exit code {sys.argv[1]}, but got {code}")
