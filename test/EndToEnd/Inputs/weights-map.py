"""weights-map.py MODULE: random weights of the module as own.safetensors; the same in another project's manner as foreign.safetensors, with queries,
keys and values stacked, feed-forward matrices as (in, out), a table stored twice; map.json, which brings them back; and a batch."""
import json
import pathlib
import re
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Reference/Inputs"))
from tensors import read, weights, write

weights(sys.argv[1], "own.safetensors")
shapes = {name: [int(extent) for extent in extents.split("x")] for name, extents in re.findall(r"xf.param @([\w.]+) : tensor<([\dx]+)xf32>", open(sys.argv[1]).read())}
values = read("own.safetensors")
NORMS = ["attention_norm", "cross_attention_norm", "feed_forward_norm"]
foreign = {}
for name, shape in shapes.items():
    layer, _, rest = re.match(r"((en|de)coder\.\d+|)\.?(.*)", name).groups()
    kind = name.rsplit(".", 1)[1]
    if rest.endswith((f"query.{kind}", f"key.{kind}", f"value.{kind}")):
        stacked = foreign.setdefault(f"{layer}.{rest.split('.')[0]}.qkv.{kind}", ("F32", [0, *shape[1:]], []))
        stacked[1][0] += shape[0]
        stacked[2].extend(values[name])
    elif "feed_forward." in rest and kind == "weight":
        turned = [values[name][row * shape[1] + column] for column in range(shape[1]) for row in range(shape[0])]
        foreign[f"{layer}.mlp.{rest.split('.')[1]}.w"] = ("F32", shape[::-1], turned)
    elif rest.split(".")[0] in NORMS:
        foreign[f"{layer}.norm{NORMS.index(rest.split('.')[0])}.{kind}"] = ("F32", shape, values[name])
    elif "_embedding." in name:
        foreign["e." + name.split("_")[0]] = ("F32", shape, values[name])
    else:
        foreign[name] = ("F32", shape, values[name])
foreign["tied.0.copy"] = foreign["e.source"]
write("foreign.safetensors", foreign)
parts = ["query", "key", "value"]
rules = {
    "e.{side}": "{side}_embedding.weight",
    "{side}.{n}.{attention}.qkv.{kind}": [f"{{side}}.{{n}}.{{attention}}.{part}.{{kind}}" for part in parts],
    "{side}.{n}.mlp.{which}.w": {"to": "{side}.{n}.feed_forward.{which}.weight", "transposed": True},
    **{f"{{side}}.{{n}}.norm{i}.{{kind}}": f"{{side}}.{{n}}.{norm}.{{kind}}" for i, norm in enumerate(NORMS)},
    "tied.{n}.copy": None,
    "nothing.has.this.name": None,
}
pathlib.Path("map.json").write_text("// Comments are allowed.\n" + json.dumps(rules))
ids = [5, 6, 7, 2, 8, 9]
write("batch.safetensors", {name: ("I32", [len(list_)], list_) for name, list_ in {"source_ids": ids, "source_offsets": [0, 4, 6], "target_ids": ids, "target_offsets": [0, 1, 6], "labels": ids}.items()})
