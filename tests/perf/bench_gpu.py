#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Vulkan through Oriel beside the same work on the host's driver itself, in turn.

usage: bench_gpu.py BUILD [--lines start,sync,memory,record,pipeline,draw,scene,two] [--rounds N] [--no-guest] [--no-usual]

Each round runs vkbench natively, through `oriel-gpu --vtest`, in the guest, and in the same guest on the usual stack (usual.py), one after the
other; medians of the rounds are shown.
Ratios are of speed: 1 is the host's own, 0.5 half of it; guest/usual above 1 says that Oriel is faster.  Samples are kept in BUILD/bench/gpu.json.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "images"), str(ROOT / "tests/wire"), str(ROOT / "tests/guest"), str(ROOT / "tests")]
from processes import anonymous_mib, children, status_mib  # noqa: E402

GROUPS = ("start", "sync", "memory", "record", "pipeline", "draw")
RATES = ("/s", "k/s", "MB/s", "fps")
SCENE_FRAMES = 60
IDLE_S = 5


def parse(text):
    """{name: (unit, value)} of vkbench's output."""
    return {m.group(1): (m.group(2), float(m.group(3))) for m in re.finditer(r"^([a-z0-9A-Z-]+) (\S+) ([0-9.]+)\s*$", text, re.M)}


