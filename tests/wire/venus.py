# SPDX-License-Identifier: Apache-2.0
"""A server to test, and a client that speaks vtest and a little Venus, well or badly as a test needs."""
import array
import ctypes
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

BUILD = Path(os.environ.get("ORIEL_BUILD", "build"))
SERVER = BUILD / "oriel-gpu"

UNREF, BUSY_WAIT, CREATE_RENDERER, PING, VERSION, PARAM, CAPSET, INIT, BLOB = 3, 7, 8, 10, 11, 15, 16, 17, 18
SYNC_CREATE, SYNC_UNREF, SYNC_READ, SYNC_WRITE, SYNC_WAIT, SUBMIT = 19, 20, 21, 22, 23, 24

SET_REPLY, EXECUTE, CREATE_RING, DESTROY_RING, NOTIFY_RING, WRITE_EXTRA = 178, 180, 188, 189, 190, 191
INSTANCE_VERSION, SUBMIT_SEQNO, WAIT_SEQNO, WAIT_RING = 137, 251, 252, 253
IDLE, FATAL, ALIVE = 1, 2, 4
RING_INFO, RING_MONITOR, RING_PRIORITY = 1000384000, 1000384006, 1000384007


class Server:
    """oriel-gpu --vtest, for the length of a with block; checks that it ends cleanly."""

    def __init__(self, *args, wrap=(), env=None):
        """@wrap: words in front of the program's path; @env: variables besides the usual ones."""
        self.dir = tempfile.TemporaryDirectory()
        self.path = self.dir.name + "/socket"
        self.log = open(self.dir.name + "/log", "w+", encoding="utf-8")  # noqa: closed in __exit__
        self.process = subprocess.Popen([*wrap, str(SERVER), "--vtest", self.path, *args], stderr=self.log, env={**os.environ, **(env or {})})

    def __enter__(self):
        deadline = time.monotonic() + 30
        while not self.is_listening():
            assert self.process.poll() is None and time.monotonic() < deadline, self.errors()
            time.sleep(0.02)
        return self

    def is_listening(self):
        """True once connections are accepted: the flag 10000 of the socket in /proc/net/unix."""
        sockets = Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()
        return any(line.endswith(" " + self.path) and line.split()[3] == "00010000" for line in sockets)

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        leftover = os.path.exists(self.path)
        self.log.close()
        self.dir.cleanup()
        assert exc[0] or (status == 0 and not leftover), f"status {status}, socket left: {leftover}"

    def errors(self):
        """What it said."""
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def client(self, handshake=True):
        """A connection."""
        client = Client(self.path)
        if handshake:
            client.handshake()
        return client


def ring_body(resource, size=131268, monitor_us=None, priority=None, **changes):
    """vkCreateRingMESA without its header and ring id."""
    fields = dict(flags=0, resource=resource, offset=0, size=size, idle=1000000, head=0, tail=64, status=128,
                  buffer=192, buffer_size=131072, extra=131264, extra_size=4)
    fields.update(changes)
    chain = struct.pack("<Q", 0)
    if priority is not None:  # a struct's own chain comes before its members
        chain = struct.pack("<QI", 1, RING_PRIORITY) + chain + struct.pack("<i", priority)
    if monitor_us is not None:
        chain = struct.pack("<QI", 1, RING_MONITOR) + chain + struct.pack("<I", monitor_us)
    values = list(fields.values())
    return struct.pack("<QI", 1, RING_INFO) + chain + struct.pack("<II10Q", *values)


