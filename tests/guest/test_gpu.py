#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shared GPU from inside the stock guest: Venus, exact pictures, a server that dies, 2D alone."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "wire")]
import tap  # noqa: E402
import mesa  # noqa: E402
import program  # noqa: E402
import vm  # noqa: E402
import vulkaninfo  # noqa: E402

SCENE = "/usr/lib/oriel/vkscene --frames 12 --hash-every 4"


def native(frames=12, every=4):
    """The scene's hashes on the host's own driver."""
    out = subprocess.run([str(vm.BUILD / "images/vkscene/vkscene"), "--frames", str(frames), "--hash-every", str(every)],
                         capture_output=True, text=True, check=True)
    return json.loads(out.stdout.splitlines()[-1])


def test_scene_is_the_hosts_to_the_last_bit():
    with tempfile.TemporaryDirectory() as out:
        stats = Path(out) / "stats.json"
        result = vm.run("--stats", stats, "--display", f"png:{out}/frame.png", gpu="shared", memory="1G",
                        script=f"vulkaninfo --summary 2>&1 | grep deviceName; {SCENE} --kms /dev/dri/card0")
        host = native()
        result.told(r"deviceName\s*= Virtio-GPU Venus \(" + re.escape(host["device"].split(" (")[0]))
        scene = json.loads(result.told(r"^(\{.*\})\s*$").group(1))
        assert scene["hashes"] == host["hashes"]
        assert scene["api"].startswith("1.3")
        assert (Path(out) / "frame.png").read_bytes().startswith(b"\x89PNG")
        contexts = json.loads(stats.read_text())["gpu"]["contexts"]
        assert max(c["draws"] for c in contexts) >= scene["draws"]
        assert result.status == 0, result.errors


def test_vulkaninfo_differs_from_the_hosts_only_as_explained():
    host = vulkaninfo.of_the_host(mesa.newer())
    result = vm.run(gpu="shared", memory="1G", script="VK_LOADER_LAYERS_DISABLE='*' vulkaninfo 2>/dev/null")
    text = result.console.replace("\r", "")
    vulkaninfo.check(host, text[text.index("=========="):text.index("@oriel done")], "guest")


def test_two_programs_share_the_gpu():
    result = vm.run(gpu="shared", memory="1G", script=f"""
        {SCENE} >/tmp/a & {SCENE} >/tmp/b; wait
        sed 's/.*hashes//' /tmp/a; sed 's/.*hashes//' /tmp/b""")
    lines = re.findall(r'^":(\[.*\])\}', result.console, re.M)
    assert len(lines) == 2 and json.loads(lines[0]) == json.loads(lines[1]) == native()["hashes"], result.console[-800:]


def test_who_waits_for_another_contexts_sync_file_sees_its_work():
    disk = program.disk(vm.BUILD, "vksync", [program.ROOT / "tests/guest/vksync.c"])
    result = vm.run("--disk", f"{disk},ro", "--cpus", "2", gpu="shared", memory="1G", script=program.TAKE +
                    "venus_implicit_fencing=true /tmp/program")  # or Mesa waits itself before it gives a file away
    result.told("^what was waited for is there")
    assert not result.errors, result.errors


def test_a_dead_server_costs_one_program_not_the_vm():
    with vm.Vm(gpu="shared", memory="1G", script=f"""
            VN_DEBUG=no_abort timeout 60 /usr/lib/oriel/vkscene --frames 1000000 --progress >/tmp/long 2>&1 &
            until grep -q 'frame 20' /tmp/long; do sleep 0.2; done
            echo drawing
            until [ -e /tmp/go ]; do sleep 1; [ $((n += 1)) -lt 8 ] || touch /tmp/go; done
            {SCENE} | sed 's/.*hashes//'
            echo alive""") as machine:
        machine.wait_for("drawing")
        for pid in servers(machine):
            os.kill(pid, signal.SIGKILL)
        result = machine.finish(240)
        result.told("^alive")
        assert json.loads(result.told(r'^":(\[.*\])\}').group(1)) == native()["hashes"]


