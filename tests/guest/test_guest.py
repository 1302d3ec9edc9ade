#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stock Debian kernel and user space on the board: boot, disks, network, console, random numbers, power."""
import hashlib
import gzip
import http.server
import json
import os
import platform
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import vm  # noqa: E402


def test_boots_from_initrd_alone_and_powers_off():
    result = vm.run(root=False)
    result.told(r"@oriel init 6\.")
    assert result.status == 0, result.errors


def zboot(payload):
    """An EFI zboot image around a gzip'ed kernel (Linux drivers/firmware/efi/libstub/zboot-header.S)."""
    head = bytearray(64)
    head[0:2], head[4:8] = b"MZ", b"zimg"
    head[8:16] = (64).to_bytes(4, "little") + len(payload).to_bytes(4, "little")
    head[0x18:0x1c], head[0x38:0x3c] = b"gzip", (0x818223cd).to_bytes(4, "little")
    return bytes(head) + payload


def test_compressed_kernels_boot():
    packed = gzip.compress((vm.IMAGE / "Image").read_bytes(), 1)
    for data in (packed, zboot(packed)):
        with tempfile.NamedTemporaryFile() as kernel:
            kernel.write(data)
            kernel.flush()
            result = vm.run(root=False, kernel=kernel.name)
            result.told(r"@oriel init 6\.")
            assert result.status == 0, result.errors


def test_full_host_disk_is_an_io_error_in_the_guest_alone():
    if os.geteuid():
        raise tap.Skip("mounting a small file system needs root")
    with tempfile.TemporaryDirectory() as small:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", small], check=True)
        try:
            disk = Path(small) / "disk.img"
            with open(disk, "wb") as file:
                file.truncate(32 << 20)
            result = vm.run("--disk", disk, script="""
                dd if=/dev/zero of=/dev/vdc bs=64k count=200 conv=fsync 2>&1 || echo io error
                echo alive""")
            result.told("^io error")
            result.told("^alive")
            assert result.status == 0 and "vdc" not in result.errors and "o space" in result.errors, result.errors
        finally:
            subprocess.run(["umount", small], check=True)


def boot_counted(cache, script):
    """Boot with kept translations; the Result, and the engine's counters."""
    with tempfile.NamedTemporaryFile() as stats:
        result = vm.run("--stats", stats.name, script=script, cache=cache)
        return result, json.loads(Path(stats.name).read_text())["engine_counters"]


