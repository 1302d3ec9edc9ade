#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oriel-gpu's vtest front end, with good and with hostile clients."""
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import venus  # noqa: E402
from processes import children  # noqa: E402
from venus import Server  # noqa: E402


def refusal(*args):
    """The one line of a server that must not start."""
    result = subprocess.run([str(venus.SERVER), *args], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1 or result.returncode == 2, result
    return result.stderr


def test_start_up_errors_are_one_clear_line():
    with tempfile.TemporaryDirectory() as folder:
        assert "socket path must have" in refusal("--vtest", folder + "/" + "x" * 200)
        Path(folder, "file").touch()
        assert "there is a file of that name" in refusal("--vtest", folder + "/file")
        assert "No such file" in refusal("--vtest", folder + "/no/such/socket")
        assert "not a number" in refusal("--vtest", folder + "/s", "--memory-limit", "lots")
        assert "no Vulkan device is the chosen one" in refusal("--vtest", folder + "/s", "--gpu-device", "no-such-gpu")
        assert "Usage" in refusal()
        env = dict(os.environ, VK_DRIVER_FILES="/nonexistent", VK_ICD_FILENAMES="/nonexistent")
        result = subprocess.run([str(venus.SERVER), "--vtest", folder + "/s"], env=env, capture_output=True, text=True,
                                timeout=30, check=False)
        assert result.returncode == 1 and "no Vulkan device" in result.stderr, result
        assert not os.path.exists(folder + "/s")


def test_a_socket_in_use_is_left_alone_and_a_stale_one_replaced():
    with Server() as server:
        assert "in use by another server" in refusal("--vtest", server.path)
        server.client().close()
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(folder + "/s")
        process = subprocess.Popen([str(venus.SERVER), "--vtest", folder + "/s"])
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    venus.Client(folder + "/s").handshake()
                    break
                except ConnectionRefusedError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_probe_says_what_devices_can_do():
    out = subprocess.run([str(venus.SERVER), "--probe"], capture_output=True, text=True, timeout=60, check=True).stdout
    for word in ('"page_size"', '"backing"', '"api_version"', '"driver"'):
        assert word in out, out


def test_ring_answers():
    with Server() as server:
        client = server.client()
        ring = client.ring()
        reply, memory = client.blob(4096)
        ring.put(venus.set_reply(reply, 64, 20) + venus.instance_version())
        assert ring.wait()
        command, result, present, version = struct.unpack_from("<IiQI", memory, 64)
        assert (command, result, present) == (venus.INSTANCE_VERSION, 0, 1)
        assert version >> 12 >= (1 << 10 | 1) and version >> 12 <= (1 << 10 | 3), hex(version)


def test_ring_wakes_from_idle_and_wraps():
    with Server() as server:
        client = server.client()
        ring = client.ring()
        reply, memory = client.blob(4096)
        command = venus.set_reply(reply, 0, 20) + venus.instance_version()
        for i in range(60):
            ring.put(command * 50)  # 50 * 52 bytes; the buffer wraps after 51 rounds
            assert ring.wait()
            deadline = time.monotonic() + 10
            while i % 10 == 0 and not ring.status & venus.IDLE:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        assert ring.tail > 131072
        assert struct.unpack_from("<I", memory)[0] == venus.INSTANCE_VERSION


def test_virtqueue_and_ring_wait_for_each_other():
    with Server() as server:
        client = server.client()
        ring = client.ring(ring_id=7)
        ring.put(struct.pack("<IIQ", venus.WAIT_SEQNO, 0, 3))
        time.sleep(0.05)
        assert ring.head == 0
        client.submit(struct.pack("<IIQQ", venus.SUBMIT_SEQNO, 0, 7, 2))
        client.ping_until_processed()
        time.sleep(0.05)
        assert ring.head == 0
        client.submit(struct.pack("<IIQQ", venus.SUBMIT_SEQNO, 0, 7, 3) +
                      struct.pack("<IIQQ", venus.WAIT_RING, 0, 7, ring.tail))
        client.ping_until_processed()
        assert ring.head == ring.tail


def test_streams_are_executed_from_shared_memory():
    with Server() as server:
        client = server.client()
        ring = client.ring()
        reply, answers = client.blob(4096)
        stream, commands = client.blob(65536)
        text = venus.set_reply(reply, 0, 20) + venus.instance_version()
        commands[0:len(text)] = text
        execute = struct.pack("<IIIQIQQQIQI", venus.EXECUTE, 0, 1, 1, stream, 0, len(text), 0, 0, 0, 0)
        ring.put(execute)
        assert ring.wait()
        assert struct.unpack_from("<I", answers)[0] == venus.INSTANCE_VERSION
        # A stream that executes a stream breaks the rules.
        commands[0:len(execute)] = execute
        ring.put(struct.pack("<IIIQIQQQIQI", venus.EXECUTE, 0, 1, 1, stream, 0, len(execute), 0, 0, 0, 0))
        ring.wait()
        assert ring.status & venus.FATAL


def test_monitored_rings_are_said_to_live():
    with Server() as server:
        client = server.client()
        ring = client.ring(monitor_us=100000)
        for _ in range(3):
            struct.pack_into("<I", ring.memory, 128, ring.status & ~venus.ALIVE)
            deadline = time.monotonic() + 5
            while not ring.status & venus.ALIVE:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def nices(parent):
    """Of all threads of @parent's children."""
    out = subprocess.run(["ps", "-L", "--ppid", str(parent), "-o", "nice="], capture_output=True, text=True, check=True).stdout
    return [int(line) for line in out.split()]


def test_rings_run_at_their_priority():
    with Server() as server:
        client = server.client()
        client.ring(1, monitor_us=100000, priority=11)
        client.ring(2, priority=-5)  # guests may ask for less, not for more
        client.ping_until_processed()
        deadline = time.monotonic() + 5
        while nices(server.process.pid).count(11) != 1:
            assert time.monotonic() < deadline, nices(server.process.pid)
            time.sleep(0.01)
        assert -5 not in nices(server.process.pid)


def test_rings_end_on_request():
    with Server() as server:
        client = server.client()
        for ring_id in range(1, 200):  # more than may live at once
            client.ring(ring_id)
            client.submit(struct.pack("<IIQ", venus.DESTROY_RING, 0, ring_id))
        client.ping_until_processed()


def bad_layouts():
    """(what, changed fields) of rings that must not be made."""
    yield "no such resource", dict(resource=99)
    yield "outside the resource", dict(size=131268 + 4)
    yield "far outside", dict(offset=2 ** 63)
    yield "end overflows", dict(offset=2 ** 64 - 4096)
    yield "head outside", dict(head=131268)
    yield "head overflows", dict(head=2 ** 64 - 2)
    yield "misaligned tail", dict(tail=66)
    yield "head on tail", dict(head=64)
    yield "status in the buffer", dict(status=256)
    yield "extra in the buffer", dict(extra=131260)
    yield "buffer size 0", dict(buffer_size=0)
    yield "buffer size odd", dict(buffer_size=131068)
    yield "buffer size 2^63", dict(buffer_size=2 ** 63)
    yield "extra size 2^64-4", dict(extra_size=2 ** 64 - 4)
    yield "flags", dict(flags=1)


def test_hostile_ring_layouts_drop_the_client_and_nobody_else():
    with Server() as server:
        good = server.client()
        good_ring = good.ring()
        for what, changes in bad_layouts():
            client = server.client()
            resource, _ = client.blob(131268)
            changes.setdefault("resource", resource)
            changes.setdefault("size", 131268)
            client.submit(struct.pack("<IIQ", venus.CREATE_RING, 0, 1) + venus.ring_body(**changes))
            assert client.is_dropped(), what
        reply, _ = good.blob(4096)
        good_ring.put(venus.set_reply(reply, 0, 20) + venus.instance_version())
        assert good_ring.wait()


def test_rings_with_words_not_zero_or_ids_in_use_are_refused():
    with Server() as server:
        client = server.client()
        resource, memory = client.blob(131268)
        struct.pack_into("<I", memory, 0, 4)
        client.submit(struct.pack("<IIQ", venus.CREATE_RING, 0, 1) + venus.ring_body(resource))
        assert client.is_dropped()
        client = server.client()
        client.ring(5)
        resource, _ = client.blob(131268)
        client.submit(struct.pack("<IIQ", venus.CREATE_RING, 0, 5) + venus.ring_body(resource))
        assert client.is_dropped()


def test_bad_ring_contents_are_fatal():
    streams = {
        "unknown command": struct.pack("<II", 100000, 0),
        "number not in use": struct.pack("<II", 195, 0),
        "cut short": struct.pack("<I", venus.INSTANCE_VERSION),
        "reply without a stream": venus.instance_version(),
        "reply outside": venus.set_reply(1, 131268, 20),
        "reply too small": venus.set_reply(1, 192, 8) + venus.instance_version(),
        "reply in no resource": venus.set_reply(77, 0, 20),
        "ring made by a ring": struct.pack("<IIQ", venus.CREATE_RING, 0, 9) + venus.ring_body(1),
        "ring ends itself": struct.pack("<IIQ", venus.DESTROY_RING, 0, 1),
        "ring waits for a ring": struct.pack("<IIQQ", venus.WAIT_RING, 0, 1, 100),
        "stream that depends on another": struct.pack("<IIIQIQQQIQIII", venus.EXECUTE, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0),
        "device that is not": struct.pack("<IIQQ", 12, 0, 42, 0),
    }
    with Server() as server:
        for what, stream in streams.items():
            client = server.client()
            ring = client.ring()
            ring.put(stream)
            ring.wait()
            assert ring.status & venus.FATAL, what
            client.send(venus.PING)
            assert client.is_dropped(), what
        for tail in (131076, 0xfffffffc, 2):
            client = server.client()
            ring = client.ring()
            ring.set_tail(tail)
            deadline = time.monotonic() + 10
            while not ring.status & venus.FATAL:
                assert time.monotonic() < deadline, tail
                time.sleep(0.001)


def bad_requests():
    """(what, send) of requests that must drop the client."""
    yield "unknown request", lambda c: c.send(99, 0)
    yield "second greeting", lambda c: c.send(venus.CREATE_RENDERER, data=b"x\0\0\0")
    yield "version too long", lambda c: c.send(venus.VERSION, 3, 3)
    yield "second context", lambda c: c.send(venus.INIT, 4)
    yield "huge length", lambda c: c.send(venus.SUBMIT, 0, length=0x7fffffff)
    yield "guest blob", lambda c: c.send(venus.BLOB, 1, 1, 4096, 0, 0, 0)
    yield "blob flags", lambda c: c.send(venus.BLOB, 2, 8, 4096, 0, 0, 0)
    yield "empty blob", lambda c: c.send(venus.BLOB, 2, 1, 0, 0, 0, 0)
    yield "blob of 2^64-1", lambda c: c.send(venus.BLOB, 2, 1, 0xffffffff, 0xffffffff, 0, 0)
    yield "blob of 1 TiB", lambda c: c.send(venus.BLOB, 2, 1, 0, 256, 0, 0)
    yield "blob of no memory", lambda c: c.send(venus.BLOB, 2, 1, 4096, 0, 123, 0)
    yield "unref of nothing", lambda c: c.send(venus.UNREF, 77)
    yield "sync of nothing", lambda c: c.send(venus.SYNC_READ, 1)
    yield "wait for nothing", lambda c: c.send(venus.SYNC_WAIT, 0, 0, 5, 0, 0)
    yield "wait cut short", lambda c: c.send(venus.SYNC_WAIT, 0, 0, 5)
    yield "empty submission", lambda c: c.send(venus.SUBMIT)
    yield "batches missing", lambda c: c.send(venus.SUBMIT, 1000000)
    yield "commands outside", lambda c: c.send(venus.SUBMIT, 1, 1, 7, 100, 7, 0, 0)
    yield "commands far outside", lambda c: c.send(venus.SUBMIT, 1, 1, 0xffffffff, 2, 7, 0, 0)
    yield "syncs outside", lambda c: c.send(venus.SUBMIT, 1, 1, 7, 0, 7, 0x55555556, 0)
    yield "bad command", lambda c: c.submit(struct.pack("<II", 5000, 0))


def test_bad_requests_reset_the_connection():
    with Server() as server:
        for what, send in bad_requests():
            client = server.client()
            client.ping_until_processed()
            send(client)
            assert client.is_dropped(), what
        client = server.client(handshake=False)
        client.send(venus.PING)
        assert client.is_dropped(), "no greeting"
        client = server.client(handshake=False)
        client.send(venus.CREATE_RENDERER, data=b"x" * 100000)
        assert client.is_dropped(), "endless name"
        client = server.client(handshake=False)
        client.send(venus.CREATE_RENDERER, data=b"x\0")
        client.send(venus.SUBMIT, 0)
        assert client.is_dropped(), "no context"
        server.client().ping_until_processed()


def test_empty_batches_are_legal():
    with Server() as server:
        client = server.client()
        client.submit(b"")
        client.send(venus.SUBMIT, 0)
        client.ping_until_processed()


def test_memory_has_a_limit():
    with Server("--memory-limit", "8") as server:
        client = server.client()
        first, memory = client.blob(6 << 20)
        second, _ = client.blob(2 << 20)
        memory.close()
        client.send(venus.UNREF, second)
        client.blob(2 << 20)
        client.send(venus.BLOB, 2, 1, 4096, 0, 0, 0)
        assert client.is_dropped()
        assert first != second
        line = "oriel-gpu: warning: client dropped: no memory for it: the limit of GPU memory (oriel run --gpu-memory, oriel-gpu --memory-limit) is reached\n"
        assert server.errors() == line, server.errors()


def test_clients_end_before_others_where_memory_ends():
    def score(pid):
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="utf-8"))
    with Server() as server:
        client = server.client()
        assert score(server.process.pid) == score("self") and [score(pid) for pid in children(server.process.pid)] == [1000]
        client.close()


