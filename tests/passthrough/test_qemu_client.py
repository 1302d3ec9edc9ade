#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our servers with another's client: QEMU's vfio-user-pci, and the same Debian guest in it."""
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
import qemu_client  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402


class GpuServer:
    """`oriel device gpu` with a picture of its display."""

    def __init__(self, directory):
        self.path, self.picture = Path(directory) / "gpu.sock", Path(directory) / "frame.png"
        self.process = subprocess.Popen([str(vm.ORIEL), "device", "gpu", "--vfio-user", str(self.path), "--resolution", "640x480",
                                         "--display", f"png:{self.picture}"], stdin=subprocess.DEVNULL)
        while not self.path.exists():
            assert self.process.poll() is None
            time.sleep(0.02)

    def stop(self):
        """Its exit status."""
        self.process.terminate()
        return self.process.wait(30)


def test_our_gpu_draws_for_a_guest_of_qemu():
    script = """
    until [ -c /dev/fb0 ]; do usleep 50000; done
    tr '\\000' '\\125' </dev/zero | head -c $((640 * 480 * 4)) >/dev/fb0
    sleep 2
    grep control /proc/interrupts
    echo drawn
    """
    with tempfile.TemporaryDirectory() as directory:
        server = GpuServer(directory)
        try:
            with qemu_client.Qemu(qemu_client.command(), server=server, script=script) as guest:
                guest.wait_for("drawn")
                said = guest.console()
        finally:
            status = server.stop()
        assert status == 0
        fired = re.search(r"(\d+) .*MSIX?-0000:01:00.0 +1 Edge +virtio\d-control", said)
        assert fired and int(fired.group(1)) > 10, said[-1500:]
        width, height, pixels = demo.png_pixels(server.picture)
        assert (width, height) == (640, 480)
        assert pixels.count(b"\x55\x55\x55") > 0.9 * width * height


def test_huge_bar_is_mapped_into_a_guest_of_qemu():
    size = 128 << 30
    script = """
    dev=/sys/bus/pci/devices/0000:01:00.0
    echo 1 >$dev/enable
    read -r start end flags <$dev/resource
    busybox devmem $start 64 0x1122334455667788
    busybox devmem $((end - 7)) 64 0x0123456789abcdef
    echo "bar $((end - start + 1)) end $(busybox devmem $((end - 3)) 16)"
    """
    with peers.BigDevice(str(vm.BUILD / "tests/passthrough/big-device"), size) as server, \
            qemu_client.Qemu(qemu_client.command(), server=server, script=script, append="iomem=relaxed") as guest:
        guest.wait_for(f"bar {size} end 0x4567")
        assert server.read(0, 8) == (0x1122334455667788).to_bytes(8, "little")
        assert server.read(size - 8, 8) == (0x0123456789abcdef).to_bytes(8, "little")
        assert "trapped" not in server.said()


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
