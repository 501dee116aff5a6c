#!/usr/bin/env python3
"""Reads the machine code of an object's innermost loops.

inner-loops.py OBJECT [--fma=REGEX:COUNT[xLOOPS]]... [--stack=REGEX:COUNT[xLOOPS]]... [--list]

Fails where an innermost loop calls; where one touches the stack (a spill, or an argument that was not in a register),
but for at most LOOPS loops of at most COUNT such instructions in a function that --stack names; where a function that
--fma names has fewer than LOOPS (1) innermost loops of at least COUNT fused multiply-adds of vectors; and where the
object needs a function that is not in it, the mathematical library's above all. A REGEX matches whole names. --list
prints the loops.
"""
import argparse
import collections
import dataclasses
import re
import subprocess
import sys

ALLOWED = {"memcpy", "memmove", "memset"}  # of the C library, and what loops may become


@dataclasses.dataclass
class Architecture:
    jump: re.Pattern  # where it goes follows as <function+offset>
    table: re.Pattern  # goes anywhere
    leave: re.Pattern  # nothing comes after it
    call: re.Pattern
    fma: re.Pattern  # of vectors
    stack: re.Pattern  # an operand whose base is the stack's pointer
    frame: re.Pattern  # what makes frame_stack say the same
    frame_stack: re.Pattern


X86 = Architecture(
    jump=re.compile(r"j\w+\s"),
    table=re.compile(r"jmpq\s+\*"),
    leave=re.compile(r"jmp|ret|ud2"),
    call=re.compile(r"call"),
    fma=re.compile(r"vfn?m(add|sub)\d+ps\s.*%[yz]mm"),
    stack=re.compile(r"\(%rsp\b"),
    frame=re.compile(r"movq\s+%rsp, %rbp$"),
    frame_stack=re.compile(r"\(%rbp\b"),
)
AARCH64 = Architecture(
    jump=re.compile(r"(b|b\.\w+|cbn?z|tbn?z)\s"),
    table=re.compile(r"br\s"),
    leave=re.compile(r"(b|br)\s|ret|brk"),
    call=re.compile(r"blr?\s"),
    fma=re.compile(r"fml[as]\s+v\d+\.4s"),
    stack=re.compile(r"\[sp\b"),
    frame=re.compile(r"(mov|add)\s+x29, sp"),
    frame_stack=re.compile(r"\[x29\b"),
)


def tool(name, *arguments):
    return subprocess.run([name, *arguments], check=True, capture_output=True, text=True).stdout


def functions(text):
    """Yields (name, [(address, instruction)]) of a disassembly."""
    name, body = None, []
    for line in text.splitlines():
        if label := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            if body:
                yield name, body
            name, body = label[1], []
        elif instruction := re.match(r"\s*([0-9a-f]+):\s+(\S.*)$", line):
            body.append((int(instruction[1], 16), instruction[2].strip()))
    if body:
        yield name, body


def blocks_of(name, body, architecture):
    """The basic blocks, as {address: instructions}, and their successors."""
    start = body[0][0]
    jumps, leaders = {}, {start}
    for i, (address, text) in enumerate(body):
        if architecture.jump.match(text) or architecture.leave.match(text):
            target = re.search(r"<(.*?)(?:\+0x([0-9a-f]+))?>", text)
            jumps[address] = start + int(target[2] or "0", 16) if target and target[1] == name else None
            leaders.add(jumps[address])
            if i + 1 < len(body):
                leaders.add(body[i + 1][0])
    blocks, successors, block = {}, collections.defaultdict(list), None
    for i, (address, text) in enumerate(body):
        if address in leaders:
            block = address
        blocks.setdefault(block, []).append(text)
        if jumps.get(address) is not None:
            successors[block].append(jumps[address])
        if i + 1 < len(body) and body[i + 1][0] in leaders and not architecture.leave.match(text):
            successors[block].append(body[i + 1][0])
    # What a jump through a table reaches is what nothing else does.
    tables = [block for block, texts in blocks.items() if architecture.table.match(texts[-1])]
    reached, work = set(), [start]
    for block in sorted(blocks):
        while work:
            if (other := work.pop()) not in reached:
                reached.add(other)
                work += successors[other]
        if block not in reached and tables:
            for table in tables:
                successors[table].append(block)
            work.append(block)
    return blocks, successors


