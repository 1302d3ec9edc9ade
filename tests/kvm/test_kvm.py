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
from machine import Guest  # noqa: E402

ONE_CPU = """
echo "@cpus $(nproc)"
dd if=/dev/urandom of=/tmp/noise bs=64k count=8 2>/dev/null
dd if=/tmp/noise of=/dev/vdc bs=64k 2>/dev/null
sync
echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/vdc bs=64k count=8 2>/dev/null | cmp - /tmp/noise && echo "@disk equal"
grep -c GICv2m-PCI-MSIX /proc/interrupts | sed 's/^/@messages /'
awk '/virtio.-req/ { n += $2 } END { print "@requests", (n > 0) }' /proc/interrupts
sleep 1
# One colour on the whole display.
yes | tr 'y\\n' '\\144\\144' | dd of=/dev/fb0 bs=1280k count=4 iflag=fullblock 2>/dev/null
sleep 1
echo "@end of script"
"""
TWO_CPUS = """
if [ "$(head -c 6 /dev/vdc)" != second ]; then
	echo "@first boot, cpus $(nproc)"
	printf second | dd of=/dev/vdc conv=notrunc 2>/dev/null
	sync
	reboot -f
fi
echo "@second boot, cpus $(nproc)"
echo 0 > /sys/devices/system/cpu/cpu1/online && echo "@off $(nproc)"
echo 1 > /sys/devices/system/cpu/cpu1/online && echo "@on $(nproc)"
for n in 1 2 3 4; do (dd if=/dev/urandom of=/dev/null bs=64k count=16 2>/dev/null; echo "@worker $n") & done
wait
awk '/Function call|Rescheduling/ { n += $2 + $3 } END { print "@between cpus", (n > 0) }' /proc/interrupts
"""
GUESTS = [
    Guest("engine", alone=True),
    Guest("board"),
    Guest("board-max", ["--cpu", "max", "--psci", "1.0"]),
    Guest("board-baseline", ["--cpu", "baseline"]),
    Guest("one-cpu", ["--cpus", "1"], ONE_CPU, disk=True, picture=True, append="vt.global_cursor_default=0"),
    Guest("two-cpus", ["--cpus", "2"], TWO_CPUS, disk=True),
]


@machine.once
def on_kvm():
    """All guests on KVM, run once."""
    return machine.run_on_kvm(GUESTS)


@machine.once
def here(name, engine):
    """One guest on the built-in engine."""
    return machine.run_here(next(g for g in GUESTS if g.name == name), engine)


def check_board(result):
    """Every line of the board's guest is good."""
    assert result.status == 0, (result.status, result.errors, result.console[-1000:])
    bad = [l for l in result.console.splitlines() if l.startswith("bad ")]
    assert not bad, bad
    assert result.console.count("\nok ") > 35, result.console
    result.told("^end$")


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


def check_calls(result, psci, keys):
    check_board(result)
    result.told(f"^psci 0x{psci:016x}$")
    result.told(f"^keys 0x{keys:016x} ")


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


def check_one(result):
    assert result.status == 0, (result.status, result.errors, result.console[-2000:])
    for line in ("@cpus 1", "@disk equal", "@requests 1", "@end of script"):
        result.told(f"^{line}$")
    assert int(result.told(r"^@messages (\d+)$").group(1)) >= 6
    assert result.picture.startswith(b"\x89PNG"), result.errors


def test_one_cpu_with_disk_and_display_on_soft():
    check_one(here("one-cpu", "soft"))


def test_one_cpu_with_disk_and_display_on_kvm():
    check_one(on_kvm()["one-cpu"])


def test_pictures_are_equal():
    assert on_kvm()["one-cpu"].picture == here("one-cpu", "soft").picture


def check_two(result):
    assert result.status == 0, (result.status, result.errors, result.console[-2000:])
    for line in ("@first boot, cpus 2", "@second boot, cpus 2", "@off 1", "@on 2", "@worker 4", "@between cpus 1"):
        result.told(f"^{line}$")


def test_two_cpus_hotplug_and_reset_on_soft():
    check_two(here("two-cpus", "soft"))


def test_two_cpus_hotplug_and_reset_on_kvm():
    check_two(on_kvm()["two-cpus"])


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
