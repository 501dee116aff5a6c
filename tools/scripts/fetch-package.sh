#!/usr/bin/env bash
# fetch-package.sh NAME==VERSION SHA256 FOLDER [OPTION...]: puts PyPI's file of a package into FOLDER, and prints its path, if
# it is the one of this hash. OPTION: pip's, for which of its files.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 NAME==VERSION SHA256 FOLDER [OPTION...]" >&2; exit 1; }
python=/usr/bin/python3 # the system's: others on PATH may come without pip
[ -x "$python" ] || python=python3
"$python" -m pip download --quiet --disable-pip-version-check --no-deps -d "$3" "${@:4}" "$1" >&2
file=$(ls "$3"/*)
echo "$2  $file" | sha256sum --check --quiet >&2
echo "$file"
