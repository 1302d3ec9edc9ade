# SPDX-License-Identifier: Apache-2.0
"""Debian packages of another suite or architecture, fetched beside the system and never installed.

A private apt root (its own lists, cache and status) takes packages from the mirror which this machine's
apt is set to, checks them with Debian's keyring, and unpacks them with dpkg-deb.  No maintainer script runs, so
no foreign code runs on the host.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class AptError(Exception):
    """One line for a person."""


def cache_dir():
    """Where downloads are kept between runs: $ORIEL_CACHE, else ~/.cache/oriel."""
    base = os.environ.get("ORIEL_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oriel"
    return Path(base)


def mirror():
    """The Debian mirror of this machine's own apt configuration."""
    form = "$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(COMPONENT)"
    out = subprocess.run(["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=False).stdout
    for line in out.splitlines():
        uri, origin, label, component = (line.split("|") + ["", "", ""])[:4]
        if origin == "Debian" and label == "Debian" and component == "main":
            return uri.rstrip("/")
    raise AptError("no Debian mirror found in apt's sources: run `apt-get update`, or add one to /etc/apt/sources.list")


class Progress:
    """A line that shows a phase and its elapsed time; a bar where the share done is known."""

    def __init__(self, what):
        self.what, self.start, self.last = what, time.monotonic(), 0.0
        self.tty = sys.stderr.isatty()

    def show(self, share=None):
        now = time.monotonic()
        if now - self.last < (0.2 if self.tty else 5):
            return
        self.last = now
        bar = "" if share is None else " [%-20s] %3d%%" % ("#" * int(share * 20), share * 100)
        end = "\r" if self.tty else "\n"
        print(f"  {self.what}{bar} {now - self.start:5.1f} s", end=end, file=sys.stderr, flush=True)

    def done(self, note=""):
        clear = "\r\033[K" if self.tty else ""
        print(f"{clear}  {self.what}: {note or 'done'} ({time.monotonic() - self.start:.1f} s)", file=sys.stderr, flush=True)


class AptRoot:
    """Packages of one suite and architecture.  "X-backports" means X with its backports where there are any."""

    def __init__(self, suite, arch):
        self.suite, self.arch = suite, arch
        self.dir = cache_dir() / f"apt-{suite}-{arch}"
        for sub in ("lists/partial", "cache/archives/partial", "etc"):
            (self.dir / sub).mkdir(parents=True, exist_ok=True)
        (self.dir / "status").touch()
        if not Path(KEYRING).exists():
            raise AptError(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
        uri = mirror()
        lines = [f"deb [arch={arch} signed-by={KEYRING}] {uri} {s} main\n" for s in sorted({suite.removesuffix("-backports"), suite})]
        (self.dir / "sources.list").write_text("".join(lines))

    def _options(self):
        d = self.dir
        pairs = {
            "Dir::Etc::sourcelist": d / "sources.list", "Dir::Etc::sourceparts": "/nonexistent",
            "Dir::Etc::preferencesparts": "/nonexistent", "Dir::State::lists": d / "lists", "Dir::Cache": d / "cache",
            "Dir::State::status": d / "status", "Dir::State::extended_states": d / "extended",
            "APT::Architecture": self.arch, "APT::Architectures": self.arch, "APT::Install-Recommends": "false",
            "APT::Default-Release": self.suite, "Acquire::Languages": "none", "APT::Sandbox::User": "root",
            "Acquire::Check-Valid-Until": "false", "pkgCacheFile::Generate": "true",
        }
        return [x for k, v in pairs.items() for x in ("-o", f"{k}={v}")]

    def _apt(self, *args):
        out = subprocess.run(["apt-get", *self._options(), *args], capture_output=True, text=True, check=False)
        if out.returncode:
            reasons = [l for l in out.stderr.splitlines() if l.startswith(("E:", "W:"))]
            raise AptError(f"packages of {self.suite} {self.arch}: " + (reasons[-1] if reasons else out.stderr.strip()[-200:]))
        return out.stdout

    def update(self, max_age_s=24 * 3600):
        """Refresh the package lists unless they are young."""
        stamp = self.dir / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < max_age_s:
            return
        progress = Progress(f"package lists of {self.suite} {self.arch}")
        self._apt("update")
        stamp.touch()
        progress.done()

    def resolve(self, packages, exclude=()):
        """[(file name, URI, size)] of the packages and what they depend on, without the excluded ones."""
        out = self._apt("install", "-y", "--print-uris", *packages)
        found = []
        for match in re.finditer(r"^'([^']+)' (\S+) (\d+)", out, re.M):
            name = match.group(2).split("_")[0]
            if name not in exclude:
                found.append((match.group(2), match.group(1), int(match.group(3))))
        return found

    def download(self, packages, exclude=()):
        """Paths of the .deb files, downloaded (and verified by apt) if they are not in the cache yet."""
        files = self.resolve(packages, exclude)
        have = self.dir / "debs"
        have.mkdir(exist_ok=True)
        missing = [f for f in files if not (have / f[0]).exists()]
        if missing:
            self._fetch(missing, have, sum(f[2] for f in missing))
        return [have / f[0] for f in files]

    def _fetch(self, missing, have, total):
        names = [self._exact(f[0]) for f in missing]
        progress = Progress(f"downloading {len(missing)} packages of {self.suite} {self.arch} ({total >> 20} MiB)")
        process = subprocess.Popen(["apt-get", *self._options(), "download", *names], cwd=have,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None:
            got = sum((have / f[0]).stat().st_size for f in missing if (have / f[0]).exists())
            got += sum(p.stat().st_size for p in (self.dir / "cache/archives/partial").iterdir() if p.is_file())
            progress.show(min(1.0, got / max(1, total)))
            time.sleep(0.2)
        if process.returncode:
            raise AptError("download failed: " + (process.stderr.read().strip().splitlines() or ["apt-get"])[-1])
        progress.done()

    @staticmethod
    def _exact(file_name):
        name, version = file_name.split("_")[:2]
        return f"{name}={version.replace('%3a', ':')}"


def unpack(debs, root):
    """Unpack packages over @root, with the merged-/usr links that a Debian root has."""
    root = Path(root)
    (root / "usr").mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib"):
        (root / "usr" / name).mkdir(exist_ok=True)
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    progress = Progress("unpacking packages")
    for number, deb in enumerate(debs):
        progress.show(number / len(debs))
        # tar with --keep-directory-symlink, so that /lib in a package lands in /usr/lib
        deb_tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
        tar = subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", str(root)], stdin=deb_tar.stdout,
                             capture_output=True, text=True, check=False)
        if deb_tar.wait() or tar.returncode:
            raise AptError(f"unpack {deb.name}: {tar.stderr.strip()[-200:] or 'dpkg-deb failed'}")
    progress.done(f"{len(debs)} packages")


def unpacked(name, apt, packages, exclude=(), finish=lambda root: None):
    """A folder of the cache with @packages of @apt unpacked; made anew when a package has a new version."""
    apt.update()
    debs = apt.download(packages, exclude)
    key = hashlib.sha256(" ".join(d.name for d in debs).encode()).hexdigest()[:16]
    root = cache_dir() / f"{name}-{key}"
    if not root.exists():
        for old in cache_dir().glob(f"{name}-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=cache_dir()) as work:
            unpack(debs, Path(work) / "root")
            finish(Path(work) / "root")
            (Path(work) / "root").rename(root)
    return root
