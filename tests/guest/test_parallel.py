#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several vCPUs: the memory model by litmus tests, and everything at once by stress-ng.

usage: test_parallel.py guest|long

LITMUS is the program of litmus.c.  The long form takes LITMUS_RUNS (default a million) and STRESS_S (default ten minutes).
"""
import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent), str(HERE.parents[1] / "images")]
import programs  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

# Nothing on stress-ng's way to its libraries needs these.
EXCLUDE = {"libc6", "libllvm19", "mesa-libgallium", "libegl-mesa0", "libz3-4", "libx11-data", "openssl-provider-legacy"}
# Those that verify what they compute, share memory between CPUs, change code or change mappings.
STRESSORS = """atomic bitops branch cache context cpu crypt dekker dynlib eventfd exec fma fork fp funccall futex goto hash icache jpeg list
longjmp malloc matrix mcontend membarrier memcpy mergesort mmap mremap mutex peterson pipe poll prime pthread qsort schedmix sem shellsort
sigfpe signal sigsegv skiplist sock str switch tlb-shootdown tree vecfp vecmath vecwide vm zlib""".split()


def litmus(cpus, runs, limit_s):
    """All tests on so many vCPUs; at least two threads always, four in some."""
    with vm.program_disk(os.environ["LITMUS"]) as disk:
        result = vm.run("--cpus", cpus, "--disk", f"{disk.name},ro", limit_s=limit_s, script=f"""
            cat /dev/vdc >/tmp/litmus
            chmod +x /tmp/litmus
            /tmp/litmus {runs}
            echo litmus status $?""")
    result.passed("litmus", f"{cpus} vCPUs: ")


def stress(cpus, seconds):
    """Each stressor in turn, one process for each vCPU, results verified."""
    each = max(1, seconds // len(STRESSORS))
    result = vm.run("--cpus", cpus, "--disk", f"{programs.disk('stress-ng', EXCLUDE)},ro", memory="1G", limit_s=3 * seconds + 300,
                    script=f"""{programs.mount("/dev/vdc")}
        cd /tmp
        stress-ng --seq {cpus} --with {','.join(STRESSORS)} -t {each} --verify --oomable --temp-path /tmp --no-rand-seed 2>&1
        echo stress status $?
        dmesg | grep -E '{vm.KERNEL_COMPLAINTS}'
        true""")
    assert result.status == 0, result.errors
    result.told("^stress status 0")
    passed = result.told(r"passed: (\d+)").group(0)
    print(f"# {cpus} vCPUs, {each} s each: {passed}")
    result.told("failed: 0$|failed: 0 ")
    assert not re.search(vm.KERNEL_COMPLAINTS, result.console), result.console[-3000:]


def quick():
    """What `make test` runs."""
    def test_no_forbidden_outcome_on_four_vcpus():
        litmus("4", 10000, 240)
    return locals()


def long():
    """What `make test-long` runs."""
    runs, seconds = int(os.environ.get("LITMUS_RUNS", 1000000)), int(os.environ.get("STRESS_S", 600))

    def test_no_forbidden_outcome_on_two_vcpus():
        litmus("2", runs, 3600)

    def test_no_forbidden_outcome_on_four_vcpus():
        litmus("4", runs, 3600)

    def test_stress_ng_verifies_on_two_vcpus():
        stress(2, seconds)

    def test_stress_ng_verifies_on_four_vcpus():
        stress(4, seconds)
    return locals()


if __name__ == "__main__":
    tap.main(type("Tests", (), (long if sys.argv[1:] == ["long"] else quick)()))
