"""What both test suites share: the environment tests run in, and the features of this machine they may require."""
import os
import shutil
import subprocess


def shared_data(config):
    """The folder of data sets and reference numbers that larger tests compare with, or None where there is none."""
    folder = os.environ.get("XF_SHARED_DATA") or os.path.join(config.xf_source, "..", "shared", "data")
    return os.path.realpath(folder) if os.path.isdir(folder) else None


def _can_chroot():
    command = ["unshare", "--map-root-user", "--mount", "chroot", "/", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def prepare(config, lit_config):
    """Sets PATH, the shared data's place, sanitizer options and the available features."""
    environment = config.environment
    environment["PATH"] = os.pathsep.join([os.path.join(config.xf_build, "bin"), config.llvm_tools, environment["PATH"]])
    environment["LC_ALL"] = "C.UTF-8"
    if "HOME" in os.environ:
        environment["HOME"] = os.environ["HOME"]
    # The user's cache of kernels is no business of the tests; their own is shared by all of them.
    environment["XDG_CACHE_HOME"] = os.path.join(config.xf_build, "test", "cache")
    environment["XF_SENTENCEPIECE_DIR"] = config.sentencepiece
    data = shared_data(config)
    if data:
        environment["XF_SHARED_DATA"] = data
        config.available_features.add("shared-data")
    if config.sanitize:
        config.available_features.add("sanitize")
        # Debian's libMLIR is not instrumented: it fills memory that our copies of LLVM's allocators have poisoned. And LLVM gives
        # threads stacks for signals, which the sanitizer takes for its own.
        environment["ASAN_OPTIONS"] = (
            "detect_leaks=1:strict_string_checks=1:allocator_may_return_null=1:allow_user_poisoning=0:use_sigaltstack=0"
        )
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
        environment["ASAN_SYMBOLIZER_PATH"] = os.path.join(config.llvm_tools, "llvm-symbolizer")
    if "LLVM_PROFILE_FILE" in os.environ:
        config.available_features.add("coverage")
        environment["LLVM_PROFILE_FILE"] = os.environ["LLVM_PROFILE_FILE"]
    try:
        with open("/proc/cpuinfo") as f:
            flags = next((line.split() for line in f if line.startswith("flags")), [])
    except OSError:
        flags = []
    if "avx2" in flags and "fma" in flags:
        config.available_features.add("x86-avx2")
    if "avx512f" in flags:
        config.available_features.add("x86-avx512")
    if shutil.which("qemu-aarch64"):  # Debian's package qemu-user
        config.available_features.add("qemu-aarch64")
    if _can_chroot():
        config.available_features.add("chroot")
    gpu = "env LD_LIBRARY_PATH=" + os.path.join(config.xf_build, "test", "gpu")
    if "XF_TEST_GPU" in os.environ:  # by `tools/dev test --gpu`
        environment["XF_TEST_GPU"] = os.environ["XF_TEST_GPU"]
        sanitizer, log = os.environ.get("XF_TEST_SANITIZER"), os.path.join(config.xf_build, "test", "compute-sanitizer.log")
        gpu = f"{sanitizer} --error-exitcode 99 --log-file {log}" if sanitizer else "env"
    if os.environ.get("XF_TEST_GPU", "sm_90") == "sm_90":  # the emulated one is of any kind
        config.available_features.add("hopper")
    config.substitutions.append(("%gpu", gpu))
    if lit_config.maxIndividualTestTimeIsSupported[0]:
        lit_config.maxIndividualTestTime = 900 if config.sanitize else 600
