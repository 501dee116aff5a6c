"""Batches of a given size: so many tokens a side, in so many sequences of nearly equal length."""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Reference/Inputs"))
import tensors


def batch(kind, tokens, sequences, vocabulary):
    draw = random.Random(tokens)
    offsets = ("I32", [sequences + 1], [tokens * i // sequences for i in range(sequences + 1)])
    lists = ["source_ids", "target_ids", "labels"] if kind == "sequence_to_sequence" else ["ids", "labels"]
    ids = {name: ("I32", [tokens], [draw.randrange(3, vocabulary) for _ in range(tokens)]) for name in lists}
    starts = ["source_offsets", "target_offsets"] if kind == "sequence_to_sequence" else ["offsets"]
    return ids | {name: offsets for name in starts}


def write(path, *size):
    tensors.write(path, batch(*size))
