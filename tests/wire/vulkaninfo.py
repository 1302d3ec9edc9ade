# SPDX-License-Identifier: Apache-2.0
"""What vulkaninfo says through Oriel beside what it says on the host's driver itself: each difference has a row in docs/vulkaninfo.md."""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402

TABLE = Path(__file__).resolve().parents[2] / "docs/vulkaninfo.md"
ABSENT = "absent"
HOST = "Mesa 22.3"  # the driver that the table was made with


def facts(text):
    """{path: value} of vulkaninfo's text.  Headings nest by indentation; what stands without a value is "present"."""
    found, stack = {}, []
    lines = [line.rstrip() for line in text.splitlines()]
    for number, line in enumerate(lines):
        words = re.sub(r": count = \d+$", ":", line.strip())
        if not words or set(words) <= set("-="):
            continue
        depth = len(line) - len(line.lstrip("\t"))
        below = lines[number + 1] if number + 1 < len(lines) else ""
        underlined = below.strip() and set(below.strip()) <= set("-=")
        while stack and stack[-1][0] >= depth:
            stack.pop()
        key, _, value = (part.strip() for part in words.partition(" = "))
        if not value:
            key, _, value = (part.strip() for part in words.partition(" : "))
        if underlined or (words.endswith(":") and not value):
            stack.append((depth, re.sub(r":$", "", words)))
            continue
        path = "/".join([name for _, name in stack] + [key.rstrip(":")])
        found[path] = ", ".join(filter(None, (found.get(path), value or "present")))
    return found


def of_the_host(mesa):
    """vulkaninfo of the unpacked Mesa's packages, since another version says more or less, on the host's own driver."""
    icds = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
    assert icds, "the host has no lavapipe"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VK_", "VN_", "DISPLAY", "WAYLAND"))}
    env.update(VK_DRIVER_FILES=str(icds[0]), VK_LOADER_LAYERS_DISABLE="*")
    libraries = f"{mesa.libraries}:/usr/lib/{mesa.libraries.name}"
    return subprocess.run([str(mesa.loader), "--library-path", libraries, str(mesa.dir / "root/usr/bin/vulkaninfo")], env=env, capture_output=True,
                          text=True, check=True, timeout=120).stdout


def differences(host, ours):
    """[(path, host's value, our value)]."""
    left, right = facts(host), facts(ours)
    pairs = ((path, left.get(path, ABSENT), right.get(path, ABSENT)) for path in [*left, *(p for p in right if p not in left)])
    return [pair for pair in pairs if pair[1] != pair[2]]


def rows():
    """[(where, pattern of paths, pattern of our value)] of the table."""
    cells = [[c.strip().replace(r"\|", "|") for c in re.split(r"(?<!\\)\|", line.strip("|\n"))] for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [(where, path.strip("`"), value.strip("`")) for path, value, where, _ in cells]


def check(host, ours, where):
    """Every difference is explained, and every explanation needed.  @where: "vtest" or "guest"."""
    if f"= {HOST}" not in host:
        raise tap.Skip(f"the table is for the host driver {HOST}")
    explained = [(path, value) for place, path, value in rows() if place in (where, "both")]
    used, unexplained = set(), []
    for path, theirs, value in differences(host, ours):
        row = next((i for i, (p, v) in enumerate(explained) if re.fullmatch(p, path) and re.fullmatch(v, value)), None)
        if row is None:
            unexplained.append(f"{path}: host {theirs!r}, {where} {value!r}")
        else:
            used.add(row)
    assert not unexplained, f"not in {TABLE.name}:\n" + "\n".join(unexplained)
    idle = [explained[i] for i in range(len(explained)) if i not in used]
    assert not idle, f"rows of {TABLE.name} that explain nothing: {idle}"
