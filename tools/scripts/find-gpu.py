#!/usr/bin/env python3
"""Prints the architecture and the name of the first NVIDIA GPU ("sm_90 NVIDIA H100"), or says why there is none and exits 1."""
import ctypes
import sys


def find():
    """(architecture, name), or raises OSError."""
    driver = ctypes.CDLL("libcuda.so.1")

    def ask(function, *arguments):
        if error := getattr(driver, "cu" + function)(*arguments):
            none = error == 100  # CUDA_ERROR_NO_DEVICE
            raise OSError("the driver finds none" if none else f"the driver can't do cu{function} (CUDA error {error})")

    def number(function, *arguments):
        value = ctypes.c_int()
        ask(function, ctypes.byref(value), *arguments)
        return value.value

    ask("Init", 0)
    device = number("DeviceGet", 0)
    name = ctypes.create_string_buffer(128)
    ask("DeviceGetName", name, len(name), device)
    major, minor = (number("DeviceGetAttribute", attribute, device) for attribute in (75, 76))
    return f"sm_{major}{minor}", name.value.decode()


if __name__ == "__main__":
    try:
        print(*find())
    except OSError as error:
        sys.exit(f"no NVIDIA GPU: {error}")
