# SPDX-License-Identifier: Apache-2.0
"""Servers of PCI devices for tests: QEMU's device emulation behind vfio-user."""
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path


class RemoteDevice:
    """One device of `qemu-system-x86_64 -machine x-remote`, served at .path; use as a context manager."""

    def __init__(self, adapter, *options, qemu="qemu-system-x86_64"):
        self.dir = tempfile.TemporaryDirectory(prefix="oriel-remote-")
        self.path = Path(self.dir.name) / "vfio-user"
        ours, theirs = socket.socketpair()
        self.log = open(Path(self.dir.name) / "log", "w+")
        self.qemu = subprocess.Popen(
            [qemu, "-machine", "x-remote", "-nodefaults", "-display", "none", "-monitor", "none", *options,
             "-object", f"x-remote-object,id=r0,devid=d0,fd={theirs.fileno()}"],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        theirs.close()
        self.adapter = subprocess.Popen([adapter, str(self.path), str(ours.fileno())], pass_fds=[ours.fileno()],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        ours.close()
        end = time.monotonic() + 30
        while not self.path.exists():
            assert self.adapter.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.02)

    def said(self):
        """What the two programs printed."""
        self.log.flush()
        return (Path(self.dir.name) / "log").read_text()

    def kill(self):
        """As if the server had crashed."""
        for process in (self.adapter, self.qemu):
            process.kill()
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.log.close()
        self.dir.cleanup()


def nvme(adapter, image):
    """An NVMe disk over @image."""
    return RemoteDevice(adapter, "-drive", f"if=none,id=n0,format=raw,file={image}", "-device", "nvme,serial=oriel0,drive=n0,id=d0")


class BigDevice:
    """A device whose only BAR has @size bytes; .read() looks into it."""

    def __init__(self, program, size):
        self.dir = tempfile.TemporaryDirectory(prefix="oriel-big-")
        self.path = Path(self.dir.name) / "vfio-user"
        self.log = open(Path(self.dir.name) / "log", "w+")
        self.process = subprocess.Popen([program, str(self.path), str(size)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.fd = int(self.process.stdout.readline())

    def read(self, offset, length):
        """What is in the BAR."""
        with open(f"/proc/{self.process.pid}/fd/{self.fd}", "rb") as bar:
            bar.seek(offset)
            return bar.read(length)

    def said(self):
        """What the program printed."""
        return (Path(self.dir.name) / "log").read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.dir.cleanup()


class Babbler:
    """A socket that answers anything with something else."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="oriel-babbler-")
        self.path = Path(self.dir.name) / "socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(4)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Each client gets a line of text."""
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                peer.sendall(b"220 mail.example.org ESMTP ready\r\n" * 4)
                peer.recv(65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.dir.cleanup()
