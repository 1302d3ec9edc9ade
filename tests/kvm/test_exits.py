#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How often guests leave KVM under `oriel` and under QEMU, on the same machine with the same devices, and why.

Counts are exact where times are noise.  The outer machine reads KVM's own counters and its trace, by class and by function of
firmware, when the guest says that it is up, and again after reads of its disk, one request each.
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
COUNTERS = ("mmio_exit_user", "mmio_exit_kernel", "exits")  # KVM's own sums
TRAP, WAIT, CALL, SYSREG, FETCH, DATA = 2, 0x01, 0x16, 0x18, 0x20, 0x24  # kvm_exit's `ret`, and classes of ESR_EL2
RANDOM = 0xc4000053  # TRNG_RND64: how often the guest seeds itself anew depends on its clock alone
MEASURE = """
trace=/sys/kernel/tracing
mount -t tracefs t $trace 2>/dev/null
triggers() {
	echo "$1hist:keys=ret,esr_ec" > $trace/events/kvm/kvm_exit/trigger
	echo "$1hist:keys=r0.hex" > $trace/events/kvm/kvm_hvc_arm64/trigger
}
measure() {
	for mark in up read; do
		until grep -q "^@$mark" /tmp/console; do
			kill -0 $1 2>/dev/null || break
			sleep 0.2
		done
		for counter in COUNTERS; do
			echo "@count $2 $mark $counter $(cat /sys/kernel/debug/kvm/$counter)"
		done
		grep hitcount $trace/events/kvm/kvm_exit/hist | sed "s/^/@exit $2 $mark /"
		grep hitcount $trace/events/kvm/kvm_hvc_arm64/hist | sed "s/^/@call $2 $mark /"
	done
	wait $1
	echo "@status $2 $?"
	cat /tmp/errors
	triggers !
}
"""
# Lines of the table: what KVM's counters and the trace say, and whether the guest's clock or the host's has a part in it.
LINES = {
    "devices, to user space": False,
    "devices, in the kernel": False,
    "calls of firmware": False,
    "system registers": False,
    "first touches of memory": False,
    "... calls for random numbers": True,
    "... waits (WFI)": True,
    "... all, with interrupts of the host": True,
}


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
    lines = [MEASURE.replace("COUNTERS", " ".join(COUNTERS)), "dd if=/dev/zero of=/tmp/exits.disk bs=1M count=8 2>/dev/null"]
    for name, words in (("oriel", oriel), ("qemu", qemu())):
        lines += ["rm -f /tmp/console; touch /tmp/console; triggers", f"{words} </dev/null >/dev/null 2>/tmp/errors &", f"measure $! {name}"]
    return "\n".join(lines) + "\n"


@machine.once
def console():
    """What the outer machine said, with both programs at their ends."""
    text = machine.run_outer([GUEST], job(), packages=("qemu-system-arm",), limit_s=1500)
    for program in ("oriel", "qemu"):
        assert f"@status {program} 0" in text, text[-3000:]
    return text


def sums(program, mark):
    """{line: count} since the program began."""
    count = {name: int(n) for name, n in re.findall(rf"^@count {program} {mark} (\w+) (\d+)$", console(), re.M)}
    exits = {(int(ret), int(ec)): int(n) for ret, ec, n in
             re.findall(rf"^@exit {program} {mark} .*ret:\s*(\d+), esr_ec:\s*(\d+) .*hitcount:\s*(\d+)$", console(), re.M)}
    calls = {int(r0, 16): int(n) for r0, n in re.findall(rf"^@call {program} {mark} .*r0:\s*(\w+) .*hitcount:\s*(\d+)$", console(), re.M)}
    assert len(count) == len(COUNTERS) and calls and exits, console()[-3000:]
    trapped = lambda ec: exits.get((TRAP, ec), 0)
    devices = count["mmio_exit_user"] + count["mmio_exit_kernel"]
    random = calls.get(RANDOM, 0)
    return dict(zip(LINES, (count["mmio_exit_user"], count["mmio_exit_kernel"], sum(calls.values()) - random, trapped(SYSREG),
                            trapped(FETCH) + trapped(DATA) - devices, random, trapped(WAIT), count["exits"])))


def compare(mark, what, allowed):
    """Print the table of a boot, or of the reads alone; @allowed: how many more than QEMU a line may have."""
    table = {}
    for program in ("oriel", "qemu"):
        before = sums(program, "up") if mark == "read" else dict.fromkeys(LINES, 0)
        table[program] = {line: n - before[line] for line, n in sums(program, mark).items()}
    print(f"# {what:40} {'oriel':>9} {'qemu':>9}")
    for line in LINES:
        print(f"# {line:40} {table['oriel'][line]:9} {table['qemu'][line]:9}", flush=True)
    for line, has_clock in LINES.items():
        more = table["oriel"][line] - table["qemu"][line]
        assert has_clock or more <= allowed.get(line, 0), f"{line}: {more} more than QEMU"
    return table["oriel"]


def test_a_boot_has_no_more_exits_than_under_qemu():
    # Memory: where the host has a huge page at hand, it is one touch.
    compare("up", "a boot", {"first touches of memory": 32})


def test_reads_of_a_disk_have_no_more_exits_than_under_qemu():
    # In the kernel: the driver of random numbers asks its device by the guest's clock, a doorbell each time.
    ours = compare("read", f"{REQUESTS} reads of a disk", {"devices, in the kernel": 8, "first touches of memory": 8})
    assert ours["devices, to user space"] < REQUESTS / 4, "doorbells leave the kernel"
    assert ours["devices, in the kernel"] >= REQUESTS


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
