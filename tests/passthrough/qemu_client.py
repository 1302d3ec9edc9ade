# SPDX-License-Identifier: Apache-2.0
"""Our guest under a QEMU that has a vfio-user client: Debian sid's, unpacked beside the system."""
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import aptroot
import vm


def command():
    """The command of a qemu-system-aarch64 with a vfio-user client."""
    root = aptroot.unpacked("qemu-sid", aptroot.AptRoot("sid", "amd64"), ["qemu-system-arm"])
    lib = root / "usr/lib/x86_64-linux-gnu"
    path = ":".join(str(p) for p in (lib, lib / "pulseaudio", lib / "blas", lib / "lapack"))
    return [str(lib / "ld-linux-x86-64.so.2"), "--library-path", path, str(root / "usr/bin/qemu-system-aarch64"), "-L",
            str(root / "usr/share/qemu")]


def connect(path):
    """A connected stream socket."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(path))
    return peer


def talk(peer, request):
    """Send a request, yield lines that come back."""
    peer.sendall(json.dumps(request).encode() + b"\n")
    with peer.makefile("r") as lines:
        yield from lines


class Qemu:
    """The guest under QEMU; like vm.Vm.  @server: of a device that is there from the start."""

    def __init__(self, qemu, *, server=None, script="", disks=(), append=""):
        self.dir = tempfile.TemporaryDirectory(prefix="oriel-qemu-")
        self.qmp_path = Path(self.dir.name) / "qmp"
        image = vm.IMAGE
        options = ["-M", "virt,gic-version=3,memory-backend=m0", "-object", "memory-backend-memfd,id=m0,size=512M,share=on", "-m", "512M",
                   "-accel", "tcg", "-cpu", "max,pauth=off", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
                   "-kernel", str(image / "Image"), "-initrd", str(image / "initrd.img"), "-append",
                   f"console=ttyAMA0 quiet panic=-1 oriel.task=script {append}", "-device", "pcie-root-port,id=slot0,chassis=1",
                   "-qmp", f"unix:{self.qmp_path},server=on,wait=off"]
        for number, disk in enumerate((image / "root.img", vm.script_disk(self.dir.name, script), *disks)):
            options += ["-drive", f"file={disk},if=none,id=d{number},format=raw,readonly=on", "-device", f"virtio-blk-pci,drive=d{number}"]
        if server:
            options += ["-device", json.dumps(self.device(server))]
        self.monitor = None
        self.out = open(Path(self.dir.name) / "console", "w+")
        self.process = subprocess.Popen([*qemu, *options], stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT)

    @staticmethod
    def device(server):
        """What -device and device_add want."""
        return {"driver": "vfio-user-pci", "id": "foreign", "bus": "slot0", "socket": {"type": "unix", "path": str(server.path)}}

    def attach(self, server):
        """Returns when QEMU has answered."""
        self.say({"execute": "device_add", "arguments": self.device(server)})

    def say(self, request):
        """To the monitor, connected on first use; waits for the answer."""
        if not self.monitor:
            self.monitor = connect(self.qmp_path)
            self.say({"execute": "qmp_capabilities"})
        answers = (json.loads(line) for line in talk(self.monitor, request))
        answer = next(a for a in answers if "return" in a or "error" in a)
        assert "error" not in answer, answer

    def console(self):
        """What the guest said so far."""
        return Path(self.out.name).read_text(errors="replace")

    def wait_for(self, text, limit_s=120):
        """Wait until the console says @text."""
        end = time.monotonic() + limit_s
        while text not in self.console():
            assert self.process.poll() is None and time.monotonic() < end, self.console()[-1500:]
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.monitor:
            self.monitor.close()
        self.out.close()
        self.dir.cleanup()
