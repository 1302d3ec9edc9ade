# SPDX-License-Identifier: Apache-2.0
"""A machine inside qemu-system-x86_64, with an IOMMU or without: Debian's kernel, `oriel`, and a script as its only programs."""
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "images"))
import aptroot  # noqa: E402
import guest  # noqa: E402

MODULES = ["irqbypass", "vfio", "vfio_iommu_type1", "vfio-pci", "nvme", "e1000e", "crc32c_generic", "ext4"]
NOT_NEEDED = {"initramfs-tools", "initramfs-tools-core", "initramfs-tools-bin", "dracut-install", "linux-base", "kmod", "systemd", "udev",
              "klibc-utils", "libklibc", "logsave", "libsystemd-shared", "cpio", "zstd", "debconf"}
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /tmp && mount -t tmpfs tmp /tmp
ulimit -n 4096
for m in $(cat /modules/order); do insmod /modules/$m; done
export PATH=/bin HOME=/tmp LD_LIBRARY_PATH=/lib
cd /test
sh ./script 2>&1
echo "@outer done $?"
poweroff -f
"""


def libraries(program):
    """Paths of the shared libraries that @program needs, with the loader."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [Path(p) for p in re.findall(r"(/\S+) \(0x", out)]


def make_vmlinux(root):
    """The ELF file inside the bzImage, which starts faster; it has a PVH note."""
    data = next((root / "boot").glob("vmlinuz-*")).read_bytes()
    at = data.index(b"\x28\xb5\x2f\xfd")  # zstd
    run = subprocess.run(["zstd", "-dcq"], input=data[at:], capture_output=True, check=False)  # complains about what follows
    assert run.stdout[:4] == b"\x7fELF", run.stderr
    (root / "boot/vmlinux").write_bytes(run.stdout)


def kernel(modules=tuple(MODULES)):
    """The outer kernel's packages unpacked: (folder, vmlinux, @modules in load order)."""
    root = aptroot.unpacked("vfio-outer", aptroot.AptRoot("trixie", "amd64"), ["linux-image-amd64", "busybox-static"], NOT_NEEDED, make_vmlinux)
    version = next((root / "usr/lib/modules").iterdir()).name
    return root, root / "boot/vmlinux", guest.module_order(root, version, modules)


def initrd(root, modules, programs, files, script):
    """busybox, modules, @programs with their libraries in /bin and /lib, @files {name: data} in /test, and the script."""
    parts = [guest.cpio_entry(d, 0o40755) for d in ("bin", "dev", "proc", "sys", "run", "lib", "lib64", "modules", "test")]
    parts.append(guest.cpio_entry("bin/busybox", 0o100755, (root / "usr/bin/busybox").read_bytes()))
    parts.append(guest.cpio_entry("init", 0o100755, INIT.encode()))
    names = []
    for path in modules:
        names.append(path.name.split(".")[0] + ".ko")
        parts.append(guest.cpio_entry(f"modules/{names[-1]}", 0o100644, guest.module_data(path)))
    parts.append(guest.cpio_entry("modules/order", 0o100644, "\n".join(names).encode()))
    needed = {}
    for program in programs:
        parts.append(guest.cpio_entry(f"bin/{Path(program).name}", 0o100755, Path(program).read_bytes()))
        needed.update({p: p.read_bytes() for p in libraries(program)})
    for path, data in needed.items():
        folder = "lib64" if path.name.startswith("ld-linux") else "lib"
        parts.append(guest.cpio_entry(f"{folder}/{path.name}", 0o100755, data))
    for name, data in {**files, "script": script.encode()}.items():
        parts.append(guest.cpio_entry(f"test/{name}", 0o100755, data))
    return b"".join(parts) + guest.cpio_entry("TRAILER!!!", 0)


# How fast time goes: as everywhere; or a nanosecond for each instruction, so that limits inside follow the work done, however busy this host is.
CLOCKS = {"real": ["-accel", "tcg,thread=multi", "-smp", "2"], "work": ["-accel", "tcg,thread=single", "-icount", "shift=0", "-smp", "1"]}


def wait(process, console, limit_s, silent_s):
    """The end of @process.  An error after @limit_s, or when it has said nothing for @silent_s."""
    start = spoke = time.monotonic()
    said = 0
    while process.poll() is None:
        time.sleep(0.2)
        now, size = time.monotonic(), console.stat().st_size
        if size != said:
            said, spoke = size, now
        if now - start > limit_s or now - spoke > silent_s:
            process.kill()
            process.wait()
            raise AssertionError(f"not done within {now - start:.0f} s:\n{console.read_text(errors='replace')[-3000:]}")


def run(programs, files, script, options, append="", limit_s=580, silent_s=math.inf, memory="2G", console=None, iommu="intremap=on",
        modules=tuple(MODULES), clock="real"):
    """Boot, run @script, return what the console said (also in @console while it runs).  @iommu: its options, or None for no IOMMU."""
    with tempfile.TemporaryDirectory(prefix="oriel-outer-") as work:
        root, vmlinux, modules = kernel(modules)
        ram_disk = Path(work) / "initrd"
        ram_disk.write_bytes(initrd(root, modules, programs, files, script))
        command = ["qemu-system-x86_64", "-machine", "q35,kernel-irqchip=split", *CLOCKS[clock], "-cpu", "max", "-m", memory, "-nographic",
                   "-nodefaults", "-serial", "stdio", "-no-reboot", "-kernel", str(vmlinux), "-initrd", str(ram_disk),
                   "-append", f"console=ttyS0 quiet panic=-1 no_timer_check intel_iommu=on {append}",
                   *(["-device", f"intel-iommu,caching-mode=on,{iommu}"] if iommu else []), *options]
        console = Path(console or Path(work) / "console")
        with open(console, "wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            wait(process, console, limit_s, silent_s)
        return console.read_text(errors="replace")
