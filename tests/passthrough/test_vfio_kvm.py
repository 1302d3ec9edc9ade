#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices of an arm64 host behind an SMMUv3 (in QEMU), handed to guests on KVM: interrupts go from the device to KVM without a thread of ours.

One boot of the outer machine does everything; the tests look at what it said.
"""
import json
import os
import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "kvm")]
import machine  # noqa: E402
import served  # noqa: E402
import tap  # noqa: E402

NVME, NIC, SATA = "0000:00:04.0", "0000:00:05.0", "0000:00:08.0"  # the last has MSI, and no way of reset
# Memory of the outer machine that its kernel is not told of, and that no guest of ours has.
VICTIM = 0xa0000000
MIB = 1 << 20
GUEST_LIMIT_S = int(os.environ.get("ORIEL_GUEST_LIMIT_S", "400"))

# What guests do.  "to" says where in the disk a copy goes.
DISK = """
sh /usr/lib/oriel/modules/load nvme
until [ -b /dev/nvme0n1 ]; do usleep 50000; done
echo "@read $(dd if=/dev/nvme0n1 bs=64k skip=64 count=16 2>/dev/null | md5sum)"
dd if=/dev/nvme0n1 bs=64k skip=64 count=4 2>/dev/null | dd of=/dev/nvme0n1 bs=64k seek=$(sed 's/.*to=//' /proc/cmdline) conv=fsync 2>/dev/null
"""
NET = """
web() {
	until [ -d /sys/class/net/eth0 ]; do usleep 50000; done
	ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
	until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do usleep 50000; done
	wget -q -O - http://10.0.2.2:WEB/file | md5sum
}
"""
MESSAGES = f"""{DISK}{NET}
cd /usr/lib/oriel/modules
sh load e1000e
echo "@got $(web)"
ping -c 2 10.0.2.2
grep -E "nvme|eth0" /proc/interrupts
rmmod e1000e; insmod e1000e.ko IntMode=0
echo "@by INTx $(web)"
sh load ahci; sh load sd_mod
echo "@plug"
until [ -b /dev/sda ]; do usleep 50000; done
echo "@by MSI $(dd if=/dev/sda bs=64k count=16 2>/dev/null | md5sum)"
grep -E "eth0|ahci|0000:03:00.0" /proc/interrupts
echo "@look"
while [ -d /sys/bus/pci/devices/0000:04:00.0 ]; do usleep 50000; done
echo "@unplugged"; sleep 3 # the answer comes a moment later
dd if=/dev/vdc of=/tmp/dma-probe bs=64k 2>/dev/null; chmod 755 /tmp/dma-probe
echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/unbind
/tmp/dma-probe 0000:01:00.0 {VICTIM}
"""
WIRES = DISK + """
dd if=/dev/nvme0n1 of=/dev/null bs=4k count=300 2>/dev/null & dd if=/dev/vda of=/dev/null bs=4k count=300 2>/dev/null; wait
until [ -c /dev/fb0 ]; do usleep 50000; done
cat /proc/interrupts
echo "@look"; sleep 4
echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/unbind
version=$(($(awk '{ print $1; exit }' /sys/bus/pci/devices/0000:01:00.0/resource) + 8))
echo "@version $(busybox devmem $version 32)"
echo "@pull"
until [ "$(busybox devmem $version 32)" = 0xFFFFFFFF ]; do usleep 50000; done
echo "@ones"
"""
OUTER = f"""
mount -t tmpfs run /run
cd /usr/lib/oriel
for m in $(cat order); do insmod $m; done
PATH=$PATH:/usr/lib/oriel
victim() {{ for n in 0 8 16 1024 4088; do busybox devmem $(({VICTIM} + n)) 64; done; }}
busybox devmem {VICTIM} 64 0x0123456789abcdef
busybox devmem {VICTIM + 8} 64 0xfedcba9876543210
guest() {{ # name command...
	name=$1; shift
	timeout {GUEST_LIMIT_S // 2} "$@" --name $name </dev/null >/tmp/$name 2>/tmp/$name.errors
	status=$?
	echo "@over" >>/tmp/$name
	until [ -e /tmp/$name.over ]; do usleep 50000; done
	cat /tmp/$name.errors /tmp/$name; echo; echo "@status of $name $status"
}}
at() {{ # name mark command...: when the guest says it
	until grep -qE "^@($2|over)" /tmp/$1 2>/dev/null; do usleep 200000; done
	shift 2
	"$@"
}}
look() {{ oriel ctl $1 status | sed "s/^/@status /"; }}
pull() {{ echo {NVME} >/sys/bus/pci/drivers/vfio-pci/unbind & }}
echo "@phase bind"; oriel passthrough list
oriel passthrough bind --yes {NVME} {NIC} {SATA}; oriel passthrough list
echo "@phase before"; victim; dmesg -c >/dev/null
oriel device gpu --vfio-user /tmp/gpu.sock &
echo "@phase messages"
(at messages plug oriel ctl messages attach {SATA}; at messages look look messages; oriel ctl messages detach --timeout 60 {SATA}
 touch /tmp/messages.over) &
until [ -S /tmp/gpu.sock ]; do usleep 50000; done
guest messages MESSAGES
echo "@phase confined"; dmesg -c | head -40; victim
echo "@phase wires"
(at wires look look wires; at wires pull pull; touch /tmp/wires.over) &
guest wires WIRES
echo "@phase restore"; oriel passthrough restore; oriel passthrough list
echo "@phase end"
"""
PROBE = machine.BUILD / "tests/passthrough/dma-probe"


def padded(path, data):
    """A file of whole pages."""
    path.write_bytes(data + bytes(-len(data) % 4096))
    return path


def guests(port):
    """Those of the outer machine."""
    log = ["--log", "info", "--memory", "256M", "--disk", "/usr/lib/oriel/probe,ro"]
    return [machine.Guest("messages", [*log, "--cpus", "2", "--passthrough", NVME, "--passthrough", f"{NIC},reset=pm", "--passthrough",
                                        "vfio-user:/tmp/gpu.sock", "--hotplug-slots", "1"],
                          MESSAGES.replace("WEB", port), append="to=128"),
            machine.Guest("wires", [*log, "--passthrough", NVME, "--passthrough", "vfio-user:/tmp/gpu.sock"], WIRES, append="pci=nomsi to=192")]


def outer_files(work):
    """The modules, unpacked, with the order to load them, and the probe as a disk."""
    files, names = [padded(work / "probe", PROBE.read_bytes()), work / "order"], []
    for source in machine.modules(["vfio-pci", "vfio_iommu_type1"]):
        names.append(source.name.split(".")[0] + ".ko")
        files.append(work / names[-1])
        files[-1].write_bytes(machine.image.module_data(source))
    (work / "order").write_text("\n".join(names) + "\n")
    return files


def run_outer(work, port, disk):
    """What the outer machine said."""
    text = OUTER
    for guest in guests(port):
        words = machine.command(guest, "kvm", "oriel", "/usr/lib/oriel", "/tmp")
        text = text.replace(guest.name.upper(), " ".join(f"'{w}'" for w in words))
    console = os.environ.get("ORIEL_OUTER_CONSOLE")
    host = machine.Host(memory_mib=2048, packaged=True, machine=",iommu=smmuv3", append="mem=1536M", console=Path(console) if console else None,
                        options=["-drive", f"file={disk},if=none,id=n0,format=raw", "-device", "nvme,serial=x,drive=n0,addr=4",
                                 "-netdev", "user,id=u0", "-device", "e1000e,netdev=u0,addr=5,romfile=",
                                 "-drive", f"file={work / 'sata.img'},if=none,id=s0,format=raw", "-device", "ich9-ahci,id=sata,addr=8",
                                 "-device", "ide-hd,bus=sata.0,drive=s0"])
    return machine.run_outer(guests(port), text, files=outer_files(work), limit_s=GUEST_LIMIT_S + 300, host=host)


@machine.once
def boot_once():
    """(console by phase, the disk before, the disk after, the file on the web), or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="oriel-vfio-kvm-") as directory:
        work = Path(directory)
        disk, before, data = work / "disk.img", os.urandom(16 * MIB), os.urandom(MIB)
        disk.write_bytes(before)
        (work / "sata.img").write_bytes(before)
        with served.web(data) as port:
            said = run_outer(work, str(port), disk)
        phases = {m.group(1): m.group(2) for m in re.finditer(r"@phase (\w+)\n(.*?)(?=@phase|\Z)", said, re.S)}
        if "end" not in phases:
            return f"it did not end:\n{said[-3000:]}"
        return phases, before, disk.read_bytes(), data


