#!/usr/bin/env python3
"""run-readme.py PAGE FOLDER: runs the `sh` blocks of README.md or another page in order, in a new folder, with the built tools on
PATH and $XF the repository. Each command is echoed; the first that fails ends the run. Blocks marked otherwise (`console`) are for
reading."""
import os
import pathlib
import re
import subprocess
import sys


def main():
    readme, folder = (pathlib.Path(argument) for argument in sys.argv[1:3])
    blocks = re.findall(r"^```sh\n(.*?)^```", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not blocks:
        print(f"{readme}: expected blocks of commands marked ```sh, but found none", file=sys.stderr)
        return 1
    folder.mkdir(parents=True)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = os.environ | {"XF": str(pathlib.Path(__file__).resolve().parents[2]), "PATH": path}
    script = "set -euxo pipefail\n" + "".join(blocks)
    return subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
