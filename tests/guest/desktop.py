# SPDX-License-Identifier: Apache-2.0
"""A guest with a desktop: weston drawing by Zink on the shared GPU, and programs with windows, all from Debian's packages.

The disk is made beside the guest of images/guest.py, whose kernel and initial RAM disk it shares, and kept like that.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests")]
import aptroot  # noqa: E402
import guest  # noqa: E402
import vm  # noqa: E402

PROGRAMS = ["weston", "mesa-utils-bin", "libegl-mesa0", "libgl1-mesa-dri", "libgles2", "libegl1"]
MORE = ["vkmark", "glmark2-es2-wayland", "xwayland", "ffmpeg"]  # for the long tests
# LLVM stays, since libgallium needs it to be loaded; what nobody calls goes.
EXCLUDE = (guest.EXCLUDE - {"libllvm19", "libz3-4", "libxml2", "libudev1", "libsystemd-shared"}
           - {e for e in guest.EXCLUDE if e.startswith("lib")}) | {"openssl-provider-legacy", "libkmod2", "libapparmor1"}
TYPE_CPU = 4  # VK_PHYSICAL_DEVICE_TYPE_CPU
LAYER = {"file_format_version": "1.1.2", "layer": {
    "name": "VK_LAYER_ORIEL_hold", "type": "GLOBAL", "library_path": "/usr/lib/oriel/libhold_layer.so", "api_version": "1.3.0",
    "implementation_version": "1", "description": "stops a program after some frames, for a test"}}
LAYER_SOURCES = (ROOT / "tests/wire/hold_layer.c", ROOT / "tests/wire/layer.h")
# No input devices and no session manager: weston needs neither.
START = """
export LIBSEAT_BACKEND=builtin SEATD_VTBOUND=0 MESA_LOADER_DRIVER_OVERRIDE=zink {software}
export VK_LAYER_PATH=/usr/lib/oriel/layers
chmod 700 /run/user
mkdir -p /tmp/.X11-unix; chmod 1777 /tmp/.X11-unix
(weston --backend=drm --drm-device=card0 --continue-without-input --idle-time=0 --socket=wayland-1 --log=/tmp/weston.log {options} 2>/dev/null
    echo "weston ended with $?"; tail -n 5 /tmp/weston.log) &
n=0; until [ -S /run/user/wayland-1 ]; do sleep 0.2; n=$((n + 1)); [ $n -lt 300 ] || break; done
export WAYLAND_DISPLAY=wayland-1
grep -o 'GL renderer: .*' /tmp/weston.log || cat /tmp/weston.log
"""


def add_layer(root):
    """The layer that stops programs at a frame; what no test looks at goes."""
    layers = root / "usr/lib/oriel/layers"
    layers.mkdir()
    (layers / "hold.json").write_text(json.dumps(LAYER))
    guest.run("aarch64-linux-gnu-gcc", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE", "-idirafter", "/usr/include", LAYER_SOURCES[0],
              "-o", root / "usr/lib/oriel/libhold_layer.so", what="compile the layer for arm64")
    shutil.rmtree(root / "usr/share/icons", ignore_errors=True)


def make(long=False):
    """The disk, unless it is there already; its path."""
    name = "desktop-more.img" if long else "desktop.img"
    out = vm.BUILD / "guest" / name
    key = guest.key_of(Path(__file__), *LAYER_SOURCES, ROOT / "images/guest.py", ROOT / "images/aptroot.py", ROOT / "images/guest")
    stamp = out.with_suffix(".json")
    if out.exists() and stamp.exists() and json.loads(stamp.read_text())["key"] == key:
        return out
    apt = aptroot.AptRoot(guest.SUITE, guest.ARCH)
    apt.update()
    debs = apt.download(guest.ROOT_PACKAGES + PROGRAMS + (MORE if long else []), EXCLUDE)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        root = Path(work) / "root"
        aptroot.unpack(debs, root)
        scene = Path(work) / "vkscene"
        guest.compile_vkscene(ROOT / "images/vkscene", vm.BUILD / "images/vkscene", root, scene)
        guest.make_root(root, scene, "desktop")
        add_layer(root)
        guest.make_disk(out, root)
    stamp.write_text(json.dumps({"key": key}))
    return out


def software(env):
    """What Zink has to be told if the host's device says that it is a CPU; told so, it takes no other.  Layers may say something first."""
    out = subprocess.run([str(vm.BUILD / "oriel-gpu"), "--probe"], env={**os.environ, **(env or {})}, capture_output=True, text=True, check=True).stdout
    return "LIBGL_ALWAYS_SOFTWARE=1" if json.loads(out[out.index("{"):])["devices"][0]["type"] == TYPE_CPU else ""


def run(script, *options, long=False, shell="", limit_s=300, picture=None, env=None):
    """Boot the desktop and run @script in it; returns the Result.  @picture: where the last frame shown goes; @env: more of `oriel`'s."""
    return boot(START.format(options=shell, software=software(env)) + script, *options, root=make(long), limit_s=limit_s, picture=picture, env=env)


def boot(script, *options, limit_s=300, picture=None, **how):
    """A guest with a display and no desktop."""
    extra = ("--display", f"png:{picture}") if picture else ()
    with vm.Vm("--cpus", "2", *extra, *options, gpu="shared", memory="2G", script=script, **how) as machine:
        return machine.finish(limit_s)


def pixels(path):
    """(width, height, RGB bytes) of a PNG of 8 bits without interlace: all that `oriel` writes."""
    import struct
    import zlib
    data = Path(path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", data, at + 8)
            assert depth == 8 and colour in (2, 6), (depth, colour)
        elif kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    raw, step = zlib.decompress(packed), 4 if colour == 6 else 3
    rows, before, stride = [], bytes(width * step), width * step
    for y in range(height):
        kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        unfilter(kind, row, before, step)
        rows.append(bytes(row))
        before = row
    flat = b"".join(rows)
    return width, height, flat if step == 3 else bytes(b for i, b in enumerate(flat) if i % 4 != 3)


def unfilter(kind, row, before, step):
    """PNG (third edition), 9.2."""
    for i in range(len(row)):
        left, up = row[i - step] if i >= step else 0, before[i]
        corner = before[i - step] if i >= step else 0
        if kind == 1:
            row[i] = row[i] + left & 255
        elif kind == 2:
            row[i] = row[i] + up & 255
        elif kind == 3:
            row[i] = row[i] + (left + up) // 2 & 255
        elif kind == 4:
            guess = left + up - corner
            distance = (abs(guess - left), abs(guess - up), abs(guess - corner))
            row[i] = row[i] + (left, up, corner)[distance.index(min(distance))] & 255
