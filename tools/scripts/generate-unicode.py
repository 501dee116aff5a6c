#!/usr/bin/env python3
"""Writes to standard output, as C++ tables, what the word tokeniser needs of Unicode: which code points are word characters
(Python's \\w), which are white space, how wide they are, and their lower case. Adjacent code points that map alike are one row."""
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
table("LowerCase", "lowerCase", lower_case())
