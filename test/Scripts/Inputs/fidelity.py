"""fidelity.py ROOT DOCUMENT: fails where a row of the document's tables names a preset, key, operation, command, option or test that doesn't exist."""
import pathlib
import re
import subprocess
import sys

root, document = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
listing = subprocess.run(["xf-compile", "--list-presets"], check=True, capture_output=True, text=True).stdout
presets = {line.split()[0] for line in listing.splitlines() if not line.startswith("keys:")}
keys = set(re.search(r"^keys:(.*)", listing, re.M)[1].split())
sources = "\n".join(path.read_text() for path in [*root.glob("lib/Runtime/**/*.cpp"), *root.glob("tools/xf-compile/*.cpp")])
commands = set(re.findall(r'add_subcommand\("([\w-]+)"', sources))
operations = {"xf." + name for path in root.glob("include/xf/Dialect/XF/IR/*.td") for name in re.findall(r'def XF_\w+Op : \w+<"(\w+)"', path.read_text())}
problems, rows = [], 0


def exists(name):
    known = presets | keys | commands | operations
    # Options of settings are made of their names.
    return name in known or name.split("=")[0] in keys or (name.startswith("--") and (f'"{name}"' in sources or name[2:].replace("-", "_") in keys))


features = document.read_text().split("\n## Results\n")[0]
for number, line in enumerate(features.splitlines(), 1):
    cells = [cell.strip() for cell in line[1:-1].split("|")]
    if not line.startswith("|") or cells[0] in ("what", "---"):
        continue
    rows += 1
    assert len(cells) == 4, f"line {number}: expected 4 cells, but got {len(cells)}"
    names = re.findall(r"`([^`]+)`", cells[2])
    problems += [f"line {number}: '{name}' is no preset, key, operation, command or option" for name in names if not exists(name)]
    if not names:
        problems.append(f"line {number}: no preset, key, operation, command or option")
    tests = re.findall(r"`([^`]+)`(?: (\w+)\.(\w+))?", cells[3])
    if not tests:
        problems.append(f"line {number}: no test")
    for path, suite, test in tests:
        if not (root / path).is_file():
            problems.append(f"line {number}: no file '{path}'")
        elif test and not re.search(rf"TEST(_F|_P)?\({suite}, {test}\)", (root / path).read_text()):
            problems.append(f"line {number}: no test '{suite}.{test}' in '{path}'")
print(f"{rows} rows")
if problems:
    sys.exit("\n".join(problems))
