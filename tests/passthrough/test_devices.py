#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real devices behind vfio-user in the Debian guest: QEMU's NVMe and e1000e, each in a process of its own."""
import functools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "guest"), str(HERE.parents[1] / "images")]
import demo  # noqa: E402
import peers  # noqa: E402
import served  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

ADAPTER = str(vm.BUILD / "tests/passthrough/remote-adapter")
MIB = 1 << 20
DISK = 64 * MIB


def disk_image(directory):
    """An image whose second half is random."""
    image = Path(directory) / "disk.img"
    with open(image, "wb") as file:
        file.truncate(DISK)
        file.seek(DISK // 2)
        file.write(os.urandom(DISK // 2))
    return image


def device(server):
    """Options of `oriel run` for it."""
    return ("--passthrough", f"vfio-user:{server.path}", "--log", "info")


def test_nvme_is_a_disk_that_verifies():
    script = """
    sh /usr/lib/oriel/modules/load nvme
    while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done
    echo "read $(dd if=/dev/nvme0n1 bs=1M skip=32 count=16 2>/dev/null | md5sum)"
    dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null
    dd if=/tmp/data of=/dev/nvme0n1 bs=64k conv=fsync 2>/dev/null
    dd if=/tmp/data of=/dev/nvme0n1 bs=4k seek=4096 count=256 oflag=direct 2>/dev/null
    echo 3 >/proc/sys/vm/drop_caches
    echo "wrote $(md5sum </tmp/data)"
    echo "back $(dd if=/dev/nvme0n1 bs=1M count=16 2>/dev/null | md5sum)"
    grep nvme /proc/interrupts
    echo "polled $(dmesg | grep -c "completion polled")"
    """
    with tempfile.TemporaryDirectory() as directory:
        image = disk_image(directory)
        with peers.nvme(ADAPTER, image) as server:
            result = vm.run(*device(server), script=script)
        data = image.read_bytes()
    assert result.status == 0, result.errors
    assert result.told(r"^read (\w+)").group(1) == served.md5(data[32 * MIB:48 * MIB])
    wrote = result.told(r"^wrote (\w+)").group(1)
    assert result.told(r"^back (\w+)").group(1) == wrote == served.md5(data[:16 * MIB])
    assert data[16 * MIB:17 * MIB] == data[:MIB]
    assert int(result.told(r"\d+: +(\d+) .*nvme0q1").group(1)) > 10
    result.told("^polled 0")  # a driver without interrupts would get by, slowly
    assert "reset by flr" in result.errors


def test_nic_carries_traffic():
    data = os.urandom(4 * MIB)
    with served.web(data) as port:
        script = f"""
        sh /usr/lib/oriel/modules/load e1000e
        while ! [ -d /sys/class/net/eth0 ]; do sleep 0.1; done
        ip addr add 10.0.2.15/24 dev eth0
        ip link set eth0 up
        while [ "$(cat /sys/class/net/eth0/carrier)" != 1 ]; do sleep 0.1; done
        ping -c 3 10.0.2.2
        echo "got $(wget -q -O - http://10.0.2.2:{port}/file | md5sum)"
        grep eth0 /proc/interrupts
        """
        with peers.RemoteDevice(ADAPTER, "-netdev", "user,id=u0", "-device", "e1000e,netdev=u0,id=d0,romfile=") as server:
            result = vm.run(*device(server), script=script)
    assert result.status == 0, result.errors
    assert result.told(r"^got (\w+)").group(1) == served.md5(data)
    assert " 0% packet loss" in result.console
    assert "BAR 2 has I/O ports, which this board has not: not shown" in result.errors


def test_server_killed_while_the_disk_is_busy():
    script = """
    cd /usr/lib/oriel/modules
    for m in $(grep -v '^nvme.ko$' nvme.order); do insmod $m 2>/dev/null; done
    echo 3 >/sys/module/nvme_core/parameters/io_timeout
    insmod nvme.ko
    while ! [ -b /dev/nvme0n1 ]; do sleep 0.1; done
    (while dd if=/dev/nvme0n1 of=/dev/null bs=64k count=64 iflag=direct 2>/dev/null; do :; done; echo "the disk failed") &
    sleep 1
    echo busy
    wait
    echo "ids $(od -An -tx4 -N4 /sys/bus/pci/devices/0000:01:00.0/config 2>/dev/null || echo gone)"
    echo "still alive"
    """
    with tempfile.TemporaryDirectory() as directory:
        with peers.nvme(ADAPTER, disk_image(directory)) as server, vm.Vm(*device(server), script=script) as machine:
            machine.wait_for("busy")
            server.kill()
            result = machine.finish()
    assert result.status == 0, result.errors
    result.told("^the disk failed")
    result.told("^still alive")
    assert result.told(r"^ids +(\w+)").group(1) in ("ffffffff", "gone")
    assert len(re.findall("the server is gone", result.errors)) == 1, result.errors


def test_huge_bars_are_reached_to_their_ends():
    script = """
    dev=/sys/bus/pci/devices/0000:01:00.0
    echo 1 >$dev/enable
    read -r start end flags <$dev/resource
    echo "bar $start $end"
    busybox devmem $start 64 0x1122334455667788
    busybox devmem $((end - 7)) 64 0x0123456789abcdef
    busybox devmem $((end - 4095)) 8 0x5a
    echo "end $(busybox devmem $((end - 7)) 64) $(busybox devmem $((end - 3)) 16)"
    """
    for size in (128 << 30, 2 << 40):  # the second is larger than the board's usual window
        check_big_bar(script, size)


def check_big_bar(script, size):
    """Boot with a BAR of @size bytes, and look into it from both sides."""
    with peers.BigDevice(str(vm.BUILD / "tests/passthrough/big-device"), size) as server:
        result = vm.run(*device(server), script=script, append="iomem=relaxed")
        assert result.status == 0, result.errors
        start, end = (int(x, 16) for x in result.told(r"^bar (\w+) (\w+)").groups())
        assert end - start + 1 == size and start % size == 0, hex(start)
        result.told("^end 0x0123456789ABCDEF 0x4567")
        assert server.read(0, 8) == (0x1122334455667788).to_bytes(8, "little")
        assert server.read(size - 8, 8) == (0x0123456789abcdef).to_bytes(8, "little")
        assert server.read(size - 4096, 1) == b"Z"
        assert "trapped" not in server.said()


def test_our_gpu_is_served_to_another_vm():
    script = """
    until [ -c /dev/fb0 ]; do usleep 50000; done
    tr '\\000' '\\125' </dev/zero | head -c $((640 * 480 * 4)) >/dev/fb0
    sleep 1
    grep virtio3-control /proc/interrupts
    """
    with tempfile.TemporaryDirectory() as directory:
        socket, picture = Path(directory) / "gpu.sock", Path(directory) / "frame.png"
        server = subprocess.Popen([str(vm.ORIEL), "device", "gpu", "--vfio-user", str(socket), "--resolution", "640x480", "--display",
                                   f"png:{picture}"], stdin=subprocess.DEVNULL)
        try:
            while not socket.exists():
                assert server.poll() is None
                time.sleep(0.02)
            result = vm.run("--passthrough", f"vfio-user:{socket}", script=script)
        finally:
            server.terminate()
            status = server.wait(30)
        assert result.status == 0 and status == 0, result.errors
        assert int(result.told(r"(\d+) +GICv2m-PCI-MSIX-0000:01:00.0 +1 Edge +virtio3-control").group(1)) > 10
        width, height, pixels = demo.png_pixels(picture)
        assert (width, height) == (640, 480)
        grey = pixels.count(b"\x55\x55\x55")
        assert grey > 0.9 * width * height, grey


def test_no_server_and_no_sense():
    kernel = vm.IMAGE / "Image"
    refused = functools.partial(vm.refused, "--kernel", kernel, "--gpu", "none", "--passthrough")
    assert "/nonexistent.sock" in refused("vfio-user:/nonexistent.sock")
    assert "0000:01:00.0" in refused("wheel")
    assert "bar9" in refused("vfio-user:/x,bar9=trap")
    assert "vga=on" in refused("0000:01:00.0,vga=on")
    assert "reset=hope" in refused("0000:01:00.0,reset=hope")
    with tempfile.TemporaryDirectory() as directory, peers.nvme(ADAPTER, disk_image(directory)) as server:
        assert "/nonexistent.rom" in refused(f"vfio-user:{server.path},rom=/nonexistent.rom")
    with peers.Babbler() as server:
        line = refused(f"vfio-user:{server.path}")
        assert str(server.path) in line and "protocol" in line, line


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
