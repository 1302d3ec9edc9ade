# SPDX-License-Identifier: Apache-2.0
"""What vulkaninfo says through Oriel beside what it says on the host's driver itself: each difference has a row in docs/vulkaninfo.md."""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import protocol  # noqa: E402
import tap  # noqa: E402
from mesa import host_driver, without_desktop  # noqa: E402

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


def run(words, mesa, env):
    """vulkaninfo of the unpacked Mesa's packages, since another version says more or less."""
    return subprocess.run([*words, str(mesa.dir / "root/usr/bin/vulkaninfo")], env={**without_desktop(), **env, "VK_LOADER_LAYERS_DISABLE": "*"},
                          capture_output=True, text=True, check=True, timeout=120).stdout


def of_the_host(mesa):
    """On the host's own driver."""
    return run([str(mesa.loader), "--library-path", f"{mesa.libraries}:/usr/lib/{mesa.libraries.name}"], mesa, host_driver())


def differences(host, ours):
    """[(path, host's value, our value)]."""
    left, right = facts(host), facts(ours)
    pairs = ((path, left.get(path, ABSENT), right.get(path, ABSENT)) for path in [*left, *(p for p in right if p not in left)])
    return [pair for pair in pairs if pair[1] != pair[2]]


def rows():
    """[(places, pattern of paths, pattern of our value)] of the tables."""
    cells = [[c.strip().replace(r"\|", "|") for c in re.split(r"(?<!\\)\|", line.strip("|\n"))] for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [(where.split(", "), path.strip("`"), value.strip("`")) for path, value, where, _ in cells]


def rows_of(*places):
    """[(pattern of paths, pattern of our value)] of the rows for any of @places."""
    return [(path, value) for where, path, value in rows() if set(where) & set(places)]


def check(host, ours, where):
    """Every difference is explained, and every explanation needed.  @where: "vtest" or "guest"."""
    if f"= {HOST}" in host:
        explain(differences(host, ours), where, rows_of(where, "both"))
    elif "driverName = NVIDIA" in re.sub(r"\s+", " ", host):
        check_newer(host, ours, where, "nvidia")
    else:
        raise tap.Skip(f"the tables are for the host drivers {HOST} and NVIDIA's")


def decoded_extensions():
    """What our tables and the installed registry both know."""
    text = Path(os.environ.get("VULKAN_REGISTRY", "/usr/share/vulkan/registry/vk.xml")).read_text(encoding="utf-8")
    return {row["name"] for row in protocol.rows("extensions.csv")} & set(re.findall(r'<extension name="(\w+)"', text))


def check_newer(host, ours, where, driver):
    """The same for a host driver that has more than we decode: what is not there is no difference, but for extensions that we know.
    @driver: whose own rows are needed, too, all of them."""
    known = {f"Device Extensions/{name}" for name in decoded_extensions()}
    seen = [d for d in differences(host, ours) if d[2] != ABSENT or d[0] in known]
    rest = [d for d in seen if not any(re.fullmatch(p, d[0]) and re.fullmatch(v, d[2]) for p, v in rows_of(where, "both"))]
    explain(rest, driver, rows_of(driver, f"{driver}-{where}"))


def explain(found, where, explained):
    """Each difference has a row, and each row a difference."""
    used, unexplained = set(), []
    for path, theirs, value in found:
        row = next((i for i, (p, v) in enumerate(explained) if re.fullmatch(p, path) and re.fullmatch(v, value)), None)
        if row is None:
            unexplained.append(f"{path}: host {theirs!r}, {where} {value!r}")
        else:
            used.add(row)
    assert not unexplained, f"not in {TABLE.name}:\n" + "\n".join(unexplained)
    idle = [explained[i] for i in range(len(explained)) if i not in used]
    assert not idle, f"rows of {TABLE.name} that explain nothing: {idle}"
