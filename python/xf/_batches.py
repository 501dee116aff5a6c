"""Batches: sequences packed one after another, with the places where they start."""
from __future__ import annotations

from typing import Iterable, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from xf._library import Error


def pack(sequences: Iterable[Sequence[int]]) -> Tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """All tokens of the sequences, and the B+1 offsets of B sequences: what inputs `ids` and `offsets` are made of.

    >>> pack([[5, 6, 2], [], [7, 2]])
    (array([5, 6, 2, 7, 2], dtype=int32), array([0, 3, 3, 5], dtype=int32))
    """
    parts = [_ids(number, sequence) for number, sequence in enumerate(sequences)]
    offsets = np.zeros(len(parts) + 1, dtype=np.int32)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate([np.zeros(0, dtype=np.int32), *parts]), offsets


def _ids(number: int, sequence: Sequence[int]) -> npt.NDArray[np.int32]:
    """NumPy would cut numbers to what has room."""
    try:
        ids = np.asarray(sequence)
    except ValueError:  # of lists in it that are not alike
        ids = np.array(None)
    if ids.size == 0 and ids.ndim == 1:
        return np.zeros(0, dtype=np.int32)
    limits = np.iinfo(np.int32)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or ids.min() < limits.min or ids.max() > limits.max:
        raise Error(f"expected sequence {number} to be a list of whole numbers of 32 bits, but got {sequence!r:.60}")
    return ids.astype(np.int32)
