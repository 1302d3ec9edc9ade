#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shared GPU of a guest on KVM: Debian's lavapipe for arm64 in the outer machine, Venus in the guest, and memory that the host loses.

The same program draws in the outer machine itself and in the guest: hashes must be equal to the last bit.

usage: test_shared.py [16k], for an outer machine and a guest with pages of that size (stock guests with 4K have no agreement with such a
host on where GPU memory may be)
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine  # noqa: E402
import tap  # noqa: E402

SCENE = "/usr/lib/oriel/vkscene --frames 2 --hash-every 1"
# The guest says where it is; the outer machine takes the pages away and lets new ones be whole again.
SCRIPT = f"""
vulkaninfo --summary 2>&1 | grep deviceName
echo "@first"; {SCENE}
echo "@cut"; sleep 8
VN_DEBUG=no_abort timeout 40 {SCENE} >/dev/null 2>&1; echo "@victim $?"
echo "@mend"; sleep 8
echo "@second"; {SCENE}
echo "@alive"
"""
PAGES = sys.argv[1] if len(sys.argv) > 1 else ""
GUEST = machine.Guest("gpu", ["--console", "file:/tmp/console", "--gpu", "shared", "--stats", "/tmp/stats", "--memory", "512M"], SCRIPT, pages=PAGES)
HOST = machine.Host(memory_mib=2048, pages=PAGES)
LIB = "/usr/lib/oriel/libcut.so"
WATCH = f"""
export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json
echo; echo "@native $({SCENE} | tail -n 1)"
touch /tmp/console
COMMAND </dev/null >/tmp/errors 2>&1 &
vm=$!
for mark in cut mend; do
	until grep -q "^@$mark" /tmp/console; do
		kill -0 $vm 2>/dev/null || break
		sleep 0.5
	done
	[ $mark = cut ] && touch /tmp/cut || rm -f /tmp/cut
done
wait $vm
status=$?
echo; echo "@console"; cat /tmp/console; echo "@errors"; cat /tmp/errors; echo "@stats $(tr -d '\\n' </tmp/stats)"; echo "@status $status"
"""


def scene_program(work):
    """The guest's own arm64 program, out of its disk."""
    out = Path(work) / "vkscene"
    subprocess.run(["debugfs", "-R", f"dump /usr/lib/oriel/vkscene {out}", str(machine.BUILD / "guest/root.img")], check=True,
                   capture_output=True)
    out.chmod(0o755)
    return out


@machine.once
def outer():
    """What the outer machine's console said."""
    command = " ".join(f"'{w}'" for w in machine.command(GUEST, "kvm", "/usr/lib/oriel/oriel", "/usr/lib/oriel", "/tmp"))
    with tempfile.TemporaryDirectory() as work:
        files = [machine.ARM64 / "oriel-gpu", machine.ARM64 / "tests/kvm/libcut.so", scene_program(work)]
        return machine.run_outer([GUEST], WATCH.replace("COMMAND", f"LD_PRELOAD={LIB} {command}"), ("mesa-vulkan-drivers", "libvulkan1"),
                                 files, limit_s=1500, host=HOST)


def told(pattern):
    """The first match of @pattern on the outer console."""
    match = re.search(pattern, outer(), re.M)
    assert match, f"no '{pattern}':\n{outer()[-4000:]}"
    return match


def hashes(mark):
    """What the scene printed behind @mark."""
    return json.loads(told(rf"^@{mark}\s+(\{{.*\}})\s*$").group(1))["hashes"]


def test_pixels_in_the_guest_are_the_hosts():
    told(r"deviceName\s*= Virtio-GPU Venus \(llvmpipe")
    assert len(hashes("native")) == 2 and hashes("first") == hashes("native")


def test_lost_memory_ends_its_context_by_name():
    told(r"^@victim [1-9]\d*$")
    told(r"gpu: context \d+ \(vkscene\): server is gone: the host has no pages any more for its resource \d+")


def test_the_guest_and_other_contexts_live_on():
    assert hashes("second") == hashes("native")
    told("^@alive$")
    told("^@status 0$")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
