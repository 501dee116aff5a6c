#!/usr/bin/env python3
"""excerpts.py PAGE: prints the page with its excerpts as the tree has them now. An excerpt is a comment
`<!-- from FILE: FIRST to LAST -->` and the block of code after it: FILE's lines from the first that begins with FIRST, white space
aside, to the next that begins with LAST and is indented as far."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LANGUAGES = {".td": "tablegen", ".cpp": "cpp", ".h": "cpp", ".mlir": "mlir"}
EXCERPT = re.compile(
    r"^<!-- from (?P<file>\S+): (?P<first>[^\n]*?) to (?P<last>[^\n]*) -->\n(?:(?P<fence>`{3,})\w+\n.*?^(?P=fence)\n)?",
    re.MULTILINE | re.DOTALL,
)


def fill(found):
    name, first, last = found["file"], found["first"], found["last"]
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()

    def line(begin, prefix):
        at = next((i for i in range(begin, len(lines)) if re.match(prefix, lines[i])), None)
        return at if at is not None else sys.exit(f"excerpts.py: no line of '{name}' from line {begin + 1} on begins as '{found[0].splitlines()[0]}' says")

    begin = line(0, r"\s*" + re.escape(first))
    indent = len(lines[begin]) - len(lines[begin].lstrip())
    end = line(begin + 1, " " * indent + re.escape(last))
    text = "\n".join(each[indent:] for each in lines[begin : end + 1])
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in ["``", *re.findall("`+", text)]))  # longer than any inside
    return f"<!-- from {name}: {first} to {last} -->\n{fence}{LANGUAGES[pathlib.Path(name).suffix]}\n{text}\n{fence}\n"


print(EXCERPT.sub(fill, pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")), end="")
