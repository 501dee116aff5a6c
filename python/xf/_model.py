"""An open model: its functions, on NumPy arrays without copies, and the arrays that it holds."""
from __future__ import annotations

import ctypes
import difflib
import json
import operator
import os
import threading
import warnings
import weakref
from typing import Any, Dict, Iterable, Iterator, List, Mapping, MutableMapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from xf import _library
from xf._batches import pack
from xf._library import Error, decode

Array = npt.NDArray[Any]
Input = Union[Array, int, float, np.generic]  # numbers where an input is one number

_DTYPES: "Dict[int, np.dtype[Any]]" = {_library.FLOAT32: np.dtype(np.float32), _library.INT32: np.dtype(np.int32), _library.INT64: np.dtype(np.int64), _library.BFLOAT16: np.dtype(np.uint16)}
_TYPES = {dtype: number for number, dtype in _DTYPES.items()}


class Value(NamedTuple):
    """What a function takes or gives, or a parameter."""

    name: str
    dtype: "np.dtype[Any]"
    shape: Tuple[Union[int, str], ...]  # an extent of the batch by its name
    written: bool = False  # an input that the function writes, too

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} [{', '.join(map(str, self.shape))}]"


class Function:
    """One function of a model: `function(inputs)` or `function(name=array, ...)` gives its outputs by name.

    Arrays must have the function's types and shapes and be contiguous; they are not copied. An input that is one number
    may be given as a number. `out` has arrays for outputs to be written to; others are allocated.
    """

    def __init__(self, model: "Model", structure: _library.FunctionStructure) -> None:
        self._model = model
        self.name = decode(structure.name)
        self.dims = tuple(decode(structure.dims[i]) for i in range(structure.num_dims))
        self.inputs = tuple(_value(structure.inputs[i], self.dims) for i in range(structure.num_inputs))
        self.outputs = tuple(_value(structure.outputs[i], self.dims) for i in range(structure.num_outputs))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.inputs))}) -> {', '.join(map(str, self.outputs)) or 'nothing'}"

    def __call__(
        self, inputs: Optional[Mapping[str, Input]] = None, *, out: Optional[Mapping[str, Array]] = None, **more: Input
    ) -> Dict[str, Array]:
        given = _named(self, inputs, more)
        written = {value.name for value in self.inputs if value.written}
        tensors = _tensors(self.name, "input", given, self.inputs, written)
        library = self._model._library
        dims = (ctypes.c_int64 * max(len(self.dims), 1))()
        library.bind(self.name.encode(), tensors, len(tensors), dims)
        extents = dict(zip(self.dims, dims))
        outputs: Dict[str, Array] = dict(out or {})
        for value in self.outputs:
            if value.name not in outputs:
                shape = tuple(extents[extent] if isinstance(extent, str) else extent for extent in value.shape)
                outputs[value.name] = np.empty(shape, value.dtype)
        results = _tensors(self.name, "output", outputs, self.outputs, set(outputs))
        self._model._announce_changes()
        library.call(self.name.encode(), tensors, len(tensors), results, len(results))
        return outputs


class Arrays(Mapping[str, Array]):
    """Arrays of a model by parameters' names: views of its own memory. As long as the model is open they may be written,
    in place (`parameters[name][...] = x`) or by `parameters[name] = x`; so may gradients, between `accumulate` and `update`.

    Where a GPU computes, its arrays come home to be looked at. As long as a view is held, each call that works on such
    arrays copies them all there before it, and back after it.
    """

    def __init__(self, model: "Model", which: int) -> None:
        self._model, self._which = model, which

    def __getitem__(self, name: str) -> Array:
        if name not in self._model._parameters:
            near = difflib.get_close_matches(name, self._model._parameters, 1)
            raise KeyError(f"'{self._model.name}' has no parameter '{name}'" + "".join(f"; did you mean '{each}'?" for each in near))
        address = ctypes.c_void_p()
        shape = tuple(int(extent) for extent in self._model._parameters[name].shape)
        with self._model._views_lock:
            self._model._library.array(self._which, name.encode(), ctypes.byref(address))
            self._model._library.hold()
            memory: Any = (ctypes.c_float * int(np.prod(shape))).from_address(address.value or 0)
            weakref.finalize(memory, self._model._library.release).atexit = False
            self._model._views[self._which].append(weakref.ref(memory))
        memory.model = self._model  # which must not go while its memory is looked at
        view: Array = np.frombuffer(memory, dtype=np.float32).reshape(shape)
        return view

    def __setitem__(self, name: str, values: npt.ArrayLike) -> None:
        view = self[name]
        if np.shape(values) != view.shape:
            raise Error(f"expected '{name}' to be {list(view.shape)}, but got {list(np.shape(values))}")
        view[...] = values

    def __iter__(self) -> Iterator[str]:
        return iter(self._model._parameters)

    def __len__(self) -> int:
        return len(self._model._parameters)


