#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make what a cross build for arm64 Linux needs: libraries of this Debian's arm64 packages, and meson's cross file.

usage: arm64.py FOLDER

FOLDER/root gets the packages (nothing is installed on this system), FOLDER/cross.ini describes compiler and libraries.
Programs run by qemu-aarch64 where that is installed, so that unit tests run too.
"""
import platform
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "images"))
import aptroot  # noqa: E402

PACKAGES = ["libfdt-dev", "libpng-dev", "liburing-dev", "libjansson-dev", "zlib1g-dev", "libzstd-dev", "libvulkan-dev", "libdrm-dev",
            "libcmocka-dev"]
EXCLUDE = {"libc6-dev", "linux-libc-dev"}  # the cross compiler brings its own
LIB = "usr/lib/aarch64-linux-gnu"
CROSS = """[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
{wrapper}
[properties]
sys_root = '{root}'
pkg_config_libdir = ['{root}/{lib}/pkgconfig', '{root}/usr/share/pkgconfig']

[built-in options]
c_args = ['-idirafter', '{root}/usr/include', '-idirafter', '{root}/usr/include/aarch64-linux-gnu']
c_link_args = ['-L{root}/{lib}', '-Wl,-rpath-link,{root}/{lib}']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""


def main():
    """Command line."""
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n\n")[1])
    folder = Path(sys.argv[1]).resolve()
    root = folder / "root"
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "sid")
    if shutil.which("aarch64-linux-gnu-gcc") is None:
        sys.exit("arm64: error: aarch64-linux-gnu-gcc is missing: run tools/setup")
    try:
        apt = aptroot.AptRoot(suite, "arm64")
        apt.update()
        aptroot.unpack(apt.download(PACKAGES, EXCLUDE), root)
    except aptroot.AptError as error:
        sys.exit(f"arm64: error: {error}")
    qemu = shutil.which("qemu-aarch64")
    wrapper = f"exe_wrapper = ['{qemu}', '-L', '{root}']\n" if qemu else ""
    (folder / "cross.ini").write_text(CROSS.format(root=root, lib=LIB, wrapper=wrapper))


if __name__ == "__main__":
    main()
