"""Finds xf-compile and has it make shared libraries."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import List, Optional, Sequence, Union

from xf._library import Error
from xf._model import Model, open as open_library

Option = Union[str, int, float, bool, None, "os.PathLike[str]", Sequence[str]]

# Options that name what this function makes, or have xf-compile make something else.
OTHERS = ("o", "emit", "print_input", "compile_to", "fit", "tune", "check", "list_presets", "version", "help")


def find_compiler() -> str:
    """The xf-compile that $XF_COMPILE names, or the first on PATH, or the one built in the checkout around this file."""
    named = os.environ.get("XF_COMPILE")
    built = Path(__file__).resolve().parents[2] / "build" / "bin" / "xf-compile"
    found = named or shutil.which("xf-compile") or (str(built) if built.exists() else None)
    if not found:
        raise Error("no xf-compile: expected one on PATH, or its path in XF_COMPILE")
    return found


def _arguments(options: "dict[str, Option]") -> List[str]:
    arguments = []
    for name, value in options.items():
        if name in OTHERS:
            raise Error(f"expected options of a library that is compiled and opened, but got '{name}'; run xf-compile itself")
        flag = "--" + name.replace("_", "-")
        if value is True:
            arguments.append(flag)
        elif isinstance(value, (list, tuple)):
            arguments.append(f"{flag}={','.join(map(str, value))}")
        elif value is not False and value is not None:
            arguments.append(f"{flag}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return arguments


def compile(
    model: Union[str, "os.PathLike[str]"],
    *,
    weights: Union[str, "os.PathLike[str]", None] = None,
    threads: int = 0,
    device: Optional[str] = None,
    **options: Option,
) -> Model:
    """Compiles a model and opens it.

    `model` is "preset:NAME,key=value,...", the text of a module, the path of one, or a folder in Hugging Face's
    layout. `weights` is a file (.safetensors) or the folder of a run; without them they are those that a folder has, or
    parameters are drawn from seed 1. `threads` is how many compute
    (0: one a core); results are the same at any number. `device` chooses "cuda" or "cpu" where it was compiled for both
    (`target="cpu,cuda"`; None: the GPU). Further options are those of xf-compile: `cpu="x86-64-v3"`,
    `recompute="full"`, `functions=["loss", "train_step"]`, `target="cuda"`; None and False leave one out.

    Kernels that were compiled before come from xf-compile's cache. The library is a temporary file, gone when this
    function returns. An `Error` has what xf-compile said; what it warned of, a warning.
    """
    text: Optional[str] = None
    name = os.fspath(model)
    if "\n" in name:
        text, name = name, "-"
    with tempfile.TemporaryDirectory(prefix="xf-") as folder:
        library = os.path.join(folder, "libmodel.so")
        command = [find_compiler(), name, "--emit=shared", "-o", library, *_arguments(options)]
        try:
            done = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        except OSError as problem:
            raise Error(f"can't run xf-compile: {problem}") from None
        if done.returncode != 0:
            raise Error(done.stderr.strip() or f"xf-compile ended with exit code {done.returncode}")
        sys.stdout.write(done.stdout)  # which a notebook shows, unlike that of other processes
        if "warning: " in done.stderr:
            warnings.warn(done.stderr.strip(), stacklevel=2)
        else:
            sys.stderr.write(done.stderr)
        return open_library(library, weights=weights, threads=threads, device=device)
