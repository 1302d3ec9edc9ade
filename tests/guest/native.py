# SPDX-License-Identifier: Apache-2.0
"""Programs of the guest's packages, for this machine and on the host's own driver: what those in the guest are compared with.

Unpacked beside the system; they run by their own loader, and take only the Vulkan driver from the host.
"""
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests"), str(ROOT / "tests/wire")]
import aptroot  # noqa: E402
import desktop  # noqa: E402
import guest  # noqa: E402
import mesa  # noqa: E402
import programs  # noqa: E402
import tap  # noqa: E402

PACKAGES = [*desktop.PROGRAMS, *desktop.MORE, "libvulkan1", "vulkan-tools"]


class Native:
    """The unpacked packages.  Skips the test where they can not be had."""

    def __init__(self):
        arch = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
        try:
            apt = aptroot.AptRoot(guest.SUITE, arch)
            self.root = aptroot.unpacked("native-programs", apt, PACKAGES, desktop.EXCLUDE, programs.thin)
        except aptroot.AptError as error:
            raise tap.Skip(str(error)) from error
        self.loader = next(p for p in (self.root / "usr/lib").rglob("ld-linux-*.so.*") if p.is_file())
        libraries = next((self.root / "usr/lib").rglob("libvulkan.so.1")).parent
        self.libraries = [libraries, *(libraries / also for also in ("blas", "lapack", "pulseaudio")), Path("/usr/lib") / libraries.name]
        self.env = {**mesa.without_desktop(), **mesa.host_driver(), "VK_LOADER_LAYERS_DISABLE": "*", "MESA_SHADER_CACHE_DISABLE": "true",
                    "MESA_LOADER_DRIVER_OVERRIDE": "zink", "LIBGL_ALWAYS_SOFTWARE": "1",
                    "__EGL_VENDOR_LIBRARY_DIRS": str(self.root / "usr/share/glvnd/egl_vendor.d")}

    def run(self, program, *args, limit_s=300, preload=None, **env):
        """Its output; raises if it fails.  @program: a file of usr/bin, or the start of one's name."""
        path = next(iter(sorted((self.root / "usr/bin").glob(program + "*"))))
        command = [str(self.loader), "--library-path", ":".join(map(str, self.libraries)), *(["--preload", str(preload)] if preload else []), str(path),
                   *map(str, args)]
        return subprocess.run(command, env={**self.env, **env}, capture_output=True, text=True, check=True, timeout=limit_s).stdout

    @contextlib.contextmanager
    def wayland(self):
        """What the environment of its clients says of a compositor that shows nothing: the host's weston."""
        with tempfile.TemporaryDirectory() as runtime:
            os.chmod(runtime, 0o700)
            env = {**self.env, "XDG_RUNTIME_DIR": runtime}
            with subprocess.Popen(["weston", "--backend=headless-backend.so", "--socket=native", "--idle-time=0", f"--log={runtime}/log"], env=env,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as weston:
                try:
                    end = time.monotonic() + 30
                    while not Path(runtime, "native").exists():
                        assert weston.poll() is None and time.monotonic() < end, "weston did not start"
                        time.sleep(0.05)
                    yield {"XDG_RUNTIME_DIR": runtime, "WAYLAND_DISPLAY": "native"}
                finally:
                    weston.terminate()
