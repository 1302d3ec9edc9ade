#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same guests on the built-in engine and on KVM, from one list: the board's own guest, stock Debian with one and two vCPUs.

guests.py says what runs, CHECKS what it must say, ENGINES where it runs, DIFFERENCES what an engine does in its own way, and why.

usage: test_kvm.py [ONLY]
"""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine  # noqa: E402
import tap  # noqa: E402
from guests import GUESTS, check_calls, check_one, check_two, named  # noqa: E402


def check_plain(result):
    check_calls(result, 0x10001, 2**64 - 1)
    result.told("^ok store with pre-index to the redistributor$")


def check_max(result):
    check_calls(result, 0x10000, 0)
    result.told("^keys .* 0xfeedfacefeedfacf$")


def check_engine(result):
    """Windows whose memory goes, ends of lines, stopped vCPUs, the log of writes, missing capabilities and permissions."""
    bad = [l for l in result.console.splitlines() if l.startswith("bad ")]
    assert result.status == 0 and not bad, (result.status, bad, result.errors)
    assert result.console.count("\nok ") > 150, result.console
    result.told("^end$")


ENGINES = ("soft", "soft,isv=strict", "kvm")
CHECKS = {"board": check_plain, "board-max": check_max, "board-baseline": check_plain, "one-cpu": check_one, "two-cpus": check_two}
ENGINE_ALONE = machine.Guest("engine", alone="kvm-engine")
AUTO = machine.Guest("auto", ["--engine", "auto", "--log", "info"])
DOCTOR = machine.Guest("doctor", alone="oriel doctor")
# (engines, guest, a line that these say and no others do: of the console or, with "errors", of `oriel` itself, why)
DIFFERENCES = [
    (("soft",), "board", "^ok atomic on a device is an unsupported access$",
     "only KVM and isv=strict do atomics on devices by hand; the architecture lets a CPU refuse them"),
    (("soft,isv=strict", "kvm"), "board", "^ok compare and swap, equal$", "as above"),
    (("soft",), "board", "^ok memory set on a device$", "hardware describes nothing of it, and nobody does it by hand"),
    (("soft,isv=strict",), "board", "^ok memory set on a device is an external abort$",
     "as above; the CPU of this KVM host has no such instructions (test_hosts.py has one)"),
    (("kvm",), "board-baseline", "errors: --cpu baseline: this kernel can not hide",
     "the built-in engine's ID registers are its own; KVM's can be lessened as far as the kernel lets them"),
]


@machine.once
def on_kvm():
    """All guests on KVM, run once."""
    return machine.run_on_kvm([DOCTOR, AUTO, *GUESTS, ENGINE_ALONE])  # the last one changes the rights of /dev/kvm


@machine.once
def result_of(name, engine):
    """How one guest went."""
    return on_kvm()[name] if engine == "kvm" else machine.run_here(named(name), engine)


def add_tests():
    """One for each guest and engine; isv=strict changes nothing for stock Debian's drivers."""
    for name, check in CHECKS.items():
        for engine in ENGINES if name == "board" else ("soft", "kvm"):
            function = (lambda name, engine, check: lambda: check(result_of(name, engine)))(name, engine, check)
            globals()[f"test_{name.replace('-', '_')}_on_{engine.replace(',isv=', '_')}"] = function


add_tests()


def test_differences_are_those_listed():
    for engines, name, line, why in DIFFERENCES:
        for engine in ENGINES if name == "board" else ("soft", "kvm"):
            result = result_of(name, engine)
            text = line.rpartition("errors: ")[2]
            says = text in result.errors if line.startswith("errors: ") else bool(re.search(line, result.console, re.M))
            assert says == (engine in engines), f"{name} on {engine}: '{line}' {'' if says else 'not '}said; {why}"
    # What is behind hardware's descriptions is equal in every other line.
    strict, kvm = ([l for l in result_of("board", e).console.splitlines() if l.startswith("ok ") and "memory set" not in l]
                   for e in ("soft,isv=strict", "kvm"))
    assert strict == kvm, set(strict) ^ set(kvm)


def test_pictures_are_equal():
    assert result_of("one-cpu", "kvm").picture == result_of("one-cpu", "soft").picture


def test_engine_by_itself_on_kvm():
    check_engine(on_kvm()["engine"])


def test_auto_takes_kvm_and_says_why():
    check_plain(on_kvm()["auto"])
    assert "CPU engine: KVM (this host's hypervisor can run the guest)" in on_kvm()["auto"].errors, on_kvm()["auto"].errors
    here = machine.run_here(AUTO, "auto")
    assert "CPU engine: built-in (KVM can not run Arm guests on a host of another architecture)" in here.errors, here.errors


def test_doctor_says_what_the_host_has():
    told = on_kvm()["doctor"].told
    told("kvm.*yes: --engine auto takes it")
    told("GICv3.*in the kernel; messages by GICv2m, 192 vectors")
    told("odd accesses.*handed over and done by hand")
    told("--cpu baseline.*(yes|this kernel can not hide)")


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
