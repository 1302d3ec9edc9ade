#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Code that writes code: the guest's kernel patches itself, loads modules and translates filters; programs bring translators of their own.

usage: test_jits.py guest|long

FILTERS is the program of filters.c.
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

EXCLUDE = {"libc6", "openssl-provider-legacy"}

# Loops, strings, tables and calls, each with a result to print; enough turns that a translator of traces takes them over.
LUA = """
local function show(name, f) io.write(name, " ", string.format("%.14g", f()), "\\n") end
show("sum", function() local s = 0 for i = 1, 3e6 do s = (s * 31 + i) % 1000003 end return s end)
show("sieve", function() local t, c = {}, 0 for i = 2, 2e5 do if not t[i] then c = c + 1 for j = i * i, 2e5, i do t[j] = true end end end return c end)
show("fib", function() local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(25) end)
show("text", function() local n = 0 for i = 1, 60000 do local s = "k" .. i; n = n + #s + s:byte(#s) end return n end)
show("float", function() local x = 0.5 for i = 1, 1e6 do x = 3.7 * x * (1 - x) end return x end)
show("table", function() local t = {} for i = 1, 1e5 do t[i % 997 + 1] = (t[i % 997 + 1] or 0) + i end local s = 0 for _, v in ipairs(t) do s = s + v end return s end)
"""
JAVASCRIPT = """
function show(name, f) { let r = 0; for (let i = 0; i < 3; i++) r = f(); console.log(name, r); }
show("sum", () => { let s = 0; for (let i = 1; i < 1e6; i++) s = (s * 31 + i) % 1000003; return s; });
show("fib", () => { const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2); return fib(22); });
show("float", () => { let x = 0.5; for (let i = 0; i < 3e5; i++) x = 3.7 * x * (1 - x); return x; });
show("typed", () => { const a = new Int32Array(65536); for (let i = 0; i < 65536; i++) a[i] = Math.imul(i, 2654435761); return a.reduce((p, v) => p ^ v, 0); });
show("shapes", () => { let s = 0; for (let i = 0; i < 2e4; i++) { const o = i % 3 ? {a: i} : {b: i, a: 1}; s += o.a; } return s; });
show("code", () => { let s = 0; for (let i = 0; i < 200; i++) s += new Function("x", "return x * " + i + " + 1")(i); return s; });
show("regexp", () => "ab12cd345ef".repeat(2000).replace(/[a-f]+(\\d+)/g, (m, d) => d.length).length);
"""


def same_results(result, name):
    """The lines between `@NAME WAY` and `@end` must be the same in all ways."""
    parts = re.findall(rf"^@{name} (\S+)\r?\n(.*?)^@end", result.console, re.M | re.S)
    assert len(parts) >= 2 and parts[0][1].count("\n") >= 5, result.console[-2000:]
    for way, lines in parts[1:]:
        assert lines == parts[0][1], f"{name} {way} differs from {parts[0][0]}:\n{lines}\n{parts[0][1]}"


def check(result):
    assert result.status == 0, result.errors
    assert not re.search(vm.KERNEL_COMPLAINTS, result.console), result.console[-3000:]


def quick():
    """What `make test` runs."""
    def test_the_kernel_translates_filters_and_patches_itself():
        with vm.program_disk(os.environ["FILTERS"]) as disk:
            result = vm.run("--cpus", "2", "--disk", f"{disk.name},ro", script="""
                cat /dev/vdc >/tmp/filters
                chmod +x /tmp/filters
                echo jit $(cat /proc/sys/net/core/bpf_jit_enable)
                /tmp/filters 1500
                mount -t tracefs tracefs /sys/kernel/tracing
                cd /sys/kernel/tracing
                for n in 1 2 3; do
                    echo function >current_tracer
                    /tmp/filters 40
                    echo traced $(head -2000 trace | grep -c '<-')
                    echo nop >current_tracer
                done
                cd /usr/lib/oriel/modules
                for n in 1 2 3; do
                    for m in $(cat e1000e.order); do insmod $m; done
                    echo there $(grep -c '^e1000e' /proc/modules)
                    for m in $(cat e1000e.order | tac); do busybox rmmod $m; done
                    echo gone $(grep -c '^e1000e' /proc/modules)
                done
                dmesg | grep -E '""" + vm.KERNEL_COMPLAINTS + """'
                true""")
        check(result)
        result.told("^jit 1")
        result.told("^filters: 1500 run, 0 wrong")
        traced = [int(n) for n in re.findall(r"^traced (\d+)", result.console, re.M)]
        assert len(traced) == 3 and min(traced) > 500, traced
        assert re.findall(r"^there (\d)", result.console, re.M) == ["1"] * 3, result.console[-1500:]
        assert re.findall(r"^gone (\d)", result.console, re.M) == ["0"] * 3, result.console[-1500:]

    def test_luajit_gives_what_its_interpreter_gives():
        result = vm.run("--cpus", "2", "--disk", f"{programs.disk('luajit', EXCLUDE)},ro", script=f"""{programs.mount("/dev/vdc")}
            cat >/tmp/t.lua <<'EOF'\n{LUA}\nEOF
            for way in -joff -jon -O1 -Ohotloop=2; do
                echo @lua $way
                luajit $way /tmp/t.lua
                echo @end
            done
            true""")
        check(result)
        same_results(result, "lua")
    return locals()


def long():
    """What `make test-long` runs."""
    def test_v8_gives_what_its_interpreter_gives():
        result = vm.run("--cpus", "2", "--disk", f"{programs.disk('nodejs', EXCLUDE)},ro", memory="1G", limit_s=900,
                        script=f"""{programs.mount("/dev/vdc")}
            mount --bind /mnt/usr/share /usr/share
            cat >/tmp/t.js <<'EOF'\n{JAVASCRIPT}\nEOF
            for way in --jitless --no-opt --turbofan --always-sparkplug --stress-compaction; do
                echo @js $way
                NO_COLOR=1 node $way /tmp/t.js 2>/tmp/errors || cat /tmp/errors
                echo @end
            done
            true""")
        check(result)
        same_results(result, "js")
    return locals()


if __name__ == "__main__":
    tap.main(type("Tests", (), (long if sys.argv[1:] == ["long"] else quick)()))
