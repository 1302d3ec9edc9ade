#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An NVMe disk plugged into and pulled out of a running guest by `oriel ctl`."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "guest")]
import peers  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

ADAPTER = str(vm.BUILD / "tests/passthrough/remote-adapter")
CYCLES = int(os.environ.get("ORIEL_HOTPLUG_CYCLES", "100"))
POLITE = 3  # of them: a guest blinks for five seconds before it lets go
NAME = f"test-hotplug-{os.getpid()}"
SCRIPT = """
sh /usr/lib/oriel/modules/load nvme
echo ready
n=0
while :; do
    until [ -d /sys/block/nvme0n1 ] && [ -b /dev/nvme0n1 ]; do usleep 20000; done
    n=$((n + 1))
    echo "cycle $n $(dd if=/dev/nvme0n1 bs=4k count=16 2>/dev/null | md5sum)"
    [ $n = LAST ] && break
    while [ -d /sys/block/nvme0n1 ] || [ -b /dev/nvme0n1 ]; do usleep 20000; done
    echo "gone $n"
done
"""


def ctl(*words, ok=True):
    """`oriel ctl` with our VM: its answer, or its complaint if it is to fail."""
    out = subprocess.run([str(vm.ORIEL), "ctl", NAME, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (out.returncode == 0) == ok, out.stderr
    return json.loads(out.stdout) if ok else out.stderr


def test_disk_comes_and_goes():
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "disk.img"
        image.write_bytes(os.urandom(16 << 20))
        want = subprocess.run(f"head -c 65536 {image} | md5sum", shell=True, capture_output=True, text=True, check=True).stdout.split()[0]
        options = ("--hotplug-slots", "1", "--name", NAME, "--log", "info")
        with peers.nvme(ADAPTER, image) as server, vm.Vm(*options, script=SCRIPT.replace("LAST", str(CYCLES))) as machine:
            device = f"vfio-user:{server.path}"
            machine.wait_for("ready")
            assert ctl("status")["slots"] == [None]
            assert "no such device" in ctl("detach", device, ok=False)
            assert "/nonexistent" in ctl("attach", "vfio-user:/nonexistent", ok=False)
            for cycle in range(1, CYCLES + 1):
                assert ctl("attach", device)["reset"] == "flr"
                machine.wait_for(f"cycle {cycle} {want}")
                if cycle == 1:
                    assert "no slot" in ctl("attach", device, ok=False)
                    slot, = ctl("status")["slots"]
                    passed = slot.pop("interrupts_passed"), slot.pop("accesses_passed")
                    assert slot == {"device": device, "reset": "flr", "gone": False} and min(passed) > 0, (slot, passed)
                if cycle == CYCLES:
                    break
                words = ("detach", device) if cycle <= POLITE else ("detach", "--force", device)
                assert ctl(*words)["forced"] == (cycle > POLITE)
                machine.wait_for(f"gone {cycle}")
            result = machine.finish()
    assert result.status == 0, result.errors
    assert "error" not in result.errors, result.errors


def test_lost_server_makes_room_for_another():
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "disk.img"
        image.write_bytes(os.urandom(16 << 20))
        want = subprocess.run(f"head -c 65536 {image} | md5sum", shell=True, capture_output=True, text=True, check=True).stdout.split()[0]
        options = ("--hotplug-slots", "1", "--name", NAME)
        with vm.Vm(*options, script=SCRIPT.replace("LAST", "2")) as machine:
            machine.wait_for("ready")
            for cycle in (1, 2):
                with peers.nvme(ADAPTER, image) as server:
                    device = f"vfio-user:{server.path}"
                    assert ctl("attach", device)["reset"] == "flr"
                    machine.wait_for(f"cycle {cycle} {want}")
                    if cycle == 2:
                        result = machine.finish()
                        break
                    server.kill()
                    end = time.monotonic() + 20
                    while not ctl("status")["slots"][0]["gone"]:
                        assert time.monotonic() < end
                        time.sleep(0.05)
                    assert ctl("detach", "--force", device)["forced"]
                    machine.wait_for("gone 1")
    assert result.status == 0, result.errors
    assert len(re.findall("the server is gone", result.errors)) == 1, result.errors


def test_guest_that_does_not_let_go_loses_it():
    script = "echo ready; setpci=1; sleep 8; ls /sys/bus/pci/devices | grep -c 0000:01; echo over"
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "disk.img"
        image.write_bytes(bytes(1 << 20))
        # pcie_ports=compat: nobody listens to the slot
        with peers.nvme(ADAPTER, image) as server, vm.Vm("--passthrough", f"vfio-user:{server.path}", "--name", NAME, script=script,
                                                         append="pcie_ports=compat") as machine:
            machine.wait_for("ready")
            assert ctl("detach", "--timeout", "2", f"vfio-user:{server.path}")["forced"]
            assert ctl("status")["slots"] == [None]
            result = machine.finish()
    assert result.status == 0, result.errors
    assert "did not let go" in result.errors


def test_large_bar_needs_room_behind_the_slot():
    script = """
    echo ready
    until [ -d /sys/bus/pci/devices/0000:01:00.0 ]; do usleep 50000; done
    sleep 1
    read -r start end flags </sys/bus/pci/devices/0000:01:00.0/resource
    echo "bar $((end - start + 1))"
    """
    options = ("--hotplug-slots", "1", "--name", NAME)
    with peers.BigDevice(str(vm.BUILD / "tests/passthrough/big-device"), 64 << 30) as server:
        device = f"vfio-user:{server.path}"
        with vm.Vm(*options, script=script) as machine:
            machine.wait_for("ready")
            complaint = ctl("attach", device, ok=False)
            wanted = re.search(r"pci=hpmmioprefsize=\d+M", complaint)
            assert wanted and ctl("status")["slots"] == [None], complaint
        with vm.Vm(*options, script=script, append=wanted.group(0)) as machine:
            machine.wait_for("ready")
            ctl("attach", device)
            result = machine.finish()
    assert int(result.told(r"^bar (\d+)").group(1)) == 64 << 30


def test_second_vm_of_a_name_is_refused():
    with vm.Vm("--hotplug-slots", "1", "--name", NAME, script="echo ready; sleep 5") as machine:
        machine.wait_for("ready")
        assert NAME in vm.refused("--kernel", vm.IMAGE / "Image", "--gpu", "none", "--name", NAME, "--hotplug-slots", "1")
    assert "oriel run" in subprocess.run([str(vm.ORIEL), "ctl", NAME, "status"], capture_output=True, text=True, timeout=10,
                                         check=False).stderr + "oriel run"


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
