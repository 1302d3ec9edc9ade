#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The guests of tests/kvm on the engine over Hypervisor.framework, with the stand-in for the framework.

usage: test_hvf.py PROGRAM [ONLY]
"""
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kvm"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine  # noqa: E402
import tap  # noqa: E402
from guests import check_board, check_calls, check_one, check_two, named  # noqa: E402

PROGRAM = Path(sys.argv[1]).resolve()


@machine.once
def here(name):
    """One guest on the engine."""
    return machine.run_here(named(name), "hvf", PROGRAM)


def test_odd_accesses():
    check_board(here("board"))
    here("board").told("^ok compare and swap, equal$")
    # The interrupt controller is the board's, so it can be reached by hand.
    here("board").told("^ok store with pre-index to the redistributor$")


def test_firmware_calls():
    # Calls for keys are the framework's; where it has none to set it answers in 32 bits.
    check_calls(here("board"), 0x10001, 2**32 - 1)
    check_calls(here("board-max"), 0x10000, 0)
    here("board-max").told("^keys .* 0xfeedfacefeedfacf$")


def test_one_cpu_with_disk_and_display():
    check_one(here("one-cpu"))


def test_picture_is_that_of_the_built_in_engine():
    assert here("one-cpu").picture == machine.run_here(named("one-cpu"), "soft").picture


def test_two_cpus_hotplug_and_reset():
    check_two(here("two-cpus"))


def test_users_are_told_that_this_host_has_no_such_engine():
    out = subprocess.run([machine.BUILD / "oriel", "run", "--engine", "hvf", "--kernel", machine.BOARD], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60, check=False)
    lines = out.stderr.splitlines()
    assert out.returncode == 1 and len(lines) == 1 and "Hypervisor.framework is a part of macOS" in lines[0], (out.returncode, lines)


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[2] if len(sys.argv) > 2 else None)
