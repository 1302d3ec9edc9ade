#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The built-in CPU engine beside QEMU's translator: one kernel, one disk, the same work on each, in turn.

Each round boots every machine once, with a kaslr-seed of its own; the guest times its lines by CLOCK_MONOTONIC and the
host checks that clock.  A line counts only if all machines computed the same.  Ratios are QEMU's median
time divided by Oriel's: above 1, Oriel is faster.
"""
import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import machines
from machines import aptroot

LIMIT_S = 1800
BEST_CPU = "max,pauth=off,sve=off,sme=off,lpa2=off"
BOOT_LINES = ("boot-init", "boot-disk")
# Shown, but no part of the whole: figures that are not times of work.
APART = ("latency", "idle")


class BenchError(Exception):
    """One line for a person."""


class Sample:
    """What one run of one machine gave."""

    def __init__(self):
        self.lines, self.failures = {}, []  # name: (group, seconds, result)
        self.memory_mib = self.idle_percent = self.other_cpus = None


def process_cpu_s(pid):
    """CPU seconds that a process has used (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def host_busy_s():
    """CPU seconds that the whole host has used."""
    user, nice, system, _, _, irq, soft, steal = (int(v) for v in Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def memory_beyond_guest_mib(pid):
    """Memory that a process keeps resident beyond the guest's RAM.

    The RAM is the mapping of its size that is writable and not executable (QEMU's code buffer may be as large).  Pss instead of
    Rss, because pages with two views, one to write and one to run code, are there once.
    """
    beyond_kib = size_kib = 0
    permissions = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            permissions = words[1]
        elif words[0] == "Size:":
            size_kib = int(words[1])
        elif words[0] == "Pss:":
            is_ram = 0 <= size_kib - machines.MEMORY_MIB * 1024 < 64 * 1024 and permissions.startswith("rw-")
            beyond_kib += 0 if is_ram else int(words[1])
    return beyond_kib / 1024


class Run:
    """One boot of one machine, or one run on this host."""

    def __init__(self, machine, append):
        self.machine, self.sample, self.tail = machine, Sample(), []
        self.marks, self.clock = {}, {}
        self.append = append

    def line(self, text, at_s, process):
        """Take one line of the console."""
        word, _, rest = text.partition(" ")
        sample = self.sample
        if word == "@line":
            group, name, seconds, result = rest.split()
            sample.lines[name] = (group, float(seconds), result)
        elif word == "@fail":
            sample.failures.append(rest)
        elif text.startswith("@oriel init "):
            sample.lines["boot-init"] = ("boot", at_s, "")
        elif word == "@bench":
            mark, *clock = rest.split()
            self.marks[mark] = (at_s, process_cpu_s(process.pid))
            if clock:
                self.clock[mark] = float(clock[0])
            if mark == "begin":
                sample.lines["boot-disk"] = ("boot", at_s, "")
            elif mark == "end":
                sample.memory_mib = memory_beyond_guest_mib(process.pid)
        self.tail = (self.tail + [text])[-5:]

    def go(self):
        """Run to the end; returns the Sample."""
        begin, busy = time.monotonic(), host_busy_s()
        process = subprocess.Popen([str(c) for c in self.machine.command(self.append)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=self.machine.environment)
        watchdog = threading.Timer(LIMIT_S, os.kill, (process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            for raw in process.stdout:
                self.line(raw.decode(errors="replace").strip(), time.monotonic() - begin, process)
        except BaseException:
            os.kill(process.pid, signal.SIGKILL)
            raise
        finally:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            watchdog.cancel()
        wall = time.monotonic() - begin
        self.sample.other_cpus = max(0.0, (host_busy_s() - busy - usage.ru_utime - usage.ru_stime) / wall)
        if self.machine.name != "native":
            self.check(process.returncode)
        elif process.returncode:
            raise BenchError(f"native: {self.tail[-1] if self.tail else 'no output'}")
        return self.sample

    def check(self, status):
        """The end must have been reached, by a clock that runs as the host's does."""
        if "done" not in self.marks:
            raise BenchError(f"{self.machine.name} ended with status {status} before the guest was done: " + " / ".join(self.tail))
        host = self.marks["end"][0] - self.marks["begin"][0]
        guest = self.clock["end"] - self.clock["begin"]
        if abs(host - guest) > 0.3 + 0.03 * host:
            raise BenchError(f"{self.machine.name}: the guest's clock ran {guest:.2f} s while the host's ran {host:.2f} s")
        if "idle" in self.marks:
            (from_s, from_cpu), (to_s, to_cpu) = self.marks["idle"], self.marks["busy"]
            self.sample.idle_percent = 100 * (to_cpu - from_cpu) / (to_s - from_s)


def geomean(values):
    """Geometric mean; None of nothing."""
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else None


class Report:
    """Medians of all rounds, and the table."""

    def __init__(self, names, samples):
        self.names, self.samples = names, samples
        self.peers = [n for n in names if n.startswith("qemu")]
        self.groups, self.wrong = {}, []
        for name in names:
            for sample in samples[name]:
                for line, (group, _, _) in sample.lines.items():
                    self.groups.setdefault(line, group)
                self.wrong += [f"{name}: {f}" for f in sample.failures]
        self.check_results()

    def check_results(self):
        """Every run of every machine must have computed the same; the host need not (other code, other libm)."""
        for line in self.groups:
            results = {(s.lines[line][2] if line in s.lines else "missing") for n in self.names if n != "native" for s in self.samples[n]}
            if len(results) > 1:
                self.wrong.append(f"{line}: results differ: " + ", ".join(
                    f"{n} {s.lines[line][2] if line in s.lines else 'missing'}" for n in self.names if n != "native" for s in self.samples[n]))

    def median(self, name, line):
        """Seconds, or None."""
        times = [s.lines[line][1] for s in self.samples[name] if line in s.lines]
        return statistics.median(times) if times else None

    def ratio(self, peer, line, base="oriel"):
        """Above 1: @base is faster than @peer."""
        a, b = self.median(peer, line), self.median(base, line)
        return a / b if a and b else None

    def scale(self, name):
        """How much faster two vCPUs do the work of one."""
        one, two = self.median(name, "parallel-1"), self.median(name, "parallel-2")
        return one / two if one and two else None

    def spread(self):
        """How much runs of the same differ: the median over lines and machines of slowest / fastest."""
        ratios = []
        for name in self.names:
            for line in self.groups:
                times = [s.lines[line][1] for s in self.samples[name] if line in s.lines]
                ratios += [max(times) / min(times)] if len(times) > 1 else []
        return statistics.median(ratios) if ratios else None

    def table(self):
        """Rows of text: a header, lines by group, means by group."""
        others = [n for n in self.names if n not in ("oriel", *self.peers)]
        order = [*others, "oriel", *self.peers]
        order = [n for n in order if n in self.names]
        compared = [(p, base) for base in ("oriel", "oriel-warm") if base in self.names for p in self.peers]
        rows = [["group", "line", *order, *(f"{p}/{base}" for p, base in compared)]]
        by_group = {}
        for line, group in self.groups.items():
            by_group.setdefault(group, []).append(line)
        for group, lines in by_group.items():
            for line in lines:
                times = [self.median(n, line) for n in order]
                ratios = [self.ratio(p, line, base) for p, base in compared]
                rows.append([group, line, *("-" if t is None else f"{t * 1e6:.0f} us" if t < 0.005 else f"{t:.3f} s" for t in times), *("-" if r is None else f"{r:.2f}" for r in ratios)])
        means = []
        for group, lines in by_group.items() if compared else ():
            values = [geomean([r for r in (self.ratio(p, l, base) for l in lines) if r]) for p, base in compared]
            means.append([group, "geomean", *[""] * len(order), *("-" if v is None else f"{v:.2f}" for v in values)])
        return rows + means

    def whole(self, peer):
        """Geometric mean over all lines that are times of work."""
        return geomean([r for r in (self.ratio(peer, l) for l, g in self.groups.items() if g not in APART) if r])


def show(rows):
    """Columns, names to the left and figures to the right."""
    wide = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        print("  ".join(c.ljust(wide[i]) if i < 2 else c.rjust(wide[i]) for i, c in enumerate(r)).rstrip())


def show_extras(report):
    """Figures that are not times."""
    for name in report.names:
        samples = report.samples[name]
        parts = []
        memory = [s.memory_mib for s in samples if s.memory_mib is not None]
        idle = [s.idle_percent for s in samples if s.idle_percent is not None]
        if memory:
            parts.append(f"memory beyond the guest's RAM {statistics.median(memory):.0f} MiB")
        if report.scale(name):
            parts.append(f"two threads do the work of one {report.scale(name):.2f} times as fast")
        if idle:
            parts.append(f"idle guest uses {statistics.median(idle):.2f}% of a CPU")
        if parts:
            print(f"{name}: " + "; ".join(parts))
    spread = report.spread()
    if spread:
        print(f"runs of one line on one machine differ by {spread:.2f} times (median of slowest / fastest)")
    other = [s.other_cpus for n in report.names for s in report.samples[n]]
    print(f"other work on the host meanwhile: {statistics.mean(other):.2f} of {os.cpu_count()} CPUs on average, {max(other):.2f} in the worst run")


def select_machines(options, images):
    """The machines by name."""
    found = []
    for name in options.machines.split(","):
        if name == "oriel":
            found.append(machines.Oriel(name, options.oriel, options.oriel_args.split(), images, options.cpus))
        elif name == "oriel-warm":
            found.append(machines.Oriel(name, options.oriel, options.oriel_args.split(), images, options.cpus,
                                        Path(options.build).resolve() / "bench/cache"))
        elif name == "oriel-interp":
            found.append(machines.Oriel(name, options.oriel, ["--engine", "soft,interp"], images, options.cpus))
        elif name in machines.QEMU_SUITES:
            found.append(machines.Qemu(name, options.qemu_cpu, images, options.cpus))
        elif name == "native":
            found.append(machines.Native())
        else:
            raise BenchError(f"unknown machine '{name}'; there are oriel, oriel-warm, oriel-interp, native, {', '.join(machines.QEMU_SUITES)}")
    return found


def bench(options):
    """All rounds; returns the exit status."""
    build = Path(options.build).resolve()
    options.oriel = options.oriel or build / "oriel"
    for need in (build / "guest/Image", build / "guest/initrd.img"):
        if not need.exists():
            raise BenchError(f"{need} is missing: make it by `make bench-cpu`")
    images = {"kernel": build / "guest/Image", "initrd": build / "guest/initrd.img", "disk": machines.make_disk(build / "bench")}
    chosen = select_machines(options, images)
    for machine in chosen:
        print(f"{machine.name}: {machine.version()}", flush=True)
    asked = [l for l in options.lines.split(",") if l]
    lines = ",".join(l for l in asked if l not in BOOT_LINES + ("boot", "idle")) or ("none" if asked else "")
    idle = options.idle if not asked or "idle" in asked else 0
    show_boot = not asked or any(l in BOOT_LINES + ("boot",) for l in asked)
    append = f"console=ttyAMA0 quiet panic=-1 bench.lines={lines} bench.idle={idle}"
    samples = {m.name: [] for m in chosen}
    for machine in chosen:
        if getattr(machine, "warms", False):
            Run(machine, append).go()
    for number in range(options.rounds):
        for machine in chosen if number % 2 == 0 else reversed(chosen):
            if machine.name == "native" and lines == "none":
                continue
            start = time.monotonic()
            sample = Run(machine, append).go()
            if not show_boot:
                sample.lines = {n: l for n, l in sample.lines.items() if n not in BOOT_LINES}
            samples[machine.name].append(sample)
            print(f"  round {number + 1} of {options.rounds}: {machine.name} {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    report = Report([m.name for m in chosen], samples)
    show(report.table())
    show_extras(report)
    save(report, build / "bench/report.json", options)
    for wrong in report.wrong:
        print(f"bench-cpu: error: {wrong}", file=sys.stderr)
    wholes = {p: report.whole(p) for p in report.peers if "oriel" in report.names}
    for peer, value in wholes.items():
        if value:
            print(f"geomean against {peer}: {value:.2f}")
    if any(wholes.values()):
        print(f"geomean: {min(v for v in wholes.values() if v):.2f}")
    return 1 if report.wrong else 0


def save(report, path, options):
    """Every sample, for those who want to look closer."""
    path.write_text(json.dumps({
        "date": time.strftime("%Y-%m-%d %H:%M"), "qemu_cpu": options.qemu_cpu, "cpus": options.cpus,
        "samples": {n: [vars(s) for s in report.samples[n]] for n in report.names}}, indent=1) + "\n")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--lines", default="", help="names of lines or groups, with commas between; all if empty")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--machines", default="native,oriel,oriel-warm," + ",".join(machines.QEMU_SUITES))
    parser.add_argument("--oriel", help="another oriel program than the build's")
    parser.add_argument("--oriel-args", default="", help="further options for oriel run")
    parser.add_argument("--qemu-cpu", default=BEST_CPU)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--idle", type=int, default=10, help="seconds of the idle measure")
    try:
        sys.exit(bench(parser.parse_args()))
    except (BenchError, aptroot.AptError) as error:
        sys.exit(f"bench-cpu: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