def test_second_boot_starts_translated_at_another_address():
    if platform.machine() != "x86_64":
        raise tap.Skip("nothing is translated on this host")
    script = """
        dmesg | grep -c . > /dev/null; grep -m1 ' _text$' /proc/kallsyms
        i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; echo result $i; head -c 300000 /dev/zero | md5sum"""
    with tempfile.TemporaryDirectory() as cache:
        first, cold = boot_counted(cache, script)
        second, warm = boot_counted(cache, script)
        assert cold["translated_blocks"] > 10000, cold
        assert warm["translated_blocks"] < cold["translated_blocks"] / 5, (cold, warm)
        assert warm["loaded_blocks"] > warm["translated_blocks"] * 5, (cold, warm)
        assert first.told(r"result 2000\s+.*  -").group(0) == second.told(r"result 2000\s+.*  -").group(0)
        assert first.told(r"^(\w+) [Tt] _text").group(1) != second.told(r"^(\w+) [Tt] _text").group(1), "the kernel lay at the same address"
        # A damaged file is one line, and the guest runs all the same.
        kept, = Path(cache).glob("oriel/translations/*")
        with open(kept, "r+b") as file:
            file.seek(kept.stat().st_size // 2)
            file.write(b"damage")
        third = vm.run(script="echo result", cache=cache)
        third.told("^result")
        complaints = [l for l in third.errors.splitlines() if l.strip()]
        assert len(complaints) == 1 and "damaged" in complaints[0], third.errors
        # So is a folder that can not be written.
        os.chmod(kept.parent, 0o755)
        fourth = vm.run(script="echo result", cache=cache)
        fourth.told("^result")
        complaints = [l for l in fourth.errors.splitlines() if l.strip()]
        assert len(complaints) == 1 and "translations" in complaints[0], fourth.errors


def test_board_devices_are_found():
    result = vm.run(script="cat /proc/interrupts; ls /sys/class/rtc /sys/class/gpio* 2>/dev/null; uname -m; nproc; date +%s; dmesg")
    result.told(r"^aarch64")
    result.told("rtc0")
    result.told(r"GICv3")
    clock = int(result.told(r"^(\d{10})$").group(1))
    assert abs(clock - time.time()) < 300, clock
    for bad in ("Oops", "BUG:", "WARNING:", "Unable to handle"):
        assert bad not in result.console, bad


def test_disk_keeps_what_is_written():
    with tempfile.NamedTemporaryFile() as disk:
        disk.truncate(32 << 20)
        result = vm.run("--disk", disk.name, script="""
            tr -dc 'a-z' </dev/urandom | head -c 4194304 >/tmp/data
            dd if=/tmp/data of=/dev/vdc bs=64k seek=8 conv=fsync 2>/dev/null
            echo sum $(sha256sum </tmp/data)
            dd if=/dev/vdc bs=64k skip=8 count=64 2>/dev/null | cmp - /tmp/data && echo same""")
        assert result.status == 0, result.errors
        result.told("^same")
        digest = result.told(r"^sum ([0-9a-f]{64})").group(1)
        assert hashlib.sha256(disk.file.read()[512 << 10:(512 << 10) + (4 << 20)]).hexdigest() == digest


def test_discarded_blocks_are_given_back():
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(b"x" * (16 << 20))
        disk.flush()
        before = os.stat(disk.name).st_blocks
        result = vm.run("--disk", disk.name, script="blkdiscard -o 0 -l 8388608 /dev/vdc && sync && echo discarded")
        result.told("^discarded")
        assert os.stat(disk.name).st_blocks <= before - (7 << 20) // 512
        disk.seek(8 << 20)
        assert disk.read(16) == b"x" * 16


def test_read_only_disk_stays_untouched():
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(b"y" * 65536)
        disk.flush()
        result = vm.run("--disk", f"{disk.name},ro", script="""
            cat /sys/block/vdc/ro
            dd if=/dev/zero of=/dev/vdc bs=512 count=1 conv=fsync 2>&1 || echo refused""")
        result.told("^1$")
        result.told("^refused")
        disk.seek(0)
        assert disk.read() == b"y" * 65536


def test_random_numbers_come_from_the_host():
    result = vm.run(script="cat /sys/class/misc/hw_random/rng_current; head -c 32 /dev/hwrng | hexdump -e '32/1 \"%02x\" \"\\n\"'")
    result.told("virtio_rng")
    digits = result.told(r"^([0-9a-f]{64})$").group(1)
    assert len(set(digits)) > 4


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers one page."""

    def do_GET(self):  # noqa: the library's name
        body = b"hello through the window\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


def test_network_reaches_the_host():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        result = vm.run("--net", "user", script=f"""
            cat >/tmp/dhcp <<'D'
            [ "$1" = bound ] || exit 0
            ip addr add $ip/$mask dev $interface
            ip route add default via $router 2>/dev/null
            echo "@net $ip $router"
D
            chmod +x /tmp/dhcp
            ip link set eth0 up
            udhcpc -i eth0 -n -q -t 10 -T 1 -s /tmp/dhcp || echo no lease
            router=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')
            wget -q -O - http://$router:{server.server_port}/ || echo no page""")
        result.told(r"@net \d+\.\d+")
        result.told("^hello through the window")
    finally:
        server.shutdown()


def test_virtio_console_prints_and_takes_input():
    with vm.Vm("--hvc", "on", append="console=hvc0 oriel.task=shell") as machine:
        machine.wait_for("/ # ")
        machine.type("cat /sys/class/tty/console/active; seq -s: 20000 | tail -c 12; wc -c\n")
        machine.wait_for("19999:20000\n")
        machine.type("x" * 999 + "\n\x04")
        machine.wait_for("\n1000")
        machine.type("poweroff -f\n")
        result = machine.finish(60)
        assert result.status == 0, result.errors
        result.told("^ttyAMA0 hvc0")
        result.told("^19999:20000")


def test_devices_can_be_unbound_and_bound_again():
    with tempfile.NamedTemporaryFile() as disk:
        disk.truncate(8 << 20)
        result = vm.run("--disk", disk.name, "--net", "user", script="""
            cd /sys/bus/virtio/drivers/virtio_blk
            name=$(basename $(readlink /sys/block/vdc/device))
            for i in 1 2 3 4 5; do
                dd if=/dev/zero of=/dev/vdc bs=64k 2>/dev/null &
                sleep 0.1
                echo $name >unbind
                wait
                echo $name >bind
                dd if=/dev/vdc bs=4k count=1 2>/dev/null | wc -c
            done
            cd /sys/bus/virtio/drivers/virtio_net
            name=$(basename $(readlink /sys/class/net/eth0/device))
            for i in 1 2 3; do
                ip link set eth0 up
                echo $name >unbind
                echo $name >bind
            done
            ip link show eth0 | sed s/^/link/
            dmesg | grep -E "BUG|WARNING|Oops|needs reset"
            true""")
        assert result.status == 0, result.errors
        assert result.console.count("\n4096") == 5, result.console[-1500:]
        result.told("^link.*eth0")
        for bad in ("BUG", "WARNING", "Oops", "needs reset"):
            assert bad not in result.console, result.console[-2000:]


def test_reset_ends_the_vm_when_asked():
    result = vm.run("--no-reboot", script="reboot -f; sleep 20")
    assert result.status == 3, result.status


def test_reset_keeps_disks_and_gives_fresh_devices():
    with tempfile.NamedTemporaryFile() as disk:
        disk.truncate(1 << 20)
        result = vm.run("--disk", disk.name, "--cpus", "2", "--stats", disk.name + ".json", gpu="2d", script="""
            boots=$(head -c 1 /dev/vdc | tr -dc 0-9)
            echo "boot ${boots:-0} cpus $(nproc) card $(ls /dev/dri | grep -c card)"
            printf "$((${boots:-0} + 1))" | dd of=/dev/vdc conv=notrunc,fsync 2>/dev/null
            [ "${boots:-0}" = 2 ] || reboot -f
            [ "${boots:-0}" = 2 ] || sleep 20""")
        stats = json.loads(Path(disk.name + ".json").read_text())
        Path(disk.name + ".json").unlink()
        assert result.status == 0, result.errors
        for boot in range(3):
            result.told(f"^boot {boot} cpus 2 card 1")
        assert stats["resets"] == 2, stats


def test_cpu_models_show_their_features():
    for model, shown, hidden in (("baseline", "aes crc32", "atomics fphp paca bti mops"), ("default", "atomics mops", "sve"), ("max", "atomics paca bti flagm mops", "sve")):
        result = vm.run("--cpu", model, script="""
            sed -n 's/^Features.*: /features: /p' /proc/cpuinfo
            echo text | sha256sum
        """)
        assert result.status == 0, result.errors
        features = result.told(r"^features: (.*)$").group(1).split()
        assert not set(shown.split()) - set(features), (model, features)
        assert not set(hidden.split()) & set(features), (model, features)


def test_four_cpus_work_at_once():
    result = vm.run("--cpus", "4", script="""
        echo cpus $(nproc)
        for i in 1 2 3 4 5 6 7 8; do
            (head -c 3000000 /dev/zero | sha256sum | cut -c 1-16; for j in 1 2 3 4 5 6 7 8 9 10; do true | cat; done) &
        done | sort | uniq -c
        wait
        for i in 1 2 3; do echo 0 >/sys/devices/system/cpu/cpu$i/online; done
        echo left $(nproc)
        for i in 1 2 3; do echo 1 >/sys/devices/system/cpu/cpu$i/online; done
        echo back $(nproc)
        dmesg | grep -E "stall|BUG|WARNING|Oops"
        true""")
    assert result.status == 0, result.errors
    result.told("^cpus 4")
    digest = hashlib.sha256(bytes(3000000)).hexdigest()[:16]
    result.told(rf"^\s*8 {digest}")
    result.told("^left 1")
    result.told("^back 4")
    for bad in ("stall", "BUG", "WARNING", "Oops"):
        assert bad not in result.console, result.console[-2000:]


def test_clock_is_right_after_the_process_was_stopped():
    stopped_s = 3
    with vm.Vm(script="""
        echo @before $(cut -d' ' -f1 /proc/uptime)
        sleep 1
        echo @slept
        read line
        echo @after $(cut -d' ' -f1 /proc/uptime)
        sleep 0.1
        echo @end
    """) as guest:
        start = time.monotonic()
        guest.wait_for("@slept")
        seen = time.monotonic()
        guest.process.send_signal(signal.SIGSTOP)
        time.sleep(stopped_s)
        guest.process.send_signal(signal.SIGCONT)
        guest.type("go\n")
        guest.wait_for("@end")
        end = time.monotonic()
        before, after = (float(re.search(f"@{word} ([0-9.]+)", guest.console()).group(1)) for word in ("before", "after"))
    # Both clocks count the stop, and nothing that was not.
    assert stopped_s + 1 <= after - before <= end - start, (before, after, seen - start, end - start)


def test_sigterm_ends_cleanly_and_leaves_nothing():
    with vm.Vm(script="echo ready; sleep 1000", gpu="shared") as machine:
        machine.wait_for("ready")
        machine.process.send_signal(signal.SIGTERM)
        result = machine.finish(20)
        assert result.status == 143, result.status
        left = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
        assert machine.dir.name not in left
        assert not [l for l in left.splitlines() if f" {machine.process.pid} " in l]


def test_terminal_is_raw_and_given_back():
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    image = vm.IMAGE
    process = subprocess.Popen([str(vm.ORIEL), "run", "--no-translation-cache", "--kernel", str(image / "Image"), "--initrd", str(image / "initrd.img"), "--disk",
                                f"{image / 'root.img'},ro", "--memory", "512M", "--gpu", "none", "--append",
                                "console=ttyAMA0 quiet oriel.task=shell"], stdin=slave, stdout=slave)
    try:
        said = read_until(master, b"/ # ")
        assert not termios.tcgetattr(slave)[3] & termios.ICANON
        os.write(master, b"echo $((6 * 7)) | sed s/^/answer/\r")
        read_until(master, b"answer42")
        os.write(master, b"cat -v\r\x01\x01\r")  # Ctrl-A twice is one for the guest
        read_until(master, b"^A")
        os.write(master, b"\x03sleep 1000\r\x01x")
        assert process.wait(20) == 5, process.returncode
    finally:
        process.kill()
        process.wait()
    assert termios.tcgetattr(slave) == before, said[-200:]


def read_until(descriptor, text, limit_s=90):
    """What a terminal shows up to @text."""
    seen = b""
    end = time.monotonic() + limit_s
    while text not in seen:
        ready, _, _ = select.select([descriptor], [], [], max(0, end - time.monotonic()))
        assert ready, f"no {text!r} in {seen[-500:]!r}"
        seen += os.read(descriptor, 4096)
    return seen


def test_guest_that_never_reports_is_ended():
    result = vm.run("--boot-timeout", "5", append="console=null initcall_blacklist=pl011_init rdinit=/none", root=False, limit_s=60)
    assert result.status == 4, result.status
    assert len([l for l in result.errors.splitlines() if l]) == 1, result.errors


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
