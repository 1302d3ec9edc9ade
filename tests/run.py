#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run every test and close with `N passed, N failed`.

usage: run.py BUILD ASAN_BUILD ARM64_BUILD | run.py --long BUILD

BUILD runs all suites; the sanitized ASAN_BUILD runs those that need no guest; of ARM64_BUILD,
for an arm64 host, the engine's and the machine's under qemu-aarch64.  --long runs what takes many minutes.  A TAP program
counts each of its tests.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

ASAN_SUITES = ("unit", "wire-quick")
LAST_WORDS = 12  # lines of each failure that are shown again at the end
ARM64_TESTS = ("a64", "board", "config", "fp", "gicv3", "mem_bus", "pauth", "soft", "virtq", "vm")


def count(record):
    """(passed, failed, skipped) of one meson test."""
    out = record.get("stdout") or ""
    points = re.findall(r"^(not ok|ok) \d+(.*)$", out, re.M)
    ok = record["result"] in ("OK", "EXPECTEDFAIL")
    if record["result"] == "SKIP" and not points:
        return 0, 0, 1
    if not points:
        return (1, 0, 0) if ok else (0, 1, 0)
    skipped = sum(1 for word, rest in points if word == "ok" and re.search(r"#\s*skip", rest, re.I))
    failed = sum(1 for word, _ in points if word == "not ok")
    passed = len(points) - failed - skipped
    if not ok and not failed:  # crashed or timed out after its last line
        failed = 1
    return passed, failed, skipped


def failures(record):
    """What failed in one meson test, and the last words about it."""
    out = record.get("stdout") or ""
    points = re.findall(r"^not ok \d+(?: - )?(.*)\n((?:#.*\n)*)", out + "\n", re.M)
    if not points and count(record)[1]:
        points = [(f"{record['result']}, exit status {record['returncode']}", out + (record.get("stderr") or ""))]
    for what, said in points:
        yield f"FAILED {record['name']}: {what}"
        yield from (f"  {line}" for line in said.splitlines()[-LAST_WORDS:])


def suite(build, args, failed):
    """Run meson test, streaming its lines; returns the sums, and adds lines about each failure to @failed."""
    log = build / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    env_line = f"== {build.name}: meson test {' '.join(args)}"
    print(env_line, flush=True)
    status = subprocess.run(["meson", "test", "-C", str(build), "--print-errorlogs", *args], check=False).returncode
    sums = [0, 0, 0]
    if log.exists():
        for line in log.read_text().splitlines():
            record = json.loads(line)
            sums = [a + b for a, b in zip(sums, count(record))]
            failed += failures(record)
    if status and not sums[1]:
        sums[1] = 1
        failed.append(f"FAILED {build.name}: meson test, exit status {status}")
    return sums


def main():
    """Command line."""
    if len(sys.argv) == 3 and sys.argv[1] == "--long":
        parts = [(Path(sys.argv[2]), ["--suite", "long"])]
    elif len(sys.argv) == 4:
        build, asan, arm64 = (Path(a) for a in sys.argv[1:])
        parts = [(asan, [a for s in ASAN_SUITES for a in ("--suite", s)]), (arm64, list(ARM64_TESTS)), (build, [])]
    else:
        sys.exit("usage: run.py BUILD ASAN_BUILD ARM64_BUILD | run.py --long BUILD")
    totals, failed = [0, 0, 0], []
    for part in parts:
        totals = [a + b for a, b in zip(totals, suite(*part, failed))]
    for line in failed:  # where those look who see the end only
        print(line)
    skipped = f", {totals[2]} skipped" if totals[2] else ""
    print(f"{totals[0]} passed, {totals[1]} failed{skipped}")
    sys.exit(1 if totals[1] else 0)


if __name__ == "__main__":
    main()
