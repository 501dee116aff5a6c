#!/usr/bin/env python3
"""Writes the demo's corpus: numbers below a million in English words and, line by line, in German ones, all distinct:
train, valid and test each as NAME.en and NAME.de in a folder. With --say, prints given numbers in both languages instead.

German says units before tens ("vier und dreißig", 34), so a translator has to look back and forth. Its long words are
written apart ("zwei hundert vier und dreißig tausend"), which keeps the vocabulary at a few dozen words."""
import argparse
import pathlib
import random

LIMIT = 1_000_000
ENGLISH = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen""".split()
ENGLISH_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
GERMAN = """null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn
achtzehn neunzehn""".split()
GERMAN_TENS = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()


def english(n):
    def below_thousand(n):
        words = [ENGLISH[n // 100], "hundred"] if n >= 100 else []
        n %= 100
        if n >= 20:
            words.append(ENGLISH_TENS[n // 10])
            n %= 10
        return words + ([ENGLISH[n]] if n else [])

    thousands = below_thousand(n // 1000) + ["thousand"] if n >= 1000 else []
    return " ".join(thousands + below_thousand(n % 1000)) or ENGLISH[0]


def german(n):
    def below_thousand(n):
        words = [GERMAN[n // 100], "hundert"] if n >= 100 else []
        n %= 100
        if n >= 20:
            return words + ([GERMAN[n % 10], "und"] if n % 10 else []) + [GERMAN_TENS[n // 10]]
        return words + ([GERMAN[n]] if n else [])

    thousands = below_thousand(n // 1000) + ["tausend"] if n >= 1000 else []
    words = thousands + below_thousand(n % 1000)
    if words and words[-1] == "ein":  # a one that ends a number: "ein tausend eins"
        words[-1] = "eins"
    return " ".join(words) or GERMAN[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, nargs="?", help="where the corpus goes")
    parser.add_argument("--train", type=int, default=20000, help="pairs to train on (%(default)s)")
    parser.add_argument("--valid", type=int, default=500, help="pairs to validate on (%(default)s)")
    parser.add_argument("--test", type=int, default=1000, help="pairs never seen in training (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--say", type=int, nargs="+", metavar="N", help="print these numbers instead")
    options = parser.parse_args()
    if options.say:
        for n in options.say:
            if not 0 <= n < LIMIT:
                parser.error(f"expected a number from 0 to {LIMIT - 1}, but got {n}")
            print(f"{n}\t{english(n)}\t{german(n)}")
        return
    if not options.folder:
        parser.error("expected a folder, or --say")
    options.folder.mkdir(parents=True, exist_ok=True)
    numbers = iter(random.Random(options.seed).sample(range(LIMIT), options.train + options.valid + options.test))
    for name, size in (("train", options.train), ("valid", options.valid), ("test", options.test)):
        part = [next(numbers) for _ in range(size)]
        for language, say in (("en", english), ("de", german)):
            (options.folder / f"{name}.{language}").write_text("".join(say(n) + "\n" for n in part), encoding="utf-8")


if __name__ == "__main__":
    main()