def boot():
    """What boot_once() has, if the machine came to its end."""
    result = boot_once()
    assert not isinstance(result, str), result
    return result


def told(phase, pattern):
    """The match of @pattern in what was said in @phase."""
    text = boot()[0][phase]
    match = re.search(pattern, text, re.M)
    assert match, f"no '{pattern}' in phase {phase}:\n{text[-2500:]}"
    return match


def passed(phase, what="interrupts_passed"):
    """Of the guest's devices: how many signals took the way through a thread, or accesses through our process."""
    slots = json.loads(told(phase, r"^@status (\{.*\})$").group(1))["slots"]
    return [slot[what] for slot in slots]


def count(phase, pattern):
    """Interrupts of all lines like it in the guest, on both CPUs."""
    told(phase, pattern)
    return sum(int(n) for counts in re.findall(rf"^ *\d+:((?: +\d+)+) +{pattern}", boot()[0][phase], re.M) for n in counts.split())


def test_devices_get_their_groups_with_their_driver():
    told("bind", rf"^{NVME} .*group -  driver -.*\n.*it has no driver: oriel passthrough bind {NVME}")
    for bdf in (NVME, NIC, SATA):
        told("bind", rf"^{bdf} .*group \d+  driver vfio-pci.*\n +ready")


def test_guest_reads_and_writes_by_dma():
    _, before, after, _ = boot()
    assert told("messages", r"^@read (\w+)").group(1) == served.md5(before[4 * MIB:5 * MIB]) == told("wires", r"^@read (\w+)").group(1)
    for place in (128, 192):  # by messages, and by INTx
        assert after[place * 65536:][:4 * 65536] == before[4 * MIB:][:4 * 65536]
    told("messages", "^@status of messages 0$")
    told("wires", "^@status of wires 0$")