class Client:
    """One connection.  Replies that do not come raise ConnectionError."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.buffers = {}

    def close(self):
        """Hang up."""
        self.socket.close()

    def send(self, command, *words, data=b"", length=None):
        """One request: 32-bit words, then @data; @length replaces the right one."""
        body = struct.pack(f"<{len(words)}I", *words) + data
        if length is None:
            length = len(body) if command == CREATE_RENDERER else len(body) // 4
        self.socket.sendall(struct.pack("<II", length, command) + body)

    def read(self, size):
        """Exactly @size bytes."""
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("end of stream")
            data += part
        return data

    def reply(self, command):
        """The words of the reply to @command."""
        count, got = struct.unpack("<II", self.read(8))
        assert got == command, f"reply {got} to {command}"
        return struct.unpack(f"<{count}I", self.read(4 * count))

    def receive_fd(self):
        """The descriptor that follows a reply."""
        data, ancillary, _, _ = self.socket.recvmsg(1, socket.CMSG_SPACE(4))
        assert len(data) == 1 and len(ancillary) == 1
        fds = array.array("i")
        fds.frombytes(ancillary[0][2][:4])
        return fds[0]

    def handshake(self):
        """All that Mesa sends before its first blob."""
        self.send(CREATE_RENDERER, data=b"test\0")
        self.send(PING)
        self.send(BUSY_WAIT, 0, 0)
        assert self.reply(PING) == ()
        assert self.reply(BUSY_WAIT) == (0,)
        self.send(VERSION, 3)
        assert self.reply(VERSION) == (3,)
        self.send(PARAM, 1)
        assert self.reply(PARAM) == (1, 64)
        self.send(CAPSET, 4, 0)
        capset = self.reply(CAPSET)
        assert len(capset) == 41 and capset[:2] == (1, 1)
        self.send(INIT, 4)

    def blob(self, size, blob_id=0, flags=1):
        """(resource id, mapping)."""
        self.send(BLOB, 2, flags, size & 0xffffffff, size >> 32, blob_id & 0xffffffff, blob_id >> 32)
        (resource,) = self.reply(BLOB)
        fd = self.receive_fd()
        try:
            return resource, mmap.mmap(fd, size)
        finally:
            os.close(fd)

    def submit(self, stream, ring_idx=0, syncs=()):
        """One batch: a Venus stream, and {id: value} to set when it is done."""
        words = len(stream) // 4
        body = struct.pack("<7I", 1, 1, 7, words, 7 + words, len(syncs), ring_idx) + stream
        body += b"".join(struct.pack("<IQ", i, v) for i, v in dict(syncs).items())
        self.send(SUBMIT, data=body)

    def ping_until_processed(self):
        """Returns when everything sent before has been carried out."""
        self.send(PING)
        assert self.reply(PING) == ()

    def is_dropped(self, timeout=20):
        """True if the server resets the connection; anything else but silence is an error."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(1)
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        raise AssertionError(f"not reset, but {'an orderly end' if not data else 'an answer'}")

    def ring(self, ring_id=1, **body):
        """A ring of Mesa's shape; @body: what ring_body() shall say of it."""
        resource, memory = self.blob(131268)
        self.submit(struct.pack("<IIQ", CREATE_RING, 0, ring_id) + ring_body(resource, **body))
        return Ring(self, ring_id, memory)


class Ring:
    """The guest's side of a ring."""

    def __init__(self, client, ring_id, memory):
        self.client, self.id, self.memory, self.tail = client, ring_id, memory, 0

    def word(self, offset):
        """A word of the ring's memory."""
        return struct.unpack_from("<I", self.memory, offset)[0]

    head = property(lambda self: self.word(0))
    status = property(lambda self: self.word(128))

    def put(self, commands, notify=True):
        """Write commands, which may wrap around, and publish them."""
        for i in range(0, len(commands), 4):
            offset = 192 + ((self.tail + i) & 131071)
            self.memory[offset:offset + 4] = commands[i:i + 4]
        self.set_tail(self.tail + len(commands), notify)

    def set_tail(self, tail, notify=True):
        """Publish any tail."""
        self.tail = tail & 0xffffffff
        ctypes.c_uint32.from_buffer(self.memory, 64).value = self.tail  # one store; struct.pack_into() writes zeros first
        if notify and self.status & IDLE:
            self.client.submit(struct.pack("<IIQII", NOTIFY_RING, 0, self.id, self.tail, 0))

    def wait(self, timeout=20):
        """Until everything has been executed.  False if the ring turned fatal."""
        deadline = time.monotonic() + timeout
        while self.head != self.tail:
            if self.status & FATAL:
                return False
            assert time.monotonic() < deadline, f"head {self.head}, tail {self.tail}, status {self.status}"
            time.sleep(0.0005)
        return True


def set_reply(resource, offset, size):
    """vkSetReplyCommandStreamMESA."""
    return struct.pack("<IIQIQQ", SET_REPLY, 0, 1, resource, offset, size)


def instance_version():
    """vkEnumerateInstanceVersion with a reply of 20 bytes."""
    return struct.pack("<IIQ", INSTANCE_VERSION, 1, 1)


def readable(fd, timeout):
    """True if @fd becomes readable in time."""
    return bool(select.select([fd], [], [], timeout)[0])
