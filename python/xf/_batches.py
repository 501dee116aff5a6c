"""Batches: sequences packed one after another, with the places where they start."""
from __future__ import annotations

from typing import Iterable, Sequence, Tuple

import numpy as np
import numpy.typing as npt


def pack(sequences: Iterable[Sequence[int]]) -> Tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """All tokens of the sequences, and the B+1 offsets of B sequences: what inputs `ids` and `offsets` are made of.

    >>> pack([[5, 6, 2], [], [7, 2]])
    (array([5, 6, 2, 7, 2], dtype=int32), array([0, 3, 3, 5], dtype=int32))
    """
    parts = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
    offsets = np.zeros(len(parts) + 1, dtype=np.int32)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate([np.zeros(0, dtype=np.int32), *parts]), offsets
