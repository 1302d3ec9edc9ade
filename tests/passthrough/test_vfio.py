#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices of a host by the kernel's VFIO: a machine with an IOMMU (in QEMU) hands its NVMe and e1000e to a guest of ours.

One boot of the outer machine does everything; the tests look at what it said.
"""
import functools
import hashlib
import http.server
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "guest"), str(HERE.parents[1] / "images")]
import guest  # noqa: E402
import outer  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

NVME, NIC = "0000:00:04.0", "0000:00:05.0"
# A page of the outer machine that its kernel leaves alone, and that no guest of ours has.
VICTIM = 0x20000000
CYCLES = 20
MIB = 1 << 20

OUTER = f"""
devmem {VICTIM} 64 0x0123456789abcdef
devmem {VICTIM + 8} 64 0xfedcba9876543210
page() {{ dd if=/dev/mem bs=4096 skip={VICTIM // 4096} count=1 2>/dev/null | md5sum; }}
run="oriel run --kernel Image --initrd initrd --memory 256M --gpu none --rng off --log info"
fails() {{ "$@" && echo "@fail $1 $2 did not fail"; }}
echo "@phase list"; oriel passthrough list
echo "@phase refusals"
fails $run --passthrough {NVME}
fails $run --passthrough 0000:00:1d.0
fails oriel passthrough bind 0000:00:00.0
mknod /dev/n0 b $(sed 's/:/ /' /sys/block/nvme0n1/dev); mkdir /mnt; mount -t ext2 /dev/n0 /mnt || echo "@fail mount"
fails oriel passthrough bind {NVME}
umount /mnt
echo "@phase bind"; oriel passthrough bind {NVME} {NIC} || echo "@fail bind"; oriel passthrough list
(sleep 1; fails $run --passthrough {NVME}) &
echo "@phase guest"; page; dmesg -c >/dev/null; timeout 400 $run --append "console=ttyAMA0 quiet panic=-1 web=$(cat web)" --passthrough {NVME} --passthrough {NIC},reset=pm,reset=none
wait
echo "@phase confined"; dmesg | grep DMAR; echo "page $(page)"
echo "@phase cycles"
for i in $(seq {CYCLES}); do
    rm -f /tmp/c /tmp/e
    oriel run --kernel hello --memory 64M --gpu none --rng off --log info --passthrough {NVME} >/tmp/c 2>/tmp/e </dev/null &
    pid=$!
    until [ -s /tmp/c ] 2>/dev/null || ! kill -0 $pid 2>/dev/null; do usleep 50000; done
    echo "cycle $(cat /tmp/c) $(grep -h "reset by" /tmp/e)"; kill $pid; wait $pid
done 2>/dev/null
echo "@phase restore"; oriel passthrough restore; oriel passthrough list; page
echo "@phase end"
"""

INNER = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mkdir -p /tmp
cd /more
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
echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/unbind
/bin/dma-probe 0000:01:00.0 {VICTIM}
echo "inner end"
poweroff -f
"""


def hello_kernel():
    """The smallest arm64 kernel: says B on the serial port, and sleeps."""
    code = (0xd2a12000, 0x52800841, 0x39000001, 0xd503207f, 0x17ffffff)  # movz x0, uart; movz w1, 'B'; strb; wfi; b .-4
    head = struct.pack("<IIQQQQQQII", 0x14000010, 0, 0, 0x10000, 0xa, 0, 0, 0, 0x644d5241, 0)
    return head + struct.pack("<5I", *code)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_):
        pass


def md5(data):
    """As md5sum prints it."""
    return hashlib.md5(data).hexdigest()


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
        raise result
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
        (work / "web").mkdir()
        (work / "web/file").write_bytes(data)
        handler = functools.partial(Quiet, directory=work / "web")
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
            threading.Thread(target=web.serve_forever, daemon=True).start()
            files = {**inner_files(work), "web": str(web.server_address[1]).encode()}
            said = outer.run([vm.ORIEL], files, OUTER,
                             ["-drive", f"file={disk},if=none,id=n0,format=raw", "-device", "nvme,serial=x,drive=n0,addr=4",
                              "-netdev", "user,id=u0", "-device", "e1000e,netdev=u0,addr=5,romfile="],
                             append=f"memmap=0x100000${VICTIM:#x}", console=os.environ.get("ORIEL_OUTER_CONSOLE"))
            web.shutdown()
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


def test_guest_reads_and_writes_by_dma():
    _, before, after, _ = boot()
    assert told("guest", r"^read (\w+)").group(1) == md5(before[4 * MIB:5 * MIB])
    assert after[8 * MIB:8 * MIB + 4 * 65536] == before[4 * MIB:4 * MIB + 4 * 65536]
    assert int(told("guest", r"(\d+) +GICv2m-PCI-MSIX-0000:01:00.0 +\d Edge +nvme0q1").group(1)) > 0
    told("guest", rf"{NVME}: reset by flr")
    told("guest", rf"{NIC}: reset by pm")


def test_guest_has_traffic_on_the_nic():
    told("guest", " 0% packet loss")
    assert told("guest", r"^got (\w+)").group(1) == md5(boot()[3])
    assert int(told("guest", r"(\d+) +GICv2m-PCI-MSIX-0000:02:00.0 +0 Edge +eth0").group(1)) > 0


def test_dma_outside_the_guest_faults_and_changes_nothing():
    told("guest", r"^own 0x0 1b36")  # the same command into the guest's own memory works
    told("guest", rf"^at {VICTIM}")  # what the device says about it is the device's own affair
    told("confined", rf"DMAR: \[DMA Write.*Request device \[00:04.0\] fault addr {VICTIM:#x}")
    page = told("confined", r"^page (\w+)").group(1)
    assert told("guest", r"^(\w{32})").group(1) == page == told("restore", r"^(\w{32})").group(1)


def test_device_survives_many_starts():
    assert len(re.findall(rf"^cycle B oriel: info: {NVME}: reset by flr", boot()[0]["cycles"], re.M)) == CYCLES, boot()[0]["cycles"]


def test_host_gets_its_devices_back():
    told("restore", rf"^{NVME}.*driver nvme")
    told("restore", rf"^{NIC}.*driver e1000e")


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
