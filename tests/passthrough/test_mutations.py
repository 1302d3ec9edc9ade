#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are the tests of passthrough able to fail?  A feature or protection is taken out of a copy of the sources, and its test run.

usage: test_mutations.py [--check | PART_OF_A_NAME]

Each test here passes when the named test passes on the untouched copy and fails on the changed one.
"""
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent)]
import tap  # noqa: E402

BUILD = Path(os.environ.get("ORIEL_BUILD", "build")).resolve()
ARM64 = Path(os.environ.get("ORIEL_ARM64", ROOT / "build-arm64")).resolve()
COPY, COPY_BUILD, COPY_ARM64 = (BUILD / "mutants" / name for name in ("source", "build", "arm64"))
PROGRAMS = ["oriel", "tests/passthrough/remote-adapter", "tests/passthrough/big-device", "tests/passthrough/dma-probe", "tests/kvm/board.bin"]
ARM64_PROGRAMS = ["oriel", "tests/kvm/kvm-engine"]
# Guests that hang for want of what was taken out are ended early.
LIMITS = {"ORIEL_VM_LIMIT_S": "90", "ORIEL_GUEST_LIMIT_S": "300", "ORIEL_VFIO_CYCLES": "1", "ORIEL_HOTPLUG_CYCLES": "3"}

VFIO, CLIENT, BARS = (f"src/passthrough/{name}.c" for name in ("vfio_host", "vfu_client", "pdev_bars"))
KVM_TEST = "test_vfio_kvm.py"
UNMASK_BY = """	return set_irqs(vfio_device(backend), VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, &eventfd, 1);"""
MSIX_TAKEN = "	if (taken == PCI_TAKEN) {\n		pci_msix_raise_locked(device, vector);"
INTX_TAKEN = "		device->intx_level = true;\n		pci_intx_update_locked(device);"
# A window onto the page that the test tells the device to write to.
HOLE = """extern void *mmap(void *, size_t, int, int, int, off_t);
	int hole = open("/dev/mem", O_RDWR);
	const struct vfio_iommu_type1_dma_map more = {sizeof(more), 3,
		(uintptr_t)mmap(NULL, 4096, 3, 1, hole, 0x20000000), 0x20000000, 4096};
	if (ioctl(host->container, VFIO_IOMMU_MAP_DMA, &more) < 0) {
		abort();
	}
	host->maps[host->map_count++] ="""
# What is missing: file, text, text instead of it, test file, part of the test's name, and what its complaint has.
MUTATIONS = {
    "vfio_guest_memory_is_not_mapped":
        (VFIO, "if (ioctl(host->container, VFIO_IOMMU_MAP_DMA, &map) < 0) {", "if (map.size == 0) {", "test_vfio.py", "by_dma", "no '^read"),
    "vfio_msix_is_not_passed_on":
        ("src/pci/msix.c", MSIX_TAKEN, "	if (taken == PCI_TAKEN) {", "test_vfio.py", "traffic_on_the_nic", "no ' 0% packet loss'"),
    "vfio_end_of_intx_is_not_passed_on": (VFIO, UNMASK_BY, "	return 0;", "test_vfio.py", "kinds_of_interrupts", "no '^by INTx"),
    "vfio_hole_in_memory_is_mapped":
        ("src/passthrough/pdev.c", "for (; (len = gmem_skip_holes(pdev->parts.gmem, r, &at)) > 0; at += len) {\n			int",
         "for (len = r->len; at < r->len; at += len) {\n			int", "test_vfio.py", "large_guest",
         "covers addresses that this host's IOMMU reserves"),
    "kvm_messages_go_by_our_thread":
        ("src/pci/bell.c", "irq->ops->bind_msi) {", "false) {", KVM_TEST, "without_our_threads", "interrupts_passed ["),
    "kvm_lines_go_by_our_thread":
        ("src/pci/intx.c", "irq->ops->bind_line &&", "false &&", KVM_TEST, "without_our_threads", "interrupts_passed ["),
    "kvm_registers_are_reached_by_exits":
        (BARS, "	return bar->mapped[n].hva;", "	return NULL;", KVM_TEST, "without_our_process", "accesses_passed "),
    "kvm_end_of_intx_is_not_told": (VFIO, UNMASK_BY, "	return 0;", KVM_TEST, "kinds_of_interrupts", "not whole by INTx"),
    "kvm_device_reaches_foreign_memory":
        (VFIO, "host->maps[host->map_count++] =", HOLE.replace("0x20000000", "0xa0000000"), KVM_TEST, "dma_outside", "no 'event 0x10"),
    "vfio_device_reaches_foreign_memory": (VFIO, "host->maps[host->map_count++] =", HOLE, "test_vfio.py", "dma_outside", "no 'DMAR:"),
    "disk_does_not_get_memory":
        (CLIENT, "status = client_call(client, &call, (struct vfu_part[]){{&map, sizeof(map)}}, 1, &fd,\n			     fd >= 0 ? 1 : 0);",
         "status = 0;", "test_work.py", "fio_verifies", "did not end within"),
    "nic_intx_is_not_passed_on":
        ("src/pci/intx.c", INTX_TAKEN, "", "test_devices.py", "nic_carries", "did not end within"),
    "slot_does_not_tell_the_guest":
        ("src/vmm/vm_passthrough.c", "	pci_port_announce(slot->port);\n", "", "test_hotplug.py", "comes_and_goes", "no 'cycle 1 "),
    "lost_server_is_not_told":
        (CLIENT, "client->config.on_gone(client->config.opaque, why);", "(void)why;", "test_devices.py", "server_killed", "ffffffff"),
    "lost_server_under_fio_is_not_told":
        (CLIENT, "client->config.on_gone(client->config.opaque, why);", "(void)why;", "test_work.py", "killed_under_fio", "the server is gone"),
    "own_server_sends_no_messages":
        ("src/passthrough/vfu_server.c", "os_bell_ring(server->eventfds[index][vector]);", "return;",
         "test_devices.py", "our_gpu", "virtio3-control"),
    "huge_bar_is_not_mapped":
        (BARS, "if (start >= end || bar->mapped_count == PDEV_MAX_MAPPED) {", "if (region) {", "test_devices.py", "huge_bars", "\"trapped\" not in"),
    "board_window_does_not_grow":
        ("src/vmm/vm_passthrough.c", "	return len;\n}\n\n/* Will the BARs fit", "	return BOARD_PCI_MEM64_LEN;\n}\n\n/* Will the BARs fit",
         "test_devices.py", "huge_bars", "end - start + 1 == size"),
}


def run(command, **how):
    """Its exit status and what it said."""
    out = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **how)
    return out.returncode, out.stdout


def build():
    """Bring the copy's programs up to date."""
    for folder, programs in ((COPY_BUILD, PROGRAMS), (COPY_ARM64, ARM64_PROGRAMS)):
        status, said = run(["ninja", "-C", folder, *programs])
        assert status == 0, said[-3000:]


