# SPDX-License-Identifier: Apache-2.0
"""Guests described once, run by any engine; for KVM inside an arm64 machine that QEMU emulates, since this host has none.

The outer machine boots the guest image's own kernel and initrd on QEMU of trixie with EL2, from a disk that holds the arm64 `oriel`, its
libraries and all guests; it runs them one after the other and prints their consoles between marks.
"""
import base64
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "images"))
import aptroot  # noqa: E402
import guest as image  # noqa: E402
sys.path.insert(0, str(ROOT / "tests"))
import tap  # noqa: E402

BUILD = Path(os.environ.get("ORIEL_BUILD", "build")).resolve()
ARM64 = Path(os.environ.get("ORIEL_ARM64", ROOT / "build-arm64")).resolve()
BOARD = BUILD / "tests/kvm/board.bin"
OUTER_PACKAGES = ["base-files", "libc6", "busybox-static", "libfdt1", "libjansson4", "libpng16-16t64", "liburing2", "libzstd1", "zlib1g"]
EXCLUDE = {"systemd", "udev"}
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin
mount -t tmpfs tmp /tmp
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
ip link set lo up
# Huge pages: without them each of the guest's pages is a fault that costs 100 us here.
echo always > /sys/kernel/mm/transparent_hugepage/shmem_enabled
cd /tmp
. /usr/lib/oriel/job
sync
poweroff -f
"""


@dataclass
class Guest:
    """One VM: a name, options of `oriel run`, a script for the stock user space (or none: the board's own guest)."""

    name: str
    options: list = field(default_factory=list)
    script: str | None = None
    append: str = ""
    disk: bool = False      # a second disk to write to
    picture: bool = False   # the display's last frame is wanted
    pages: str = ""         # "16k": with Debian's kernel of that page size
    alone: str = ""         # no VM: this program beside `oriel`, and its words


@dataclass
class Result:
    """How a guest ended, what it and `oriel` said, and its picture."""

    status: int
    console: str
    errors: str
    picture: bytes = b""

    def told(self, pattern):
        """The first match of @pattern on the console."""
        match = re.search(pattern, self.console, re.M)
        assert match, f"no '{pattern}' (status {self.status}, errors {self.errors[-400:]!r}):\n{self.console[-2500:]}"
        return match


def command(guest, engine, program, files, work):
    """The words of `oriel run`; @files: where images are, @work: where a run may write."""
    if guest.alone:
        return f"{files}/{guest.alone}".split()
    words = [program, "run", "--engine", engine, "--memory", "256M", "--boot-timeout", "300"]
    if guest.script is None:
        words += ["--kernel", f"{files}/board.bin", "--gpu", "none", "--rng", "off"]
    else:
        words += ["--kernel", f"{files}/Image{guest.pages}", "--initrd", f"{files}/initrd{guest.pages}.img", "--disk", f"{files}/root.img,ro",
                  "--disk", f"{files}/{guest.name}.img,ro"]
        words += ["--disk", f"{work}/{guest.name}.disk"] if guest.disk else []
        words += ["--gpu", "2d" if guest.picture else "none"]
        words += ["--display", f"png:{work}/{guest.name}.png"] if guest.picture else []
        words += ["--append", f"console=ttyAMA0 quiet panic=-1 nokaslr mitigations=off oriel.task=script {guest.append}"]
    return [str(w) for w in words + guest.options]


def script_disk(path, script):
    """A disk that holds a script for oriel.task=script."""
    data = script.encode() + b"\n"
    path.write_bytes(data + bytes(-len(data) % 4096))


def run_here(guest, engine, program=BUILD / "oriel"):
    """Run @guest by a program of this host."""
    with tempfile.TemporaryDirectory(prefix="oriel-test-") as name:
        work = Path(name)
        for file in ("Image", "initrd.img", "root.img"):
            if (BUILD / "guest" / file).exists():
                (work / file).symlink_to(BUILD / "guest" / file)
        (work / "board.bin").symlink_to(BOARD)
        if guest.script is not None:
            script_disk(work / f"{guest.name}.img", guest.script)
        if guest.disk:
            (work / f"{guest.name}.disk").write_bytes(bytes(1 << 20))
        out = subprocess.run(command(guest, engine, program, work, work), stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=300, check=False)
        picture = work / f"{guest.name}.png"
        return Result(out.returncode, out.stdout.decode(errors="replace").replace("\r", ""), out.stderr.decode(errors="replace"),
                      picture.read_bytes() if picture.exists() else b"")


def job(guests, engine):
    """The outer machine's script."""
    lines = []
    for guest in guests:
        words = " ".join(shlex.quote(w) for w in command(guest, engine, "/usr/lib/oriel/oriel", "/usr/lib/oriel", "/tmp"))
        lines += [f"dd if=/dev/zero of=/tmp/{guest.name}.disk bs=1M count=1 2>/dev/null"] if guest.disk else []
        lines += [f"echo; echo @begin {guest.name}", f"{words} </dev/null 2>/tmp/errors; status=$?", "echo; echo @errors", "cat /tmp/errors"]
        lines += [f"echo @picture; busybox base64 /tmp/{guest.name}.png"] if guest.picture else []
        lines += [f"echo @end {guest.name} $status", f"rm -f /tmp/{guest.name}.*"]
    return "\n".join(lines) + "\n"


def fill_disk(out, root, guests, text, files):
    """The outer machine's disk: a root, the arm64 program, @files, and the images of all guests."""
    for name in ("dev", "proc", "sys", "tmp", "run", "root", "mnt", "etc", "usr/lib/oriel"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in image.APPLETS:
        link = root / "usr/bin" / name
        if not link.exists():
            link.symlink_to("busybox")
    for waste in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/aarch64-linux-gnu/gconv"):
        shutil.rmtree(root / waste, ignore_errors=True)
    home = root / "usr/lib/oriel"
    for file in (ARM64 / "oriel", ARM64 / "tests/kvm/kvm-engine", BOARD, *files, *(BUILD / "guest" / f for f in ("Image", "initrd.img", "root.img"))):
        shutil.copy(file, home / file.name)
    for guest in guests:
        if guest.script is not None:
            script_disk(home / f"{guest.name}.img", guest.script)
    (home / "job").write_text(text)
    (home / "guest-init").write_text(INIT)
    (home / "guest-init").chmod(0o755)
    image.make_disk(out, root)


@dataclass
class Host:
    """An outer machine: its CPU, memory and kernel."""

    cpu: str = "neoverse-n1"
    memory_mib: int = 1024
    pages: str = ""     # as in Guest
    packaged: bool = False  # the kernel as its package has it, for modules(); else the guest image's
    machine: str = ""   # more of -M
    options: list = field(default_factory=list)  # more words for QEMU
    append: str = ""
    console: Path | None = None  # where to keep what it says, also while it runs


def unpacked_kernel(pages):
    """Debian's kernel with 4K ("") or larger pages: (folder, version)."""
    package = "-".join(filter(None, ("linux-image-arm64", pages)))
    folder = aptroot.unpacked(f"kernel{pages}", aptroot.AptRoot("trixie", "arm64"), [package], image.EXCLUDE)
    return folder, next((folder / "usr/lib/modules").iterdir()).name


def modules(names, pages=""):
    """Files of a packaged kernel's modules, and what they need, in the order to load them."""
    return image.module_order(*unpacked_kernel(pages), names)


def kernel(pages, packaged=False):
    """(Image, initrd) of Debian's kernel with 4K ("") or larger pages."""
    if not pages and not packaged:
        return BUILD / "guest/Image", BUILD / "guest/initrd.img"
    unpacked, version = unpacked_kernel(pages)
    folder = BUILD / f"kernel{pages}"
    folder.mkdir(exist_ok=True)
    shutil.copy(unpacked / f"boot/vmlinuz-{version}", folder / f"Image{pages}")
    root = aptroot.unpacked("kvmouter", aptroot.AptRoot("trixie", "arm64"), OUTER_PACKAGES, EXCLUDE)
    image.make_initrd(folder / f"initrd{pages}.img", root, unpacked, version)
    return folder / f"Image{pages}", folder / f"initrd{pages}.img"


def qemu():
    """The words that start trixie's QEMU by its own loader."""
    root = aptroot.unpacked("qemu-trixie", aptroot.AptRoot("trixie", "amd64"), ["qemu-system-arm"])
    lib = root / "usr/lib/x86_64-linux-gnu"
    return [lib / "ld-linux-x86-64.so.2", "--library-path", lib, root / "usr/bin/qemu-system-aarch64", "-L", root / "usr/share/qemu"]


def boot_outer(disk, limit_s, host):
    """Run the outer machine to its end; returns what its console said."""
    own_kernel, initrd = kernel(host.pages, host.packaged)
    words = [*qemu(), "-accel", "tcg,thread=multi", "-M", f"virt,virtualization=on,gic-version=3{host.machine}", "-cpu", host.cpu,
             "-m", str(host.memory_mib), "-smp", "2", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot", "-kernel", own_kernel,
             "-initrd", initrd, "-append", f"console=ttyAMA0 quiet panic=-1 nokaslr mitigations=off {host.append}",
             "-drive", f"file={disk},if=none,id=d0,format=raw", "-device", "virtio-blk-pci,drive=d0", *host.options]
    start = time.monotonic()
    with open(host.console or disk.with_suffix(".console"), "wb+") as console:
        process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            print(f"# the outer machine did not end within {limit_s} s", flush=True)
        finally:
            process.kill()
            process.wait()
        console.seek(0)
        text = console.read().decode(errors="replace").replace("\r", "")
    print(f"# the outer machine ran for {time.monotonic() - start:.0f} s", flush=True)
    return text


def parse(text, guests):
    """Results by name; a guest that is missing has status None."""
    results = {}
    for guest in guests:
        match = re.search(rf"^@begin {guest.name}\n(.*?)^@errors\n(.*?)^@end {guest.name} (\d+)$", text, re.M | re.S)
        if not match:
            begun = text.partition(f"@begin {guest.name}\n")[2]
            results[guest.name] = Result(None, begun or text, "it did not end, or did not begin")
            continue
        console, rest, status = match.groups()
        errors, _, picture = rest.partition("@picture\n")
        results[guest.name] = Result(int(status), console, errors, base64.b64decode(re.sub(r"[^A-Za-z0-9+/=]", "", picture)))
    return results


def run_outer(guests, text, packages=(), files=(), limit_s=900, host=Host()):
    """Run the script @text in an outer machine that has the images of @guests, and @files beside `oriel`; returns its console."""
    if not (ARM64 / "oriel").exists():
        raise tap.Skip("there is no program for arm64: make arm64")
    root = aptroot.unpacked("-".join(("kvmouter", *packages)), aptroot.AptRoot("trixie", "arm64"),
                            OUTER_PACKAGES + list(packages), EXCLUDE)
    with tempfile.TemporaryDirectory(prefix="oriel-kvm-", dir=BUILD) as name:
        work = Path(name)
        shutil.copytree(root, work / "root", symlinks=True)
        disk = work / "outer.img"
        kernels = [f for pages in {g.pages for g in guests if g.pages} for f in kernel(pages)]
        fill_disk(disk, work / "root", guests, text, [*kernels, *files])
        shutil.rmtree(work / "root")
        return boot_outer(disk, limit_s, host)


def run_on_kvm(guests, host=Host()):
    """Results of all of @guests on KVM, in one outer machine."""
    return parse(run_outer(guests, job(guests, "kvm"), host=host), guests)


once = functools.lru_cache(maxsize=None)
