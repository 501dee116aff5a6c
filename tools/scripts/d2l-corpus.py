#!/usr/bin/env python3
"""d2l-corpus.py PAIRS FOLDER: the experiment of d2l.ai's chapter from tab-separated English-French pairs (PAIRS, plain or .gz): lower-cased,
punctuation split off, the first 512 pairs to train on and the next 128 to validate on, at most 9 tokens with the end mark, and the tokens that occur
twice as lists for `xf-vocab --type=split`. Writes train.en, train.fr, valid.en, valid.fr, en.tokens, fr.tokens."""
import collections
import gzip
import pathlib
import re
import sys

TRAIN, VALID, STEPS, MIN_FREQUENCY = 512, 128, 9, 2


def tokens(text):
    text = text.replace("\u202f", " ").replace("\xa0", " ").lower()
    return re.sub(r"(?<=[^ ])([,.!?])", r" \1", text).split(" ")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: d2l-corpus.py PAIRS FOLDER")
    pairs, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    text = (gzip.open(pairs, "rt", encoding="utf-8") if pairs.suffix == ".gz" else open(pairs, encoding="utf-8")).read()
    lines = [line.split("\t") for line in text.splitlines()[: TRAIN + VALID]]
    folder.mkdir(parents=True, exist_ok=True)
    for side, language in enumerate(("en", "fr")):
        sentences = [[token for token in tokens(line[side]) if token] for line in lines]
        counts = collections.Counter(token for sentence in sentences for token in sentence)
        words = sorted((token for token in counts if counts[token] >= MIN_FREQUENCY), key=lambda token: (-counts[token], token))
        (folder / f"{language}.tokens").write_text("\n".join(["<unk>", "<s>", "</s>", *words]) + "\n", encoding="utf-8")
        short = [" ".join(sentence[: STEPS - 1]) + "\n" for sentence in sentences]
        (folder / f"train.{language}").write_text("".join(short[:TRAIN]), encoding="utf-8")
        (folder / f"valid.{language}").write_text("".join(short[TRAIN:]), encoding="utf-8")


main()
