# SPDX-License-Identifier: Apache-2.0
"""The usual stack beside Oriel: QEMU with virglrenderer's Venus and lavapipe, unpacked from Debian's packages and run by chroot.

virglrenderer needs a window system with OpenGL even to compute, so there is an Xvfb beside it.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests/guest")]
import aptroot  # noqa: E402
import vm  # noqa: E402

SUITE = "trixie"
PACKAGES = ["qemu-system-arm", "qemu-system-gui", "qemu-system-modules-opengl", "virgl-server", "mesa-vulkan-drivers", "libgl1-mesa-dri",
            "libegl-mesa0", "libglx-mesa0", "libgl1", "libegl1"]
# The CPU on which this QEMU is fastest, as in the CPU benchmark.
MACHINE = ["-M", "virt,gic-version=3,memory-backend=m0", "-object", "memory-backend-memfd,id=m0,size=2G,share=on", "-accel", "tcg,thread=multi",
           "-cpu", "max,pauth=off,sve=off,sme=off,lpa2=off", "-smp", "2", "-m", "2G", "-display", "sdl,gl=on", "-device",
           "virtio-gpu-gl-pci,blob=on,venus=on,hostmem=4G", "-nodefaults", "-serial", "stdio", "-no-reboot"]
DISPLAY = ":77"
OUTSIDE = "work"  # where this machine's files are inside the root


class UsualStack:
    """How to run a script in the guest under it."""

    name = "usual"

    def __init__(self):
        """SystemExit with the reason if it can not run here."""
        if os.geteuid() or not shutil.which("Xvfb"):
            raise SystemExit("only root can run it, and it needs Xvfb")
        try:
            self.root = aptroot.unpacked("usual-stack", aptroot.AptRoot(SUITE, "amd64"), PACKAGES)
        except aptroot.AptError as error:
            raise SystemExit(str(error)) from error

    def run(self, script, disk, limit_s=180):
        """What the guest's console said; @disk is the third one, as for vm.run()."""
        with tempfile.TemporaryDirectory() as folder:
            command = ["qemu-system-aarch64", *MACHINE, "-kernel", inside(vm.IMAGE / "Image"), "-initrd", inside(vm.IMAGE / "initrd.img"), "-append",
                       "console=ttyAMA0 quiet panic=-1 oriel.task=script"]
            for number, path in enumerate((vm.IMAGE / "root.img", vm.script_disk(folder, script), disk)):
                command += ["-drive", f"if=none,id=d{number},file={inside(path)},format=raw,readonly=on", "-device", f"virtio-blk-pci,drive=d{number}"]
            with subprocess.Popen(["Xvfb", DISPLAY, "-screen", "0", "1024x768x24"], stderr=subprocess.DEVNULL) as screen:
                try:
                    return subprocess.run(["unshare", "--mount", "sh", "-c", self.enter(), "sh", *command], capture_output=True, text=True,
                                          errors="replace", timeout=limit_s, check=False, env=self.environment()).stdout
                finally:
                    screen.terminate()

    def enter(self):
        """A script that mounts what the root needs, for this process alone, and runs its arguments there."""
        mounts = [("--rbind", "/dev", "dev"), ("--rbind", "/proc", "proc"), ("--rbind", "/sys", "sys"), ("--bind", "/tmp", "tmp"), ("--bind", "/", OUTSIDE)]
        lines = [f"mkdir -p {self.root / to} && mount {kind} {source} {self.root / to} && " for kind, source, to in mounts]
        return "".join(lines) + f'exec chroot {self.root} "$@"'

    @staticmethod
    def environment():
        """Software OpenGL on the Xvfb, Vulkan by lavapipe."""
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "XDG_RUNTIME_DIR": "/tmp", "DISPLAY": DISPLAY, "LIBGL_ALWAYS_SOFTWARE": "1",
                "VK_DRIVER_FILES": "/usr/share/vulkan/icd.d/lvp_icd.json"}


def inside(path):
    """Where a file of this machine is in the root."""
    return f"/{OUTSIDE}{Path(path).resolve()}"
