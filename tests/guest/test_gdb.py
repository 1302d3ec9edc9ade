#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A debugger on the host (`oriel run --gdb`): the real GDB, and clients that break the protocol.

DEBUGGED is the program of debugged.c, which runs in the guest.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import vm  # noqa: E402

PROGRAM = os.environ["DEBUGGED"]
SCRIPT = "cat /dev/vdc >/tmp/debugged; chmod +x /tmp/debugged; /tmp/debugged; echo debugged status $?"


class Gdb:
    """gdb-multiarch with its commands from us; use as a context manager."""

    def __init__(self, address):
        self.out = tempfile.NamedTemporaryFile(mode="w+")
        self.process = subprocess.Popen(["gdb-multiarch", "-nx", "-q", PROGRAM], stdin=subprocess.PIPE, stdout=self.out,
                                        stderr=subprocess.STDOUT, text=True)
        self.marks = 0
        self.do("set pagination off")
        self.do("set confirm off")
        self.do(f"target remote {address}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.out.close()

    def send(self, command):
        """Type @command, and something that shows when it is done."""
        self.marks += 1
        self.process.stdin.write(f"{command}\necho <<{self.marks}>>\\n\n")
        self.process.stdin.flush()

    def answer(self, limit_s=60):
        """What the last command said."""
        end = time.monotonic() + limit_s
        while True:
            text = Path(self.out.name).read_text()
            if f"<<{self.marks}>>" in text:
                return text.split(f"<<{self.marks}>>")[0].split(f"<<{self.marks - 1}>>")[-1]
            assert self.process.poll() is None and time.monotonic() < end, f"gdb is late:\n{text[-2000:]}"
            time.sleep(0.02)

    def do(self, command, limit_s=60):
        """The answer to @command."""
        self.send(command)
        return self.answer(limit_s)

    def expect(self, command, pattern):
        """The match of @pattern in the answer to @command."""
        text = self.do(command)
        match = re.search(pattern, text)
        assert match, f"{command}: no '{pattern}' in {text!r}"
        return match


def debugged_vm(address, *options):
    """A VM with the program, two vCPUs, and a debugger's address."""
    disk = vm.program_disk(PROGRAM)
    machine = vm.Vm("--cpus", "2", "--gdb", address, "--disk", f"{disk.name},ro", *options, script=SCRIPT)
    machine.disk = disk
    return machine


def wait_for_socket(path):
    """Until the VM listens."""
    for _ in range(200):
        if Path(path).exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {path}")


def test_gdb_debugs_the_guest():
    with tempfile.TemporaryDirectory() as folder, debugged_vm(f"unix:{folder}/gdb") as machine:
        wait_for_socket(f"{folder}/gdb")
        with Gdb(f"{folder}/gdb") as gdb:
            # Nothing ran yet: the kernel's first instructions.
            assert machine.console() == ""
            gdb.expect("info threads", r"vCPU 0\)(.|\n)*vCPU 1, off")
            entry = int(gdb.expect("p/x $pc", "= 0x(.*)").group(1), 16)
            gdb.do("stepi")
            gdb.expect("p/x $pc", f"= {entry + 4:#x}")
            # A program of the guest, far later.
            gdb.do("hbreak count")
            gdb.expect("continue", r"hit Breakpoint 1, count \(n=n@entry=1\)")
            gdb.expect("bt", "#1 .* in main")
            gdb.expect("p $x0", "= 1\n")
            gdb.expect("x/wx $pc", r":\s*0x[0-9a-f]{8}")
            gdb.do("continue")
            gdb.expect("p n", "= 2\n")
            # Its data, before and after.
            gdb.do("delete")
            gdb.expect("p counter", "= 1\n")
            gdb.do("watch counter")
            gdb.expect("continue", r"Old value = 1\s+New value = 3\s")
            gdb.expect("continue", r"Old value = 3\s+New value = 6\s")
            gdb.do("delete")
            gdb.do("rwatch stop")
            gdb.expect("continue", "hit Hardware read watchpoint")
            gdb.do("delete")
            # Registers and memory change, what is not mapped says so.
            gdb.do("break count")
            gdb.do("continue")
            gdb.do("p $x0 = 1000")
            gdb.do("p $v3.u = 5")
            gdb.do("p $q31 = 0x123456789abcdef")
            before = int(gdb.expect("p counter", r"= (\d+)").group(1))
            gdb.do("finish")
            gdb.expect("p counter", f"= {before + 1000}\n")
            gdb.expect("x/x 0x10", "Cannot access memory")
            gdb.do("delete")
            # Ctrl-C wherever it is.
            gdb.send("continue")
            time.sleep(0.5)
            gdb.process.send_signal(signal.SIGINT)
            assert "SIGINT" in gdb.answer(), "no stop"
            # Left while a breakpoint is set.
            gdb.do("hbreak count")
            gdb.do("continue")
            gdb.do("p stop = 7")
            gdb.expect("detach", "detached")
        result = machine.finish(60)
    assert result.status == 0, result.errors
    result.told("^debugged stop 7")
    result.told("^debugged status 0")


def test_gdb_debugs_the_kernel():
    with tempfile.TemporaryDirectory() as folder, debugged_vm(f"unix:{folder}/gdb,run") as machine:
        machine.wait_for("debugged ready")
        with Gdb(f"{folder}/gdb") as gdb:
            # A vCPU in its idle loop sleeps by WFI: there again and again.
            pc = 0
            for _ in range(50):
                gdb.send("continue")
                time.sleep(0.05)
                gdb.process.send_signal(signal.SIGINT)
                gdb.answer()
                pc = int(gdb.expect("p/x $pc", "= 0x(.*)").group(1), 16)
                if pc >> 63 and "wfi" in gdb.do("x/i $pc-4"):
                    break
            assert pc >> 63, f"{pc:#x} is not the kernel's"
            gdb.do(f"hbreak *{pc:#x}")
            for _ in range(3):
                gdb.expect("continue", "hit Breakpoint 1, ")
                gdb.expect("p/x $pc", f"= {pc:#x}")
            gdb.do("delete")
            for _ in range(20):
                gdb.do("stepi")
            gdb.do("detach")
        with Gdb(f"{folder}/gdb") as gdb:  # once more
            gdb.expect("kill", "killed")
        result = machine.finish(60)
    assert result.status == 5, f"{result.status} {result.errors}"


def packet(text):
    """A packet of the protocol."""
    return b"$" + text + b"#%02x" % (sum(text) & 0xff)


def test_bad_clients_lose_only_their_connection():
    port = 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with debugged_vm(f"{port},run") as machine:
        machine.wait_for("debugged ready")

        def talk(*pieces, wait=True):
            client = socket.create_connection(("127.0.0.1", port), 10)
            client.settimeout(10)
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.05)
            got = b""
            try:
                while wait:
                    part = client.recv(4096)
                    if not part:
                        break
                    got += part
            except ConnectionResetError:
                pass
            client.close()
            return got
        # Packets while the guest runs, a packet without end, a breakpoint and then nothing: closed, or left by us.
        assert b"OK" in talk(packet(b"Z0,7654000000,4"), packet(b"c"), packet(b"g"))
        talk(b"$" + b"m" * 10000)
        talk(packet(b"Z2,0,ffffffff"), packet(b"Z0,%s,4" % b"0"), wait=False)
        talk(os.urandom(3000).replace(b"$k", b"xx"), wait=False)
        answers = talk(packet(b"mffffffffffffffff,ffff"), packet(b"p999"), packet(b"vCont;c:77"), packet(b"M0,4:zz"), packet(b"D"))
        assert answers.count(b"$E") == 4, answers
        # The program still runs, and is told to end by a good client.
        with Gdb(f"127.0.0.1:{port}") as gdb:
            gdb.do("hbreak count")
            gdb.expect("continue", "hit Breakpoint 1")
            gdb.do("p stop = 3")
            gdb.do("disconnect")
        result = machine.finish(60)
    assert result.status == 0, result.errors
    result.told("^debugged stop 3")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