def test_clients_have_one_limit_and_a_killed_ones_memory_returns():
    with Server("--memory-limit", "8") as server:
        first, second = server.client(), server.client()
        first.blob(5 << 20)
        second.blob(2 << 20)
        second.send(venus.BLOB, 2, 1, 2 << 20, 0, 0, 0)
        assert second.is_dropped()
        os.kill(children(server.process.pid)[0], signal.SIGKILL)  # the first's
        deadline = time.monotonic() + 10
        while server.errors().count("ended with signal 9") != 1:
            assert time.monotonic() < deadline, server.errors()
            time.sleep(0.02)
        server.client().blob(8 << 20)


def test_blobs_cannot_be_resized():
    with Server() as server:
        client = server.client()
        client.send(venus.BLOB, 2, 1, 5000, 0, 0, 0)
        client.reply(venus.BLOB)
        fd = client.receive_fd()
        for size in (0, 4096, 1 << 20):
            try:
                os.ftruncate(fd, size)
                raise AssertionError("it can")
            except PermissionError:
                pass
        os.close(fd)


def test_syncs_count_and_wake():
    with Server() as server:
        client = server.client()
        ids = []
        for value in (0, 5):
            client.send(venus.SYNC_CREATE, value, 0)
            ids.append(client.reply(venus.SYNC_CREATE)[0])
        client.send(venus.SYNC_READ, ids[1])
        assert client.reply(venus.SYNC_READ) == (5, 0)

        def wait(flags, *items):
            client.send(venus.SYNC_WAIT, flags, 0xffffffff, *[w for i, v in items for w in (i, v, 0)])
            assert client.reply(venus.SYNC_WAIT) == ()
            return client.receive_fd()

        both, either, done = wait(0, (ids[0], 1), (ids[1], 6)), wait(1, (ids[0], 1), (ids[1], 6)), wait(0, (ids[1], 5))
        assert venus.readable(done, 5) and not venus.readable(either, 0.05)
        client.submit(b"", syncs={ids[0]: 1})
        assert venus.readable(either, 5) and not venus.readable(both, 0.05)
        client.send(venus.SYNC_WRITE, ids[1], 6, 0)
        assert venus.readable(both, 5)
        for fd in (both, either, done):
            os.close(fd)
        client.send(venus.SYNC_UNREF, ids[0])
        client.ping_until_processed()
        client.send(venus.SYNC_READ, ids[0])
        assert client.is_dropped()


