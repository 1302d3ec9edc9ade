# SPDX-License-Identifier: Apache-2.0
"""Programs of Debian's arm64 packages for the guest, each on a disk of its own."""
import shutil

import aptroot
import guest
import vm


def mount(device):
    """What a guest's script says to have them."""
    return f"""
        mount -t ext4 -o ro {device} /mnt
        export LD_LIBRARY_PATH=/mnt/usr/lib/aarch64-linux-gnu:/mnt/usr/lib/aarch64-linux-gnu/ceph PATH="$PATH:/mnt/usr/bin"
"""


def thin(root):
    """What nobody looks at goes."""
    for waste in ("doc", "icons", "info", "lintian", "locale", "man"):
        shutil.rmtree(root / "usr/share" / waste, ignore_errors=True)


def disk(package, exclude=()):
    """An ext4 disk with @package and what it depends on, but for @exclude; kept in the build folder."""
    out = vm.BUILD / "programs"
    root = aptroot.unpacked(package, aptroot.AptRoot(guest.SUITE, guest.ARCH), [package], exclude, thin)
    path = out / f"{root.name}.img"
    if not path.exists():
        out.mkdir(exist_ok=True)
        guest.make_disk(path, root)
    return path
