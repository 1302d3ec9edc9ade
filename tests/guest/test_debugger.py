#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breakpoints, watchpoints and single step as the guest's kernel gives them to debuggers.

DEBUGGER is the program of debugger.c.
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import vm  # noqa: E402


SCRIPT = f"""
    cat /dev/vdc >/tmp/debugger
    chmod +x /tmp/debugger
    /tmp/debugger
    echo debugger status $?
    dmesg | grep -E '{vm.KERNEL_COMPLAINTS}'
    true"""


def check(result):
    """All tests of the program passed."""
    result.passed("debugger")
    assert not re.search(vm.KERNEL_COMPLAINTS, result.console), result.console[-2000:]


def test_guest_debugs_its_programs():
    with vm.program_disk(os.environ["DEBUGGER"]) as disk:
        check(vm.run("--cpus", "2", "--disk", f"{disk.name},ro", script=SCRIPT))


def symbol(name):
    """Its address in the program."""
    out = subprocess.run(["aarch64-linux-gnu-nm", os.environ["DEBUGGER"]], capture_output=True, text=True, check=True).stdout
    return int(re.search(f"^([0-9a-f]+) . {name}$", out, re.M).group(1), 16)


def test_guest_and_host_debug_the_same_program():
    """The host's points are never met, but lie in the same pages as the guest's."""
    packets = [f"Z0,{symbol('branches') + 4:x},4", f"Z3,{symbol('why') + 255:x},1", "c"]
    with tempfile.TemporaryDirectory() as folder, vm.program_disk(os.environ["DEBUGGER"]) as disk, \
            vm.Vm("--cpus", "2", "--gdb", f"unix:{folder}/gdb", "--disk", f"{disk.name},ro", script=SCRIPT) as machine:
        while not Path(f"{folder}/gdb").exists():
            assert machine.process.poll() is None
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{folder}/gdb")
            client.sendall(b"".join(b"$%s#%02x" % (p.encode(), sum(p.encode()) & 0xff) for p in packets))
            result = machine.finish(100)
            assert client.recv(4096) == b"+$OK#9a+$OK#9a+$W00#b7"
    check(result)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
