#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job: a stock Debian arm64 guest draws on this host's Vulkan driver.

usage: demo.py BUILD

Makes the guest, draws the scene natively, boots the guest and lets it draw the same, then compares.  Writes
BUILD/demo/frame.png (the VM's scanout) and BUILD/demo/report.json.  Exits 0 only if the guest used Venus and all
hashes are equal.
"""
import json
import re
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import aptroot
import guest

FRAMES = 120
GUEST_LIMIT_S = 600
SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader", "softpipe")


class DemoError(Exception):
    """One line for a person."""


class Screen:
    """Phases with their elapsed time; long ones with a bar."""

    def __init__(self):
        self.start, self.tty, self.bar_on, self.last = time.monotonic(), sys.stdout.isatty(), False, 0.0

    def phase(self, text):
        self.clear()
        print(f"[{time.monotonic() - self.start:6.1f} s] {text}", flush=True)

    def bar(self, text, done, total):
        now = time.monotonic()
        if now - self.last < (0.1 if self.tty else 5):
            return
        self.last = now
        fill = "#" * (done * 30 // max(1, total))
        line = f"[{now - self.start:6.1f} s] {text} [{fill:<30}] {done}/{total}"
        print(line, end="\r" if self.tty else "\n", flush=True)
        self.bar_on = self.tty

    def wait(self, text):
        now = time.monotonic()
        if self.tty and now - self.last > 0.25:
            self.last, self.bar_on = now, True
            print(f"[{now - self.start:6.1f} s] {text} ...", end="\r", flush=True)

    def clear(self):
        if self.bar_on:
            print("\033[K", end="")
            self.bar_on = False


def native(build, picture):
    """vkscene on the host's own driver; its last frame goes to @picture."""
    out = subprocess.run([build / "images/vkscene/vkscene", "--frames", str(FRAMES), "--ppm", picture], capture_output=True, text=True,
                         check=False)
    if out.returncode:
        raise DemoError("the host's Vulkan driver can not draw the scene: " + (out.stderr.strip() or "vkscene failed"))
    return json.loads(out.stdout.splitlines()[-1])


def png_pixels(path):
    """(width, height, RGB bytes) of an 8-bit RGB or RGBA PNG without interlacing (PNG specification, sections 7 and 9)."""
    data, at, body = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        chunk = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", chunk[:10])
        body += chunk if kind == b"IDAT" else b""
        at += size + 12
    step = {2: 3, 6: 4}[colour]
    raw, rows, before = zlib.decompress(body), [], bytes(width * step)
    for y in range(height):
        how, *line = raw[y * (width * step + 1):(y + 1) * (width * step + 1)]
        for x in range(len(line)):
            left, up = (line[x - step] if x >= step else 0), before[x]
            if how == 1:
                line[x] = (line[x] + left) & 255
            elif how == 2:
                line[x] = (line[x] + up) & 255
            elif how == 3:
                line[x] = (line[x] + (left + up) // 2) & 255
            elif how == 4:
                corner = before[x - step] if x >= step else 0
                guess = left + up - corner
                near = min((left, up, corner), key=lambda v: abs(guess - v))
                line[x] = (line[x] + near) & 255
        before = line
        rows.append(bytes(line) if step == 3 else bytes(v for i, v in enumerate(line) if i % 4 != 3))
    return width, height, b"".join(rows)


def shows_scene(png, ppm):
    """True if the scanout is the host's last frame, pixel for pixel."""
    head, size, _, pixels = ppm.read_bytes().split(b"\n", 3)
    width, height, rgb = png_pixels(png)
    return head == b"P6" and size == b"%d %d" % (width, height) and rgb == pixels


class GuestRun:
    """What the guest said, line by line."""

    def __init__(self, screen):
        self.screen, self.current = screen, "starting"
        self.kernel = self.mesa = self.scene = self.boot_s = self.done = None
        self.summary, self.failures, self.tail = [], [], []

    def line(self, text, since_s):
        self.tail = (self.tail + [text])[-8:]
        if text.startswith('{"device"'):
            self.scene = json.loads(text)
        elif text.startswith("vkscene: error: "):
            self.failures.append(text)
        match = re.search(r"@oriel (\w+) ?(.*)", text)
        if not match:
            return
        word, rest = match.groups()
        if word == "init":
            self.kernel, self.boot_s = rest, since_s
            self.enter(f"guest's init runs (Linux {rest})")
        elif word == "mesa":
            self.mesa = rest
        elif word == "phase":
            self.enter({"vulkaninfo": "guest: vulkaninfo --summary", "vkscene": "guest: vkscene draws"}.get(rest, f"guest: {rest}"))
        elif word == "summary":
            self.summary.append(rest)
        elif word == "frame":
            done, total = (int(x) for x in rest.split()[:2])
            self.screen.bar("frames", done, total)
        elif word == "fail":
            self.failures.append(rest)
        elif word == "done":
            self.done = int(rest.split()[0])

    def enter(self, text):
        self.current = text
        self.screen.phase(text)


def boot(build, out, screen):
    """Boot the guest to its power-off.  Returns (GuestRun, exit status, seconds)."""
    image = build / "guest"
    command = [build / "oriel", "run", "--kernel", image / "Image", "--initrd", image / "initrd.img",
               "--disk", f"{image / 'root.img'},ro", "--memory", "1G", "--gpu", "shared", "--net", "none",
               "--display", f"png:{out / 'frame.png'}", "--resolution", "640x480", "--stats", out / "stats.json", "--console", "stdio",
               "--append", f"console=ttyAMA0 quiet oriel.task=demo oriel.frames={FRAMES}"]
    start = time.monotonic()
    run = GuestRun(screen)
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, errors="replace")
    errors = []
    threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True).start()
    watchdog = threading.Timer(GUEST_LIMIT_S, process.terminate)
    ticker_stop = threading.Event()
    threading.Thread(target=lambda: [screen.wait(run.current) for _ in iter(lambda: ticker_stop.wait(0.25), True)], daemon=True).start()
    watchdog.start()
    with open(out / "console.log", "w") as log:
        for text in process.stdout:
            log.write(text)
            run.line(text.rstrip(), time.monotonic() - start)
    status = process.wait()
    ticker_stop.set()
    watchdog.cancel()
    total = time.monotonic() - start
    screen.clear()
    if status:
        said = [e.strip() for e in errors if e.strip()] or run.failures or run.tail
        raise DemoError(f"oriel ended with status {status} during '{run.current}': {said[-1] if said else 'no message'}")
    return run, total


