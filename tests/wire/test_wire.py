#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oriel-gpu's front end for oriel: the messages of src/wire/wire.h, from a client that may be wrong."""
import array
import fcntl
import mmap
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import venus  # noqa: E402

HELLO, CREATE, UNREF, ATTACH, SUBMIT, GRANT = 1, 2, 3, 4, 5, 6
WELCOME, BLOB, SUBMITTED, FENCE, FATAL, UNREFERENCED = 0x100, 0x101, 0x102, 0x103, 0x104, 0x106
GREETING = "<IIQIIII64s"
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
STATE_RECORDS, STATE_RINGS, RING_BYTES, STATE_BYTES, SPOKEN = 48, 56, 120, 56 + 64 * 120, 3


def memfd(size, seals=SEALS, data=b""):
    """A sealed memfd."""
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    os.pwrite(fd, data, 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Ledger:
    """What servers hold together: a counter for each but the first."""

    def __init__(self, slots=3):
        self.fd, self.slots = memfd(slots * 8), slots
        self.map = mmap.mmap(self.fd, slots * 8)

    def __getitem__(self, slot):
        return struct.unpack_from("<Q", self.map, slot * 8)[0]

    def __setitem__(self, slot, value):
        struct.pack_into("<Q", self.map, slot * 8, value)


class Wire:
    """A server process and our end of its socket."""

    def __init__(self, hello=True, limit=64 << 20, ledger=None, slot=1, **changes):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(20)
        self.socket, self.seq, self.killed = ours, 0, False
        self.process = subprocess.Popen([str(venus.SERVER), "--wire-fd", str(theirs.fileno())], pass_fds=[theirs.fileno()],
                                        stderr=subprocess.PIPE, text=True)
        theirs.close()
        self.state_fd = memfd(STATE_BYTES)
        self.ledger, self.slot = ledger or Ledger(), slot
        self.state = mmap.mmap(self.state_fd, STATE_BYTES)
        if hello:
            self.hello(limit=limit, **changes)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()
        status = self.process.wait(20)
        self.process.stderr.close()
        os.close(self.state_fd)
        assert exc[0] or status == (-9 if self.killed else 0), status

    def errors(self):
        """All it said; it has to end by itself."""
        self.process.wait(20)
        return self.process.stderr.read()

    def send(self, kind, payload, *fds, length=None, seq=None):
        """One message; returns its sequence number."""
        self.seq += 1
        seq = self.seq if seq is None else seq
        message = struct.pack("<IIQ", kind, 16 + len(payload) if length is None else length, seq) + payload
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([message], ancillary)
        return seq

    def receive(self, kind, seq=None):
        """(payload, fd or None) of the next message, which must be of that kind."""
        data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(16))
        assert data, "end of stream: " + self.errors()
        got, length, echoed = struct.unpack_from("<IIQ", data)
        assert got == kind and length == len(data) and (seq is None or echoed == seq), (hex(got), length, echoed)
        fds = array.array("i")
        for _, _, part in ancillary:
            fds.frombytes(part)
        assert len(fds) <= 1
        return data[16:], fds[0] if fds else None

    def hello(self, limit=64 << 20, version=SPOKEN, query=0, granule=4096):
        """The greeting and its answer."""
        fds = [self.state_fd] if query else [self.state_fd, self.ledger.fd]
        seq = self.send(HELLO, struct.pack(GREETING, version, 7, limit, granule, query, self.slot, 0, b"test"), *fds)
        if version != SPOKEN:
            return
        data, _ = self.receive(WELCOME, seq)
        status, spoken, self.backing, self.api = struct.unpack_from("<iIII", data)
        assert (status, spoken) == (0, SPOKEN), data
        self.capset = data[16:176]
        self.driver = data[176:304].split(b"\0")[0].decode()

    def create(self, resource, size, blob_id=0, flags=1):
        """(status, map_info, size, mapping or None)."""
        data, fd = self.receive(BLOB, self.send(CREATE, struct.pack("<IIQQ", resource, flags, blob_id, size)))
        status, map_info, actual = struct.unpack("<iIQ", data)
        memory = None
        if fd is not None:
            assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS == SEALS and os.fstat(fd).st_size == actual
            memory = mmap.mmap(fd, actual)
            os.close(fd)
        assert (status == 0) == (memory is not None)
        return status, map_info, actual, memory

    def submit(self, stream, fence=None, ring_idx=0, fd=None):
        """(status, fence id if one was asked for)."""
        request = struct.pack("<IIQII", ring_idx, fence is not None, fence or 0, len(stream), 0)
        seq = self.send(SUBMIT, request + (b"" if fd is not None else stream), *([fd] if fd is not None else []))
        answers = {}
        for _ in range(1 + (fence is not None)):
            data, _, _, _ = self.socket.recvmsg(4096)
            assert data, "end of stream"
            answers[struct.unpack_from("<I", data)[0]] = data[16:]
        (status,) = struct.unpack_from("<i", answers[SUBMITTED])
        assert seq == self.seq
        return status, struct.unpack("<IIQ", answers[FENCE]) if fence is not None else None

    def ring(self, resource=1, ring_id=1):
        """A ring of Mesa's shape in a new resource."""
        status, _, _, memory = self.create(resource, 131268)
        assert status == 0
        assert self.submit(struct.pack("<IIQ", venus.CREATE_RING, 0, ring_id) + venus.ring_body(resource))[0] == 0
        return venus.Ring(Notifier(self), ring_id, memory)


