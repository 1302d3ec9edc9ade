#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices over vfio-user in a guest of Oriel beside the same server and the same guest under QEMU, in turn.

usage: bench_passthrough.py BUILD [--rounds N]

The disk is QEMU's NVMe in a process of its own, behind the adapter of tests/passthrough; the device with a BAR of 128 GiB is ours.
Both VMMs run the guest on one emulated CPU.  Ratios say how fast Oriel is: 2 is twice QEMU's speed.  QEMU with a vfio-user client
is taken from Debian sid and unpacked beside the system.  The disk has only INTx, which QEMU ends at the guest's next access to the
device; a guest that makes none there turns the interrupt off and goes on by time-outs.  The lines that poll are free of that,
and what the other lines met is counted at the end.
"""
import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / p) for p in ("images", "tests/guest", "tests/passthrough", "tests")]
DISK_MIB, SECONDS, BIG_BAR, SMALL_BAR = 128, 4, 128 << 30, 16 << 10
# Line: unit, options of fio.
WORK = {
    "4k": ("IOPS", "--rw=randread --bs=4k --ioengine=psync"),
    "4k-poll": ("IOPS", "--rw=randread --bs=4k --ioengine=io_uring --hipri"),
    "4k-deep": ("IOPS", "--rw=randread --bs=4k --ioengine=io_uring --hipri --iodepth=16"),
    "4k-write": ("IOPS", "--rw=randwrite --bs=4k --ioengine=io_uring --hipri"),
    "seq": ("MB/s", "--rw=read --bs=512k --ioengine=io_uring --hipri --iodepth=2"),
}
LOAD = """
cd /usr/lib/oriel/modules
for m in $(grep -v '^nvme.ko$' nvme.order); do insmod $m 2>/dev/null; done
insmod nvme.ko poll_queues=1
cd /
until [ -b /dev/nvme0n1 ]; do usleep 20000; done
"""
FIO = f"fio --filename=/dev/nvme0n1 --direct=1 --size={DISK_MIB}m --time_based --runtime={SECONDS} --ramp_time=1 --output-format=terse"
READS = LOAD + "".join(f"echo \"@work {name} $({FIO} --name=x {options} 2>&1 | tail -n 1)\"\n" for name, (_, options) in WORK.items()) + """
echo "@off $(dmesg | grep -c 'nobody cared') $(dmesg | grep -c 'completion polled')"
"""
ATTACH = "sh /usr/lib/oriel/modules/load nvme; echo ready; until [ -b /dev/nvme0n1 ]; do usleep 5000; done; echo seen; sleep 60"


def qemu():
    """The command of a qemu-system-aarch64 with a vfio-user client."""
    import aptroot  # pylint: disable=import-outside-toplevel
    root = aptroot.unpacked("qemu-sid", aptroot.AptRoot("sid", "amd64"), ["qemu-system-arm"])
    lib = root / "usr/lib/x86_64-linux-gnu"
    path = ":".join(str(p) for p in (lib, lib / "pulseaudio", lib / "blas", lib / "lapack"))
    return [str(lib / "ld-linux-x86-64.so.2"), "--library-path", path, str(root / "usr/bin/qemu-system-aarch64"), "-L",
            str(root / "usr/share/qemu")]


def connect(path):
    """A connected stream socket."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(path))
    return peer


def talk(peer, request):
    """Send a request, yield lines that come back."""
    peer.sendall(json.dumps(request).encode() + b"\n")
    with peer.makefile("r") as lines:
        yield from lines


class Qemu:
    """The guest under QEMU; like vm.Vm."""

    def __init__(self, vm, command, *, server=None, script="", disks=()):
        self.dir = tempfile.TemporaryDirectory(prefix="oriel-bench-")
        self.qmp_path = Path(self.dir.name) / "qmp"
        image = vm.IMAGE
        options = ["-M", "virt,gic-version=3,memory-backend=m0", "-object", "memory-backend-memfd,id=m0,size=512M,share=on", "-m", "512M",
                   "-accel", "tcg", "-cpu", "max,pauth=off", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
                   "-kernel", str(image / "Image"), "-initrd", str(image / "initrd.img"), "-append",
                   "console=ttyAMA0 quiet panic=-1 oriel.task=script", "-device", "pcie-root-port,id=slot0,chassis=1",
                   "-qmp", f"unix:{self.qmp_path},server=on,wait=off"]
        for number, disk in enumerate((image / "root.img", vm.script_disk(self.dir.name, script), *disks)):
            options += ["-drive", f"file={disk},if=none,id=d{number},format=raw,readonly=on", "-device", f"virtio-blk-pci,drive=d{number}"]
        if server:
            options += ["-device", json.dumps(self.device(server))]
        self.monitor = None
        self.out = open(Path(self.dir.name) / "console", "w+")
        self.process = subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT)

    @staticmethod
    def device(server):
        """What -device and device_add want."""
        return {"driver": "vfio-user-pci", "id": "foreign", "bus": "slot0", "socket": {"type": "unix", "path": str(server.path)}}

    def attach(self, server):
        """Returns when QEMU has answered."""
        self.say({"execute": "device_add", "arguments": self.device(server)})

    def say(self, request):
        """To the monitor, connected on first use; waits for the answer."""
        if not self.monitor:
            self.monitor = connect(self.qmp_path)
            self.say({"execute": "qmp_capabilities"})
        answers = (json.loads(line) for line in talk(self.monitor, request))
        answer = next(a for a in answers if "return" in a or "error" in a)
        assert "error" not in answer, answer

    def console(self):
        """What the guest said so far."""
        return Path(self.out.name).read_text(errors="replace")

    def wait_for(self, text, limit_s=120):
        """Wait until the console says @text."""
        end = time.monotonic() + limit_s
        while text not in self.console():
            assert self.process.poll() is None and time.monotonic() < end, self.console()[-1500:]
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.monitor:
            self.monitor.close()
        self.out.close()
        self.dir.cleanup()