def cpu_s(pid):
    """CPU seconds of a process and its children that are alive."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(entry.name) == pid or int(fields[1]) == pid:
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Host:
    """The host's own driver."""

    name = "native"

    def __init__(self, build):
        self.bench, self.scene = build / "tests/perf/gpu/vkbench", build / "images/vkscene/vkscene"

    def run(self, *command):
        """Output of a program."""
        return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True, timeout=600).stdout

    def lines(self, groups):
        """What vkbench says, and the scene, and two programs at once."""
        found = parse(self.run(self.bench, *[g for g in groups if g in GROUPS])) if set(groups) & set(GROUPS) else {}
        if "scene" in groups:
            found["vkscene"] = ("/s", json.loads(self.run(self.scene, "--frames", SCENE_FRAMES).splitlines()[-1])["fps"])
        if "two" in groups:
            outputs = []
            threads = [threading.Thread(target=lambda: outputs.append(parse(self.run(self.bench, "draw")))) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found["two-triangles"] = ("/s", sum(o["triangle-256x256"][1] for o in outputs))
        return found


class Vtest(Host):
    """Mesa's Venus driver on this machine, served by oriel-gpu; as docs/vtest.md says how to use it."""

    name = "vtest"
    ENV = {"VN_PERF": "no_fence_feedback"}

    def __init__(self, build):
        super().__init__(build)
        os.environ["ORIEL_BUILD"] = str(build)
        import mesa  # noqa: PLC0415
        import venus  # noqa: PLC0415
        venus.BUILD, venus.SERVER = build, build / "oriel-gpu"
        self.mesa, self.server = mesa.Mesa(), venus.Server()
        self.server.__enter__()

    def run(self, *command):
        return self.mesa.run(self.server.path, *[str(c) for c in command], timeout=600, **self.ENV)

    def close(self):
        self.server.__exit__(None, None, None)

    def idle(self):
        """
        Of the server while a program does nothing: CPU milliseconds in a second, and of a native program with the same objects; and MiB: what the
        driver has in that, blobs, and what else there is, records of how objects were made among it.
        """
        own = subprocess.Popen([str(self.bench), "hold"], stdout=subprocess.PIPE, text=True)
        program = self.mesa.start(self.server.path, str(self.bench), "hold", **self.ENV)
        try:
            for each in (own, program):
                while not each.stdout.readline().startswith("device"):
                    pass
            time.sleep(1)
            pids = (self.server.process.pid, own.pid)
            start = [cpu_s(pid) for pid in pids]
            time.sleep(IDLE_S)
            used = [(cpu_s(pid) - before) / IDLE_S * 1000 for pid, before in zip(pids, start)]
            server = max(children(self.server.process.pid), key=anonymous_mib)
            driver = anonymous_mib(own.pid)
            return used, driver, status_mib(server, "RssShmem"), anonymous_mib(server) - driver
        finally:
            for each in (own, program):
                each.kill()
                each.communicate()


def guest_lines(build, groups, usual=None):
    """The same in the guest, on the usual stack if that is given; vkbench comes on a disk of its own, since the image is the demo's."""
    import program  # noqa: PLC0415
    import vm  # noqa: PLC0415
    vm.BUILD, vm.ORIEL, vm.IMAGE = build, build / "oriel", build / "guest"
    source = ROOT / "tests/perf/gpu"
    disk = program.disk(build, "vkbench", sorted(source.glob("*.c")), build / "tests/perf/gpu")
    wanted = " ".join(g for g in groups if g in GROUPS)
    script = program.TAKE
    script += f"/tmp/program {wanted}\n" if wanted else ""
    script += f"/usr/lib/oriel/vkscene --frames {SCENE_FRAMES}\n" if "scene" in groups else ""
    script += "/tmp/program draw >/tmp/a & /tmp/program draw >/tmp/b; wait; sed -n 's/triangle-256x256/two/p' /tmp/a /tmp/b\n" \
        if "two" in groups else ""
    console = usual.run(script, disk) if usual else vm.run("--cpus", "2", "--disk", f"{disk},ro", gpu="shared", memory="2G", script=script,
                                                           limit_s=900).console
    console = console.replace("\r", "")
    found = parse(console)
    scene = re.search(r'^\{.*"fps":([0-9.]+)', console, re.M)
    if scene:
        found["vkscene"] = ("/s", float(scene.group(1)))
    two = re.findall(r"^two /s ([0-9.]+)", console, re.M)
    found.pop("two", None)
    if len(two) == 2:
        found["two-triangles"] = ("/s", sum(map(float, two)))
    if not found:
        raise SystemExit(f"bench_gpu: error: the guest measured nothing:\n{console[-800:]}")
    return found


def usual_lines(build, groups, usual):
    """guest_lines() of the usual stack, without what it does not do in time: each group in a boot of its own, since one after the other its
    server did not always come to an end."""
    found = {}
    for group in groups:
        if group != "scene":  # it has no Vulkan 1.3
            try:
                found |= guest_lines(build, [group], usual)
            except subprocess.TimeoutExpired as late:
                print(f"  the usual stack did not do '{group}' in {late.timeout:.0f} s", file=sys.stderr, flush=True)
    return found


def usual_stack():
    """It, or None where it can not be."""
    import usual  # noqa: PLC0415
    try:
        return usual.UsualStack()
    except SystemExit as reason:
        print(f"  without the usual stack: {reason}", file=sys.stderr)
        return None


def ratio(unit, value, base):
    """Speed against @base."""
    return (value / base if unit in RATES else base / value) if value and base else 0


def show(samples, machines):
    """The table."""
    names = list(dict.fromkeys(n for s in samples["native"] for n in s))
    print(f"{'line':24}{'unit':>6}" + "".join(f"{m:>12}" for m in machines) + "".join(f"{m + ' x':>10}" for m in machines[1:])
          + ("   guest/vtest" if "guest" in machines else "") + ("   guest/usual" if "usual" in machines else ""))
    for name in names:
        middle = {m: statistics.median([s[name][1] for s in samples[m] if name in s] or [0]) for m in machines}
        unit = samples["native"][0][name][0]
        line = f"{name:24}{unit:>6}" + "".join(f"{middle[m]:12.2f}" for m in machines)
        line += "".join(f"{ratio(unit, middle[m], middle['native']):10.2f}" for m in machines[1:])
        if "guest" in machines and "vtest" in machines:
            line += f"{ratio(unit, middle['guest'], middle['vtest']):14.2f}"
        if "usual" in machines:
            line += f"{ratio(unit, middle['guest'], middle['usual']):14.2f}"
        print(line)


def main():
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--lines", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-guest", action="store_true")
    parser.add_argument("--no-usual", action="store_true")
    options = parser.parse_args()
    build = options.build.resolve()
    groups = options.lines.split(",") if options.lines else [*GROUPS, "scene", "two"]
    (build / "bench").mkdir(exist_ok=True)
    host, vtest = Host(build), Vtest(build)
    samples = {"native": [], "vtest": []}
    try:
        if not options.no_guest:
            samples["guest"] = []
        usual = None if options.no_guest or options.no_usual else usual_stack()
        if usual:
            samples["usual"] = []
        for number in range(options.rounds):
            print(f"  round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            samples["native"].append(host.lines(groups))
            samples["vtest"].append(vtest.lines(groups))
            if "guest" in samples:
                samples["guest"].append(guest_lines(build, groups))
            if usual:
                samples["usual"].append(usual_lines(build, groups, usual))
        idle, driver, blobs, rest = vtest.idle()
    finally:
        vtest.close()
    show(samples, list(samples))
    print(f"idle server: {idle[0]:.1f} ms of CPU time a second, a native program {idle[1]:.1f}; a context has {driver:.1f} MiB of the driver's own, {blobs:.1f} MiB of blobs, "
          f"{rest:.1f} MiB of others")
    (build / "bench/gpu.json").write_text(json.dumps(samples, indent=1) + "\n")


if __name__ == "__main__":
    main()
