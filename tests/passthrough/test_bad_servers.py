#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vfio-user servers that lie: each is refused with one line that names it, or does no harm to the guest."""
import concurrent.futures
import contextlib
import os
import re
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "guest")]
import false_server as fs  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402


def changed(at, data):
    """The honest configuration space with other bytes at @at."""
    config = fs.honest_config()
    config[at:at + len(data)] = data
    return config


def refused(server, options=""):
    """The one line of `oriel run`, which names the server."""
    line = vm.refused("--kernel", vm.IMAGE / "Image", "--gpu", "none", "--memory", "64M", "--passthrough", f"vfio-user:{server.path}{options}")
    assert str(server.path) in line, line
    return line


def expect(says, options="", **how):
    """A server made by @how is refused by a line with @says."""
    with fs.FalseServer(**how) as server:
        line = refused(server, options)
        assert re.search(says, line), f"'{says}' is not in: {line}"


def test_sizes_and_offsets():
    expect("BAR 0 has 0x5000 bytes, which no BAR can have", regions={0: 0x5000})
    expect("BAR 0 has 0x1000000000000000 bytes", regions={0: 1 << 60})
    expect("BARs need 65536 GiB, more than the board's window can hold", regions={0: 1 << 46})
    expect("BAR 0 has 0x100000000 bytes", regions={0: 1 << 32}, config=changed(0x10, b"\0"))
    expect("configuration space of 64 bytes", regions={fs.CONFIG: 64})
    expect("configuration space of 1048576 bytes", regions={fs.CONFIG: 1 << 20})
    with tempfile.TemporaryFile() as file:
        file.truncate(fs.BAR_LEN)
        for areas in ([(0x3000, 0x2000)], [(0x800, 0x1000)], [(1 << 63, 0x1000)], [(0, 0)]):
            expect("BAR 0: the part to be mapped at 0x[0-9a-f]+ makes no sense", bar_fd=file.fileno(), areas=areas)


def test_registers():
    expect("its registers read as nothing", config=changed(0, b"\xff\xff"))
    expect("it is a bridge", config=changed(0x0e, b"\x01"))
    table = changed(0x40, struct.pack("<III", 0x00078011, 0x3ff0, 0x2000))
    expect("MSI-X table lies outside its BARs", config=table,
           lies={fs.IRQ_INFO: lambda s, b: struct.pack("<IIII", 16, 1, struct.unpack_from("<I", b, 8)[0], 8)})


def test_answers_that_make_no_sense():
    expect("makes no sense", lies={fs.GET_INFO: lambda s, b: b"1234"})
    expect("makes no sense", lies={fs.REGION_INFO: lambda s, b: b"1234"})
    expect("makes no sense", lies={fs.REGION_INFO: lambda s, b: struct.pack("<IIIIQQ", 32, 3, 5, 0, 4096, 0)})  # of another region
    expect("makes no sense", lies={fs.IRQ_INFO: lambda s, b: b[:8]})
    expect("can not be read", lies={fs.READ: lambda s, b: b[:16]})
    expect("can not be read: it is gone", lies={fs.READ: lambda s, b: s.peer.sendall(struct.pack("<HHIII", 0, fs.READ, 0xffffffff, 1, 0))})
    with tempfile.TemporaryFile() as file:
        expect("broke the protocol|makes no sense", lies={fs.GET_INFO: lambda s, b: (s.info(b), [file.fileno()] * 100)})


def flood(server, _):
    """Commands without end, and never the answer."""
    server.peer.settimeout(0.2)
    with contextlib.suppress(socket.timeout):
        while True:
            server.send(7, fs.DMA_READ, 0x10, struct.pack("<QQ", 0x40000000, 4096))


def dribble(server, _):
    """An answer without end."""
    server.peer.sendall(struct.pack("<HHIII", 1, fs.GET_INFO, 1 << 20, 1, 0))
    for _ in range(150):
        server.peer.sendall(b"x")
        time.sleep(0.1)


def test_endless_and_missing_answers():
    def timed(lie):
        start = time.monotonic()
        expect("did not answer within 10000 ms", lies={fs.GET_INFO: lie})
        return time.monotonic() - start
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert all(9 < s < 40 for s in pool.map(timed, (flood, dribble, lambda s, b: None)))
    expect("broke the protocol", lies={fs.GET_INFO: lambda s, b: [s.send(99, fs.RESET, 1, b"") for _ in range(1000)] and None})


def test_option_roms():
    with tempfile.NamedTemporaryFile(suffix=".rom") as rom:
        rom.write(b"not a ROM")
        rom.flush()
        expect("does not begin with 55 aa", options=f",rom={rom.name}")
    expect("/nonexistent.rom: No such file", options=",rom=/nonexistent.rom")
    expect("ROM file /.*: .*(directory|no ROM)", options=",rom=/")


def test_wrong_descriptors_do_no_harm():
    """The BAR is then passed on access by access; so is a ROM that can not be read left out."""
    script = """
    dev=/sys/bus/pci/devices/0000:01:00.0
    echo 1 >$dev/enable
    read -r start end flags <$dev/resource
    busybox devmem $((start + 16)) 32 0xcafe0001
    echo "bar $(busybox devmem $((start + 16)) 32) rom $(ls $dev | grep -c rom)"
    """
    ours, theirs = os.pipe()
    with tempfile.TemporaryFile() as short, open("/dev/null", "r+b") as null:
        short.truncate(4096)  # of 16 KiB
        pair = socket.socketpair()
        for fd in (ours, short.fileno(), null.fileno(), pair[0].fileno()):
            lies = {fs.READ: lambda s, b: b[:16] if b[8] == fs.ROM else s.read(b)}
            with fs.FalseServer(bar_fd=fd, regions={fs.ROM: 65536}, lies=lies) as server:
                result = vm.run("--passthrough", f"vfio-user:{server.path}", "--log", "info", script=script, append="iomem=relaxed")
                assert result.status == 0, result.errors
                result.told("^bar 0xCAFE0001 rom 0")
                assert server.bar[16:20] == struct.pack("<I", 0xcafe0001)
            assert "can not be mapped safely" in result.errors and "option ROM can not be read" in result.errors, result.errors
        for end in pair:
            end.close()
    os.close(ours)
    os.close(theirs)


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
