#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs of a guest share does not make the servers tell their driver anything invalid, see tests/wire/test_validation.py."""
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "wire")]
import tap  # noqa: E402
import desktop  # noqa: E402
import test_desktop  # noqa: E402
import test_share  # noqa: E402
import validation  # noqa: E402

DISCRETE = ("VK_LAYER_ORIEL_discrete",)  # its linear images cannot be drawn to with others, either


def share(below=()):
    """Two programs, images and a buffer."""
    with validation.listening("vkshare", validation.installed(), below) as env:
        test_share.run("/tmp/program pair", env=env).told("^both agree")


def show_a_window(name, below=()):
    """weston on Zink imports a Vulkan program's buffers."""
    with validation.listening(name, validation.installed(), below) as env:
        desktop.run(f"""
            {test_desktop.HELD} vkcube --wsi wayland 2>/tmp/cube &
            n=0; until grep -q held /tmp/cube; do sleep 0.2; [ $((n += 1)) -lt 300 ] || break; done
            sleep 3; cat /tmp/cube""", shell=test_desktop.KIOSK, env=env).told("^held")


def test_sharing_between_programs_stays_valid():
    share()


def test_sharing_stays_valid_on_a_gpu_with_memory_of_its_own():
    share(DISCRETE)


def test_windows_break_only_rules_that_are_explained():
    show_a_window("desktop")


def test_windows_do_so_on_a_gpu_with_memory_of_its_own():
    show_a_window("desktop on a discrete GPU", DISCRETE)


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
