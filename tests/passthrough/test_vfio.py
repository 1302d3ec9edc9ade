#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices of a host by the kernel's VFIO: a machine with an IOMMU (in QEMU) hands its NVMe and e1000e to a guest of ours.

One boot of the outer machine does everything; the tests look at what it said.
"""
import functools
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "guest"), str(HERE.parents[1] / "images")]
import guest  # noqa: E402
import outer  # noqa: E402
import served  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

NVME, NIC = "0000:00:04.0", "0000:00:05.0"
SATA = "0000:00:08.0"  # MSI, and no way of reset
PORTED = "0000:01:00.0"  # behind a root port, which can reset its bus
PAIR = "0000:00:07.0", "0000:00:07.1"  # two functions that nothing keeps apart: one group
# A page of the outer machine that its kernel leaves alone, and that no guest of ours has.
VICTIM = 0x20000000
CYCLES = int(os.environ.get("ORIEL_VFIO_CYCLES", "20"))
MIB = 1 << 20
GUEST_LIMIT_S = int(os.environ.get("ORIEL_GUEST_LIMIT_S", "400"))

OUTER = f"""
echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled
devmem {VICTIM} 64 0x0123456789abcdef
devmem {VICTIM + 8} 64 0xfedcba9876543210
page() {{ dd if=/dev/mem bs=4096 skip={VICTIM // 4096} count=1 2>/dev/null | md5sum; }}
run="oriel run --kernel Image --initrd initrd --memory 256M --gpu none --rng off --log info"
fails() {{ timeout 60 "$@" && echo "@fail $1 $2 did not fail"; }}
hold() {{ # bdf options: a small guest that stays until it is told to go
    rm -f /tmp/c /tmp/e
    oriel run --kernel hello --memory 64M --gpu none --rng off --log info --name held --passthrough $1$2 >/tmp/c 2>/tmp/e </dev/null &
    pid=$!
    until [ -s /tmp/c ] 2>/dev/null || ! kill -0 $pid 2>/dev/null; do usleep 50000; done
    echo "held $(cat /tmp/c) $(grep -h "reset by" /tmp/e)"; oriel ctl held status; kill $pid; wait $pid
}}
echo "@phase list"; oriel passthrough list
echo "@phase refusals"
fails $run --passthrough {NVME}
fails $run --passthrough 0000:00:1d.0
fails oriel passthrough bind 0000:00:00.0
until [ -e /sys/bus/pci/devices/{NVME}/nvme/nvme*/nvme*n1/dev ]; do usleep 50000; done
mknod /dev/n0 b $(sed 's/:/ /' /sys/bus/pci/devices/{NVME}/nvme/nvme*/nvme*n1/dev); mkdir /mnt; mount -t ext2 /dev/n0 /mnt || echo "@fail mount"
fails oriel passthrough bind {NVME}
umount /mnt
echo "@phase group"
fails oriel passthrough bind {PAIR[0]} </dev/null
echo vfio-pci >/sys/bus/pci/devices/{PAIR[0]}/driver_override
echo {PAIR[0]} >/sys/bus/pci/devices/{PAIR[0]}/driver/unbind
echo {PAIR[0]} >/sys/bus/pci/drivers_probe
fails $run --passthrough {PAIR[0]}
echo "@phase bind"; oriel passthrough bind --yes {NVME} {NIC} {SATA} {PORTED} {PAIR[0]} || echo "@fail bind"; oriel passthrough list
(until oriel ctl inner status >/dev/null 2>&1; do usleep 100000; done; fails $run --passthrough {NVME}) &
second=$!
echo "@phase guest"; page; dmesg -c >/dev/null
(until grep -q "^plug" /tmp/inner 2>/dev/null; do usleep 200000; done; oriel ctl inner attach {PORTED}
 until grep -q "^plugged" /tmp/inner; do usleep 200000; done; oriel ctl inner detach --timeout 120 {PORTED}) &
plugger=$!
timeout {GUEST_LIMIT_S} $run --memory 3072M --name inner --hotplug-slots 1 --append "console=ttyAMA0 quiet panic=-1 web=$(cat web)" --passthrough {NVME} --passthrough {NIC},reset=pm --passthrough {SATA} 2>&1 | tee /tmp/inner
kill $plugger $second 2>/dev/null; wait
echo "@phase confined"; dmesg | grep DMAR; echo "page $(page)"
echo "@phase limits"
mount -t tmpfs none /sys/kernel/iommu_groups # as if the addresses were reserved after the start
fails $run --memory 3072M --passthrough {NVME}
umount /sys/kernel/iommu_groups
mkdir /etc; echo "user:x:1000:1000::/tmp:/bin/sh" >/etc/passwd; chown 1000 /dev/vfio/*
(ulimit -l 65536; fails start-stop-daemon -S -c 1000:1000 -x /bin/oriel -- run --kernel Image --memory 256M --gpu none --rng off --passthrough {NVME})
fails $run --passthrough {NIC},reset=bus
echo "@phase ladder"
hold {PORTED} ,reset=pm; hold {PORTED} ,reset=bus; hold {PORTED} ,reset=none; hold {PAIR[1]} ,reset=flr; dmesg | tail -n 5
echo "@phase cycles"
for i in $(seq {CYCLES}); do hold {NVME}; done
echo "@phase restore"; oriel passthrough restore; oriel passthrough list; page
echo "@phase end"
"""

# Without interrupts remapped, and without any IOMMU.
POOR = f"""
run="oriel run --kernel hello --memory 64M --gpu none --rng off"
oriel passthrough list
oriel passthrough bind {NVME}
timeout 60 $run --passthrough {NVME} && echo "@fail"
"""

INNER = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mkdir -p /tmp
cd /more
grep fee00000 /proc/iomem
for word in $(cat /proc/cmdline); do case $word in web=*) eval "$word";; esac; done
load() {{ for m in $(cat $1.order); do insmod $m 2>/dev/null; done; }}
load nvme; load e1000e
until [ -b /dev/nvme0n1 ]; do usleep 50000; done
echo "read $(dd if=/dev/nvme0n1 bs=64k skip=64 count=16 2>/dev/null | md5sum)"
dd if=/dev/nvme0n1 bs=64k skip=64 count=4 2>/dev/null | dd of=/dev/nvme0n1 bs=64k seek=128 conv=fsync 2>/dev/null
ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do usleep 50000; done
ping -c 2 10.0.2.2
echo "got $(wget -q -O - http://10.0.2.2:$web/file | md5sum)"
grep -E "nvme|eth0" /proc/interrupts
rmmod e1000e; insmod e1000e.ko IntMode=0
until [ -d /sys/class/net/eth0 ]; do usleep 50000; done
ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do usleep 50000; done
echo "by INTx $(wget -q -O - http://10.0.2.2:$web/file | md5sum)"
load ahci; load sd_mod
until [ -b /dev/sda ]; do usleep 50000; done
echo "by MSI $(dd if=/dev/sda bs=64k count=16 2>/dev/null | md5sum)"
grep -E "eth0|ahci" /proc/interrupts
echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/unbind
/bin/dma-probe 0000:01:00.0 {VICTIM}
echo plug
until [ -d /sys/bus/pci/devices/0000:04:00.0 ]; do usleep 50000; done
echo "plugged $(cat /sys/bus/pci/devices/0000:04:00.0/device)"
while [ -d /sys/bus/pci/devices/0000:04:00.0 ]; do usleep 50000; done
echo "unplugged"; sleep 3
poweroff -f
"""


def hello_kernel():
    """The smallest arm64 kernel: says B on the serial port, and sleeps."""
    code = (0xd2a12000, 0x52800841, 0x39000001, 0xd503207f, 0x17ffffff)  # movz x0, uart; movz w1, 'B'; strb; wfi; b .-4
    head = struct.pack("<IIQQQQQQII", 0x14000010, 0, 0, 0x10000, 0xa, 0, 0, 0, 0x644d5241, 0)
    return head + struct.pack("<5I", *code)


def inner_files(work):
    """Kernel and RAM disk of the inner guest: ours, with another init, two drivers and the probe."""
    subprocess.run(["debugfs", "-R", f"rdump /usr/lib/oriel/modules {work}", str(vm.IMAGE / "root.img")], capture_output=True, check=True)
    parts = [guest.cpio_entry("init", 0o100755, INNER.encode()), guest.cpio_entry("more", 0o40755)]
    parts += [guest.cpio_entry(f"more/{p.name}", 0o100644, p.read_bytes()) for p in sorted((work / "modules").iterdir())]
    parts.append(guest.cpio_entry("bin/dma-probe", 0o100755, (vm.BUILD / "tests/passthrough/dma-probe").read_bytes()))
    ram_disk = (vm.IMAGE / "initrd.img").read_bytes()
    return {"hello": hello_kernel(), "Image": (vm.IMAGE / "Image").read_bytes(),
            "initrd": ram_disk + bytes(-len(ram_disk) % 512) + b"".join(parts) + guest.cpio_entry("TRAILER!!!", 0)}


def boot():
    """(console by phase, the disk before, the disk after, the file on the web).  Boots once, also if that fails."""
    result = boot_once()
    if isinstance(result, Exception):
        raise AssertionError(str(result))
    return result


@functools.cache
def boot_once():
    """What boot() returns, or the exception that it raises."""
    try:
        return boot_outer()
    except AssertionError as error:
        return error


def boot_outer():
    """Boot and take apart what was said."""
    with tempfile.TemporaryDirectory(prefix="oriel-vfio-") as directory:
        work = Path(directory)
        disk, data = work / "disk.img", os.urandom(MIB)
        disk.write_bytes(bytes(4 * MIB) + os.urandom(12 * MIB))
        subprocess.run(["mke2fs", "-q", "-t", "ext2", disk, "4M"], check=True)
        before = disk.read_bytes()
        (work / "sata.img").write_bytes(before[4 * MIB:])
        with served.web(data) as port:
            files = {**inner_files(work), "web": str(port).encode()}
            said = outer.run([vm.ORIEL], files, OUTER,
                             ["-drive", f"file={disk},if=none,id=n0,format=raw", "-device", "nvme,serial=x,drive=n0,addr=4",
                              "-netdev", "user,id=u0", "-device", "e1000e,netdev=u0,addr=5,romfile=",
                              "-device", "pcie-root-port,id=rp,chassis=1,addr=6,x-speed=5", "-device", "e1000e,bus=rp,romfile=",
                              "-device", "nvme,serial=z,addr=7.0,multifunction=on", "-device", "nvme,serial=w,addr=7.1",
                              "-drive", f"file={work / 'sata.img'},if=none,id=s0,format=raw", "-device", "ich9-ahci,id=sata,addr=8",
                              "-device", "ide-hd,bus=sata.0,drive=s0"],
                             append=f"memmap=0x100000${VICTIM:#x}", console=os.environ.get("ORIEL_OUTER_CONSOLE"),
                             memory="4G")
        phases = {m.group(1): m.group(2) for m in re.finditer(r"@phase (\w+)\r?\n(.*?)(?=@phase|\Z)", said, re.S)}
        assert "end" in phases, said[-3000:]
        assert "@fail" not in said, re.findall("@fail.*", said)
        return phases, before, disk.read_bytes(), data


def told(phase, pattern):
    """The match of @pattern in what was said in @phase."""
    text = boot()[0][phase]
    match = re.search(pattern, text, re.M)
    assert match, f"no '{pattern}' in phase {phase}:\n{text[-2000:]}"
    return match


def test_list_names_what_is_in_the_way():
    told("list", rf"^{NVME}.*class 010802  group \d+  driver nvme  BARs 16K  reset flr")
    told("list", rf"the host uses it with driver nvme: oriel passthrough bind {NVME}")
    told("bind", rf"^{NVME}.*driver vfio-pci.*\s+ready")
    told("bind", rf"^{NIC}.*driver vfio-pci.*\s+ready")


def test_devices_that_can_not_be_had_are_refused():
    told("refusals", rf"error: {NVME}: the host uses it with driver nvme; run: oriel passthrough bind")
    told("refusals", r"error: 0000:00:1d.0: there is no such PCI device")
    told("refusals", r"error: 0000:00:00.0: it is a bridge")
    told("refusals", rf"error: {NVME} holds the file system mounted at /mnt")
    told("guest", r"error: /dev/vfio/\d+ is in use by another program")


def test_group_goes_together():
    told("group", rf"error: {re.escape(PAIR[1])} \(driver nvme\) is in IOMMU group \d+ too and has to go along; nothing was changed")
    told("group", rf"error: IOMMU group \d+ is not complete: the host still uses {re.escape(PAIR[1])} \(nvme\)")
    told("bind", rf"^{PAIR[1]}.*driver vfio-pci.*\s+ready")


def test_limits_are_explained_before_the_start():
    told("limits", r"error: .*guest memory at 0x40000000\+0xc0000000 covers addresses that this host's IOMMU reserves.*start the VM anew")
    told("limits", r"error: .*256 MiB of guest memory must be locked for the device, but the limit is 65536 KiB: raise it with ulimit -l")
    told("limits", rf"error: {NIC}: the device could not be reset \(it has no such way\)")


def test_large_guest_leaves_the_iommus_addresses_alone():
    told("guest", r"info: guest memory at 0xfee00000\+0x100000 is left alone")
    told("guest", r"^ *fee00000-feefffff : reserved")
    told("guest", r"^read \w+")  # and its devices reach the rest
    told("guest", r"^plugged 0x10d3")


def test_host_without_protection_is_refused():
    for iommu, says in (("intremap=off", "this host does not remap interrupts, so a device could forge them"),
                        (None, f"{NVME}: no IOMMU stands before it")):
        said = outer.run([vm.ORIEL], {"hello": hello_kernel()}, POOR, ["-device", "nvme,serial=x,addr=4"], iommu=iommu, limit_s=120)
        lines = [line for line in said.splitlines() if "oriel: error: " in line]
        assert says in lines[-1] and "@fail" not in said, said[-3000:]
        assert len(lines) == (2 if iommu is None else 1), lines  # bind refuses, too, without an IOMMU


def test_guest_reads_and_writes_by_dma():
    _, before, after, _ = boot()
    assert told("guest", r"^read (\w+)").group(1) == served.md5(before[4 * MIB:5 * MIB])
    assert after[8 * MIB:8 * MIB + 4 * 65536] == before[4 * MIB:4 * MIB + 4 * 65536]
    assert int(told("guest", r"(\d+) +GICv2m-PCI-MSIX-0000:01:00.0 +\d Edge +nvme0q1").group(1)) > 0
    told("guest", rf"{NVME}: reset by flr")
    told("guest", rf"{NIC}: reset by pm")
    told("guest", rf"{SATA}: reset by none")


def test_guest_has_traffic_on_the_nic():
    told("guest", " 0% packet loss")
    assert told("guest", r"^got (\w+)").group(1) == served.md5(boot()[3])
    assert int(told("guest", r"(\d+) +GICv2m-PCI-MSIX-0000:02:00.0 +0 Edge +eth0").group(1)) > 0


def test_all_kinds_of_interrupts_arrive():
    assert told("guest", r"^by INTx (\w+)").group(1) == served.md5(boot()[3])
    assert int(told("guest", r"(\d+) +GICv3 +\d+ Level +eth0").group(1)) > 20  # each ended and asked for again
    assert told("guest", r"^by MSI (\w+)").group(1) == served.md5(boot()[1][4 * MIB:5 * MIB])
    assert int(told("guest", r"(\d+) +GICv2m-PCI-MSI-0000:03:00.0 +0 Edge +ahci").group(1)) > 3


def test_device_comes_and_goes_while_the_guest_runs():
    told("guest", r"^plugged 0x10d3")
    told("guest", r"^unplugged")
    told("guest", r'"forced": ?false')


def test_dma_outside_the_guest_faults_and_changes_nothing():
    told("guest", r"^own 0x0 1b36")  # the same command into the guest's own memory works
    told("guest", rf"^at {VICTIM}")  # what the device says about it is the device's own affair
    told("confined", rf"DMAR: \[DMA Write.*Request device \[00:04.0\] fault addr {VICTIM:#x}")
    page = told("confined", r"^page (\w+)").group(1)
    assert told("guest", r"^(\w{32})").group(1) == page == told("restore", r"^(\w{32})").group(1)


def test_each_way_of_reset_works():
    for way in ("pm", "bus", "none"):
        told("ladder", rf'^held B oriel: info: {PORTED}: reset by {way}\r?\n.*"device":"{PORTED}","reset":"{way}"')
    told("ladder", rf"^held B oriel: info: {PAIR[1]}: reset by flr")


def test_device_survives_many_starts():
    cycle = rf'^held B oriel: info: {NVME}: reset by flr\r?\n.*"reset":"flr"'
    assert len(re.findall(cycle, boot()[0]["cycles"], re.M)) == CYCLES, boot()[0]["cycles"]


def test_host_gets_its_devices_back():
    told("restore", rf"^{NVME}.*driver nvme")
    told("restore", rf"^{NIC}.*driver e1000e")


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