def test_a_gpu_that_is_lost_ends_its_program_not_the_vm():
    """The layer's GPU dies: the program looks at words that nobody writes any more, until its context is ended."""
    layer = {"VK_LAYER_PATH": str(vm.BUILD / "tests/wire"), "VK_INSTANCE_LAYERS": "VK_LAYER_ORIEL_lost", "LOST_AFTER": "20"}
    result = vm.run(gpu="shared", memory="1G", env=layer, script="""
        timeout 60 /usr/lib/oriel/vkscene --frames 24 >/tmp/out 2>&1
        echo "the program ended with $?"; cat /tmp/out""")
    result.told("^the program ended with (6|134)")  # SIGABRT
    result.told("aborting on ring fatal error")
    assert re.search(r"gpu: context \d+ \(vkscene\): server is gone: the host's driver has lost its device", result.errors), result.errors
    assert result.status == 0, result.errors


def cut_gpu_memory(machine):
    """Every file of a server's memory that the VM has becomes empty: how many."""
    cut = 0
    for link in Path(f"/proc/{machine.process.pid}/fd").iterdir():
        if os.readlink(link) == "/memfd:oriel-gpu (deleted)":
            os.truncate(link, 0)
            cut += 1
    return cut


def test_memory_that_the_host_loses_ends_its_context_not_the_vm():
    """First while the server stands still, so that the guest touches it; then while the VM does, so that the server touches it."""
    with vm.Vm("--cpus", "2", gpu="shared", memory="1G", env={"LD_PRELOAD": str(vm.BUILD / "tests/guest/libunsealed.so")}, script=f"""
            for n in 1 2; do
                timeout 60 /usr/lib/oriel/vkscene --frames 1000000 --progress >/tmp/long$n 2>&1 &
                until grep -q 'frame 20' /tmp/long$n; do sleep 0.2; done
                echo "drawing $n"
                wait $!
                echo "victim $n ended with $?"; tail -n 2 /tmp/long$n
            done
            {SCENE} | sed 's/.*hashes//'
            echo alive""") as machine:
        machine.wait_for("drawing 1")
        for pid in servers(machine):
            os.kill(pid, signal.SIGSTOP)
        assert cut_gpu_memory(machine) > 3
        machine.wait_for("drawing 2")
        family = servers(machine)
        machine.process.send_signal(signal.SIGSTOP)
        assert cut_gpu_memory(machine) > 3
        end = time.monotonic() + 30
        while any(is_alive(pid) for pid in family):  # it says that it lives, in that memory, all the time
            assert time.monotonic() < end, "the server does not mind"
            time.sleep(0.1)
        machine.process.send_signal(signal.SIGCONT)
        result = machine.finish(240)
    result.told("^victim 1 ended with [1-9]")
    result.told("^victim 2 ended with [1-9]")
    result.told("^alive")
    assert json.loads(result.told(r'^":(\[.*\])\}').group(1)) == native()["hashes"]
    assert result.status == 0, result.errors
    ended = re.findall(r"gpu: context \d+ \(vkscene\): server is gone: (.*)", result.errors)
    lost = r"the host has no pages any more for its resource \d+"
    assert len(ended) == 2 and re.fullmatch(lost, ended[0]), result.errors
    assert re.fullmatch(f"it ended|{lost}", ended[1]), result.errors  # whoever is first when the VM goes on


def servers(machine):
    """Processes of the GPU's servers of this VM."""
    children = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    family = [int(l.split()[0]) for l in children.splitlines() if "oriel-gpu" in l and is_below(int(l.split()[0]), machine.process.pid)]
    assert family, children
    return family


def is_alive(pid):
    """False if there is no such process, or it has ended and nobody has noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_below(pid, ancestor):
    """True if @pid descends from @ancestor."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except FileNotFoundError:
            return False
    return False


def test_2d_alone_has_a_display_and_no_venus():
    with tempfile.TemporaryDirectory() as out:
        result = vm.run("--display", f"png:{out}/frame.png", gpu="2d", script="""
            ls /dev/dri; cat /sys/class/drm/card0-*/status; cat /sys/class/drm/card0-*/modes | head -n 1
            vulkaninfo --summary >/dev/null 2>&1 || echo no vulkan""")
        result.told("card0")
        result.told("^connected")
        result.told("^no vulkan")


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
