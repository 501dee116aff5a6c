"""The C interface of a compiled model (include/xf/Runtime/Library.h), as ctypes sees it."""
from __future__ import annotations

import ctypes
import importlib
import os
import re
import threading
from typing import Any, List, Optional

FLOAT32, INT32, INT64 = range(3)
BFLOAT16 = 5  # the upper two bytes of a float32, which NumPy has no type for
PARAMETER, GRADIENT, FIRST_MOMENT, SECOND_MOMENT = range(4)
SOURCE, TARGET = range(2)


class Error(Exception):
    """What the compiler or a model had to say, in its words."""

    __module__ = "xf"


class Tensor(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("data", ctypes.c_void_p),
    ]


class ValueStructure(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("written", ctypes.c_int32),
    ]


class FunctionStructure(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("num_dims", ctypes.c_int32),
        ("num_inputs", ctypes.c_int32),
        ("num_outputs", ctypes.c_int32),
        ("dims", ctypes.POINTER(ctypes.c_char_p)),
        ("inputs", ctypes.POINTER(ValueStructure)),
        ("outputs", ctypes.POINTER(ValueStructure)),
    ]


class Description(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_char_p),
        ("configuration", ctypes.c_char_p),
        ("num_functions", ctypes.c_int32),
        ("num_parameters", ctypes.c_int32),
        ("num_settings", ctypes.c_int32),
        ("functions", ctypes.POINTER(FunctionStructure)),
        ("parameters", ctypes.POINTER(ValueStructure)),
        ("settings", ctypes.POINTER(ctypes.c_char_p)),
        ("device", ctypes.c_char_p),
    ]


class VocabularyStructure(ctypes.Structure):
    _fields_ = [("size", ctypes.c_int32), ("unknown", ctypes.c_int32), ("begin", ctypes.c_int32), ("end", ctypes.c_int32)]


class Handle(ctypes.Structure):
    """struct xf_model: what is described, and a pointer a method; every method takes the model first."""


def _method(result: Any, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(result, ctypes.POINTER(Handle), *arguments)


_text = ctypes.c_char_p
_tensors = (ctypes.POINTER(Tensor), ctypes.c_int32)
Handle._fields_ = [
    ("description", ctypes.POINTER(Description)),
    ("call", _method(_text, _text, *_tensors, *_tensors)),
    ("bind", _method(_text, _text, *_tensors, ctypes.POINTER(ctypes.c_int64))),
    ("array", _method(_text, ctypes.c_int, _text, ctypes.POINTER(ctypes.c_void_p))),
    ("changed", _method(None)),
    ("initialize", _method(_text, ctypes.c_uint64)),
    ("load", _method(_text, _text)),
    ("save", _method(_text, _text, ctypes.c_int32)),
    ("set", _method(_text, _text, _text)),
    ("get", _method(_text, _text, ctypes.POINTER(ctypes.c_char_p))),
    ("close", _method(None)),
    ("warnings", _method(_text, ctypes.POINTER(ctypes.c_char_p))),
    ("translate", _method(_text, ctypes.POINTER(_text), ctypes.c_int64, _text, ctypes.POINTER(ctypes.POINTER(_text)))),
    ("generate", _method(_text, _text, _text, ctypes.POINTER(_text))),
    ("vocabulary", _method(_text, ctypes.c_int, ctypes.POINTER(VocabularyStructure))),
    ("encode_text", _method(_text, ctypes.c_int, _text, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)), ctypes.POINTER(ctypes.c_int64))),
    ("decode_text", _method(_text, ctypes.c_int, ctypes.POINTER(ctypes.c_int32), ctypes.c_int64, ctypes.POINTER(_text))),
]

_NUMPY_TYPES = {"f32": "float32", "i32": "int32", "i64": "int64"}


def decode(text: Optional[bytes]) -> str:
    return (text or b"").decode(errors="replace")


def _said(message: Optional[bytes]) -> Error:
    """What a library says, with NumPy's names of the types of tensors."""
    return Error(re.sub(r"\b(f32|i32|i64)(?= \[)", lambda found: _NUMPY_TYPES[found[0]], decode(message)))


def _unload(code: ctypes.CDLL) -> None:
    """ctypes never does; what is opened next under this path may be another file."""
    getattr(importlib.import_module("_ctypes"), "dlclose")(code._handle)


class Library:
    """An open model of a shared library. Closed, it refuses all calls; what it holds goes with the last that uses it:
    a call under way in another thread, or a view of its memory."""

    def __init__(self, path: str, weights: Optional[str], device: Optional[str]) -> None:
        self._handle = ctypes.POINTER(Handle)()
        try:
            self._code = ctypes.CDLL(path)
        except OSError as problem:
            raise Error(f"can't open the model: {problem}") from None
        try:
            open_model = self._code.xf_library_open_on
        except AttributeError:
            _unload(self._code)
            raise Error(f"can't open the model: expected '{path}' to be a library of this version's xf-compile, but it has no xf_library_open_on") from None
        open_model.restype = ctypes.c_char_p
        open_model.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.POINTER(Handle))]
        error = open_model(None if device is None else device.encode(), None if weights is None else os.fsencode(weights), ctypes.byref(self._handle))
        if error:
            said = _said(error)
            _unload(self._code)
            raise said
        self._lock = threading.RLock()  # a finalizer may run in whoever has it
        self._users: List[None] = []  # one for each; a list grows and shrinks in one step
        self._closed = self._freed = False

    def hold(self) -> None:
        with self._lock:
            if self._closed:
                raise Error("the model is closed")
            self._users.append(None)

    def release(self) -> None:
        self._users.pop()
        self._free_if_last()

    @property
    def description(self) -> Description:
        found: Description = self._handle.contents.description.contents
        return found

    def __getattr__(self, method: str) -> Any:
        """The method of struct xf_model, on this model; what it says is raised."""
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*arguments: Any) -> None:
            self.hold()
            try:
                error = getattr(self._handle.contents, method)(self._handle, *arguments)
                if error:
                    raise _said(error)
            finally:
                self.release()

        return call

    def shut(self) -> None:
        self._closed = True
        self._free_if_last()

    def _free_if_last(self) -> None:
        with self._lock:
            if not self._closed or self._users or self._freed:
                return
            self._freed = True
        self._handle.contents.close(self._handle)
        self._handle = ctypes.POINTER(Handle)()
        _unload(self._code)
