#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compile for arm64 macOS the engine over Hypervisor.framework and what it needs: object files, by clang, no warning allowed.

It needs the built-in engine (accesses by hand), the instruction tables and parts of base.  There is no SDK here: what they use of macOS is
declared in tests/hvf/macos and src/engine/hvf/api.h.

usage: compile_macos.py BUILD
"""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv[1] if len(sys.argv) > 1 else "build").resolve()
SOURCES = [f for f in sorted((ROOT / "src/engine/hvf").glob("*.c")) if f.name != "absent.c"]
SOURCES += [f for f in sorted((ROOT / "src/engine/soft").glob("*.c")) if not f.name.startswith("jit")]  # the translator is for x86-64
SOURCES += [*sorted((ROOT / "src/a64").glob("*.c")), ROOT / "src/engine/model.c", *(ROOT / f"src/base/{n}.c" for n in ("error", "guard", "log", "wait"))]
FLAGS = ["--target=arm64-apple-macos13", "-ffreestanding", "-nostdlibinc", "-isystem", str(ROOT / "tests/hvf/macos"), f"-I{ROOT / 'src'}",
         f"-I{BUILD / 'src/a64'}", "-std=gnu17", "-O0", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wvla", "-Wmissing-prototypes",
         "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-fno-strict-aliasing"]


def compile_all(clang, sources, folder):
    """Compile each; returns the first lines of what clang says of those that fail."""
    bad = []
    for number, source in enumerate(sources):
        out = subprocess.run([clang, *FLAGS, "-c", str(source), "-o", str(folder / f"{number}.o")], capture_output=True, text=True, check=False)
        bad += [] if out.returncode == 0 else out.stderr.splitlines()[:3] or [f"{source}: clang failed"]
    return bad


def clang_or_fail():
    """The compiler, which tools/setup --test installs."""
    clang = shutil.which("clang")
    assert clang, "clang is missing: tools/setup --test installs it"
    return clang


def test_engine_compiles():
    with tempfile.TemporaryDirectory() as name:
        bad = compile_all(clang_or_fail(), SOURCES, Path(name))
        assert len(SOURCES) > 50 and not bad, "\n".join(bad)
        kinds = {f.read_bytes()[:8] for f in Path(name).glob("*.o")}
    assert kinds == {bytes.fromhex("cffaedfe0c000001")}, kinds  # Mach-O, 64 bits, arm64


def test_a_linux_call_does_not_compile():
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "linux.c"
        source.write_text("#include <sys/eventfd.h>\nint f(void);\nint f(void)\n{\n\treturn eventfd(0, 0);\n}\n")
        assert compile_all(clang_or_fail(), [source], Path(name))


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