class Gradients(Arrays):
    """The gradients that were computed last; called, as the function of the same name, it computes them."""

    def __init__(self, model: "Model") -> None:
        super().__init__(model, _library.GRADIENT)

    def __call__(self, inputs: Optional[Mapping[str, Input]] = None, **more: Input) -> Dict[str, Array]:
        function = self._model._function("gradients")
        return function(_named(function, inputs, more))

    def clear(self) -> None:
        """Makes them zeros, to which `accumulate` adds those of its batch."""
        for gradient in self.values():
            gradient[...] = 0


class Settings(MutableMapping[str, Any]):
    """What a model runs with: `threads`; and of training `seed`, `step` (done so far), `learning_rate`, `schedule`
    and the optimizer's others. Values are int, float or, of `schedule`, str."""

    def __init__(self, model: "Model", names: Tuple[str, ...]) -> None:
        self._model, self._names = model, names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        text = ctypes.c_char_p()
        self._model._library.get(name.encode(), ctypes.byref(text))
        value = decode(text.value)
        try:
            return int(value)
        except ValueError:
            pass
        try:
            return float(value)
        except ValueError:
            return value

    def __setitem__(self, name: str, value: Any) -> None:
        self._model._library.set(name.encode(), str(value).encode())

    def __delitem__(self, name: str) -> None:
        raise TypeError("a setting always has a value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))


class Vocabulary:
    """Text as the token ids that a model reads, and back: what it was compiled with, of one of its sides."""

    size: int
    unknown: int  #: the token of what it has not
    begin: int
    end: int

    def __init__(self, model: "Model", side: int) -> None:
        self._model, self._side = model, side
        found = _library.VocabularyStructure()
        model._library.vocabulary(side, ctypes.byref(found))
        self.size, self.unknown, self.begin, self.end = found.size, found.unknown, found.begin, found.end

    def __len__(self) -> int:
        return self.size

    def encode(self, line: str) -> List[int]:
        """The ids of a line, without begin and end."""
        ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_int64()
        self._model._library.encode_text(self._side, _text("line", line), ctypes.byref(ids), ctypes.byref(count))
        return ids[: count.value]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; begin and end are none, and ids outside the vocabulary the unknown token."""
        array, text = pack([list(ids)])[0], ctypes.c_char_p()
        pointer = array.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self._model._library.decode_text(self._side, pointer, len(array), ctypes.byref(text))
        return decode(text.value)


class Model:
    """A compiled model. Its functions are `model.functions[name]` and, where the name allows it, `model.name`."""

    name: str
    kind: str  #: "sequence_to_sequence", "language_model", "encoder" or "classifier"
    device: str  #: what computes: "cpu" or "cuda"
    configuration: Dict[str, Any]  #: the model's keys: d_model, heads, ...
    functions: Dict[str, Function]
    parameters: Arrays
    gradients: Gradients  #: of the last call; `model.gradients(batch)` computes them
    first_moments: Arrays
    second_moments: Arrays
    settings: Settings

    def __init__(self, library: str, weights: Optional[str] = None, threads: int = 0, device: Optional[str] = None) -> None:
        self._library = _library.Library(library, weights, device)
        self._finalizer = weakref.finalize(self, self._library.shut)
        self._warn(stacklevel=4)
        self._views: "Dict[int, List[weakref.ref[Any]]]" = {which: [] for which in range(4)}  # of arrays of each kind
        self._views_lock = threading.Lock()
        description = self._library.description
        self.name, self.kind, self.device = decode(description.name), decode(description.kind), decode(description.device)
        self.configuration = json.loads(decode(description.configuration))
        functions = (description.functions[i] for i in range(description.num_functions))
        self.functions = {decode(each.name): Function(self, each) for each in functions}
        parameters = (_value(description.parameters[i], ()) for i in range(description.num_parameters))
        self._parameters = {parameter.name: parameter for parameter in parameters}
        self.parameters = Arrays(self, _library.PARAMETER)
        self.gradients = Gradients(self)
        self.first_moments = Arrays(self, _library.FIRST_MOMENT)
        self.second_moments = Arrays(self, _library.SECOND_MOMENT)
        self.settings = Settings(self, tuple(decode(description.settings[i]) for i in range(description.num_settings)))
        self.settings["threads"] = threads

    def __getattr__(self, name: str) -> Function:
        return self._function(name)

    def __dir__(self) -> List[str]:
        return sorted({*super().__dir__(), *self.__dict__.get("functions", {})})

    def _function(self, name: str) -> Function:
        functions: Dict[str, Function] = self.__dict__.get("functions", {})
        if name not in functions:
            raise AttributeError(f"'{self.__dict__.get('name')}' has no function '{name}'; it has {', '.join(functions)}")
        return functions[name]

    def _warn(self, stacklevel: int) -> None:
        """Of what the library had to warn of."""
        text = ctypes.c_char_p()
        self._library.warnings(ctypes.byref(text))
        if text.value is not None:
            warnings.warn(decode(text.value), stacklevel=stacklevel)

    def __repr__(self) -> str:
        return f"<xf.Model {self.name} ({self.kind}): {', '.join(self.functions)}>"

    def __reduce__(self) -> Any:
        raise TypeError("a model can't be pickled or copied: save() its state, and open its library again where it is wanted")

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def initialize(self, seed: int) -> None:
        """Draws all parameters from their initial distributions, and forgets moments and step."""
        if not hasattr(seed, "__index__") or not 0 <= operator.index(seed) < 2**64:
            raise Error(f"expected the seed to be a whole number from 0 to {2**64 - 1}, but got {seed!r}")
        self._library.initialize(operator.index(seed))

    def load(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Loads weights, or a checkpoint with all that training goes on with: a file or the folder of a run."""
        self._library.load(os.fsencode(path))
        self._warn(stacklevel=3)

    def save(self, path: Union[str, "os.PathLike[str]"], *, weights_only: bool = False) -> None:
        """Writes a checkpoint (.safetensors), or the weights alone. Executables of the model read both."""
        self._library.save(os.fsencode(path), weights_only)

    def translate(
        self,
        lines: Iterable[str],
        *,
        beam: Optional[int] = None,
        length_penalty: Optional[float] = None,
        max_length: Optional[int] = None,
        min_length: Optional[int] = None,
        batch_size: Optional[int] = None,
    ) -> List[str]:
        """The translation of each line, as the executable's `translate` gives it, with its options: `beam` hypotheses
        that are followed (1: greedy); the power `length_penalty` of a translation's length that its score is divided
        by; `max_length` and `min_length` in tokens; `batch_size` lines at a time. None: as the model says."""
        if isinstance(lines, str):
            raise Error("expected lines to translate, but got one text; translate([line]) is a list of one translation")
        texts = [_text(f"line {number}", line) for number, line in enumerate(lines, 1)]
        options = _options(beam=beam, length_penalty=length_penalty, max_length=max_length, min_length=min_length, batch_size=batch_size)
        translations = ctypes.POINTER(ctypes.c_char_p)()
        self._announce_changes()
        self._library.translate((ctypes.c_char_p * len(texts))(*texts), len(texts), options, ctypes.byref(translations))
        found = [decode(translations[i]) for i in range(len(texts))]
        self._warn(stacklevel=3)
        return found

    def generate(
        self,
        prompt: str = "",
        *,
        max_length: Optional[int] = None,
        temperature: Optional[float] = None,
        top_k: Optional[int] = None,
        top_p: Optional[float] = None,
        seed: Optional[int] = None,
    ) -> str:
        """The prompt and what the model goes on with, as the executable's `generate` does, with its options: `max_length`
        tokens (256), each drawn at `temperature` (1; 0: the likeliest) among the `top_k` likeliest (0: all) whose
        probabilities sum up to `top_p` (1); the same `seed` (1) gives the same text."""
        options = _options(max_length=max_length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        text = ctypes.c_char_p()
        self._announce_changes()
        self._library.generate(_text("prompt", prompt), options, ctypes.byref(text))
        return decode(text.value)

    def close(self) -> None:
        """Gives back the model's memory and threads, once no call is under way and no view of its arrays is held."""
        self._finalizer()

    @property
    def vocabulary(self) -> Vocabulary:
        """That of a model with one alone, or of the target side."""
        return Vocabulary(self, _library.TARGET)

    @property
    def source_vocabulary(self) -> Vocabulary:
        return Vocabulary(self, _library.SOURCE)

    @property
    def target_vocabulary(self) -> Vocabulary:
        return Vocabulary(self, _library.TARGET)

    def _announce_changes(self) -> None:
        """As long as someone holds a view of parameters, they may change at any time; and be looked at, as others may."""
        with self._views_lock:
            if self._views[_library.PARAMETER]:
                self._library.changed()
            for which, views in self._views.items():
                held = [view for view in views if view() is not None]
                if views and not held:
                    self._library.array(which, None, None)
                self._views[which] = held


def open(
    library: Union[str, "os.PathLike[str]"], *, weights: Union[str, "os.PathLike[str]", None] = None, threads: int = 0, device: Optional[str] = None
) -> Model:
    """Opens a shared library that `xf-compile --emit=shared` has written; `weights`, `threads` and `device` as in `compile`."""
    return Model(os.path.abspath(library), None if weights is None else os.fspath(weights), threads, device)


def _value(structure: _library.ValueStructure, dims: Tuple[str, ...]) -> Value:
    extents = (int(structure.shape[axis]) for axis in range(structure.rank))
    shape: Tuple[Union[int, str], ...] = tuple(dims[-1 - extent] if extent < 0 else extent for extent in extents)
    return Value(decode(structure.name), _DTYPES[structure.type], shape, bool(structure.written))


def _named(function: Function, inputs: Any, more: Mapping[str, Input]) -> Dict[str, Input]:
    """What a function is called with. Whoever comes from torch gives it tensors in their order."""
    if inputs is None:
        return dict(more)
    if not hasattr(inputs, "keys"):
        first = function.inputs[0].name if function.inputs else "name"
        raise Error(f"expected the inputs of '{function.name}' by name, as in {function.name}({first}=..., ...) or a dict, but got {type(inputs).__name__}")
    return {**inputs, **more}


def _text(place: str, text: str) -> bytes:
    """What C can read; the library looks at the rest."""
    encoded = text.encode(errors="surrogatepass")
    if 0 in encoded:
        raise Error(f"{place}: NUL byte at byte {encoded.index(0) + 1}")
    return encoded


def _options(**options: Union[int, float, None]) -> bytes:
    return ",".join(f"{name}={value}" for name, value in options.items() if value is not None).encode()


def _remedy(dtype: "np.dtype[Any]") -> str:
    if dtype == np.uint16:
        return ", the upper halves of float32"
    return f"; {'xf.pack makes it so, or ' if dtype == np.int32 else ''}.astype(numpy.{dtype})"


def _tensors(function: str, kind: str, given: Mapping[str, Input], values: Sequence[Value], written: "set[str]") -> Any:
    """The arrays as the library sees them, which keeps what it points to alive. It says itself what is wrong with names
    and shapes."""
    known = {value.name: value for value in values}
    tensors: Any = (_library.Tensor * len(given))()
    tensors.kept = []  # arrays that are not the caller's
    for tensor, (name, array) in zip(tensors, given.items()):
        what = f"{kind} '{name}' of '{function}'"
        value = known.get(name)
        if value and not value.shape and isinstance(array, (int, float, np.generic)):
            if value.dtype.kind == "f" or isinstance(array, (int, np.integer)):
                array = np.array(array, value.dtype)
                tensors.kept.append(array)
        if not isinstance(array, np.ndarray):
            raise Error(f"expected {what} to be an array, but got {type(array).__name__}")
        if value and array.dtype != value.dtype and not (value.dtype == np.int32 and array.dtype == np.int64):
            raise Error(f"expected {what} to be {value.dtype}, but got {array.dtype}{_remedy(value.dtype) if kind == 'input' else ''}")
        if array.dtype not in _TYPES:
            raise Error(f"expected {what} to be of float32, int32 or int64, but got {array.dtype}")
        if not array.flags.c_contiguous:
            raise Error(f"expected {what} to be contiguous; numpy.ascontiguousarray makes it so")
        if name in written and not array.flags.writeable:
            raise Error(f"expected {what}, which is written, to be writeable")
        tensor.name, tensor.type, tensor.rank = name.encode(), _TYPES[array.dtype], array.ndim
        tensor.shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor.data = array.ctypes.data
    return tensors
