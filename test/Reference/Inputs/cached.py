"""A sequence through a language model's decoder, several tokens a call.
cached.py start SEQUENCE FILE COUNT WIDTHS         inputs for the first COUNT tokens: row r sees the cache up to its own row
cached.py continue SEQUENCE OUTPUTS FILE COUNT     inputs for those after the first COUNT, on the caches that OUTPUTS holds
cached.py compare SEQUENCE LOSS OUTPUTS...         the log probabilities of the labels are the loss's token_nll, within 1e-5
"""
import sys

from tensors import read, write


def inputs(ids, begin, end, caches):
    rows = [row for r in range(begin, end) for row in range(r + 1)]
    offsets = [0]
    for r in range(begin, end):
        offsets.append(offsets[-1] + r + 1)
    lists = {"ranks": [0], "logit_rows": range(end - begin), "ids": ids[begin:end], "positions": range(begin, end), "cache_slots": range(begin, end), "cache_rows": rows, "cache_offsets": offsets}
    return {name: ("I32", [len(values)], list(values)) for name, values in lists.items()} | {
        name: ("F32", [len(ids), len(values) // len(ids)], values) for name, values in caches.items()
    }


def main():
    command, sequence, *rest = sys.argv[1:]
    tokens = read(sequence)
    length = len(tokens["ids"])
    if command == "start":
        widths = [int(width) for width in rest[2].split(",")]
        caches = {f"cache.{i}": [0.0] * (length * width) for i, width in enumerate(widths)}
        write(rest[0], inputs(tokens["ids"], 0, int(rest[1]), caches))
    elif command == "continue":
        caches = {name: values for name, values in read(rest[0]).items() if name.startswith("cache.")}
        write(rest[1], inputs(tokens["ids"], int(rest[2]), length, caches))
    else:
        expected = read(rest[0])["token_nll"]
        outputs = [read(path) for path in rest[1:]]
        every, sums = ([value for output in outputs for value in output[name]] for name in ("logits", "log_sum_exp"))
        vocabulary = len(every) // length
        found = [sums[r] - every[r * vocabulary + label] for r, label in enumerate(tokens["labels"])]
        print(expected, found)
        return max(abs(a - b) for a, b in zip(expected, found, strict=True)) > 1e-5
    return 0


if __name__ == "__main__":
    sys.exit(main())