def test_waits_have_a_limit():
    with Server() as server:
        client = server.client()
        client.send(venus.SYNC_CREATE, 0, 0)
        (sync,) = client.reply(venus.SYNC_CREATE)
        try:
            for _ in range(300):
                client.send(venus.SYNC_WAIT, 0, 0xffffffff, sync, 1, 0)
                client.reply(venus.SYNC_WAIT)
                os.close(client.receive_fd())
        except ConnectionResetError:
            return
        raise AssertionError("300 waits")


def test_a_client_that_vanishes_while_blocked_leaves_nothing():
    with Server() as server:
        for _ in range(3):
            client = server.client()
            ring = client.ring()
            ring.put(struct.pack("<IIQ", venus.WAIT_SEQNO, 0, 1 << 40))
            client.submit(struct.pack("<IIQQ", venus.WAIT_RING, 0, 1, ring.tail))
            time.sleep(0.05)
            client.close()
        deadline = time.monotonic() + 8
        while subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, check=False).stdout:
            assert time.monotonic() < deadline, "a client's process lives on"
            time.sleep(0.05)
        assert server.errors() == "", "leaving breaks no rule"


def test_clients_have_a_limit():
    with Server("--max-clients", "2") as server:
        clients = [server.client(), server.client()]
        third = venus.Client(server.path)
        try:
            third.handshake()
            raise AssertionError("three clients")
        except (EOFError, ConnectionError):
            pass
        for client in clients:
            client.ping_until_processed()


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
