# SPDX-License-Identifier: Apache-2.0
"""The same frames of the same programs in the guest and on the host: see frames.c.  Files come out of the guest on a disk."""
import io
import struct
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests")]
import desktop  # noqa: E402
import guest  # noqa: E402
import vm  # noqa: E402

DISK = 64 << 20
# What a guest's script says around its commands: /tmp/in has what was brought, what is in /tmp/out leaves.
BRING = "mkdir /tmp/in /tmp/out; tar xf /dev/vdc -C /tmp/in\n"
TAKE = "\ntar cf /tmp/out.tar -C /tmp/out .; dd if=/tmp/out.tar of=/dev/vdc bs=65536 conv=fsync 2>/dev/null; echo taken\n"


def library(kind, folder):
    """frames.c and its part for @kind ("gl" or "vk"), for the guest."""
    out = Path(folder) / f"libframes_{kind}.so"
    sources = [ROOT / "tests/guest" / f for f in ("frames.c", f"frames_{kind}.c")]
    guest.run("aarch64-linux-gnu-gcc", "-O2", "-std=gnu17", "-shared", "-fPIC", "-D_GNU_SOURCE", "-idirafter", "/usr/include", *sources, "-o", out,
              what="compile frames.c for arm64")
    return out


def in_guest(script, bring=(), limit_s=600):
    """(the Result, {name: bytes} of what @script left in /tmp/out) of a desktop; the files of @bring are in /tmp/in."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "exchange.img"
        with tarfile.open(disk, "w") as tar:
            for path in bring:
                tar.add(path, Path(path).name)
        with open(disk, "r+b") as file:
            file.truncate(DISK)
        result = desktop.run(BRING + script + TAKE, "--disk", disk, long=True, limit_s=limit_s)
        result.told("^taken")
        with tarfile.open(fileobj=io.BytesIO(disk.read_bytes())) as tar:
            return result, {m.name[2:]: tar.extractfile(m).read() for m in tar if m.isfile()}


def pixels(ppm):
    """(width, height, RGB bytes)."""
    head, rgb = ppm.split(b"\n255\n", 1)
    kind, width, height = head.split()
    assert kind == b"P6" and len(rgb) == int(width) * int(height) * 3, head
    return int(width), int(height), rgb


def keep(path, width, height, rgb):
    """An artefact: a PNG (third edition, 11)."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + rgb[y * width * 3:(y + 1) * width * 3] for y in range(height))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def apart(ours, theirs):
    """(values that differ, greatest difference) of two byte strings."""
    differences = [abs(a - b) for a, b in zip(ours, theirs) if a != b]
    return len(differences), max(differences, default=0)
