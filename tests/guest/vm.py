# SPDX-License-Identifier: Apache-2.0
"""Boot the real guest under `oriel run` and look at what it said."""
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

BUILD = Path(os.environ.get("ORIEL_BUILD", "build")).resolve()
ORIEL = BUILD / "oriel"
IMAGE = BUILD / "guest"
# What a kernel says when something is wrong with it.
KERNEL_COMPLAINTS = r"BUG:|WARNING:|Oops|Unexpected|Internal error|Unable to handle|rcu.*stall|soft lockup|hung_task"
# No VM is waited for longer: for those who expect it to hang.
LIMIT_S = int(os.environ.get("ORIEL_VM_LIMIT_S", "86400"))


class Result:
    """How a VM ended."""

    def __init__(self, status, console, errors, seconds):
        self.status, self.console, self.errors, self.seconds = status, console, errors, seconds

    def told(self, pattern):
        """The first match of @pattern in the console, or an error that shows its end."""
        match = re.search(pattern, self.console, re.M)
        assert match, f"no '{pattern}' on the console (status {self.status}, stderr {self.errors[-300:]!r}):\n{self.console[-1500:]}"
        return match


    def passed(self, name, note=""):
        """All planned tests of @name, a program whose tests the guest ran, were told and passed; each is shown after @note."""
        assert self.status == 0, self.errors
        planned = int(self.told(r"^1\.\.(\d+)").group(1))
        lines = re.findall(rf"^(?:not )?ok \d+ - {name}.*$", self.console, re.M)
        for line in lines:
            print(f"# {note}{line}", flush=True)
        assert len(lines) == planned and not [l for l in lines if l.startswith("not")], self.console[-2000:]
        self.told(f"^{name} status 0")


def script_disk(directory, script):
    """A disk that holds a shell script for oriel.task=script."""
    path = Path(directory) / "script.img"
    data = script.encode() + b"\n"
    path.write_bytes(data + bytes(-len(data) % 4096))
    return path


def program_disk(path):
    """A temporary disk that holds a program: `cat /dev/vdX` gives it to the guest."""
    disk = tempfile.NamedTemporaryFile()
    data = Path(path).read_bytes()
    disk.write(data + bytes(-len(data) % 512))
    disk.flush()
    return disk


class Vm:
    """A running `oriel run`; use as a context manager.  @image: a folder of guests.py; @cache: one for kept translations; @env: more of `oriel`'s;
    @launcher: a command that runs what follows it."""

    def __init__(self, *options, script=None, append="", root=True, memory="512M", gpu="none", kernel=None, cache=None, image=None, env=None, launcher=()):
        self.dir = tempfile.TemporaryDirectory(prefix="oriel-test-")
        image = image or IMAGE
        command = [*launcher, str(ORIEL), "run", *([] if cache else ["--no-translation-cache"]), "--kernel", str(kernel or image / "Image"), "--initrd", str(image / "initrd.img"), "--memory", memory,
                   "--gpu", gpu, "--console", "stdio", "--boot-timeout", "120"]
        if root:  # True: the usual one; or the path of another
            command += ["--disk", f"{image / 'root.img' if root is True else root},ro"]
        task = ""
        if script is not None:
            command += ["--disk", f"{script_disk(self.dir.name, script)},ro"]
            task = "oriel.task=script"
        command += ["--append", f"console=ttyAMA0 quiet panic=-1 {task} {append}", *[str(o) for o in options]]
        self.start = time.monotonic()
        self.out = open(Path(self.dir.name) / "console", "w+")
        self.err = open(Path(self.dir.name) / "errors", "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self.out, stderr=self.err,
                                        env={**os.environ, **({"XDG_CACHE_HOME": str(cache)} if cache else {}), **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.out.close()
        self.err.close()
        self.dir.cleanup()

    def console(self):
        """What the guest said so far."""
        return Path(self.out.name).read_text(errors="replace")

    def type(self, text):
        """Send keys to the console."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, text, limit_s=120):
        """Wait until the console says @text."""
        end = time.monotonic() + min(limit_s, LIMIT_S)
        while text not in self.console():
            assert self.process.poll() is None, f"VM ended with {self.process.returncode} before '{text}':\n{self.console()[-1500:]}" \
                + Path(self.err.name).read_text()[-500:]
            assert time.monotonic() < end, f"no '{text}' within {limit_s} s:\n{self.console()[-1500:]}"
            time.sleep(0.05)

    def finish(self, limit_s=240):
        """Wait for the end; returns the Result."""
        try:
            status = self.process.wait(min(limit_s, LIMIT_S))
        except subprocess.TimeoutExpired as late:
            self.process.send_signal(signal.SIGTERM)
            raise AssertionError(f"the VM did not end within {limit_s} s:\n{self.console()[-1500:]}") from late
        return Result(status, self.console(), Path(self.err.name).read_text(errors="replace"), time.monotonic() - self.start)


def run(*options, limit_s=240, **how):
    """Boot, wait for the end, return the Result."""
    with Vm(*options, **how) as vm:
        return vm.finish(limit_s)


def refused(*arguments):
    """Run `oriel run` with bad arguments; returns its one line of complaint."""
    out = subprocess.run([str(ORIEL), "run", "--no-translation-cache", *[str(a) for a in arguments]], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=60, check=False)
    assert out.returncode not in (0, -11, -6), f"status {out.returncode}"
    lines = [l for l in out.stderr.splitlines() if l.strip()]
    assert len(lines) == 1, f"not one line: {out.stderr!r}"
    return lines[0]