class Ours:
    """Makes guests of Oriel with the same parts."""

    def __init__(self, vm, name):
        self.vm, self.name, self.control = vm, name, None

    def guest(self, *, server=None, script="", disks=()):
        """A running VM."""
        options = [x for d in disks for x in ("--disk", f"{d},ro")]
        options += ["--passthrough", f"vfio-user:{server.path}"] if server else ["--hotplug-slots", "1", "--name", self.name]
        return self.vm.Vm(*options, script=script)

    def prepare(self, _):
        """Connect to the control socket of `oriel ctl`."""
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        folder = Path(runtime) / "oriel" if runtime else Path("/run/oriel" if os.geteuid() == 0 else f"/tmp/oriel-{os.geteuid()}")
        self.control = connect(folder / f"{self.name}.sock")

    def attach(self, _, server):
        """Returns when Oriel has answered."""
        answer = json.loads(next(talk(self.control, {"command": "attach", "device": f"vfio-user:{server.path}"})))
        assert answer["ok"], answer


class Theirs:
    """Makes guests of QEMU."""

    def __init__(self, vm):
        self.vm, self.command = vm, qemu()

    def guest(self, **parts):
        """A running VM."""
        return Qemu(self.vm, self.command, **parts)

    def prepare(self, guest):
        """Connect to the monitor."""
        guest.say({"execute": "query-status"})

    def attach(self, guest, server):
        """Returns when QEMU has answered."""
        guest.attach(server)


class Bench:
    """All measures; each returns {line: value}."""

    def __init__(self, vm, peers, directory):
        import programs  # pylint: disable=import-outside-toplevel
        import test_work  # pylint: disable=import-outside-toplevel
        self.peers, self.fio = peers, programs.disk("fio", test_work.EXCLUDE)
        self.mount = programs.mount("/dev/vdc")
        self.adapter, self.big = (str(vm.BUILD / "tests/passthrough" / p) for p in ("remote-adapter", "big-device"))
        self.disk = Path(directory) / "disk.img"
        self.disk.write_bytes(os.urandom(DISK_MIB << 20))

    def work(self, side):
        """The lines of WORK, and how often the guest lost its interrupt."""
        with self.peers.nvme(self.adapter, self.disk) as server, \
                side.guest(server=server, script=self.mount + READS, disks=[self.fio]) as guest:
            guest.wait_for("@oriel done", 60 + len(WORK) * (SECONDS + 1) * 4)
            said = guest.console()
        out = {}
        for name, (unit, options) in WORK.items():
            line = re.search(rf"^@work {name} (.*)$", said, re.M)
            fields = line.group(1).split(";") if line else []
            assert len(fields) > 50, f"fio said nothing sensible: {said[-1500:]}"
            first = 47 if "write" in options else 6  # of terse version 3: KiB/s, IOPS
            out[name] = float(fields[first]) * 1.024e-3 if unit == "MB/s" else float(fields[first + 1])
        off, polled = re.search(r"^@off (\d+) (\d+)", said, re.M).groups()
        return {**out, "lost interrupts": int(off), "polled time-outs": int(polled)}

    def start(self, side):
        """Seconds until the guest's script runs."""
        out = {}
        for name, size in (("start-16K", SMALL_BAR), ("start-128G", BIG_BAR)):
            with self.peers.BigDevice(self.big, size) as server:
                begin = time.monotonic()
                with side.guest(server=server, script="""
                        read -r start end rest </sys/bus/pci/devices/0000:01:00.0/resource
                        echo "ready $((end - start + 1))"; sleep 60""") as guest:
                    guest.wait_for(f"ready {size}")
                    out[name] = time.monotonic() - begin
        return out

    def attach(self, side):
        """Milliseconds until the request is answered, and until the guest has the disk."""
        with self.peers.nvme(self.adapter, self.disk) as server, side.guest(script=ATTACH) as guest:
            guest.wait_for("ready")
            side.prepare(guest)
            begin = time.monotonic()
            side.attach(guest, server)
            answered = time.monotonic()
            guest.wait_for("seen")
            return {"attach": 1000 * (answered - begin), "attach-seen": 1000 * (time.monotonic() - begin)}


def measure(vm, peers, rounds):
    """{line: ([ours], [theirs])}."""
    samples = {}
    sides = (Ours(vm, f"bench-{os.getpid()}"), Theirs(vm))
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(vm, peers, directory)
        for _ in range(rounds):
            for part in (bench.work, bench.start, bench.attach):
                for index, side in enumerate(sides):
                    for name, value in part(side).items():
                        samples.setdefault(name, ([], []))[index].append(value)
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
    units = {**{name: unit for name, (unit, _) in WORK.items()}, "start-16K": "s", "start-128G": "s", "attach": "ms", "attach-seen": "ms"}
    print(f"{'':12} {'oriel':>9} {'QEMU':>9}  ratio")
    for name, unit in units.items():
        ours, theirs = (statistics.median(side) for side in samples[name])
        ratio = ours / theirs if name in WORK else theirs / ours
        print(f"{name:12} {ours:9.2f} {theirs:9.2f}  {ratio:5.2f}  {unit}")
    for name in ("lost interrupts", "polled time-outs"):
        print(f"{name}: oriel {sum(samples[name][0])}, QEMU {sum(samples[name][1])}")
    out = Path(args.build) / "bench/passthrough.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(samples) + "\n")


if __name__ == "__main__":
    main()
