#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A vfio-user NVMe in a guest of Oriel beside the same server process and the same guest under QEMU, in turn.

usage: bench_passthrough.py BUILD [--rounds N]

The server is QEMU's NVMe in a process of its own, behind the adapter of tests/passthrough; both VMMs run the guest on one emulated
CPU.  Ratios say how fast Oriel is: 2 is twice QEMU's speed.  QEMU with a vfio-user client is taken from Debian sid and
unpacked beside the system.  Start-up with a 128 GiB BAR is compared with that of a 16 KiB BAR, attaching is ours alone.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / p) for p in ("images", "tests/guest", "tests/passthrough", "tests")]
BLOCKS, MIBS = 1500, 64
SCRIPT = f"""
sh /usr/lib/oriel/modules/load nvme
until [ -b /dev/nvme0n1 ]; do usleep 20000; done
clock() {{ read -r up _ </proc/uptime; echo "$1 $up"; }}
dd if=/dev/nvme0n1 of=/dev/null bs=4k count=50 iflag=direct 2>/dev/null
clock a; dd if=/dev/nvme0n1 of=/dev/null bs=4k count={BLOCKS} iflag=direct 2>/dev/null; clock b
dd if=/dev/nvme0n1 of=/dev/null bs=1M count={MIBS} iflag=direct 2>/dev/null; clock c
"""


def qemu():
    """The command of a qemu-system-aarch64 with a vfio-user client."""
    import aptroot  # pylint: disable=import-outside-toplevel
    apt = aptroot.AptRoot("sid", "amd64")
    apt.update()
    debs = apt.download(["qemu-system-arm"])
    root = apt.dir / "qemu"
    stamp = root / ".done"
    names = "\n".join(sorted(d.name for d in debs))
    if not stamp.exists() or stamp.read_text() != names:
        aptroot.unpack(debs, root)
        stamp.write_text(names)
    lib = root / "usr/lib/x86_64-linux-gnu"
    path = ":".join(str(p) for p in (lib, lib / "pulseaudio", lib / "blas", lib / "lapack"))
    return [str(lib / "ld-linux-x86-64.so.2"), "--library-path", path, str(root / "usr/bin/qemu-system-aarch64"), "-L",
            str(root / "usr/share/qemu")]


def under_qemu(vm, command, socket, script):
    """Console of the guest under QEMU."""
    image = vm.IMAGE
    options = ["-M", "virt,gic-version=3,memory-backend=m0", "-object", "memory-backend-memfd,id=m0,size=512M,share=on", "-m", "512M",
               "-accel", "tcg", "-cpu", "max,pauth=off", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
               "-kernel", str(image / "Image"), "-initrd", str(image / "initrd.img"), "-append",
               "console=ttyAMA0 quiet panic=-1 oriel.task=script"]
    for number, disk in enumerate((image / "root.img", script)):
        options += ["-drive", f"file={disk},if=none,id=d{number},format=raw,readonly=on", "-device", f"virtio-blk-pci,drive=d{number}"]
    options += ["-device", json.dumps({"driver": "vfio-user-pci", "socket": {"type": "unix", "path": str(socket)}})]
    return subprocess.run([*command, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=True).stdout


def rates(console):
    """(IOPS of 4 KiB reads, MB/s of sequential reads)."""
    at = {m.group(1): float(m.group(2)) for m in re.finditer(r"^([abc]) ([0-9.]+)\s*$", console, re.M)}
    return BLOCKS / max(at["b"] - at["a"], 0.01), MIBS * 1.048576 / max(at["c"] - at["b"], 0.01)


def boot_seconds(vm, peers, program, size):
    """Until the guest's script runs, with a BAR of @size bytes."""
    with peers.BigDevice(program, size) as server:
        start = time.monotonic()
        with vm.Vm("--passthrough", f"vfio-user:{server.path}", script="echo ready; sleep 9") as machine:
            machine.wait_for("ready")
            return time.monotonic() - start


def attach_ms(vm, peers, adapter, disk):
    """`oriel ctl attach` of the disk to a running guest, the program's own start included."""
    name = f"bench-{os.getpid()}"
    with peers.nvme(adapter, disk) as server, vm.Vm("--hotplug-slots", "1", "--name", name, script="echo ready; sleep 9") as machine:
        machine.wait_for("ready")
        start = time.monotonic()
        subprocess.run([str(vm.ORIEL), "ctl", name, "attach", f"vfio-user:{server.path}"], stdout=subprocess.DEVNULL, check=True)
        return (time.monotonic() - start) * 1000


def measure(vm, peers, rounds):
    """{name: ([ours], [theirs])}."""
    adapter, big = (str(vm.BUILD / "tests/passthrough" / p) for p in ("remote-adapter", "big-device"))
    command = qemu()
    samples = {name: ([], []) for name in ("read-4k", "read-seq", "start", "attach")}
    with tempfile.TemporaryDirectory() as directory:
        disk = Path(directory) / "disk.img"
        disk.write_bytes(os.urandom(80 << 20))
        script = vm.script_disk(directory, SCRIPT)
        for _ in range(rounds):
            with peers.nvme(adapter, disk) as server:
                ours = rates(vm.run("--passthrough", f"vfio-user:{server.path}", script=SCRIPT).console)
            with peers.nvme(adapter, disk) as server:
                theirs = rates(under_qemu(vm, command, server.path, script))
            for name, a, b in zip(("read-4k", "read-seq"), ours, theirs):
                samples[name][0].append(a)
                samples[name][1].append(b)
            samples["start"][0].append(boot_seconds(vm, peers, big, 128 << 30))
            samples["start"][1].append(boot_seconds(vm, peers, big, 16 << 10))
            samples["attach"][0].append(attach_ms(vm, peers, adapter, disk))
    return samples


def main():
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ["ORIEL_BUILD"] = args.build
    import peers  # pylint: disable=import-outside-toplevel
    import vm  # pylint: disable=import-outside-toplevel
    samples = measure(vm, peers, args.rounds)
    row = {name: tuple(statistics.median(x) if x else None for x in pair) for name, pair in samples.items()}
    print(f"{'':10} {'oriel':>9} {'QEMU':>9}  ratio")
    for name, unit in (("read-4k", "IOPS"), ("read-seq", "MB/s")):
        a, b = row[name]
        print(f"{name:10} {a:9.1f} {b:9.1f}  {a / b:5.2f}  {unit}")
    a, b = row["start"]
    print(f"{'start':10} {a:9.2f} s with a 128 GiB BAR, {b:.2f} s with 16 KiB, {b / a:.2f}")
    print(f"{'attach':10} {row['attach'][0]:9.0f} ms")
    out = Path(args.build) / "bench/passthrough.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(samples) + "\n")


if __name__ == "__main__":
    main()
