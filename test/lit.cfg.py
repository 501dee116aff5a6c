# The FileCheck tests. A test's RUN lines may name the tools of build/bin and of LLVM as they are (xf-opt, FileCheck, not,
# split-file), and use %source (the repository), %build, %data (the shared data, where there is any), %python, %lit.
# %gpu runs a command on the emulated GPU, or with `tools/dev test --gpu` on this machine's.
# Features for REQUIRES: shared-data, x86-avx2, x86-avx512, qemu-aarch64, chroot, hopper (a GPU), sanitize, coverage.
import os
import sys

import lit.formats

sys.path.insert(0, os.path.join(config.xf_source, "test"))
import environment

config.name = "xf"
config.test_format = lit.formats.ShTest()
config.suffixes = [".mlir", ".test", ".td"]
config.excludes = ["Inputs", "Unit"]
config.test_source_root = os.path.join(config.xf_source, "test")
config.test_exec_root = os.path.join(config.xf_build, "test")
environment.prepare(config, lit_config)

tools = os.path.join(config.xf_build, "bin")
for name in ("xf-opt", "xf-compile", "xf-interpret", "xf-lsp-server", "xf-vocab"):
    config.substitutions.append(("%" + name + r"\b", os.path.join(tools, name)))
config.substitutions += [
    ("%source", config.xf_source),
    ("%build", config.xf_build),
    ("%data", environment.shared_data(config) or "/nonexistent"),
    ("%python", sys.executable),
    ("%lit", os.path.join(config.llvm_tools, "lit")),
    ("%llvm", os.path.dirname(config.llvm_tools)),
]
