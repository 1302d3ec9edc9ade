# SPDX-License-Identifier: Apache-2.0
"""The guests that every engine must run, and what they must say: the board's own guest, and stock Debian with one and two vCPUs."""
from machine import Guest

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
	sleep 1 # the console has said all
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
    Guest("board"),
    Guest("board-max", ["--cpu", "max", "--psci", "1.0"]),
    Guest("board-baseline", ["--cpu", "baseline"]),
    Guest("one-cpu", ["--cpus", "1"], ONE_CPU, disk=True, picture=True, append="vt.global_cursor_default=0"),
    Guest("two-cpus", ["--cpus", "2"], TWO_CPUS, disk=True),
]


def named(name):
    """The guest of that name."""
    return next(g for g in GUESTS if g.name == name)


def check_board(result):
    """Every line of the board's guest is good."""
    assert result.status == 0, (result.status, result.errors, result.console[-1000:])
    bad = [l for l in result.console.splitlines() if l.startswith("bad ")]
    assert not bad, bad
    assert result.console.count("\nok ") > 35, result.console
    result.told("^end$")


def check_calls(result, psci, keys):
    check_board(result)
    result.told(f"^psci 0x{psci:016x}$")
    result.told(f"^keys 0x{keys:016x} ")


def check_one(result):
    assert result.status == 0, (result.status, result.errors, result.console[-2000:])
    for line in ("@cpus 1", "@disk equal", "@requests 1", "@end of script"):
        result.told(f"^{line}$")
    assert int(result.told(r"^@messages (\d+)$").group(1)) >= 6
    assert result.picture.startswith(b"\x89PNG"), result.errors


def check_two(result):
    assert result.status == 0, (result.status, result.errors, result.console[-2000:])
    for line in ("@first boot, cpus 2", "@second boot, cpus 2", "@off 1", "@on 2", "@worker 4", "@between cpus 1"):
        result.told(f"^{line}$")