def test_all_kinds_of_interrupts_arrive():
    assert told("messages", r"^@got (\w+)").group(1) == served.md5(boot()[3])
    assert told("messages", r"^@by INTx (\w+)").group(1) == served.md5(boot()[3]), "not whole by INTx"
    assert told("messages", r"^@by MSI (\w+)").group(1) == served.md5(boot()[1][:MIB])
    told("messages", " 0% packet loss")
    assert count("messages", r"GICv2m-PCI-MSIX-0000:01:00.0 +[12] Edge +nvme0q") > 3
    assert count("messages", r"GICv2m-PCI-MSIX-0000:02:00.0 +0 Edge +eth0-rx-0") > 10
    assert count("messages", r"GICv3 +\d+ Level +eth0") > 20  # each ended and asked for again
    assert count("messages", r"GICv2m-PCI-MSI-0000:04:00.0 +0 Edge +ahci") > 3
    assert count("messages", r"GICv2m-PCI-MSIX-0000:03:00.0 +1 Edge +virtio") > 3  # of our own server


def test_line_may_be_shared_with_devices_of_our_own():
    assert count("wires", r"GICv3 +\d+ Level .*virtio0, nvme0q0, nvme0q1") > 20


def test_interrupts_go_to_kvm_without_our_threads():
    assert passed("messages") == [0, 0, 0, 0], f"interrupts_passed {passed('messages')}"
    assert passed("wires") == [0, 0], f"interrupts_passed {passed('wires')}"


def test_guest_reaches_registers_without_our_process():
    # What is left: the pages of MSI-X tables, which AHCI has not, and which nobody uses without messages.
    by_messages, by_wires = passed("messages", "accesses_passed"), passed("wires", "accesses_passed")
    assert by_messages[1] < 100 and by_messages[3] == 0 and by_wires[0] == 0, f"accesses_passed {by_messages} {by_wires}"


def test_device_comes_and_goes_while_the_guest_runs():
    told("messages", r'"ok": ?true.*"slot": ?3')
    told("messages", "^@unplugged$")
    told("messages", r'"forced": ?false')


def test_device_that_the_host_wants_back_reads_as_ones():
    told("wires", "^@version 0x000[12]0[0-9]00$")
    told("wires", f"error: {NVME}: the host wants the device back; the guest sees a device that reads as ones")
    told("wires", "^@ones$")


def test_dma_outside_the_guest_faults_and_changes_nothing():
    told("messages", r"^own 0x0 1b36")  # the same command into the guest's own memory works
    told("messages", rf"^at {VICTIM}")
    # F_TRANSLATION of stream 04.0 (SMMUv3 specification IHI 0070, 7.3.12), as words in the kernel's log.
    told("confined", rf"event 0x10 received:\n.*0x{4 << 3:08x}00000010\n.*\n.*0x{VICTIM:016x}\n")
    words = re.findall("^0x[0-9A-F]{16}$", boot()[0]["before"], re.M)
    assert len(words) == 5 and words[0] == "0x0123456789ABCDEF"
    assert re.findall("^0x[0-9A-F]{16}$", boot()[0]["confined"], re.M) == words


def test_host_gets_its_devices_back():
    for bdf in (NVME, NIC, SATA):
        told("restore", rf"^{bdf} .*driver -")


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
