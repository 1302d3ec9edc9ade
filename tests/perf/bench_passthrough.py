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
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / p) for p in ("images", "tests/guest", "tests/passthrough", "tests")]
os.environ["ORIEL_BUILD"] = os.environ.get("ORIEL_BUILD") or (sys.argv[1] if len(sys.argv) > 1 else "build")
import peers  # noqa: E402
import programs  # noqa: E402
import qemu_client  # noqa: E402
import test_work  # noqa: E402
import vm  # noqa: E402

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


class Ours:
    """Makes guests of Oriel with the same parts."""

    def __init__(self, name):
        self.name, self.control = name, None

    def guest(self, *, server=None, script="", disks=()):
        """A running VM."""
        options = [x for d in disks for x in ("--disk", f"{d},ro")]
        options += ["--passthrough", f"vfio-user:{server.path}"] if server else ["--hotplug-slots", "1", "--name", self.name]
        return vm.Vm(*options, script=script)

    def prepare(self, _):
        """Connect to the control socket of `oriel ctl`."""
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        folder = Path(runtime) / "oriel" if runtime else Path("/run/oriel" if os.geteuid() == 0 else f"/tmp/oriel-{os.geteuid()}")
        self.control = qemu_client.connect(folder / f"{self.name}.sock")

    def attach(self, _, server):
        """Returns when Oriel has answered."""
        answer = json.loads(next(qemu_client.talk(self.control, {"command": "attach", "device": f"vfio-user:{server.path}"})))
        assert answer["ok"], answer


class Theirs:
    """Makes guests of QEMU."""

    def __init__(self):
        self.command = qemu_client.command()

    def guest(self, **parts):
        """A running VM."""
        return qemu_client.Qemu(self.command, **parts)

    def prepare(self, guest):
        """Connect to the monitor."""
        guest.say({"execute": "query-status"})

    def attach(self, guest, server):
        """Returns when QEMU has answered."""
        guest.attach(server)


class Bench:
    """All measures; each returns {line: value}."""

    def __init__(self, directory):
        self.fio = programs.disk("fio", test_work.EXCLUDE)
        self.mount = programs.mount("/dev/vdc")
        self.adapter, self.big = (str(vm.BUILD / "tests/passthrough" / p) for p in ("remote-adapter", "big-device"))
        self.disk = Path(directory) / "disk.img"
        self.disk.write_bytes(os.urandom(DISK_MIB << 20))

    def work(self, side):
        """The lines of WORK, and how often the guest lost its interrupt."""
        with peers.nvme(self.adapter, self.disk) as server, \
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
            with peers.BigDevice(self.big, size) as server:
                begin = time.monotonic()
                with side.guest(server=server, script="""
                        read -r start end rest </sys/bus/pci/devices/0000:01:00.0/resource
                        echo "ready $((end - start + 1))"; sleep 60""") as guest:
                    guest.wait_for(f"ready {size}")
                    out[name] = time.monotonic() - begin
        return out

    def attach(self, side):
        """Milliseconds until the request is answered, and until the guest has the disk."""
        with peers.nvme(self.adapter, self.disk) as server, side.guest(script=ATTACH) as guest:
            guest.wait_for("ready")
            side.prepare(guest)
            begin = time.monotonic()
            side.attach(guest, server)
            answered = time.monotonic()
            guest.wait_for("seen")
            return {"attach": 1000 * (answered - begin), "attach-seen": 1000 * (time.monotonic() - begin)}


def measure(rounds):
    """{line: ([ours], [theirs])}."""
    samples = {}
    sides = (Ours(f"bench-{os.getpid()}"), Theirs())
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(directory)
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
    samples = measure(args.rounds)
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