class Notifier:
    """What a Ring needs of its client."""

    def __init__(self, wire):
        self.wire = wire

    def submit(self, stream):
        """A stream on the virtqueue."""
        self.wire.submit(stream)


def test_welcome_names_the_driver_and_its_backing():
    with Wire() as wire:
        assert wire.backing in (1, 2) and wire.api >> 12 >= (1 << 10 | 1) and wire.driver
        words = struct.unpack("<40I", wire.capset)
        assert words[0] == 1 and words[2:5] == (1, 2, 1) or words[2:5] == (1, 1, 1)
        assert words[5] & 1 and words[37:39] == (1, 1)
        assert struct.unpack_from("<II", wire.state) == (SPOKEN, wire.process.pid)


def test_a_query_is_answered_and_ends():
    with Wire(hello=False) as wire:
        wire.hello(query=1)
        assert wire.errors() == ""


def test_wrong_greetings_end_the_server():
    with Wire(hello=False) as wire:
        wire.hello(version=SPOKEN + 1)
        assert "no greeting" in wire.errors()
    with Wire(hello=False) as wire:
        wire.send(HELLO, b"short")
        assert "no greeting" in wire.errors()
    with Wire(hello=False) as wire:  # no state page
        wire.send(HELLO, struct.pack(GREETING, SPOKEN, 7, 1 << 20, 4096, 0, 1, 0, b""))
        data, _ = wire.receive(WELCOME)
        assert struct.unpack_from("<i", data)[0] < 0 and b"state page" in data
    for slot in (0, 3):  # the parent's, and none
        with Wire(hello=False) as wire:
            wire.send(HELLO, struct.pack(GREETING, SPOKEN, 7, 1 << 20, 4096, 0, slot, 0, b""), wire.state_fd, wire.ledger.fd)
            data, _ = wire.receive(WELCOME)
            assert struct.unpack_from("<i", data)[0] < 0 and b"ledger" in data


def test_ring_cursors_and_counters_outlive_the_server():
    with Wire() as wire:
        ring = wire.ring(resource=11, ring_id=0xabcdef0012)
        _, _, _, memory = wire.create(12, 4096)
        ring.put(venus.set_reply(12, 256, 40) + venus.instance_version() * 2)
        assert ring.wait()
        wire.process.kill()
        wire.process.wait()
        rings = [struct.unpack_from("<IIQ9Q", wire.state, STATE_RINGS + i * RING_BYTES) for i in range(64)]
        (found,) = [(i, r) for i, r in enumerate(rings) if r[0]]
        assert found[1] == (1, 11, 0xabcdef0012, 0, 131268, 0, 64, 128, 192, 131072, 131264, 4)
        reply = struct.unpack_from("<IIQQQ", wire.state, STATE_RINGS + found[0] * RING_BYTES + 88)
        assert reply == (12, 0, 256, 40, 40), reply
        commands, _, _, _, replies = struct.unpack_from("<5Q", wire.state, 8)
        assert commands >= 4 and replies == 2, (commands, replies)
        assert ring.head == ring.tail
        assert struct.unpack_from("<I", memory, 256)[0] == venus.INSTANCE_VERSION
        wire.killed = True


def test_long_streams_come_in_a_sealed_memfd():
    with Wire() as wire:
        stream = struct.pack("<IIQQQ", venus.WRITE_EXTRA, 0, 1, 0, 0)[:28] * 4000  # 112000 bytes, over the inline limit
        ring = wire.ring()
        fd = memfd(len(stream), SEALS | fcntl.F_SEAL_WRITE, stream)
        assert wire.submit(stream, fd=fd)[0] == 0
        os.close(fd)
        assert ring.status & venus.FATAL == 0
        fd = memfd(len(stream), SEALS, stream)  # could still be written: refused, and the context lives
        assert wire.submit(stream, fd=fd)[0] < 0
        os.close(fd)
        assert wire.submit(b"", fence=5) == (0, (0, 0, 5))


