#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""KVM on other hosts: pages of 16K, and a CPU with all that QEMU has (SVE, pointer authentication, MOPS, LPA2).

usage: test_hosts.py [ONLY]
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine  # noqa: E402
import tap  # noqa: E402
from guests import check_board, check_one, named  # noqa: E402
from machine import Guest, Host  # noqa: E402
from test_kvm import ENGINE_ALONE, check_engine  # noqa: E402

FEATURES = """
grep -m 1 Features /proc/cpuinfo
echo "@page $(grep -m 1 KernelPageSize /proc/self/smaps | tr -dc 0-9)"
"""
PAGES = [named("board"), named("one-cpu"), Guest("inner-16k", ["--cpus", "2"], FEATURES, pages="16k"), ENGINE_ALONE]
BIG = [named("board"), Guest("board-host", ["--cpu", "host"]), Guest("default", [], FEATURES),
       Guest("max", ["--cpu", "max"], FEATURES), Guest("max-16k", ["--cpu", "max"], FEATURES, pages="16k"), ENGINE_ALONE]


@machine.once
def with_16k_pages(name):
    return all_with_16k_pages()[name]


@machine.once
def all_with_16k_pages():
    """All of PAGES, in one outer machine."""
    return machine.run_on_kvm(PAGES, Host(pages="16k"))


@machine.once
def all_on_a_big_cpu():
    """All of BIG, in one outer machine."""
    return machine.run_on_kvm(BIG, Host(cpu="max,pauth-impdef=on,sme=off"))


def test_16k_the_engine_by_itself():
    check_engine(with_16k_pages("engine"))


def test_16k_the_boards_guest():
    check_board(with_16k_pages("board"))


def test_16k_a_guest_with_4k_pages():
    check_one(with_16k_pages("one-cpu"))


def test_16k_a_guest_with_16k_pages():
    result = with_16k_pages("inner-16k")
    result.told("^@page 16$")
    assert result.status == 0, result.errors


def features(name):
    """What the guest's kernel says its CPU has."""
    result = all_on_a_big_cpu()[name]
    assert result.status == 0, (result.errors, result.console[-1000:])
    return result.told(r"^Features\s*: (.*)$").group(1).split()


def test_big_cpu_the_engine_by_itself():
    check_engine(all_on_a_big_cpu()["engine"])


def test_big_cpu_memory_set_on_a_device_is_an_external_abort():
    check_board(all_on_a_big_cpu()["board"])
    all_on_a_big_cpu()["board"].told("^ok memory set on a device is an external abort$")


def test_big_cpu_accesses_by_hand_keep_sve_registers():
    check_board(all_on_a_big_cpu()["board-host"])
    all_on_a_big_cpu()["board-host"].told("^ok ... and no other$")


def test_big_cpu_models_show_what_they_say():
    assert not {"sve", "paca", "pacg"} & set(features("default"))
    assert {"sve", "paca", "pacg"} <= set(features("max"))


def test_big_cpu_a_guest_with_16k_pages():
    assert "sve" in features("max-16k")
    all_on_a_big_cpu()["max-16k"].told("^@page 16$")


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
