# SPDX-License-Identifier: Apache-2.0
"""Vulkan programs of the tests for the guest: compiled against its loader, brought in on a disk of their own."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "images"))
import aptroot  # noqa: E402
import guest  # noqa: E402

# What a script does first; the program is then /tmp/program.
TAKE = "dd if=/dev/vdc of=/tmp/program bs=4096 2>/dev/null; chmod +x /tmp/program\n"


def disk(build, name, sources, headers=None):
    """A disk image with @sources as one program, for the third disk of a VM.  Compiled anew only if a source is younger."""
    out = build / "guest-programs" / f"{name}.img"
    inputs = [Path(s) for s in sources] + [ROOT / "images/vkscene/gpu.c", ROOT / "images/vkscene/gpu.h"]
    if out.exists() and out.stat().st_mtime > max(i.stat().st_mtime for i in inputs):
        return out
    out.parent.mkdir(exist_ok=True)
    program = out.with_suffix("")
    guest.run("aarch64-linux-gnu-gcc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", *(["-I", headers] if headers else []), "-I", inputs[0].parent, "-I",
              ROOT / "images/vkscene", "-idirafter", "/usr/include", *inputs[:-1], "-L", loader(build), "-l:libvulkan.so.1",
              "-Wl,--unresolved-symbols=ignore-in-shared-libs", "-o", program, what=f"compile {name} for arm64")
    out.write_bytes(program.read_bytes() + bytes(-program.stat().st_size % 4096))
    return out


def loader(build):
    """The folder of the guest's libvulkan.so.1."""
    root = build / "guest-programs/loader"
    if not (root / "done").exists():
        apt = aptroot.AptRoot(guest.SUITE, guest.ARCH)
        apt.update()
        aptroot.unpack(apt.download(["libvulkan1"], guest.EXCLUDE), root)
        (root / "done").touch()
    return root / "usr/lib/aarch64-linux-gnu"
