#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds for the board's fuzz targets: random register accesses, and kernel files that were damaged.

usage: board_seeds.py DIR | board_seeds.py --check REPLAY
"""
import gzip
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

SEED = 20240607


def accesses(rng):
    """A few hundred records of board_access.c, with offsets where registers are."""
    records = bytearray()
    for _ in range(rng.randrange(50, 800)):
        what = rng.randrange(256)
        offset = rng.choice([rng.randrange(0x1000), rng.randrange(0x40000), 0x6000 + rng.randrange(0x900),
                             0x10000 + rng.randrange(0xd00), 12 | rng.randrange(8, 13) << 4 | rng.randrange(8) << 8])
        value = rng.choice([0, 1, rng.getrandbits(64), (1 << 64) - 1, rng.randrange(1024), 0xa0])
        records += struct.pack("<BBHQ", what, offset & 255, offset >> 8 & 0xffff, value)
    return bytes(records)


def image():
    """A small arm64 Image with a PE section."""
    body = bytearray(8192)
    body[0:2] = b"MZ"
    struct.pack_into("<QQQ", body, 8, 0, 16384, 10)
    body[0x38:0x3c] = b"ARM\x64"
    struct.pack_into("<I", body, 0x3c, 0x40)
    body[0x40:0x44] = b"PE\0\0"
    struct.pack_into("<HH", body, 0x44, 0xaa64, 1)
    struct.pack_into("<II", body, 0x58 + 16, 4096, 4096)
    return bytes(body)


def zboot(payload):
    """An EFI zboot file around a gzip stream."""
    header = bytearray(512)
    header[0:8] = b"MZ\0\0zimg"
    struct.pack_into("<II", header, 8, 512, len(payload))
    header[0x18:0x1c] = b"gzip"
    return bytes(header) + payload


def damaged(rng, data):
    """A copy with some bytes changed, or cut."""
    copy = bytearray(data)
    for _ in range(rng.randrange(6)):
        copy[rng.randrange(min(len(copy), 256))] = rng.choice([0, 255, rng.randrange(256)])
    return bytes(copy[:rng.randrange(len(copy))]) if rng.random() < 0.3 else bytes(copy)


def write_seeds(folder):
    """Both kinds; each target takes any bytes."""
    rng = random.Random(SEED)
    packed = gzip.compress(image(), mtime=0)
    kinds = [image(), packed, zboot(packed)]
    for i in range(100):
        (folder / f"access{i}").write_bytes(accesses(rng))
        (folder / f"kernel{i}").write_bytes(kinds[i] if i < 3 else damaged(rng, rng.choice(kinds)))


def main():
    """Command line."""
    if len(sys.argv) == 2:
        write_seeds(Path(sys.argv[1]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write_seeds(Path(folder))
        return subprocess.run([sys.argv[2], folder], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
