#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server made from a newer Vulkan registry than the installed one: it decodes all that the tables know, and all of it is tested.

oriel-gpu and the recording driver are built once more, in BUILD/newer-registry, with headers and registry of Debian's packages.
"""
import os
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "images")]
import aptroot  # noqa: E402
import tap  # noqa: E402
import venus  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SUITE, PACKAGE = "trixie", "libvulkan-dev"
COMMANDS, EXTENSIONS = 242, 118  # that Mesa 25.0.7 sends


def headers():
    """A folder with include/ and share/vulkan/registry/vk.xml: Vulkan 1.4."""
    try:
        arch = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
        apt = aptroot.AptRoot(SUITE, arch)
        apt.update()
        others = {name.split("_")[0] for name, _, _ in apt.resolve([PACKAGE])} - {PACKAGE}
        return aptroot.unpacked("vulkan-headers", apt, [PACKAGE], others) / "usr"
    except aptroot.AptError as error:
        raise tap.Skip(str(error)) from error


def run(*command, **env):
    """A tool or test; what it said is shown if it fails."""
    out = subprocess.run([str(c) for c in command], env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert not out.returncode, (out.stdout + out.stderr)[-3000:]


def test_all_commands_and_extensions_are_decoded_and_tested():
    new, build = headers(), venus.BUILD.resolve() / "newer-registry"
    registry = new / "share/vulkan/registry/vk.xml"
    env = {"CFLAGS": f"-I{new}/include", "CPATH": f"{new}/include", "VULKAN_REGISTRY": str(registry), "ORIEL_BUILD": str(build)}
    run("meson", "setup", *(["--wipe"] if (build / "build.ninja").exists() else []), build, ROOT, f"-Dvulkan_registry={registry}", **env)
    run("ninja", "-C", build, "oriel-gpu", "tests/wire/librecorder.so", **env)
    run(sys.executable, ROOT / "tests/gen/test_venus.py", **env)
    run(sys.executable, ROOT / "tests/wire/test_record.py", **env)
    rows = [line.strip("| ").split(" | ") for line in (build / "venus-coverage.md").read_text(encoding="utf-8").splitlines()[2:]]
    assert not [row for row in rows if row[1:] == ["not in this registry"]], rows
    assert (sum(row[0].startswith("vk") for row in rows), sum(row[0].startswith("VK_") for row in rows)) == (COMMANDS, EXTENSIONS)


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
