#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same guests on the built-in engine and on KVM: the board's own guest, and stock Debian with one and two vCPUs.

usage: test_kvm.py [ONLY]
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine  # noqa: E402
import tap  # noqa: E402
from guests import GUESTS, check_board, check_calls, check_one, check_two, named  # noqa: E402


@machine.once
def on_kvm():
    """All guests on KVM, run once."""
    return machine.run_on_kvm([machine.Guest("engine", alone=True), *GUESTS])


@machine.once
def here(name, engine):
    """One guest on the built-in engine."""
    return machine.run_here(named(name), engine)


def test_odd_accesses_on_soft():
    check_board(here("board", "soft"))
    here("board", "soft").told("^ok atomic on a device is an unsupported access$")


def test_odd_accesses_on_soft_by_hand():
    check_board(here("board", "soft,isv=strict"))
    here("board", "soft,isv=strict").told("^ok compare and swap, equal$")
    here("board", "soft,isv=strict").told("^ok store with pre-index to the redistributor$")


def test_odd_accesses_on_kvm():
    check_board(on_kvm()["board"])
    on_kvm()["board"].told("^ok compare and swap, equal$")
    # The kernel's own interrupt controller, which hands such accesses over without looking at them.
    on_kvm()["board"].told("^ok store with pre-index to the redistributor$")


def test_engine_by_itself_on_kvm():
    """Windows whose memory goes, ends of lines, stopped vCPUs, the log of writes, missing capabilities."""
    result = on_kvm()["engine"]
    bad = [l for l in result.console.splitlines() if l.startswith("bad ")]
    assert result.status == 0 and not bad, (result.status, bad, result.errors)
    assert result.console.count("\nok ") > 200, result.console
    result.told("^end$")


def test_firmware_calls_on_soft():
    check_calls(here("board", "soft"), 0x10001, 2**64 - 1)
    check_calls(here("board-max", "soft"), 0x10000, 0)


def test_firmware_calls_on_kvm():
    check_calls(on_kvm()["board"], 0x10001, 2**64 - 1)
    check_calls(on_kvm()["board-max"], 0x10000, 0)
    on_kvm()["board-max"].told("^keys .* 0xfeedfacefeedfacf$")


def test_baseline_names_what_it_can_not_hide_on_kvm():
    check_board(on_kvm()["board-baseline"])
    errors = on_kvm()["board-baseline"].errors
    assert not errors.strip() or "--cpu baseline: this kernel can not hide" in errors, errors


def test_one_cpu_with_disk_and_display_on_soft():
    check_one(here("one-cpu", "soft"))


def test_one_cpu_with_disk_and_display_on_kvm():
    check_one(on_kvm()["one-cpu"])


def test_pictures_are_equal():
    assert on_kvm()["one-cpu"].picture == here("one-cpu", "soft").picture


def test_two_cpus_hotplug_and_reset_on_soft():
    check_two(here("two-cpus", "soft"))


def test_two_cpus_hotplug_and_reset_on_kvm():
    check_two(on_kvm()["two-cpus"])


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
