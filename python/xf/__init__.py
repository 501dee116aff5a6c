"""Transformers compiled by xf, called on NumPy arrays.

    import xf

    model = xf.compile("preset:transformer-tiny,vocabulary=30,layers=1")
    source_ids, source_offsets = xf.pack([[5, 6, 7, 2], [8, 9, 2]])
    target_ids, target_offsets = xf.pack([[1, 5, 6], [1, 7]])
    labels, _ = xf.pack([[5, 6, 2], [7, 2]])
    batch = dict(source_ids=source_ids, source_offsets=source_offsets,
                 target_ids=target_ids, target_offsets=target_offsets, labels=labels)
    for step in range(100):
        loss = model.train_step(batch)["loss"]
    model.save("trained.safetensors")

`compile` runs xf-compile, which makes a shared library of the model; the model's functions run in this process, on the
memory of the arrays that they are given. Nothing is compiled here, and nothing but NumPy is needed.
"""
from xf._batches import pack
from xf._compiler import compile
from xf._library import Error
from xf._model import Arrays, Function, Gradients, Model, Settings, Value, Vocabulary, open

__all__ = ["Arrays", "Error", "Function", "Gradients", "Model", "Settings", "Value", "Vocabulary", "compile", "open", "pack"]
__version__ = "0.1.0"