def test_blobs_have_limits_and_rules():
    with Wire(limit=1 << 20) as wire:
        assert wire.create(1, 5000)[:3] == (0, 1, 8192)
        assert wire.create(1, 4096)[0] < 0  # id in use
        assert wire.create(0, 4096)[0] < 0
        assert wire.create(2, 0)[0] < 0
        assert wire.create(2, 2 ** 64 - 1)[0] < 0
        assert wire.create(2, 1 << 20)[0] < 0  # limit
        assert wire.create(2, 4096, blob_id=99)[0] < 0  # no such memory
        assert wire.create(2, 4096, flags=0)[:2] == (0, 0)
        for _ in range(2):
            wire.receive(UNREFERENCED, wire.send(UNREF, struct.pack("<IIQ", 1, 0, 0)))
        wire.send(UNREF, struct.pack("<IIQ", 1, 0, 0), seq=0)  # no answer
        assert wire.create(3, (1 << 20) - 4096)[0] == 0


def test_servers_of_one_vm_have_one_limit():
    ledger = Ledger()
    with Wire(limit=1 << 20, ledger=ledger, slot=1) as first, Wire(limit=1 << 20, ledger=ledger, slot=2) as second:
        assert first.create(1, 700 << 10)[0] == 0
        assert second.create(1, 700 << 10)[0] < 0
        assert second.create(1, 300 << 10)[0] == 0
        assert (ledger[1], ledger[2]) == (700 << 10, 300 << 10)
        first.receive(UNREFERENCED, first.send(UNREF, struct.pack("<IIQ", 1, 0, 0)))
        assert second.create(2, 700 << 10)[0] == 0  # what rested was given back
    assert (ledger[1], ledger[2]) == (0, 0)  # orderly ends leave nothing
    with Wire(limit=1 << 20, ledger=ledger, slot=1) as first, Wire(limit=1 << 20, ledger=ledger, slot=2) as second:
        assert first.create(1, 700 << 10)[0] == 0
        first.process.kill()
        first.process.wait()
        first.killed = True
        assert second.create(1, 700 << 10)[0] < 0
        ledger[1] = 0  # as oriel does when it hears of the end
        assert second.create(1, 700 << 10)[0] == 0


def test_resources_of_other_contexts_are_checked():
    with Wire() as wire:
        good, bad = memfd(8192), memfd(8192, 0)
        wire.send(ATTACH, struct.pack("<IIQ", 5, 0, 8192), good)
        wire.send(ATTACH, struct.pack("<IIQ", 6, 0, 8192), bad)
        wire.send(ATTACH, struct.pack("<IIQ", 7, 0, 1 << 40), good)
        assert wire.create(5, 4096)[0] < 0  # taken
        assert wire.create(6, 4096)[0] == 0 and wire.create(7, 4096)[0] == 0  # were refused
        os.close(good)
        os.close(bad)


def test_fences_come_whatever_happens():
    with Wire() as wire:
        assert wire.submit(b"", fence=1) == (0, (0, 0, 1))
        assert wire.submit(b"", fence=2, ring_idx=9) == (0, (9, 0, 2))  # a timeline without a queue
        assert wire.submit(b"", fence=3, ring_idx=0xffffffff) == (0, (0xffffffff, 0, 3))


def test_a_broken_rule_is_told_and_ends_the_context():
    with Wire() as wire:
        ring = wire.ring()
        ring.put(struct.pack("<II", 4711, 0))
        data, _ = wire.receive(FATAL)
        assert data.split(b"\0")[0] == b"unknown command"
        assert ring.status & venus.FATAL
        status, fence = wire.submit(b"", fence=8)
        assert status < 0 and fence == (0, 0, 8)


def test_messages_without_sense_end_the_server():
    cases = {
        "unknown kind": (99, b"", None),
        "too short": (CREATE, b"1234", None),
        "too long": (UNREF, b"x" * 100, None),
        "wrong length": (UNREF, struct.pack("<IIQ", 1, 0, 0), 17),
        "stream missing": (SUBMIT, struct.pack("<IIQII", 0, 0, 0, 100, 0), None),
        "attach without a descriptor": (ATTACH, struct.pack("<IIQ", 1, 0, 4096), None),
    }
    for what, (kind, payload, length) in cases.items():
        with Wire() as wire:
            wire.send(kind, payload, length=length)
            assert "makes no sense" in wire.errors(), what


def test_hanging_up_ends_a_blocked_server():
    with Wire() as wire:
        ring = wire.ring()
        ring.put(struct.pack("<IIQ", venus.WAIT_SEQNO, 0, 1 << 40))
        request = struct.pack("<IIQII", 0, 0, 0, 24, 0)
        wire.send(SUBMIT, request + struct.pack("<IIQQ", venus.WAIT_RING, 0, 1, ring.tail))
        time.sleep(0.1)
        assert wire.process.poll() is None
        start = time.monotonic()
        wire.socket.close()
        assert wire.process.wait(9) == 0 and time.monotonic() - start < 5


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
