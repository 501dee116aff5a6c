#!/usr/bin/env python3
"""Writes to standard output, as C++ tables, what tokenisers need of Unicode: which code points are word characters (Python's \\w),
which are white space, letters, numbers, punctuation, controls or marks, how wide they are, their lower case, and what they
are made of. Adjacent code points that map alike are one row."""
import unicodedata

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(holds):
    rows = []
    for c in filter(lambda c: holds(chr(c)), CODE_POINTS):
        if rows and rows[-1][1] == c - 1:
            rows[-1][1] = c
        else:
            rows.append([c, c])
    return rows


def lower_case():
    """Rows of first, last, stride, difference. Alphabets with alternating cases have stride 2."""
    rows = []
    for c in CODE_POINTS:
        lower = chr(c).lower()
        # U+0130 alone has a lower case of two code points: i and U+0307, a combining mark; the letter stays.
        difference = ord(lower[0]) - c
        if difference == 0:
            continue
        if rows and rows[-1][3] == difference and c - rows[-1][1] in ([1, 2] if rows[-1][0] == rows[-1][1] else [rows[-1][2]]):
            rows[-1][2] = c - rows[-1][1]
            rows[-1][1] = c
        else:
            rows.append([c, c, 1, difference])
    return rows


def classes():
    """Rows of first, last, canonical combining class; what has none is in no row."""
    rows = []
    for c in CODE_POINTS:
        order = unicodedata.combining(chr(c))
        if order and rows and rows[-1][1] == c - 1 and rows[-1][2] == order:
            rows[-1][1] = c
        elif order:
            rows.append([c, c, order])
    return rows


def decompositions():
    """Rows of a code point, the one or two that it is made of (0: none), and whether these make it again. Hangul is by rule."""
    rows = []
    for c in CODE_POINTS:
        parts = unicodedata.decomposition(chr(c)).split()
        if parts and not parts[0].startswith("<"):
            first, second = [int(part, 16) for part in parts] + [0] * (2 - len(parts))
            rows.append([c, first, second, int(unicodedata.normalize("NFC", chr(c)) == chr(c))])
    return rows


def table(kind, name, rows):
    print(f"static constexpr {kind} {name}[] = {{")
    for row in rows:
        print("    {%s}," % ", ".join(f"0x{x:X}" if i < 2 else str(x) for i, x in enumerate(row)))
    print("};")


print(f"// Unicode {unicodedata.unidata_version}, written by tools/scripts/generate-unicode.py.")
table("Range", "wordCharacters", ranges(lambda c: c.isalnum() or c == "_"))
table("Range", "whiteSpace", ranges(str.isspace))
table("Range", "wide", ranges(lambda c: unicodedata.east_asian_width(c) in "WF"))
table("Range", "combining", ranges(lambda c: unicodedata.category(c) in ("Mn", "Me", "Cf")))
for name, first in (("letters", "L"), ("numbers", "N"), ("punctuation", "P")):
    table("Range", name, ranges(lambda c, first=first: unicodedata.category(c).startswith(first)))
table("Range", "controls", ranges(lambda c: unicodedata.category(c) in ("Cc", "Cf", "Co")))
table("Range", "nonSpacingMarks", ranges(lambda c: unicodedata.category(c) == "Mn"))
table("LowerCase", "lowerCase", lower_case())
table("CombiningClass", "combiningClasses", classes())
table("Decomposition", "decompositions", decompositions())
