#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input to `oriel run`: each one clear line, non-zero, nothing left over, images untouched."""
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import vm  # noqa: E402

KERNEL = vm.IMAGE / "Image"


def temp(data):
    """A temporary file with @data; keep the object alive."""
    file = tempfile.NamedTemporaryFile()
    file.write(data)
    file.flush()
    return file


def test_no_kernel():
    assert "--kernel" in vm.refused()


def test_missing_kernel():
    assert "/nonexistent/Image" in vm.refused("--kernel", "/nonexistent/Image")


def test_truncated_kernel():
    part = temp(KERNEL.read_bytes()[:100000])
    assert part.name in vm.refused("--kernel", part.name)
    head = temp(KERNEL.read_bytes()[:32])
    assert head.name in vm.refused("--kernel", head.name)


def test_kernel_of_another_architecture():
    x86 = bytearray(4096)
    x86[0x1fe:0x200], x86[0x202:0x206] = b"\x55\xaa", b"HdrS"
    file = temp(bytes(x86))
    assert "x86" in vm.refused("--kernel", file.name)
    elf = temp(Path("/bin/true").read_bytes())
    assert "ELF" in vm.refused("--kernel", elf.name)


def test_disk_that_does_not_exist():
    assert "/nonexistent.img" in vm.refused("--kernel", KERNEL, "--disk", "/nonexistent.img")


def test_disk_held_by_another_vm():
    disk = temp(b"z" * 65536)
    with vm.Vm("--disk", disk.name, script="echo ready; sleep 1000") as first:
        first.wait_for("ready")
        line = vm.refused("--kernel", KERNEL, "--disk", disk.name)
        assert disk.name in line, line
    disk.seek(0)
    assert disk.read() == b"z" * 65536


def test_unknown_and_contradictory_options():
    assert "--frobnicate" in vm.refused("--kernel", KERNEL, "--frobnicate")
    assert "--gpu" in vm.refused("--kernel", KERNEL, "--gpu", "everything")
    assert "--memory" in vm.refused("--kernel", KERNEL, "--memory", "lots")
    assert "--cpus" in vm.refused("--kernel", KERNEL, "--cpus", "0")
    assert vm.refused("--kernel", KERNEL, "--gpu", "none", "--display", "png:/tmp/x.png")


def test_memory_the_host_does_not_have():
    assert "memory" in vm.refused("--kernel", KERNEL, "--memory", "4000G")


def test_initrd_missing():
    assert "/nonexistent.cpio" in vm.refused("--kernel", KERNEL, "--initrd", "/nonexistent.cpio")


def test_no_vulkan_driver():
    env = dict(os.environ, VK_DRIVER_FILES="/nonexistent.json", VK_ICD_FILENAMES="/nonexistent.json")
    out = subprocess.run([str(vm.ORIEL), "run", "--no-translation-cache", "--kernel", str(KERNEL), "--gpu", "shared"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60, env=env, check=False)
    lines = [l for l in out.stderr.splitlines() if l.strip()]
    assert out.returncode and len(lines) == 1 and "Vulkan" in lines[0], (out.returncode, out.stderr)


def test_server_that_cannot_be_started():
    assert "/nonexistent/oriel-gpu" in vm.refused("--kernel", KERNEL, "--gpu-server", "/nonexistent/oriel-gpu")
    line = vm.refused("--kernel", KERNEL, "--gpu-server", "/bin/false")
    assert "GPU" in line or "gpu" in line, line


def test_driver_without_a_memory_backing():
    """The host's own driver behind a layer that hides external memory."""
    env = dict(os.environ, VK_LAYER_PATH=str(vm.BUILD / "tests/guest"), VK_INSTANCE_LAYERS="VK_LAYER_ORIEL_hide_external_memory")
    out = subprocess.run([str(vm.ORIEL), "run", "--no-translation-cache", "--kernel", str(KERNEL)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=60, env=env, check=False)
    lines = [l for l in out.stderr.splitlines() if l.strip()]
    assert out.returncode == 1 and len(lines) == 1 and "memory" in lines[0], (out.returncode, out.stderr)


def test_doctor_names_engines_and_drivers():
    out = subprocess.run([str(vm.ORIEL), "doctor"], capture_output=True, text=True, timeout=60, check=True).stdout
    for word in ("page size", "soft", "driver", "backed by", "share it by", "passt"):
        assert word in out, word
    env = dict(os.environ, VK_DRIVER_FILES="/nonexistent.json", VK_ICD_FILENAMES="/nonexistent.json")
    out = subprocess.run([str(vm.ORIEL), "doctor"], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert out.returncode == 1 and "no usable driver" in out.stdout


def test_debugger_addresses():
    for address in ("nonsense", "127.0.0.1:0", "70000", "1234x", "unix:"):
        line = vm.refused("--kernel", KERNEL, "--gpu", "none", "--gdb", address)
        assert "--gdb" in line, line
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        assert "in use" in vm.refused("--kernel", KERNEL, "--gpu", "none", "--gdb", str(busy.getsockname()[1]))
    file = temp(b"not a socket")
    assert "in use" in vm.refused("--kernel", KERNEL, "--gpu", "none", "--gdb", f"unix:{file.name}")
    assert Path(file.name).read_bytes() == b"not a socket"


def test_config_file_with_an_unknown_key():
    config = temp(f"kernel = {KERNEL}\nwheels = 4\n".encode())
    assert "wheels" in vm.refused("--config", config.name)


def test_help_names_every_option():
    out = subprocess.run([str(vm.ORIEL), "run", "--help"], capture_output=True, text=True, timeout=10, check=True).stdout
    for word in ("--kernel", "--initrd", "--append", "--disk", "--memory", "--cpus", "--gpu", "--net", "--console", "--display", "--config"):
        assert word in out, word


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
