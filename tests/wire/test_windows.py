#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Swapchains over vtest: a program's last frame in an X11 window is the host's own to the last bit; Wayland runs to its end.

Over vtest Mesa cannot import memory, so windows get their frames by shared memory; dma-bufs are for the guest's tests.
"""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import mesa  # noqa: E402
import venus  # noqa: E402
from venus import Server  # noqa: E402

LAYERS = {"VK_LAYER_PATH": str(venus.BUILD.resolve() / "tests/wire"), "VK_INSTANCE_LAYERS": "VK_LAYER_ORIEL_hold", "HOLD_FRAMES": "37",
          "VK_LOADER_LAYERS_DISABLE": "~implicit~"}
CUBE = ("/usr/bin/vkcube", "--width", "400", "--height", "400")
# One program since Debian 13, two before.
WAYLAND_CUBE = (*(("/usr/bin/vkcube-wayland",) if Path("/usr/bin/vkcube-wayland").exists() else ("/usr/bin/vkcube", "--wsi", "wayland")),
                "--c", "37", "--width", "400", "--height", "400")


def wait_for(path, process):
    """Until a server's socket is there."""
    deadline = time.monotonic() + 30
    while not Path(path).exists():
        assert process.poll() is None and time.monotonic() < deadline, f"{process.args[0]} did not start"
        time.sleep(0.05)


class Screen:
    """Xvfb of a size."""

    def __init__(self, width=640, height=480):
        self.width, self.height = width, height

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory()
        read, write = os.pipe()
        self.process = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", f"{self.width}x{self.height}x24", "-noreset", "-nolisten", "tcp",
                                         "-fbdir", self.dir.name], pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as answer:
            self.number = answer.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.dir.cleanup()

    def last_frame(self, start):
        """The pixels when the program that @start starts (given an environment) has presented its last frame and holds still."""
        process = start(DISPLAY=f":{self.number}", **LAYERS)
        try:
            for line in process.stderr:
                if "held" in line:
                    break
            else:
                raise AssertionError(f"the program ended with {process.wait()}")
            seen = None
            while seen != self.picture():  # a thread of the driver's shows the frame
                seen = self.picture()
                time.sleep(0.5)
            return seen
        finally:
            process.kill()
            process.communicate()

    def picture(self):
        """All pixels."""
        data = Path(self.dir.name, "Xvfb_screen0").read_bytes()
        return data[-self.width * self.height * 4:]


def native(**env):
    """The cube on the host's own driver."""
    return subprocess.Popen(CUBE, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_last_frame_in_an_x11_window_is_the_hosts_to_the_last_bit():
    with Screen() as screen:
        expected = screen.last_frame(native)
    assert len(set(expected[i:i + 4] for i in range(0, len(expected), 4))) > 100, "nothing was drawn"
    with Server() as server, Screen() as screen:
        seen = screen.last_frame(lambda **env: mesa.newer().start(server.path, *CUBE, MESA_VK_WSI_DEBUG="sw", **env))
        assert seen == expected
        assert server.errors() == "", server.errors()


def test_wayland_window_runs_to_its_end():
    with Server() as server, tempfile.TemporaryDirectory() as runtime:
        os.chmod(runtime, 0o700)
        env = dict(os.environ, XDG_RUNTIME_DIR=runtime)
        weston = subprocess.Popen(["weston", "--backend=headless-backend.so", "--socket=test", "--idle-time=0", f"--log={runtime}/log"],
                                  env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(runtime + "/test", weston)
            mesa.newer().run(server.path, *WAYLAND_CUBE, XDG_RUNTIME_DIR=runtime, WAYLAND_DISPLAY="test", MESA_VK_WSI_DEBUG="sw")
        finally:
            weston.terminate()
            weston.wait(20)
        assert server.errors() == "", server.errors()


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
