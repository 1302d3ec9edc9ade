#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every file of the tree promises: licence line, direction of includes, headers that compile alone.

usage: check.py SOURCE_ROOT BUILD_ROOT
"""
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
BUILD = Path(sys.argv[2] if len(sys.argv) > 2 else "build").resolve()
# A folder may include itself and what stands at or below its own rank.  See ARCHITECTURE.md.
RANK = {
    "cli": 9, "vmm": 8, "board": 7, "gpu": 6, "display": 5, "devices": 6, "passthrough": 6, "venus": 6, "virtio": 5, "pci": 4,
    "engine": 3, "a64": 2, "bus": 2, "mem": 2, "wire": 1, "base": 0,
}
# The platform layer: who may go to Linux directly.  All others use base/os.h, loop.h, sock.h and wait.h.  See ARCHITECTURE.md.
LINUX = ("src/base/", "src/engine/kvm/", "src/engine/soft/jit/", "src/devices/disk_uring.c", "src/passthrough/vfio_", "src/passthrough/binding.c",
         "src/vmm/broker_process.c")
LINUX_HEADERS = re.compile(r"^#include <((?:linux|asm)/.*|liburing\.h|seccomp\.h|sys/(?:epoll|eventfd|signalfd|timerfd|inotify|fanotify|prctl|syscall|random"
                           r"|sendfile|sysmacros|vfs|statfs|sysinfo|personality|auxv|xattr|pidfd|capability)\.h)>", re.M)
LINUX_CALLS = re.compile(r"\b(?:(eventfd(?:_read|_write)?|epoll_\w+|timerfd_\w+|signalfd|inotify_\w+|memfd_create|prctl|syscall|accept4|pipe2|dup3|getrandom"
                         r"|fallocate|fdatasync|pwritev2|preadv2|copy_file_range|splice|tee|mremap|process_vm_\w+|close_range|pidfd_\w+|gettid|fstatfs|statx"
                         r"|sched_[gs]etaffinity|pthread_setname_np|pthread_setaffinity_np|pthread_cond_clockwait|pthread_condattr_setclock|unshare|setns)\s*\("
                         r"|((?:EPOLL|EFD_|TFD_|SFD_|MFD_|FALLOC_|RWF_|F_SEAL_|PR_SET_)\w+|F_(?:ADD|GET)_SEALS|SOCK_(?:CLOEXEC|NONBLOCK)|MSG_CMSG_CLOEXEC"
                         r"|MADV_(?:HUGEPAGE|REMOVE|POPULATE_\w+)|MAP_(?:POPULATE|32BIT|FIXED_NOREPLACE|HUGETLB)|POLLRDHUP|O_(?:TMPFILE|PATH)|SO_PEERCRED"
                         r"|BLK[A-Z0-9]+)\b)")
# Beyond ranks: the Vulkan server stands alone, and the rest never reaches into it.
VENUS_MAY = {"venus", "wire", "base"}


def tracked(*suffixes):
    """Files under version control (or about to be) with one of the suffixes; all if none is given."""
    out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True)
    files = [ROOT / f for f in out.stdout.split("\n") if f]
    return [f for f in files if f.is_file() and (not suffixes or f.suffix in suffixes)]


def name_of(path):
    """Path from the root, for messages."""
    return str(path.relative_to(ROOT))


def test_every_source_has_a_licence_line():
    kinds = (".c", ".h", ".py", ".build", ".S", ".glsl", ".vert", ".frag", ".comp", ".tbl")
    bare = [name_of(f) for f in tracked(*kinds)
            if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(f.read_text().splitlines()[:3])]
    assert not bare, f"no SPDX line: {bare}"


def include_is_wrong(folder, included):
    """True if files of src/@folder must not include src/@included."""
    if "venus" in (folder, included) and folder != included:
        return folder != "venus" or included not in VENUS_MAY
    return RANK[included] > RANK[folder]


def test_includes_point_down():
    wrong = []
    for f in tracked(".c", ".h"):
        parts = f.relative_to(ROOT).parts
        if parts[0] == "src":
            names = re.findall(r'^#include "(\w+)/', f.read_text(), re.M)
            wrong += [f"{name_of(f)} includes {n}/" for n in names if n in RANK and include_is_wrong(parts[1], n)]
    assert not wrong, "\n".join(wrong)


def without_comments(text):
    """C source without comments and strings."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', " ", text, flags=re.S)


def linux_uses(text):
    """What the C source @text takes from Linux directly."""
    found = [m.group(1) for m in LINUX_HEADERS.finditer(text)]
    return found + [m.group(1) or m.group(2) for m in LINUX_CALLS.finditer(without_comments(text))]


def test_linux_is_behind_the_platform_layer():
    assert linux_uses("#include <sys/epoll.h>\nint f(void) { return eventfd (0, 0) + SOCK_CLOEXEC; }") == ["sys/epoll.h", "eventfd", "SOCK_CLOEXEC"]
    assert not linux_uses('/* eventfd() */ int my_eventfd(int); const char *s = "prctl()"; int g(struct v *v) { return v->eventfd; }')
    files = [f for f in tracked(".c", ".h") if f.relative_to(ROOT).parts[0] == "src" and not name_of(f).startswith(LINUX)]
    wrong = [f"{name_of(f)}: {', '.join(sorted(set(uses)))}" for f in files if (uses := linux_uses(f.read_text()))]
    assert not wrong, "use base/os.h (see ARCHITECTURE.md):\n" + "\n".join(wrong)


def test_headers_compile_alone():
    generated = [f"-I{p}" for p in (BUILD / "src").glob("**") if p.is_dir() and not p.name.endswith(".p")]
    wrong = []
    for f in tracked(".h"):
        if f.relative_to(ROOT).parts[0] == "src":
            # KVM's interface differs between architectures.
            compiler = "aarch64-linux-gnu-gcc" if "src/engine/kvm" in str(f) else "gcc"
            out = subprocess.run([compiler, "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", f"-I{ROOT / 'src'}", *generated, "-x", "c", str(f)],
                                 capture_output=True, text=True, check=False)
            wrong += out.stderr.splitlines()[:1] if out.returncode else []
    assert not wrong, "\n".join(wrong)


def test_the_repository_speaks_of_the_product_only():
    words = re.compile(r"https?://[a-z0-9.-]*(debian|npmjs)\.(org|net|com)|/work/\w+/|\.\./shared")
    wrong = []
    for f in tracked():
        found = None if f == Path(__file__).resolve() else words.search(f.read_text(errors="replace"))
        if found:
            wrong.append(f"{name_of(f)}: {found.group(0)}")
    assert not wrong, "\n".join(wrong)


def test_man_page_names_every_option():
    rows = re.findall(r'^\t\{"([a-z-]+)", ', (ROOT / "src/vmm/config.c").read_text(), re.M)
    page = (ROOT / "man/oriel.1").read_text().replace("\\-", "-")
    missing = [r for r in rows if f"--{r}" not in page]
    assert len(rows) > 15 and not missing, missing


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
