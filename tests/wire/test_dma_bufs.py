#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real dma-bufs: in a machine with /dev/udmabuf, where lavapipe exports and imports them and knows format modifiers.

The machine is booted once for each of two drivers: lavapipe as it is, whose memory is imported pages but for what is shared; and one that
cannot import host pointers (a layer hides that), so that all memory is dma-bufs.  The probe chooses; what it chose is looked at.
Time there goes by the work done, so the tests' limits hold however busy this host is; only a machine that says nothing is ended.
"""
import functools
import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "guest")]
import tap  # noqa: E402
import dma_buf_machine as machine  # noqa: E402
import guests  # noqa: E402
import program  # noqa: E402
from aptroot import AptError  # noqa: E402

HIDE = f"""
export VK_LAYER_PATH={machine.BUILD}/tests/guest VK_INSTANCE_LAYERS=VK_LAYER_ORIEL_hide_external_memory
export HIDE_EXTENSIONS=VK_EXT_external_memory_host
"""
SUITES = {
    "vtest": "python3 tests/wire/test_vtest.py", "wire": "python3 tests/wire/test_wire.py", "mesa": "python3 tests/wire/test_mesa.py",
    "validation": "python3 tests/wire/test_validation.py",
    "windows": "python3 tests/wire/test_windows.py", "oriel_gpu": f"CMOCKA_MESSAGE_OUTPUT=TAP {machine.BUILD}/tests/wire/test-oriel-gpu "
    f"{machine.BUILD}/oriel-gpu", "share": "python3 tests/guest/test_share.py", "display": "python3 tests/guest/test_desktop.py guest display",
}


@functools.cache
def said(hidden):
    """What the machine's console said when all suites had run."""
    names = SUITES if hidden else ("wire", "share", "validation")
    script = f"cd {machine.ROOT}\n" + (HIDE if hidden else "") + f"{machine.BUILD}/oriel-gpu --probe\n"
    script += "".join(f"echo; echo @suite {n}\n{SUITES[n]}; echo; echo @end {n}\n" for n in names)
    try:
        disks = [program.disk(machine.BUILD, n, [program.ROOT / f"tests/guest/{n}.c"]) for n in ("vkshare", "vkclaims", "vkdisplay")]
        newest = guests.make("newest")
        more = [newest / n for n in ("Image", "initrd.img", "root.img", "manifest.json")] if hidden else []
        return machine.run(script, more=[f.relative_to(machine.BUILD) for f in disks + more])
    except AptError as error:
        raise tap.Skip(str(error)) from error


def check(suite, hidden=True, skipped=()):
    """All tests of @suite were run there and passed; only those of @skipped were not."""
    part = re.search(rf"^@suite {suite}\n(.*?)^@end {suite}$", said(hidden), re.M | re.S)
    assert part, said(hidden)[-2000:]
    lines = re.findall(r"^(?:not )?ok \d+ - .*$", part.group(1), re.M)
    for line in lines:
        print(f"# {line}", flush=True)
    planned = int(re.search(r"^1\.\.(\d+)$", part.group(1), re.M).group(1))
    assert len(lines) == planned and not [l for l in lines if l.startswith("not")], part.group(1)[-3000:]
    unasked = [l for l in lines if "# SKIP" in l and not any(s in l for s in skipped)]
    assert not unasked, unasked


def chosen(hidden, key):
    """What the probe says there."""
    return re.search(rf'"{key}": "?([^",\n]+)', said(hidden)).group(1)


def test_the_probe_falls_to_dma_bufs_by_itself():
    assert (chosen(True, "backing"), chosen(True, "backed_types"), chosen(True, "shared_types")) == ("dma-buf", "1", "1")


def test_dma_bufs_vtest():
    check("vtest")


def test_dma_bufs_wire():
    check("wire")


def test_dma_bufs_pictures_are_the_drivers_own():
    check("mesa", skipped=("explained", "newest_mesa", "newer_host_driver"))


def test_dma_bufs_are_named_as_vulkan_wants():
    check("validation", skipped=("newer_rules",))


def test_dma_bufs_windows():
    check("windows")


def test_dma_bufs_are_taken_from_a_server():
    check("oriel_gpu")


def test_dma_bufs_are_shared_and_shown_in_a_guest():
    check("share")


def test_dma_bufs_make_a_swapchain_on_a_guests_display():
    check("display")


def test_lavapipe_as_it_is_imports_pages_and_shares_dma_bufs():
    assert (chosen(False, "backing"), chosen(False, "backed_types"), chosen(False, "shared_types")) == ("host pointer", "1", "1")
    check("wire", hidden=False)
    check("share", hidden=False)
    check("validation", hidden=False, skipped=("newer_rules",))


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
