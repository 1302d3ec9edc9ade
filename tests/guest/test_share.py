#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GPU memory that leaves a guest's program: to another one, and to the screen.

Also run where the host has real dma-bufs, see tests/wire/test_dma_bufs.py.
"""
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import desktop  # noqa: E402
import program  # noqa: E402
import vm  # noqa: E402


def run(script, *options, name="vkshare", env=None):
    """A program as /tmp/program in a guest."""
    disk = program.disk(vm.BUILD, name, [program.ROOT / f"tests/guest/{name}.c"])
    return vm.run("--disk", f"{disk},ro", "--cpus", "2", *options, gpu="shared", memory="1G", script=program.TAKE + script, env=env)


def test_two_programs_share_images_and_a_buffer(env=None):
    result = run("/tmp/program pair", env=env)
    result.told(r"^image with modifier 0x0, pitch \d+: shared")
    result.told("^both agree")
    assert not re.sub("^device memory: .*\n", "", result.errors, flags=re.M), result.errors  # the layer's


def test_what_is_offered_is_true_and_what_is_not_is_refused():
    """Protected memory and sparse binding, which lavapipe does not have; external memory and semaphores, which every guest has."""
    result = run("/tmp/program", name="vkclaims")
    result.told("^protected memory: not offered, refused")
    result.told("^memory handle 0x200: offered, works")
    result.told("^semaphore handle 0x10: offered, works")
    result.told("^all claims are true")


def pixel(x, y, seed=5):
    """vkshare's pattern, as RGB."""
    return ((x * 2654435 + y * 40503 + seed * 97) & 0xffffff).to_bytes(3, "big")


def test_an_image_is_shown_itself(env=None):
    """A blob as scanout: it can be mapped, and its rows lie where the guest says."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "frame.png"
        result = run("""
            /tmp/program show /dev/dri/card0 >/tmp/out 2>&1 &
            n=0; until [ -s /tmp/out ]; do sleep 0.2; [ $((n += 1)) -lt 300 ] || break; done
            sleep 1; cat /tmp/out""", "--display", f"png:{picture}", env=env)
        size = result.told(r"^shown (\d+)x(\d+)")
        width, height, seen = desktop.pixels(picture)
        assert (width, height) == tuple(int(n) for n in size.groups()), size.group(0)
        wanted = b"".join(pixel(x, y) for y in range(height) for x in range(width))
        assert seen == wanted, f"first difference at byte {next(i for i, (a, b) in enumerate(zip(seen, wanted)) if a != b)}"
        assert not re.search("error", result.errors), result.errors


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
