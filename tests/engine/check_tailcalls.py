#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Handlers must go on by jumps: one that calls the next would eat the stack of a long-running guest.

usage: check_tailcalls.py OBJDUMP LIBRARY...

Looks for indirect calls, and calls of handlers, in the machine code of x86-64 builds with SOFT_TAILCALLS.
"""

import re
import subprocess
import sys

# Relocations of calls look like "R_X86_64_PLT32 op_NOP-0x4" on a line of their own.
INDIRECT = re.compile(r"\tcall\s+\*")
HANDLER = re.compile(r"\tcall\s.*<(op_\w+)>")
RELOCATED = re.compile(r"R_X86_64_(?:PLT32|PC32)\s+(op_\w+)")


def bad_calls(listing):
    """Lines of a disassembly that call a handler, as (function, text)."""
    function, after_call, seen = "?", False, 0
    for line in listing.splitlines():
        start = re.match(r"[0-9a-f]+ <(\S+)>:", line)
        if start:
            function, seen = start.group(1), seen + 1
        elif INDIRECT.search(line) or HANDLER.search(line) or (after_call and RELOCATED.search(line)):
            yield function, line.split("\t")[-1].strip()
        after_call = "\tcall" in line
    if not seen:
        yield "?", "no code found"


def main(args):
    """Command line; 0 or 1."""
    failed = 0
    for library in args[2:]:
        out = subprocess.run([args[1], "-dr", "--no-show-raw-insn", library], capture_output=True, text=True, check=True)
        for function, text in bad_calls(out.stdout):
            print(f"{library}: {function} does not go on by a jump: {text}")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv))