@functools.cache
def prepare():
    """The copy, built once, with this build's guest."""
    shutil.rmtree(COPY, ignore_errors=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    for folder, more in ((COPY_BUILD, ["-Dtests=true"]), (COPY_ARM64, ["--cross-file", ARM64 / "cross.ini"])):
        if not (folder / "build.ninja").exists():
            status, said = run(["meson", "setup", folder, COPY, "-Doptimization=2", *more])
            assert status == 0, said[-3000:]
    for name in ("guest", "programs"):
        if not (COPY_BUILD / name).exists():
            (BUILD / name).mkdir(exist_ok=True)
            (COPY_BUILD / name).symlink_to(BUILD / name)
    build()


def says(file, part):
    """Exit status and output of a test against the copy."""
    return run([sys.executable, HERE / file, part], env={**os.environ, **LIMITS, "ORIEL_BUILD": str(COPY_BUILD), "ORIEL_ARM64": str(COPY_ARM64)},
               timeout=900)


passes_untouched = functools.cache(says)


def check(mutation):
    """Untouched it passes, changed it fails."""
    path, old, new, file, part, complaint = MUTATIONS[mutation]
    prepare()
    status, said = passes_untouched(file, "" if file in ("test_vfio.py", KVM_TEST) else part)  # there, one boot does it for all
    assert status == 0 and "# SKIP" not in said and "\nok 1 " in said, f"does not pass untouched:\n{said[-3000:]}"
    source = COPY / path
    honest = source.read_text()
    assert honest.count(old) == 1, f"{path} does not have the text to be changed once, but {honest.count(old)} times"
    try:
        source.write_text(honest.replace(old, new))
        build()
        status, said = says(file, part)
    finally:
        source.write_text(honest)
        build()
    assert status == 1 and "\nnot ok 1 " in said, f"does not notice:\n{said[-3000:]}"
    assert complaint in said, f"fails, but not for want of it:\n{said[-3000:]}"


def check_texts():
    """Each text is still there once; a quick test, so that changes of the sources are followed."""
    lost = [name for name, (path, old, *_) in MUTATIONS.items() if (ROOT / path).read_text().count(old) != 1]
    sys.exit(f"sources no longer have, exactly once, what these take out: {lost}" if lost else 0)


for name in MUTATIONS:
    globals()[f"test_{name}"] = functools.partial(check, name)

if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        check_texts()
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
