# SPDX-License-Identifier: Apache-2.0
"""A machine with /dev/udmabuf, inside qemu-system-x86_64, since this host may have none: lavapipe has real dma-bufs there.

Debian's kernel, and a root of its packages with Mesa's lavapipe and Venus, Python, window systems, our programs and our tests.
"""
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests/passthrough"), str(ROOT / "tests")]
import aptroot  # noqa: E402
import guest  # noqa: E402
import mesa  # noqa: E402
import outer  # noqa: E402

BUILD = Path(os.environ.get("ORIEL_BUILD", "build")).resolve()
MODULES = ("crc32c_generic", "ext4", "virtio_pci", "virtio_blk")
PACKAGES = ["mesa-vulkan-drivers", "libvulkan1", "vulkan-tools", "python3", "xvfb", "weston", "dash", "dpkg", "procps", "coreutils", "libfdt1", "libjansson4",
            "vulkan-validationlayers", "libpng16-16t64", "liburing2", "zlib1g", "libzstd1", "libxxhash0", "libcmocka0"]
EXCLUDE = {"systemd", "udev", "libsystemd-shared", "adwaita-icon-theme", "perl-base", "debconf", "libavcodec61", "libavutil59", "libavfilter10",
           "libx265-215", "libcodec2-1.2", "fonts-dejavu-core", "fonts-dejavu-mono"}
# The tests and what they run, at the places that the build wrote down.
OURS = ["oriel", "oriel-gpu", "images/vkscene/vkscene", "tests/wire/vkmemory", "tests/wire/vkclaims", "tests/wire/libhold_layer.so", "tests/wire/hold_layer.json",
        "tests/wire/libdiscrete_layer.so", "tests/wire/discrete_layer.json", "tests/wire/liblost_layer.so", "tests/wire/lost_layer.json",
        "tests/wire/test-oriel-gpu", "tests/guest/libhide_layer.so", "tests/guest/hide_layer.json", "guest/Image",
        "guest/initrd.img", "guest/root.img"]
# The machine's /tmp would hide what is below this host's.
START = f"""
mkdir /mnt && mount -t ext4 /dev/vda /mnt
for p in {ROOT} {BUILD}; do mkdir -p /ours$p.d && mount --bind /mnt$p /ours$p.d; done
for d in dev proc sys tmp; do mount --bind /$d /mnt/$d; done
for p in {ROOT} {BUILD}; do mkdir -p /mnt$p && mount --move /ours$p.d /mnt$p; done
mkdir -p /mnt/dev/shm /tmp/cache/mesa-{mesa.SUITE}-amd64 /tmp/.X11-unix
mount -t tmpfs shm /mnt/dev/shm
ln -s / /tmp/cache/mesa-{mesa.SUITE}-amd64/root; echo in the machine >/tmp/cache/mesa-{mesa.SUITE}-amd64/done
ip link set lo up
export PATH=/usr/bin:/usr/sbin:/bin HOME=/tmp ORIEL_CACHE=/tmp/cache ORIEL_BUILD={BUILD} PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8
export VK_LOADER_LAYERS_DISABLE='~implicit~' MESA_SHADER_CACHE_DISABLE=true
unset LD_LIBRARY_PATH
exec chroot /mnt /bin/sh /script/script
"""


def thin(root):
    """What nobody looks at goes; what a root needs comes."""
    for waste in ("doc", "man", "locale", "icons", "lintian", "info", "perl"):
        shutil.rmtree(root / "usr/share" / waste, ignore_errors=True)
    for name in ("dev", "proc", "sys", "tmp", "run", "root", "etc", "script"):
        (root / name).mkdir(exist_ok=True)
    if not (root / "lib64").exists():
        (root / "lib64").symlink_to("usr/lib64")
    (root / "etc/passwd").write_text("root:x:0:0:root:/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    if not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("dash")


def make_disk(out, script, more=()):
    """The root disk with our programs, our tests, @more files of the build, and @script."""
    base = aptroot.unpacked("dma-buf-machine", aptroot.AptRoot(mesa.SUITE, "amd64"), PACKAGES, EXCLUDE, thin)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        root = Path(work) / "root"
        subprocess.run(["cp", "-al", str(base), str(root)], check=True)  # hard links: nothing below is changed in place
        for name in ("tests", "images", "docs", "gen"):
            shutil.copytree(ROOT / name, root / str(ROOT)[1:] / name)
        for name in (*OURS, *map(str, more)):
            to = root / str(BUILD)[1:] / name
            to.parent.mkdir(parents=True, exist_ok=True)
            os.link((BUILD / name).resolve(), to)
        (root / "script/script").write_text(script)
        guest.make_disk(out, root)


def run(script, more=()):
    """Run @script as a shell's there; what the console said, without carriage returns."""
    with tempfile.TemporaryDirectory(prefix="oriel-dma-buf-", dir=BUILD) as work:
        disk = Path(work) / "root.img"
        make_disk(disk, script, more)
        text = outer.run([], {}, START, ["-drive", f"file={disk},if=none,id=d0,format=raw", "-device", "virtio-blk-pci,drive=d0"],
                         limit_s=math.inf, silent_s=1200, memory="3G", iommu=None, modules=MODULES, clock="work",
                         console=BUILD / "dma-buf-machine.log")
        return re.sub(r"\r", "", text)