def server_counts(out):
    """What the server of the drawing context counted itself."""
    contexts = json.loads((out / "stats.json").read_text())["gpu"]["contexts"]
    if not contexts:
        raise DemoError("no GPU server was started: the guest did not use the shared GPU")
    best = max(contexts, key=lambda c: c["draws"])
    return {k: best[k] for k in ("pid", "draws", "submits")}


def check(report, run, host):
    """Why the run does not count as passed; empty if it does."""
    device = report["guest"]["device"]
    summary = " ".join(run.summary)
    problems = list(run.failures)
    if "Venus" not in summary or host["device"].split(" (")[0] not in summary:
        problems.append("vulkaninfo --summary does not name the Venus device with the host's driver")
    if "venus" not in device.lower():
        problems.append(f"the guest drew on '{device}', not on Venus")
    if run.scene["driver"].lower() in SOFTWARE:
        problems.append("the guest drew with a software driver of its own")
    if not report["match"]:
        problems.append("the guest's pictures differ from the host's")
    if report["server"]["draws"] < report["guest"]["draws"]:
        problems.append("the server counted fewer draws than the guest made")
    if run.done != 0:
        problems.append(f"the guest's test ended with status {run.done}")
    return problems


def table(host, guest_part):
    """Both runs side by side."""
    rows = [("", "host", "guest"), ("device", host["driver"], guest_part["device"]), ("API", host["api"], guest_part["api"]),
            ("frames/s", f"{host['fps']:.1f}", f"{guest_part['fps']:.1f}")]
    for i, (a, b) in enumerate(zip(host["hashes"], guest_part["hashes"])):
        rows.append((f"hash {i}", a, b + ("" if a == b else "   DIFFERS")))
    wide = [max(len(r[i]) for r in rows) for i in range(2)]
    for r in rows:
        print(f"  {r[0]:<{wide[0]}}  {r[1]:<{wide[1]}}  {r[2]}")


def demo(build):
    """The whole job; returns the exit status."""
    out = build / "demo"
    out.mkdir(exist_ok=True)
    for old in ("frame.png", "report.json", "stats.json"):
        (out / old).unlink(missing_ok=True)
    screen = Screen()
    screen.phase("making the guest from Debian's packages")
    guest.make(build / "guest", Path(__file__).parent / "vkscene", build / "images/vkscene")
    screen.phase("host: vkscene draws natively")
    host_raw = native(build, out / "host.ppm")
    screen.phase("booting the guest on the built-in CPU engine")
    run, total = boot(build, out, screen)
    if not run.scene:
        raise DemoError("the guest did not report a scene: " + (run.failures or run.summary or run.tail or ["nothing was said"])[-1])
    host = {"driver": host_raw["device"], "api": host_raw["api"], "fps": host_raw["fps"], "hashes": host_raw["hashes"]}
    scene = run.scene
    report = {
        "host": host,
        "guest": {"device": scene["device"], "api": scene["api"], "fps": scene["fps"], "hashes": scene["hashes"],
                  "kernel": run.kernel, "mesa": run.mesa, "draws": scene["draws"]},
        "server": server_counts(out),
        "match": bool(scene["hashes"]) and scene["hashes"] == host["hashes"],
        "boot_s": round(run.boot_s, 2), "total_s": round(total, 2),
    }
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    table(host, report["guest"])
    problems = check(report, run, host_raw)
    screen.phase(f"boot {report['boot_s']} s, in all {report['total_s']} s; picture: {out}/frame.png, report: {out}/report.json")
    if not (out / "frame.png").exists():
        problems.append("the VM's display showed no frame")
    elif not shows_scene(out / "frame.png", out / "host.ppm"):
        problems.append("the VM's display does not show the scene's last frame")
    for problem in problems:
        print(f"demo: error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def main():
    """Command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: demo.py BUILD")
    try:
        sys.exit(demo(Path(sys.argv[1])))
    except (DemoError, aptroot.AptError) as error:
        sys.exit(f"demo: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
