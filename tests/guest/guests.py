# SPDX-License-Identifier: Apache-2.0
"""More guests from Debian's packages beside the one of images/guest.py, made when a test wants them and kept."""
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests")]
import aptroot  # noqa: E402
import desktop  # noqa: E402
import guest  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

# What sid's kernel would use to make its initial RAM disk.
DRACUT = {"dracut", "dracut-core", "3cpio", "systemd-sysv", "e2fsprogs"}
# name: suite, kernel, packages of the root disk (None: the usual guest's disk), packages left out, what is added.
GUESTS = {
    "newest": ("sid", "linux-image-arm64", guest.ROOT_PACKAGES, guest.EXCLUDE | DRACUT | {"libllvm22", "libxml2-16"}, None),
    "newest-desktop": ("sid", "linux-image-arm64", guest.ROOT_PACKAGES + ["weston"], desktop.EXCLUDE | DRACUT, desktop.add_layer),
    "backports": ("trixie-backports", "linux-image-arm64", guest.ROOT_PACKAGES, guest.EXCLUDE | DRACUT, None),
    "large-pages": ("trixie", "linux-image-arm64-16k", None, guest.EXCLUDE, None),
}


def make(name):
    """The folder of guest @name: Image, initrd.img, root.img.  Skips the test where packages can not be had."""
    suite, kernel, packages, exclude, add = GUESTS[name]
    out = vm.BUILD / f"guest-{name}"
    key = guest.key_of(Path(__file__), *desktop.LAYER_SOURCES, *(ROOT / "images" / f for f in ("guest.py", "aptroot.py", "guest", "vkscene")))
    stamp = out / "manifest.json"
    if stamp.exists() and json.loads(stamp.read_text())["key"] == key:
        return out
    out.mkdir(exist_ok=True)
    try:
        apt = aptroot.AptRoot(suite, guest.ARCH)
        apt.update()
        debs = apt.download([kernel, *(packages or ["busybox-static"])], exclude)
    except aptroot.AptError as error:
        raise tap.Skip(str(error)) from error
    with tempfile.TemporaryDirectory(dir=out) as work:
        root, kernel_root = Path(work) / "root", Path(work) / "kernel"
        aptroot.unpack([d for d in debs if d.name.startswith("linux-")], kernel_root)
        aptroot.unpack([d for d in debs if not d.name.startswith("linux-")], root)
        version = guest.make_boot(out, root, kernel_root)
        disk = out / "root.img"
        disk.unlink(missing_ok=True)
        if packages is None:
            disk.symlink_to(vm.IMAGE / "root.img")
        else:
            scene = Path(work) / "vkscene"
            guest.compile_vkscene(ROOT / "images/vkscene", vm.BUILD / "images/vkscene", root, scene)
            guest.make_root(root, scene, name)
            if add:
                add(root)
            guest.make_disk(disk, root)
    stamp.write_text(json.dumps({"key": key, "kernel": version}))
    return out
