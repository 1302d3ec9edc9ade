#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the arm64 guest from Debian's stock packages: kernel, initial RAM disk, root disk.

usage: guest.py OUT VKSCENE_SOURCE SHADER_HEADERS

No arm64 code runs on the host: packages are unpacked, the disk is made by mke2fs -d, the RAM disk is written
here.  The result is kept until this script, its inputs or the test program change.
"""
import hashlib
import json
import lzma
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import aptroot

SUITE, ARCH = "trixie", "arm64"
KERNEL_PACKAGES = ["linux-image-arm64"]
ROOT_PACKAGES = ["base-files", "libc6", "busybox-static", "mesa-vulkan-drivers", "vulkan-tools"]
# Not needed to run what the guest runs: the tools that would make an initrd there, and LLVM, so that no software
# Vulkan driver can work inside the guest.
EXCLUDE = {
    "libllvm19", "libz3-4", "libxml2", "initramfs-tools", "initramfs-tools-core", "initramfs-tools-bin", "dracut-install",
    "systemd", "udev", "linux-base", "klibc-utils", "libklibc", "logsave", "libsystemd-shared", "debconf", "cpio", "kmod",
    "openssl-provider-legacy", "libssl3t64", "mount", "libmount1", "coreutils", "libgmp10", "libapparmor1", "libaudit1",
    "libaudit-common", "libpam0g", "libseccomp2", "libkmod2", "libsmartcols1", "libblkid1", "libcap-ng0", "libcrypt1",
}
MODULES = ["virtio_blk", "ext4", "virtio_net", "virtio-rng", "virtio-gpu", "gpio_keys"]
OLD_MODULES = ["crc32c_generic"]  # ext4 wants it up to Linux 6.15; not there any more in newer ones
# On the root disk, for those who want them: `sh /usr/lib/oriel/modules/load NAME`.
OPTIONAL_MODULES = ["nvme", "e1000e", "xhci-pci", "usb-storage", "ahci", "sd_mod"]
APPLETS = """[ awk basename blkdiscard cat chmod cmp cp cttyhack cut date dd df dmesg dirname du echo env expr false find free grep gunzip
gzip halt head hexdump hostname id ifconfig insmod ip kill less ln ls lsmod md5sum mkdir mkfifo mknod mktemp mount mv nc nslookup od ping
poweroff printf ps pwd readlink reboot rm rmdir route sed seq setsid sh sha1sum sha256sum sleep sort stat stty sync tail tar
tee test time timeout top touch tr true tty udhcpc umount uname uniq usleep vi wc wget which xargs yes""".split()


def run(*command, what):
    """Run a tool; its failure becomes one line."""
    out = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if out.returncode:
        raise aptroot.AptError(f"{what}: {(out.stderr.strip() or out.stdout.strip() or 'failed').splitlines()[-1]}")
    return out.stdout


def cpio_entry(name, mode, data=b"", ino=[0]):
    """One newc record (Linux Documentation/driver-api/early-userspace/buffer-format)."""
    ino[0] += 1
    fields = (ino[0], mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def module_order(kernel_root, version, modules):
    """Files of @modules and what they need, in load order."""
    run("depmod", "-b", kernel_root, version, what="depmod")
    base = kernel_root / "usr/lib/modules" / version
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[Path(path).name.split(".")[0].replace("-", "_")] = (path, rest.split())
    builtin = {Path(l).name.split(".")[0].replace("-", "_") for l in (base / "modules.builtin").read_text().split()}
    order = []
    for name in (m.replace("-", "_") for m in modules):
        if name in builtin or (name in OLD_MODULES and name not in needs):
            continue
        if name not in needs:
            raise aptroot.AptError(f"the kernel package has no module {name}")
        path, rest = needs[name]
        for one in [*reversed(rest), path]:
            if one not in order:
                order.append(one)
    return [base / p for p in order]


def module_data(path):
    """A module, unpacked."""
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def make_initrd(out, root, kernel_root, version):
    """Busybox, the modules (unpacked) and our init."""
    parts = [cpio_entry(d, 0o40755) for d in ("bin", "dev", "proc", "sys", "root", "modules")]
    parts.append(cpio_entry("bin/busybox", 0o100755, (root / "usr/bin/busybox").read_bytes()))
    parts.append(cpio_entry("init", 0o100755, (Path(__file__).parent / "guest/init").read_bytes()))
    names = []
    for path in module_order(kernel_root, version, MODULES + OLD_MODULES):
        names.append(path.name.split(".")[0] + ".ko")
        parts.append(cpio_entry(f"modules/{names[-1]}", 0o100644, module_data(path)))
    parts.append(cpio_entry("modules/order", 0o100644, ("\n".join(names) + "\n").encode()))
    parts.append(cpio_entry("TRAILER!!!", 0))
    out.write_bytes(b"".join(parts))


def make_boot(out, root, kernel_root):
    """Kernel and initial RAM disk of the unpacked packages in @out; the kernel's version."""
    version = next((kernel_root / "usr/lib/modules").iterdir()).name
    make_initrd(out / "initrd.img", root, kernel_root, version)
    places = (kernel_root / f"boot/vmlinuz-{version}", kernel_root / f"usr/lib/modules/{version}/vmlinuz")  # the second since Linux 7
    shutil.copy(next(p for p in places if p.exists()), out / "Image")
    return version


def make_root(root, vkscene, mesa):
    """What a root needs beyond its packages."""
    for name in ("dev", "proc", "sys", "tmp", "run", "root", "mnt", "etc", "usr/lib/oriel"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in APPLETS:
        link = root / "usr/bin" / name
        if not link.exists():
            link.symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "usr/lib/oriel/mesa-version").write_text(mesa + "\n")
    shutil.copy(Path(__file__).parent / "guest/guest-init", root / "usr/lib/oriel/guest-init")
    (root / "usr/lib/oriel/guest-init").chmod(0o755)
    shutil.copy(vkscene, root / "usr/lib/oriel/vkscene")
    for waste in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/lib/aarch64-linux-gnu/gconv"):
        shutil.rmtree(root / waste, ignore_errors=True)


def add_modules(root, kernel_root, version):
    """OPTIONAL_MODULES, each with a list of what it needs."""
    folder = root / "usr/lib/oriel/modules"
    folder.mkdir(parents=True)
    for module in OPTIONAL_MODULES:
        names = []
        for path in module_order(kernel_root, version, [module]):
            names.append(path.name.split(".")[0] + ".ko")
            (folder / names[-1]).write_bytes(module_data(path))
        (folder / f"{module}.order").write_text("\n".join(names) + "\n")
    (folder / "load").write_text("cd /usr/lib/oriel/modules\nfor m in $(cat \"$1.order\"); do insmod \"$m\" 2>/dev/null; done\n")


def make_disk(out, root):
    """An ext4 image of @root, a quarter larger than its files."""
    used = sum(f.lstat().st_size for f in root.rglob("*") if not f.is_dir())
    size = (used * 5 // 4 >> 20) + 16
    out.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-L", "oriel-guest", "-E", "root_owner=0:0", "-d", root, out, f"{size}M",
        what="mke2fs")


def compile_vkscene(source, headers, root, out):
    """The test program for the guest, linked against the guest's own Vulkan loader."""
    lib = root / "usr/lib/aarch64-linux-gnu"
    run("aarch64-linux-gnu-gcc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-ffp-contract=off", "-I", source, "-I", headers,
        "-idirafter", "/usr/include/libdrm", "-idirafter", "/usr/include", *sorted(source.glob("*.c")),
        "-L", lib, "-l:libvulkan.so.1", "-Wl,--unresolved-symbols=ignore-in-shared-libs", "-o", out, what="compile vkscene for arm64")


def key_of(*paths):
    """Changes when an input does."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def make(out, source, headers):
    """Kernel, initrd and root disk in @out, unless they are there already."""
    here = Path(__file__).parent
    key = key_of(Path(__file__), here / "aptroot.py", here / "guest", source)
    manifest = out / "manifest.json"
    if manifest.exists() and json.loads(manifest.read_text()).get("key") == key:
        print(f"  guest image: kept ({out})", file=sys.stderr)
        return
    out.mkdir(parents=True, exist_ok=True)
    apt = aptroot.AptRoot(SUITE, ARCH)
    apt.update()
    debs = apt.download(KERNEL_PACKAGES + ROOT_PACKAGES, EXCLUDE)
    is_kernel = lambda d: d.name.startswith("linux-")
    mesa = next(d.name.split("_")[1] for d in debs if d.name.startswith("mesa-vulkan-drivers_"))
    with tempfile.TemporaryDirectory(dir=out) as work:
        root, kernel_root = Path(work) / "root", Path(work) / "kernel"
        aptroot.unpack([d for d in debs if not is_kernel(d)], root)
        aptroot.unpack([d for d in debs if is_kernel(d)], kernel_root)
        vkscene = Path(work) / "vkscene"
        compile_vkscene(source, headers, root, vkscene)
        progress = aptroot.Progress("making the guest's disks")
        version = make_boot(out, root, kernel_root)
        make_root(root, vkscene, mesa)
        add_modules(root, kernel_root, version)
        make_disk(out / "root.img", root)
        progress.done()
    manifest.write_text(json.dumps({"key": key, "kernel": version, "mesa": mesa, "suite": SUITE}) + "\n")


def main():
    """Command line."""
    if len(sys.argv) != 4:
        sys.exit(__doc__.split("\n\n")[1])
    try:
        make(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
    except aptroot.AptError as error:
        sys.exit(f"guest image: error: {error}")


if __name__ == "__main__":
    main()
