# SPDX-License-Identifier: Apache-2.0
"""A vfio-user server in Python that is honest but for what a test makes it say."""
import array
import contextlib
import os
import socket
import struct
import tempfile
import threading
from pathlib import Path

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO, IRQ_INFO, SET_IRQS, READ, WRITE, DMA_READ, RESET = 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13
CONFIG, ROM = 7, 6
REPLY = 1
BAR_LEN = 0x4000


def honest_config():
    """An endpoint with one 64-bit BAR."""
    config = bytearray(4096)
    config[0:4] = struct.pack("<HH", 0x1234, 0x5678)
    config[6] = 0x10
    config[8:12] = struct.pack("<I", 0x12000001)
    config[0x10] = 0x0c
    config[0x34] = 0x40
    config[0x40:0x44] = struct.pack("<I", 0x00020010)
    return config


class FalseServer:
    """Serves at .path.  @lies: {command: f(server, body) -> body | (body, fds) | None for silence}, instead of the honest answers."""

    def __init__(self, lies=(), config=None, regions=(), bar_fd=None, areas=None):
        self.dir = tempfile.TemporaryDirectory(prefix="oriel-false-")
        self.path = Path(self.dir.name) / "socket"
        self.lies, self.config = dict(lies), config or honest_config()
        self.bar, self.bar_fd, self.areas = bytearray(BAR_LEN), bar_fd, areas
        self.sizes = {0: BAR_LEN, CONFIG: len(self.config), **dict(regions)}
        self.peer = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(4)
        threading.Thread(target=self.main, daemon=True).start()

    def main(self):
        """One client after the other."""
        with contextlib.suppress(OSError):
            while True:
                self.peer, _ = self.listener.accept()
                with contextlib.suppress(OSError, ValueError, struct.error):
                    self.serve()
                self.peer.close()

    def serve(self):
        """Until the client leaves."""
        while True:
            head = self.take(16)
            number, command, size, flags, _ = struct.unpack("<HHIII", head)
            answer = self.answer(command, self.take(size - 16))
            if answer is None or flags & 0x10:
                continue
            body, fds = answer if isinstance(answer, tuple) else (answer, ())
            self.send(number, command, REPLY, body, fds)

    def send(self, number, command, flags, body, fds=()):
        """A whole message."""
        message = struct.pack("<HHIII", number, command, 16 + len(body), flags, 0) + body
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.peer.sendmsg([message], control)
        self.peer.sendall(message[sent:])

    def take(self, size):
        """Exactly so many bytes."""
        data = b""
        while len(data) < size:
            more = self.peer.recv(size - len(data))
            if not more:
                raise ValueError("the client left")
            data += more
        return data

    def answer(self, command, body):
        """By the test, else the honest one."""
        if command in self.lies:
            return self.lies[command](self, body)
        honest = {VERSION: self.version, GET_INFO: self.info, REGION_INFO: self.region_info, IRQ_INFO: self.irq_info, READ: self.read,
                  WRITE: self.write, DMA_UNMAP: bytes}
        return honest.get(command, lambda _: b"")(body)

    @staticmethod
    def version(_):
        """0.1."""
        return struct.pack("<HH", 0, 1) + b'{"capabilities":{"max_msg_fds":8}}\0'

    @staticmethod
    def info(_):
        """A PCI device that can be reset."""
        return struct.pack("<IIII", 16, 3, 9, 5)

    def region_info(self, body):
        """Sizes; BAR 0 by a descriptor if the test gave one."""
        index = struct.unpack_from("<I", body, 8)[0]
        size = self.sizes.get(index, 0)
        if index or self.bar_fd is None:
            return struct.pack("<IIIIQQ", 32, 3, index, 0, size, 0)
        areas = self.areas or [(0, size)]
        caps = struct.pack("<HHIII", 1, 1, 0, len(areas), 0) + b"".join(struct.pack("<QQ", *a) for a in areas)
        return struct.pack("<IIIIQQ", 32 + len(caps), 0xf, index, 32, size, 0) + caps, [self.bar_fd]

    @staticmethod
    def irq_info(body):
        """INTx alone."""
        index = struct.unpack_from("<I", body, 8)[0]
        return struct.pack("<IIII", 16, 1, index, index == 0)

    def read(self, body):
        """Configuration space and BAR 0 are memory."""
        offset, region, count = struct.unpack_from("<QII", body)
        memory = self.config if region == CONFIG else self.bar
        return body[:16] + bytes(memory[offset:offset + count]).ljust(count, b"\0")

    def write(self, body):
        """All but ids and the kind of the BAR."""
        offset, region, count = struct.unpack_from("<QII", body)
        if region == 0:
            self.bar[offset:offset + count] = body[16:]
        elif region == CONFIG and 4 <= offset < 6:
            self.config[offset:offset + count] = body[16:]
        return body[:16]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        if self.peer:
            with contextlib.suppress(OSError):
                self.peer.shutdown(socket.SHUT_RDWR)
        self.dir.cleanup()
