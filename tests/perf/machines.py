# SPDX-License-Identifier: Apache-2.0
"""What the CPU benchmark runs on: its disk, Oriel, each version of QEMU in Debian, and this host itself.

Nothing is installed: QEMU and the native root are unpacked from packages into the cache, and run from there.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "images"))
import aptroot  # noqa: E402
import guest  # noqa: E402

SUITE = "trixie"
PACKAGES = ["base-files", "libc6", "dash", "busybox-static", "zstd", "xz-utils", "gzip", "perl-base", "python3-minimal", "lua5.4", "sqlite3",
            "libssl3t64"]
QEMU_SUITES = {"qemu-10.0": "trixie", "qemu-7.2": "bookworm"}
CPP = ["-O2", "-ftree-vectorize", "-std=gnu17", "-D_GNU_SOURCE", "-ffp-contract=off"]
MEMORY_MIB = 1024


def compile_bench(compiler, out):
    """cpubench for the machine that @compiler compiles for."""
    guest.run(compiler, *CPP, "-o", out, *sorted((HERE / "cpu").glob("*.c")), "-lm", what=f"compile the benchmark with {compiler}")


def furnish(root):
    """What the benchmark's root needs beyond its packages."""
    for name in ("dev", "proc", "sys", "tmp", "run", "root", "etc", "usr/lib/oriel"):
        (root / name).mkdir(parents=True, exist_ok=True)
    if not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("dash")
    for name in ("head", "tail"):
        (root / "usr/bin" / name).unlink(missing_ok=True)
        (root / "usr/bin" / name).symlink_to("busybox")
    for waste in ("doc", "man", "locale", "lintian", "zoneinfo"):
        shutil.rmtree(root / "usr/share" / waste, ignore_errors=True)


def make_disk(out):
    """The guest's root disk in @out: packages, cpubench and its init."""
    key = guest.key_of(HERE / "machines.py", HERE / "cpu")
    disk, stamp = out / "root.img", out / "root.key"
    if disk.exists() and stamp.exists() and stamp.read_text() == key:
        return disk
    out.mkdir(parents=True, exist_ok=True)
    base = aptroot.unpacked("bench-guest", aptroot.AptRoot(SUITE, "arm64"), PACKAGES, finish=furnish)
    with tempfile.TemporaryDirectory(dir=out) as work:
        root = Path(work) / "root"
        shutil.copytree(base, root, symlinks=True)
        compile_bench("aarch64-linux-gnu-gcc", root / "usr/lib/oriel/cpubench")
        shutil.copy(HERE / "cpu/guest-init", root / "usr/lib/oriel/guest-init")
        (root / "usr/lib/oriel/guest-init").chmod(0o755)
        guest.make_disk(disk, root)
    stamp.write_text(key)
    return disk


class Oriel:
    """`oriel run` with the benchmark's disk."""

    def __init__(self, name, program, extra, images, cpus, cache=None):
        self.name, self.program, self.extra, self.images, self.cpus = name, program, extra, images, cpus
        self.warms = cache is not None  # it finds the translations of an earlier boot
        if cache:
            cache.mkdir(parents=True, exist_ok=True)
            self.environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        else:
            self.extra = ["--no-translation-cache", *extra]

    def version(self):
        """For the table."""
        return guest.run(self.program, "version", what="oriel version").strip()

    def command(self, append):
        """The command line."""
        return [self.program, "run", "--kernel", self.images["kernel"], "--initrd", self.images["initrd"], "--disk",
                f"{self.images['disk']},ro", "--memory", f"{MEMORY_MIB}M", "--cpus", str(self.cpus), "--gpu", "none", "--net", "none",
                "--console", "stdio", *self.extra, "--append", append]

    environment = None


class Qemu:
    """One version of qemu-system-aarch64, by its own loader and libraries."""

    def __init__(self, name, cpu, images, cpus):
        self.name, self.cpu, self.images, self.cpus = name, cpu, images, cpus
        suite = QEMU_SUITES[name]
        self.root = aptroot.unpacked(f"qemu-{suite}", aptroot.AptRoot(suite, "amd64"), ["qemu-system-arm"])
        lib = self.root / "usr/lib/x86_64-linux-gnu"
        self.program = [self.root / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", lib, self.root / "usr/bin/qemu-system-aarch64"]
        if not self.program[0].exists():
            self.program[0] = lib / "ld-linux-x86-64.so.2"
        self.environment = {**os.environ, "QEMU_MODULE_DIR": str(lib / "qemu")}

    def version(self):
        """For the table."""
        return guest.run(*self.program, "--version", what=self.name).splitlines()[0]

    def command(self, append):
        """The command line."""
        return [*self.program, "-L", self.root / "usr/share/qemu", "-M", "virt,gic-version=3", "-accel", "tcg,thread=multi", "-cpu", self.cpu,
                "-smp", str(self.cpus), "-m", f"{MEMORY_MIB}M", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
                "-kernel", self.images["kernel"], "-initrd", self.images["initrd"], "-append", append,
                "-drive", f"if=none,id=d0,file={self.images['disk']},format=raw,readonly=on", "-device", "virtio-blk-pci,drive=d0"]


class Native:
    """This host, in a root of the same packages for its own architecture."""

    name = "native"
    environment = None

    def __init__(self):
        self.root = aptroot.unpacked("bench-native", aptroot.AptRoot(SUITE, "amd64"), PACKAGES, finish=furnish)
        compile_bench("gcc", self.root / "usr/lib/oriel/cpubench")

    def version(self):
        """For the table."""
        return next((l.split(":")[1].strip() for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "?")

    def command(self, append):
        """Mounts of its own, so that nothing is left behind."""
        lines = next(w[12:] for w in append.split() if w.startswith("bench.lines=")).replace(",", " ")
        script = (f"mount --rbind /dev {self.root}/dev && mount -t tmpfs tmp {self.root}/tmp && mount --rbind /proc {self.root}/proc && "
                  f"exec chroot {self.root} /usr/bin/busybox env -i PATH=/usr/bin HOME=/tmp LC_ALL=C /usr/lib/oriel/cpubench {lines}")
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        return ["unshare", *user, "--mount", "sh", "-c", script]
