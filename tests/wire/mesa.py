# SPDX-License-Identifier: Apache-2.0
"""A newer Mesa beside the system: its Venus driver, loader and vulkaninfo, unpacked from Debian's packages.

Nothing of the host is installed or replaced.  Programs run with the unpacked loader and libraries.
"""
import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests")]
import aptroot  # noqa: E402
import tap  # noqa: E402

SUITE = "trixie"
PACKAGES = ["mesa-vulkan-drivers", "vulkan-tools", "libdrm2"]
EXCLUDE = {"libllvm19", "libz3-4", "openssl-provider-legacy", "libssl3t64", "coreutils", "debconf"}  # nothing here needs them


def without_desktop():
    """Our environment for programs whose Vulkan driver is named by the caller."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("VK_", "VN_", "DISPLAY", "WAYLAND"))}


def host_driver():
    """Which driver programs take natively: the one that the environment names, as for the server, or lavapipe."""
    named = {k: v for k, v in os.environ.items() if k in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")}
    icds = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
    assert named or icds, "the host has no lavapipe, and VK_DRIVER_FILES names no other driver"
    return named or {"VK_DRIVER_FILES": str(icds[0])}


_MAKING = threading.Lock()


@functools.cache
def _newer():
    return Mesa()


def newer():
    """The newer Mesa, one for all threads: a second would write the files anew that programs of the first read."""
    with _MAKING:
        return _newer()


def lavapipe():
    """The newer Mesa with all that its lavapipe needs, and the validation layer of its time; see Mesa.serve()."""
    return Mesa(SUITE, ["mesa-vulkan-drivers", "libvulkan1", "libjansson4", "vulkan-validationlayers"], EXCLUDE - {"libllvm19", "libz3-4"}, "lavapipe-validation")


class Mesa:
    """The unpacked Mesa; root, version, and how to run something with it.  Skips the test where packages can not be had."""

    def __init__(self, suite=SUITE, packages=PACKAGES, exclude=EXCLUDE, name="mesa"):
        self.suite, self.packages, self.exclude = suite, packages, exclude
        arch = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
        self.dir = aptroot.cache_dir() / f"{name}-{suite}-{arch}"
        if not (self.dir / "done").exists():
            self._unpack(arch)
        self.version = (self.dir / "done").read_text(encoding="utf-8").strip()
        self.loader = next(p for p in (self.dir / "root/usr/lib").rglob("ld-linux-*.so.*") if p.is_file())
        self.libraries = next((self.dir / "root/usr/lib").rglob("libvulkan_virtio.so")).parent
        self.icd = self._driver("venus", "libvulkan_virtio.so", "1.3.269")

    def _unpack(self, arch):
        shutil.rmtree(self.dir, ignore_errors=True)
        try:
            apt = aptroot.AptRoot(self.suite, arch)
            apt.update()
            debs = apt.download(self.packages, self.exclude)
        except aptroot.AptError as error:
            raise tap.Skip(str(error)) from error
        aptroot.unpack(debs, self.dir / "root")
        version = next(d.name.split("_")[1] for d in debs if d.name.startswith("mesa-vulkan-drivers_"))
        (self.dir / "done").write_text(version + "\n", encoding="utf-8")

    def _driver(self, name, library, version):
        """What names a driver of it to the loader; replaced as a whole, since programs of other tests may read it."""
        manifest, whole = self.dir / f"{name}.json", self.dir / f"{name}.{os.getpid()}"
        whole.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": {
            "api_version": version, "library_path": str(self.libraries / library)}}), encoding="utf-8")
        return whole.replace(manifest)

    def serve(self):
        """How to run oriel-gpu on this Mesa's lavapipe instead of the host's driver: arguments of venus.Server."""
        icd = self._driver("lavapipe", "libvulkan_lvp.so", "1.4.0")
        return {"wrap": (str(self.loader), "--library-path", str(self.libraries)), "env": {"VK_DRIVER_FILES": str(icd), "VK_ICD_FILENAMES": str(icd)}}

    def start(self, socket, program, *args, **env):
        """A program that runs against the vtest server at @socket."""
        return self._start([self.libraries], program, args, {"VN_DEBUG": "vtest", "VTEST_SOCKET_NAME": socket, "VK_DRIVER_FILES": str(self.icd), **env})

    def start_on_host(self, program, *args, **env):
        """The same on the host's own driver."""
        return self._start([self.libraries, Path("/usr/lib") / self.libraries.name], program, args, {**host_driver(), **env})

    def _start(self, libraries, program, args, env):
        """By the unpacked loader; a path, or one of the packages' programs."""
        path = self.dir / "root/usr/bin" / program
        command = [str(self.loader), "--library-path", ":".join(map(str, libraries)), str(path if path.exists() else program), *args]
        return subprocess.Popen(command, env={**without_desktop(), "VK_LOADER_LAYERS_DISABLE": "*", "MESA_SHADER_CACHE_DISABLE": "true", **env},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, socket, program, *args, timeout=120, **env):
        """The same to its end; returns its output, raises if it fails."""
        with self.start(socket, program, *args, **env) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, f"{program}: status {process.returncode}: {err[-2000:]}"
        return out
