#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How often guests leave KVM under `oriel` and under QEMU, on the same machine with the same devices.

Counts are exact where times are noise.  The outer machine reads KVM's own counters when the guest says that it is up,
and again after reads of its disk, one request each.
"""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine  # noqa: E402
import tap  # noqa: E402

REQUESTS = 512
SCRIPT = f"""
sleep 2
echo "@up"
sleep 20
dd if=/dev/vdc of=/dev/null bs=4k count={REQUESTS} iflag=direct 2>/dev/null
echo "@read"
sleep 20
"""
GUEST = machine.Guest("exits", ["--console", "file:/tmp/console"], SCRIPT, disk=True)
# What a line may be: exits to user space for devices, those that the kernel itself answered, calls, and all.
LINES = ("mmio_exit_user", "mmio_exit_kernel", "hvc_exit_stat", "signal_exits", "exits")
MEASURE = """
measure() {
	for mark in up read; do
		until grep -q "^@$mark" /tmp/console; do
			kill -0 $1 2>/dev/null || break
			sleep 0.2
		done
		cd /sys/kernel/debug/kvm
		grep . LINES | sed "s/:/ /; s/^/@count $2 $mark /"
		cd /tmp
	done
	wait $1
	echo "@status $2 $?"
	cat /tmp/errors
}
"""


def qemu():
    """QEMU with the devices that `oriel` gives the guest."""
    words = ["qemu-system-aarch64", "-accel", "kvm", "-M", "virt,gic-version=3", "-cpu", "host", "-m", "256", "-smp", "1", "-nographic",
             "-nodefaults", "-serial", "file:/tmp/console", "-no-reboot", "-kernel", "/usr/lib/oriel/Image", "-initrd",
             "/usr/lib/oriel/initrd.img", "-append", "'console=ttyAMA0 quiet panic=-1 nokaslr mitigations=off oriel.task=script'"]
    for n, (file, mode) in enumerate((("/usr/lib/oriel/root.img", "on"), ("/usr/lib/oriel/exits.img", "on"), ("/tmp/exits.disk", "off"))):
        words += ["-drive", f"file={file},if=none,id=d{n},format=raw,readonly={mode}", "-device", f"virtio-blk-pci,drive=d{n}"]
    return " ".join(words + ["-device", "virtio-rng-pci"])


def job():
    """Both, one after the other."""
    oriel = " ".join(f"'{w}'" for w in machine.command(GUEST, "kvm", "/usr/lib/oriel/oriel", "/usr/lib/oriel", "/tmp"))
    lines = [MEASURE.replace("LINES", " ".join(LINES)), "dd if=/dev/zero of=/tmp/exits.disk bs=1M count=8 2>/dev/null"]
    for name, words in (("oriel", oriel), ("qemu", qemu())):
        lines += ["rm -f /tmp/console; touch /tmp/console", f"{words} </dev/null >/dev/null 2>/tmp/errors &", f"measure $! {name}"]
    return "\n".join(lines) + "\n"


@machine.once
def counts():
    """{(program, mark, line): count}."""
    text = machine.run_outer([GUEST], job(), packages=("qemu-system-arm",), limit_s=1500)
    found = re.findall(r"^@count (\w+) (\w+) (\w+) (\d+)$", text, re.M)
    result = {(program, mark, line): int(count) for program, mark, line, count in found}
    assert len(result) == 4 * len(LINES), text[-3000:]
    for program in ("oriel", "qemu"):
        assert f"@status {program} 0" in text, text[-3000:]
    return result


def of(program, mark, line):
    """Exits of a boot, or of the reads alone."""
    c = counts()
    return c[program, mark, line] - (c[program, "up", line] if mark == "read" else 0)


def table(mark, what):
    print(f"# {what:28} {'oriel':>9} {'qemu':>9}")
    for line in LINES:
        print(f"# {line:28} {of('oriel', mark, line):9} {of('qemu', mark, line):9}", flush=True)


def test_a_boot_has_no_more_exits_for_devices_than_under_qemu():
    table("up", "a boot")
    for line in ("mmio_exit_user", "hvc_exit_stat"):
        assert of("oriel", "up", line) <= of("qemu", "up", line), line


def test_reads_of_a_disk_have_no_more_exits_than_under_qemu():
    table("read", f"{REQUESTS} reads of a disk")
    assert of("oriel", "read", "mmio_exit_user") <= of("qemu", "read", "mmio_exit_user")


def test_doorbells_and_messages_stay_in_the_kernel():
    assert of("oriel", "read", "mmio_exit_user") < REQUESTS / 4
    assert of("oriel", "read", "mmio_exit_kernel") >= REQUESTS


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
