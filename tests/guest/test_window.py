#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GPU memory in the guest: odd sizes, its end, its users, and hosts whose pages are larger than the guest's.

usage: test_window.py guest|long
"""
import contextlib
import json
import os
import re
import subprocess
import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import guests  # noqa: E402
import program  # noqa: E402
import test_gpu  # noqa: E402
import vm  # noqa: E402

ODD = "/tmp/program odd 400"
LONE = r"^odd: \d{3} pieces of memory were their owner's alone"
NAME = "test-window"


def run(script, *options, **how):
    """vkmemory as /tmp/program in a guest."""
    disk = program.disk(vm.BUILD, "vkmemory", [program.ROOT / "tests/guest/vkmemory.c"])
    return vm.run("--disk", f"{disk},ro", "--cpus", "2", *options, gpu="shared", memory="1G", script=program.TAKE + script, **how)


def check_scene(result):
    """The guest drew what the host draws."""
    scene = json.loads(result.told(r"^(\{.*\})\s*$").group(1))
    assert scene["hashes"] == test_gpu.native()["hashes"], scene
    return scene


def test_guest_odd_pieces_are_their_owners_alone():
    result = run(ODD)
    result.told(LONE)
    assert not result.errors, result.errors


def test_guest_the_end_of_gpu_memory_is_an_error_and_passes():
    """Twice, since all must be given back."""
    result = run("/tmp/program fill 33554432; /tmp/program fill 33554432", "--gpu-memory", "256M")
    ends = re.findall(r"^fill: [67] pieces, then VkResult -[125]\b", result.console, re.M)
    assert len(ends) == 2 and result.console.count("fill: there is room again") == 2, result.console[-1500:]


def test_guest_programs_share_one_limit_and_get_back_what_others_had():
    """The first maps nothing, so that only its server knows of it."""
    result = run("""
            /tmp/program hold 167772160 >/tmp/hold &
            until grep there /tmp/hold; do sleep 0.1; done
            /tmp/program fill 33554432; kill -9 $!; wait; echo killed; /tmp/program fill 33554432""", "--gpu-memory", "256M")
    before, after = result.console.split("killed", 1)
    for said, pieces in ((before, "[12]"), (after, "[67]")):
        assert re.search(rf"^fill: {pieces} pieces, then VkResult -[125]\b", said, re.M) and "fill: there is room again" in said, said[-1500:]


def test_guest_what_drivers_keep_has_a_limit():
    """Of shader modules nobody but the driver knows what they take."""
    result = run(f'/tmp/program leak 200000; echo "the program ended with $?"; {test_gpu.SCENE}', "--gpu-memory", "256M")
    result.told("^the program ended with 134")  # SIGABRT: Mesa's
    assert "gpu: context 2 (program): server is gone: what its driver keeps is beyond the limit of GPU memory" in result.errors, result.errors
    check_scene(result)


def test_guest_the_windows_users_are_reported():
    with vm.Vm("--name", NAME, gpu="shared", memory="1G", script="""
            /usr/lib/oriel/vkscene --frames 1000000 --progress >/tmp/long 2>&1 &
            until grep -q 'frame 20' /tmp/long; do sleep 0.2; done
            echo drawing; sleep 60""") as machine:
        machine.wait_for("drawing")
        out = subprocess.run([str(vm.ORIEL), "ctl", NAME, "status"], capture_output=True, text=True, timeout=60, check=True).stdout
        gpu = json.loads(out)["gpu"]
        users = [c for c in gpu["contexts"] if c["live"]]
        assert [Path(f"/proc/{c['pid']}/oom_score_adj").read_text() for c in users] == ["1000\n"], gpu  # the host's first to end
    assert len(users) == 1 and users[0]["name"] == "vkscene" and users[0]["pid"] > 0, gpu
    assert 8 << 20 < users[0]["mapped_bytes"] <= users[0]["blob_bytes"], gpu  # the command streams alone have 8 MiB
    assert 4096 < users[0]["record_bytes"] < 1 << 20, gpu
    assert users[0]["blob_bytes"] <= users[0]["memory_bytes"] <= gpu["memory_bytes"] < gpu["memory_limit"] == 1 << 30, gpu
    assert users[0]["mapped_bytes"] == gpu["mapped_bytes"] <= gpu["window_bytes"] == 2 << 30, gpu


def test_guest_small_pages_on_large_ones_are_refused_by_name():
    """A 4 KiB kernel that does not know of alignments, on a host with 16 KiB pages: no program works, the VM lives, the log says why."""
    result = run(f"{ODD} || echo refused; {ODD} || echo refused; uname -r", "--engine", "soft,granule=16k")
    assert len(re.findall("^refused", result.console, re.M)) == 2, result.console[-1500:]
    result.told(r"^6\.12\.")
    assert "not aligned to this host's pages (needs a kernel with such pages, or Linux 7.2)" in result.errors, result.errors


def test_guest_the_newest_kernel_and_mesa_agree_on_an_alignment():
    """4 KiB pages on a host with 64 KiB ones; the same guest as on any other."""
    image = guests.make("newest")
    result = run(f"{ODD}; {test_gpu.SCENE}", "--engine", "soft,granule=64k", image=image)
    result.told(LONE)
    scene = check_scene(result)
    assert not scene["driver_info"].startswith("Mesa 25."), scene
    assert not result.errors, result.errors


def test_guest_the_newest_mesa_in_the_guest():
    """It knows commands and extensions that we do not, and does without."""
    result = run(f"{ODD}; vulkaninfo >/tmp/info 2>&1 && grep VK_KHR_display /tmp/info; {test_gpu.SCENE} --kms /dev/dri/card0",
                 image=guests.make("newest"))
    result.told(LONE)
    result.told(r"VK_KHR_display\s+: extension revision")
    assert not check_scene(result)["driver_info"].startswith("Mesa 25.")
    assert not result.errors, result.errors


def test_long_the_backported_mesa_in_the_guest():
    result = run(f"{ODD}; {test_gpu.SCENE} --kms /dev/dri/card0", image=guests.make("backports"))
    result.told(LONE)
    version = check_scene(result)["driver_info"]
    assert re.search(r"^Mesa \d.*bpo", version), version
    assert not result.errors, result.errors


def test_long_large_pages_on_large_ones():
    """A kernel with 16 KiB pages needs no agreement."""
    image = guests.make("large-pages")
    result = run(f"{ODD}; {test_gpu.SCENE}", "--engine", "soft,granule=16k", image=image)
    result.told(LONE)
    check_scene(result)
    assert not result.errors, result.errors


@contextlib.contextmanager
def host_memory(limit):
    """A launcher: what it runs has so much memory of the host, and is ended beyond that as a host without any ends programs."""
    for base, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(base) / f"oriel-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        members = group / "cgroup.procs"
        launcher = ("sh", "-c", f'echo $$ >{members} && exec "$@"', "sh")
        try:
            (group / name).read_text()  # the controller is there
            (group / name).write_text(str(limit))
            subprocess.run([*launcher, "true"], stderr=subprocess.PIPE, check=True)
        except (OSError, subprocess.CalledProcessError):
            group.rmdir()
            continue
        try:
            yield launcher
        finally:
            end = time.monotonic() + 60
            while members.read_text():  # helpers that end with the VM
                assert time.monotonic() < end, "something of the VM is left"
                time.sleep(0.1)
            group.rmdir()
        return
    raise tap.Skip("no control group with a limit of memory can be made")


def test_long_a_program_that_fills_the_host_is_what_ends():
    """A host that has less than the limit: its end takes the program's server, not the VM, which has more.

    All the guest's memory has been used before, and the modules pass through the ring: while Linux ends a server with several threads, the control
    group does not know it any more, and were the VM to ask for more meanwhile, it would be ended, too.
    """
    with host_memory(1250 << 20) as launcher:
        result = run(f"""
            mount -o remount,size=95% /tmp; dd if=/dev/zero of=/tmp/zero bs=1M count=880 2>/dev/null; ls -l /tmp/zero; rm /tmp/zero
            /tmp/program leak 200000; echo "the program ended with $?"; {test_gpu.SCENE}""", "--gpu-memory", "2G", launcher=launcher)
    result.told("^the program ended with 134")  # SIGABRT: Mesa's
    assert "gpu: context 2 (program): server is gone: it ended" in result.errors, (result.errors, result.console)
    check_scene(result)


if __name__ == "__main__":
    prefix = "test_long" if sys.argv[1:2] == ["long"] else "test_guest"
    tap.main(types.SimpleNamespace(**{n: f for n, f in globals().items() if n.startswith(prefix)}), sys.argv[2] if len(sys.argv) > 2 else None)
