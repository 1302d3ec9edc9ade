#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes one well-formed stream for every Venus command: seeds for the fuzzer, and a check of all tables.

  venus_seeds.py DIR                 write the seeds
  venus_seeds.py --check REPLAY      write them to a temporary folder and let REPLAY run them; each must be accepted

Every pointer is present, every array has one element, every chain one struct of each accepted kind.
"""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
GEN = pathlib.Path(__file__).resolve().parents[2] / "gen"
sys.path[:0] = [str(GEN), str(GEN / "venus")]
import venus  # noqa: E402
from venus_ops import OUT, PARTIAL  # noqa: E402
from venus_registry import Registry  # noqa: E402

# Ids in the world of venus_decode.c.
IDS = {"INSTANCE": 1, "PHYSICAL_DEVICE": 2, "DEVICE": 4, "COMMAND_BUFFER": 40, "DESCRIPTOR_SET": 41}
IDS.update((name, 10 + i) for i, name in enumerate(
    "QUEUE SEMAPHORE FENCE DEVICE_MEMORY BUFFER IMAGE EVENT QUERY_POOL BUFFER_VIEW IMAGE_VIEW SHADER_MODULE PIPELINE_CACHE "
    "PIPELINE_LAYOUT RENDER_PASS PIPELINE DESCRIPTOR_SET_LAYOUT SAMPLER FRAMEBUFFER SAMPLER_YCBCR_CONVERSION DESCRIPTOR_POOL "
    "COMMAND_POOL".split()))


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


class Seeds:
    def __init__(self, model, stypes):
        self.compiler, self.stypes, self.next_id = model.compiler, stypes, 1000

    def stype(self, info):
        return u32(self.stypes[info.struct.stype])

    def lengths(self, ops):
        """Offsets of this list's length members."""
        return {self.compiler.lengths[op.len][0] for op in ops if op.len}

    def count(self, op, ops):
        if not op.len:
            return 1
        _, _, _, second, add, divide = self.compiler.lengths[op.len]
        if second:  # a member of another struct: 1 if that struct's own arrays need it
            target = next(o for o in ops if o.off == self.compiler.lengths[op.len][0])
            value = int(second in self.lengths(self.compiler.structs[target.a].full))
        else:
            value = 1
        return (value + add) // divide

    def fill(self, op, ops):
        lengths = self.lengths(ops)
        return b"".join(u32(int(op.off + at in lengths)) for at in range(0, op.a, 4))

    def members(self, ops):
        return b"".join(self.op(op, ops) for op in ops)

    def struct(self, index, partial):
        info = self.compiler.structs[index]
        return self.members(info.partial if partial else info.full)

    def chain(self, info, partial):
        children = [(i, self.compiler.structs[i]) for i, _ in info.children]
        children = [c for _, c in children if c.struct.stype and (c.partial or not partial)]
        heads = b"".join(u64(1) + self.stype(c) for c in children)
        tails = b"".join(self.members((c.partial if partial else c.full)[1:]) for c in reversed(children))
        return self.stype(info) + heads + u64(0) + tails

    def handle(self, name):
        return u64(IDS[name.replace("VK_OBJECT_TYPE_", "")])

    def op(self, op, ops):
        kind, partial = op.kind, bool(op.flags & PARTIAL)
        if kind == "COPY":
            return self.fill(op, ops)
        if kind in ("U8", "U16"):
            return u32(0)
        if kind == "HANDLE":
            return self.handle(op.a)
        if kind == "NULL":
            return u64(0)
        if kind == "CHAIN":
            return self.chain(self.compiler.structs[op.a], partial)
        if kind == "STRUCT":
            return self.struct(op.a, partial)
        if kind == "UNION":
            return u32(0) + self.op(self.compiler.structs[op.a].full[0], ops)
        if kind.startswith("FIXED"):
            return u64(op.b) + self.fixed(op, partial)
        if kind == "STRING":
            return u64(5) + b"main\0\0\0\0"
        return self.array(op, ops)

    def fixed(self, op, partial):
        if op.kind == "FIXED_SKIP":
            return b""
        if op.kind == "FIXED_STRUCT":
            return self.struct(op.a, partial) * op.b
        if op.kind == "FIXED_HANDLE":
            return u64(0) * op.b
        return bytes((op.a + 3) // 4 * 4)

    def array(self, op, ops):
        count = self.count(op, ops)
        head, kind = u64(count), op.kind
        if kind == "ARRAY_COPY":
            one = op.flags & OUT  # an in/out count: room for one
            return head + (int(one != 0)).to_bytes((op.a + 3) // 4 * 4, "little") * count
        if kind in ("ARRAY_STRUCT", "OUT_STRUCT"):
            return head + self.struct(op.a, kind == "OUT_STRUCT") * count
        if kind == "ARRAY_UNION":
            return head + (u32(0) + self.op(self.compiler.structs[op.a].full[0], ops)) * count
        if kind == "ARRAY_HANDLE":
            return head + self.handle(op.a) * count
        if kind == "ARRAY_STRING":
            return head + (u64(5) + b"main\0\0\0\0") * count
        if kind == "OUT_HANDLE":
            self.next_id += count
            return head + b"".join(u64(self.next_id - i) for i in range(count))
        return head  # OUT_COPY

    def command(self, command):
        return u32(command.number) + u32(1) + self.members(command.ops)


def read_stypes(registry_path):
    """VkStructureType values: spelled out, or given by extension number and offset."""
    import xml.etree.ElementTree as ElementTree
    found = {}
    for path in (registry_path, GEN / "venus" / "mesa.xml"):
        root = ElementTree.parse(path).getroot()
        for extension in root.findall("extensions/extension") + root.findall("feature") + root.findall("enums"):
            for enum in extension.iter("enum"):
                number = enum.get("extnumber") or extension.get("number")
                if enum.get("offset") and "STRUCTURE_TYPE" in enum.get("name"):
                    found[enum.get("name")] = 1000000000 + (int(number) - 1) * 1000 + int(enum.get("offset"))
                elif (enum.get("value") or "").isdigit() and "STRUCTURE_TYPE" in enum.get("name"):
                    found[enum.get("name")] = int(enum.get("value"))
        for member in root.iter("member"):
            if member.get("stype"):
                found[member.get("values")] = 1000384000 + int(member.get("stype"))
    return found


def write(folder):
    registry_path = os.environ.get("VULKAN_REGISTRY", "/usr/share/vulkan/registry/vk.xml")
    model = venus.Model(Registry([registry_path, str(GEN / "venus" / "mesa.xml")]))
    seeds = Seeds(model, read_stypes(registry_path))
    for command in model.commands:
        pathlib.Path(folder, command.name).write_bytes(seeds.command(command))
    return len(model.commands)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        with tempfile.TemporaryDirectory() as folder:
            write(folder)
            return subprocess.run([sys.argv[2], folder], env={**os.environ, "FUZZ_EXPECT_ACCEPTED": "1"}, check=False).returncode
    print(write(sys.argv[1]), "seeds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