def dominators(entry, successors):
    """The immediate dominator of every block that is reached, and the blocks in reverse postorder (Cooper et al. 2001)."""
    order, seen, stack = [], {entry}, [(entry, iter(successors[entry]))]
    while stack:
        for successor in stack[-1][1]:
            if successor not in seen:
                seen.add(successor)
                stack.append((successor, iter(successors[successor])))
                break
        else:
            order.append(stack.pop()[0])
    number = {block: i for i, block in enumerate(order)}
    predecessors = collections.defaultdict(list)
    for block in order:
        for successor in successors[block]:
            predecessors[successor].append(block)
    dominator, changed = {entry: entry}, True
    while changed:
        changed = False
        for block in reversed(order[:-1]):
            a, *others = (p for p in predecessors[block] if p in dominator)
            for b in others:
                while a != b:
                    if number[a] < number[b]:
                        a = dominator[a]
                    else:
                        b = dominator[b]
            if dominator.get(block) != a:
                dominator[block], changed = a, True
    return dominator, predecessors


def innermost_loops(name, body, architecture):
    """Yields (offset, instructions) of the natural loops that hold no other."""
    blocks, successors = blocks_of(name, body, architecture)
    entry = body[0][0]
    dominator, predecessors = dominators(entry, successors)

    def dominates(a, b):
        while b not in (a, entry):
            b = dominator[b]
        return a == b

    loops = collections.defaultdict(set)
    for block in dominator:
        for header in successors[block]:
            if dominates(header, block):
                loop, work = loops[header], [block]
                loop.add(header)
                while work:
                    if (member := work.pop()) not in loop:
                        loop.add(member)
                        work += predecessors[member]
    for header, loop in sorted(loops.items()):
        if not any(other in loop for other in loops if other != header):
            yield header - entry, [text for block in sorted(loop) for text in blocks[block]]


def expectation(text):
    pattern, count, loops = re.fullmatch(r"(.*):(\d+)(?:x(\d+))?", text).groups()
    return pattern, int(count), int(loops or 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("object")
    parser.add_argument("--fma", action="append", default=[], type=expectation)
    parser.add_argument("--stack", action="append", default=[], type=expectation)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    disassembly = tool("llvm-objdump", "-d", "--no-show-raw-insn", options.object)
    architecture = AARCH64 if "aarch64" in disassembly[:200] else X86

    mistakes, unmatched = [], {e[0] for e in options.fma + options.stack}
    for symbol in tool("llvm-nm", "--undefined-only", "--just-symbol-name", options.object).split():
        if symbol not in ALLOWED:
            mistakes.append(f"'{symbol}' is not in the object")
    for name, body in functions(disassembly):
        framed = any(architecture.frame.match(text) for _, text in body)
        products, spills = [], []
        for offset, loop in innermost_loops(name, body, architecture):
            fma = sum(bool(architecture.fma.match(text)) for text in loop)
            calls = [text for text in loop if architecture.call.match(text)]
            stack = [t for t in loop if architecture.stack.search(t) or (framed and architecture.frame_stack.search(t))]
            where = f"{name}+{offset:#x}"
            if options.list:
                print(f"{where}: instructions={len(loop)} fma={fma} stack={len(stack)} calls={len(calls)}")
            if calls:
                mistakes.append(f"{where}: {len(calls)} calls in an innermost loop: {calls[0]}")
            if stack:
                spills.append((len(stack), f"{where}: {len(stack)} accesses to the stack in an innermost loop: {stack[0]}"))
            products.append(fma)
        for pattern, count, loops in options.fma:
            if re.fullmatch(pattern, name):
                unmatched.discard(pattern)
                found = sum(fma >= count for fma in products)
                if found < loops:
                    mistakes.append(f"{name}: expected {loops} innermost loops of {count} fused multiply-adds, but got {found}")
        for pattern, count, loops in options.stack:
            if re.fullmatch(pattern, name):
                unmatched.discard(pattern)
                known = [spill for spill in spills if spill[0] <= count][:loops]
                spills = [spill for spill in spills if spill not in known]
        mistakes += [text for _, text in spills]
    mistakes += [f"no function is named {pattern}" for pattern in sorted(unmatched)]
    for mistake in mistakes:
        print(mistake)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
