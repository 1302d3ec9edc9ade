#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Long work on devices behind vfio-user: fio that verifies, a lost server under it, a USB stick behind a controller."""
import os
import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "guest"), str(HERE.parents[1] / "images")]
import peers  # noqa: E402
import served  # noqa: E402
import programs  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

ADAPTER = str(vm.BUILD / "tests/passthrough/remote-adapter")
MIB = 1 << 20
# What fio's package asks for and fio does not load.
EXCLUDE = {"libc6", "adduser", "base-passwd", "debconf", "dpkg", "init-system-helpers", "libpam-modules", "libpam-modules-bin", "login.defs",
           "media-types", "netbase", "openssl-provider-legacy", "passwd", "python3", "python3-minimal", "python3.13", "python3.13-minimal",
           "libpython3-stdlib", "libpython3.13-minimal", "libpython3.13-stdlib", "tar", "tzdata", "readline-common", "dmsetup"}
NVME = """
sh /usr/lib/oriel/modules/load nvme
until [ -b /dev/nvme0n1 ]; do usleep 50000; done
"""
FIO = "fio --filename=/dev/nvme0n1 --direct=1 --ioengine=libaio --verify=crc32c --verify_fatal=1 --group_reporting --minimal"


def with_fio(server, script, **how):
    """Arguments of a VM that has the disk of @server, and fio."""
    return ("--passthrough", f"vfio-user:{server.path}", "--log", "info", "--disk", f"{programs.disk('fio', EXCLUDE)},ro"), {
        "script": programs.mount("/dev/vdc") + NVME + script, **how}


def image_of(directory, data):
    """A file with @data."""
    path = Path(directory) / "disk.img"
    path.write_bytes(data)
    return path


def test_fio_verifies_what_it_wrote():
    script = f"""
    {FIO} --name=random --rw=randwrite --bs=4k --iodepth=8 --size=24m >/tmp/out 2>&1; echo "random $?"; cat /tmp/out | cut -c1-200
    {FIO} --name=mixed --rw=randrw --bsrange=512-128k --iodepth=16 --offset=24m --size=24m >/tmp/out 2>&1; echo "mixed $?"
    {FIO} --name=seq --rw=write --bs=1m --iodepth=4 --offset=48m --size=16m >/tmp/out 2>&1; echo "seq $?"
    {FIO} --name=seq --rw=read --verify_only --bs=1m --offset=48m --size=16m >/tmp/out 2>&1; echo "again $?"
    # fio notices: the same data with one sector changed behind its back
    dd if=/dev/urandom of=/dev/nvme0n1 bs=512 seek=$((50 * 2048 + 1)) count=1 oflag=direct 2>/dev/null
    {FIO} --name=seq --rw=read --verify_only --bs=1m --offset=48m --size=16m >/tmp/out 2>&1 || echo "changed seen"
    grep nvme0q1 /proc/interrupts
    dmesg | grep -E "nvme.*(timeout|polled|reset)"
    true
    """
    with tempfile.TemporaryDirectory() as directory:
        image = image_of(directory, bytes(64 * MIB))
        with peers.nvme(ADAPTER, image) as server:
            options, how = with_fio(server, script, memory="1G")
            result = vm.run(*options, limit_s=600, **how)
        written = image.read_bytes()
    assert result.status == 0, result.errors
    for name in ("random", "mixed", "seq", "again"):
        result.told(f"^{name} 0")
    result.told("^changed seen")
    assert int(result.told(r"\d+: +(\d+) .*nvme0q1").group(1)) > 1000
    assert not re.search("nvme.*(timeout|polled)", result.console), result.console[-2000:]
    assert all(written[at:at + 4096].strip(b"\0") for at in (*range(0, 24 * MIB, MIB), *range(48 * MIB, 64 * MIB, MIB))), "the disk's own file was not written"


def test_server_killed_under_fio():
    script = f"""
    {FIO} --name=long --rw=randwrite --bs=4k --iodepth=8 --size=48m --loops=1000 >/tmp/out 2>&1 &
    sleep 5; echo busy
    wait $! || echo "fio failed"
    echo "still alive"
    """
    with tempfile.TemporaryDirectory() as directory:
        image = image_of(directory, bytes(64 * MIB))
        with peers.nvme(ADAPTER, image) as server:
            options, how = with_fio(server, "", memory="1G")
            how["script"] = how["script"].replace(NVME, NVME.replace("sh /usr/lib/oriel/modules/load nvme", """
            cd /usr/lib/oriel/modules
            for m in $(grep -v '^nvme.ko$' nvme.order); do insmod $m 2>/dev/null; done
            echo 3 >/sys/module/nvme_core/parameters/io_timeout
            insmod nvme.ko
            """)) + script
            with vm.Vm(*options, **how) as machine:
                machine.wait_for("busy")
                server.kill()
                result = machine.finish()
    assert result.status == 0, result.errors
    result.told("^fio failed")
    result.told("^still alive")
    assert len(re.findall("the server is gone", result.errors)) == 1, result.errors


def test_usb_stick_behind_a_controller():
    script = """
    for m in xhci-pci usb-storage sd_mod; do sh /usr/lib/oriel/modules/load $m; done
    until [ -b /dev/sda ]; do usleep 50000; done
    echo "read $(dd if=/dev/sda bs=64k count=64 2>/dev/null | md5sum)"
    dd if=/dev/sda bs=64k count=16 2>/dev/null | dd of=/dev/sda bs=64k seek=64 conv=fsync 2>/dev/null
    grep xhci /proc/interrupts
    for d in /sys/bus/usb/devices/*; do [ -f $d/product ] && echo "usb $(cat $d/product)"; done
    """
    data = os.urandom(8 * MIB)
    with tempfile.TemporaryDirectory() as directory:
        image = image_of(directory, data)
        with peers.RemoteDevice(ADAPTER, "-device", "qemu-xhci,id=d0", "-drive", f"if=none,id=u0,format=raw,file={image}", "-device",
                                "usb-storage,bus=d0.0,drive=u0") as server:
            result = vm.run("--passthrough", f"vfio-user:{server.path}", "--log", "info", script=script)
        after = image.read_bytes()
    assert result.status == 0, result.errors
    assert result.told(r"^read (\w+)").group(1) == served.md5(data[:4 * MIB])
    assert after[4 * MIB:5 * MIB] == data[:MIB] and after[5 * MIB:] == data[5 * MIB:]
    result.told("^usb QEMU USB HARDDRIVE")
    assert int(result.told(r"\d+: +(\d+) .*xhci").group(1)) > 10


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
