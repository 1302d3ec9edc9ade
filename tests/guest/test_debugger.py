#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breakpoints, watchpoints and single step as the guest's kernel gives them to debuggers.

DEBUGGER is the program of debugger.c.
"""
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import vm  # noqa: E402


def test_guest_debugs_its_programs():
    with vm.program_disk(os.environ["DEBUGGER"]) as disk:
        result = vm.run("--cpus", "2", "--disk", f"{disk.name},ro", script="""
            cat /dev/vdc >/tmp/debugger
            chmod +x /tmp/debugger
            /tmp/debugger
            echo debugger status $?
            dmesg | grep -E 'BUG:|WARNING:|Oops|Unexpected'
            true""")
    assert result.status == 0, result.errors
    planned = int(result.told(r"^1\.\.(\d+)").group(1))
    lines = re.findall(r"^(?:not )?ok \d+ - debugger.*$", result.console, re.M)
    for line in lines:
        print(f"# {line}", flush=True)
    assert len(lines) == planned and not [l for l in lines if l.startswith("not")], result.console[-2000:]
    result.told("^debugger status 0")
    assert not re.search("BUG:|WARNING:|Oops|Unexpected", result.console), result.console[-2000:]


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
