# SPDX-License-Identifier: Apache-2.0
"""The Venus wire rules once more, written apart from gen/: values are made at random, encoded as a guest would, and
written down as the recording driver (recorder_gen.py) writes what it sees.

A value is an int (raw bits), bytes (blobs, strings, arrays of bytes), a list, a Handle, a Node (struct), or None (NULL).
"""
import csv
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True
GEN = Path(__file__).resolve().parents[2] / "gen"
sys.path.insert(0, str(GEN))
from venus_registry import Registry  # noqa: E402

CHILDREN = "pnext_children_accepted(:N = only if capset extension bit N)"
LENGTHS = {"codeSize / 4": ("codeSize", 8), "(rasterizationSamples + 31) / 32": ("rasterizationSamples", 64),
           "(samples + 31) / 32": ("samples", 64)}
MANY = 2  # elements of every array
# What a driver must say for the server to go on; everything else is noise.
FIXED = {
    ("VkPhysicalDeviceProperties", "apiVersion"): 0x403000, ("VkPhysicalDeviceLimits", "maxMemoryAllocationCount"): 60,
    ("VkQueueFamilyProperties", "queueFlags"): 15, ("VkQueueFamilyProperties", "queueCount"): 2,
    ("VkPhysicalDeviceMemoryProperties", "memoryTypeCount"): 2, ("VkPhysicalDeviceMemoryProperties", "memoryHeapCount"): 1,
    ("VkMemoryType", "propertyFlags"): 15, ("VkMemoryType", "heapIndex"): 0, ("VkMemoryHeap", "size"): 1 << 20, ("VkMemoryHeap", "flags"): 1,
    ("VkPhysicalDeviceExternalMemoryHostPropertiesEXT", "minImportedHostPointerAlignment"): 4096,
}
# What the server lowers in an answer, for each element that there is: a heap's budget to its size.
LOWERED = {("VkPhysicalDeviceMemoryBudgetPropertiesEXT", "heapBudget"): [FIXED["VkMemoryHeap", "size"]]}


class Handle:
    """An object by the guest's id and the driver's handle."""

    def __init__(self, kind, guest, host):
        self.kind, self.guest, self.host = kind, guest, host


class Node:
    """A struct: values by member name, and its chain."""

    def __init__(self, name, values, chain=()):
        self.name, self.values, self.chain = name, values, list(chain)


def rows(name):
    """A table of the protocol."""
    with open(GEN / "venus" / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Schema:
    """Commands and structs of the protocol that the installed registry knows."""

    def __init__(self, path):
        self.registry = Registry([path, str(GEN / "venus/mesa.xml")])
        self.struct_rows = {self.registry.resolve(r["struct"]): r for r in rows("structs.csv") if self.registry.resolve(r["struct"])}
        self.command_rows = rows("commands.csv")
        self.commands = {r["command"]: (r, self.registry.command(r["command"])) for r in self.command_rows
                         if r["sent_by_mesa_25_0_7"] != "no" and self.registry.command(r["command"])}
        self.cache = {}

    def struct(self, name):
        """A Struct by any of its names, or None."""
        if name not in self.cache:
            self.cache[name] = self.registry.struct(name)
        return self.cache[name]

    def children(self, name, partial):
        """Structs that may follow @name in a chain, as far as they are known."""
        column = "guest_to_host_skeleton" if partial else "guest_to_host_full"
        found = [self.registry.resolve(c.partition(":")[0]) for c in self.struct_rows[name][CHILDREN].split()]
        return [c for c in found if c and self.struct_rows[c][column] == "1"]

    def known(self, name):
        """(core version, extension numbers) that have a struct."""
        return self.registry.known_by(name)

    def kind(self, var):
        """What a parameter or member is, in the words of this file."""
        if var.type == "VkAllocationCallbacks":
            return "null"
        if var.type == "char" and var.pointers:
            return "strings" if var.pointers == 2 else "string"
        if var.type == "void":
            return "blob"
        many = "fixed_" if var.fixed else ""
        tail = "s" if var.pointers or var.fixed else ""
        if self.registry.is_handle(var.type):
            return f"{many}handle{tail}"
        nested = self.struct(var.type)
        if nested:
            return f"{many}{'union' if nested.union else 'struct'}{tail}"
        return f"{many}scalar{tail}"

    def is_output(self, var):
        """True for a parameter that the driver writes."""
        return var.pointers > 0 and not var.const and self.kind(var) != "null"

    def size(self, var):
        """(bytes in C, bytes on the wire) of a scalar."""
        return self.registry.scalar(var.type, var.name)

    def single(self, var):
        """True for a pointer to one thing."""
        return not var.len or var.len == "1"

    def members(self, name):
        """Members behind sType and pNext."""
        found = self.struct(name)
        return found.members[2 if found.stype else 0:]


def pad(data):
    """Whole words."""
    return data + bytes(-len(data) % 4)


def u32(value):
    """Four bytes."""
    return struct.pack("<I", value & 0xffffffff)


def u64(value):
    """Eight bytes."""
    return struct.pack("<Q", value)


class Wire:
    """Values -> wire bytes."""

    def __init__(self, schema, stypes):
        self.schema, self.stypes = schema, stypes

    def scalar(self, var, value):
        size, wire = self.schema.size(var)
        return value.to_bytes(max(4, wire), "little") if size <= 4 else value.to_bytes(8, "little")

    def value(self, var, value):
        """A member or parameter that goes to the driver (or, in replies, comes from it)."""
        kind = self.schema.kind(var)
        if value is None:
            return u64(0)
        if kind == "scalar":
            return self.scalar(var, value)
        if kind == "handle":
            return u64(value.guest if value else 0)
        if kind in ("struct", "union"):
            return self.struct(value)
        if kind == "string":
            return u64(len(value)) + pad(value)
        if kind == "strings":
            return u64(len(value)) + b"".join(u64(len(s)) + pad(s) for s in value)
        if isinstance(value, bytes):
            return u64(len(value)) + pad(value)
        if kind.endswith("handles"):
            return u64(len(value)) + b"".join(u64(h.guest if h else 0) for h in value)
        if kind.endswith("scalars"):
            return u64(len(value)) + pad(b"".join(v.to_bytes(self.schema.size(var)[0], "little") for v in value))
        return u64(len(value)) + b"".join(self.struct(n) for n in value)

    def struct(self, node):
        """Full form."""
        if node.name in ("VkClearValue", "VkClearColorValue"):
            words = node.values["words"]
            return (u32(0) if node.name == "VkClearValue" else b"") + u32(2) + u64(4) + b"".join(u32(w) for w in words)
        return self.head(node, self.members)

    def members(self, node):
        return b"".join(self.value(m, node.values[m.name]) for m in self.schema.members(node.name))

    def head(self, node, members):
        """sType, chain (each one's own chain before its members), members."""
        stype = self.schema.struct(node.name).stype
        if not stype:
            return members(node)
        first = b"".join(u64(1) + u32(self.stypes[self.schema.struct(c.name).stype]) for c in node.chain)
        last = b"".join(members(c) for c in reversed(node.chain))
        return u32(self.stypes[stype]) + first + u64(0) + last + members(node)

    def partial(self, node):
        """What a request says of an output struct."""
        return self.head(node, self.partial_members)

    def partial_members(self, node):
        out = b""
        for m in self.schema.members(node.name):
            kind, value = self.schema.kind(m), node.values[m.name]
            if kind == "struct":
                out += self.partial(value)
            elif kind == "fixed_structs":
                out += u64(m.fixed) + b"".join(self.partial(v) for v in value)
            elif kind == "fixed_handles":
                out += u64(m.fixed) + bytes(8 * m.fixed)
            elif "DrmFormatModifierPropertiesList" in node.name:
                out += u32(value) if kind == "scalar" else u64(len(value))
        return out


def number(value):
    """As the recorder prints bits."""
    return f"{value:x}"


class Text:
    """Values -> what the recording driver writes."""

    def __init__(self, schema):
        self.schema = schema

    def value(self, var, value):
        kind = self.schema.kind(var)
        if kind == "handle":
            return self.handle(value)
        if value is None:
            return "~"
        if kind == "scalar":
            return number(value)
        if isinstance(value, Node):
            return self.struct(value)
        if isinstance(value, bytes):
            return '"' + value.hex() + '"'
        if kind.endswith("handles"):
            return "[" + " ".join(self.handle(h) for h in value) + "]"
        if kind == "strings":
            return "[" + " ".join('"' + s.hex() + '"' for s in value) + "]"
        if kind.endswith("scalars"):
            return "[" + " ".join(number(v) for v in value) + "]"
        return "[" + " ".join(self.struct(n) for n in value) + "]"

    @staticmethod
    def handle(value):
        if value is None:
            return "@0"
        return "@" + (value.kind if value.kind in ("VK_OBJECT_TYPE_INSTANCE", "VK_OBJECT_TYPE_PHYSICAL_DEVICE") else number(value.host))

    def struct(self, node):
        chain = "<" + "".join(self.struct(c) for c in node.chain) + ">" if node.chain else ""
        return node.name + "{" + chain + self.members(node) + "}"

    def members(self, node):
        if "words" in node.values:
            return " ".join(number(w) for w in node.values["words"])
        return " ".join(self.value(m, node.values[m.name]) for m in self.schema.members(node.name))

    def asked(self, node):
        """An output struct before it is filled: the chain only."""
        return node.name + "{" + "".join(self.asked(c) for c in node.chain) + "}"


class Noise:
    """What the recording driver fills outputs with, in the same order."""

    def __init__(self, schema, seed):
        self.schema, self.count = schema, seed

    def bits(self, size):
        self.count += 1
        return (self.count * 0x9e3779b97f4a7c15 & (1 << 64) - 1) >> (64 - 8 * size)

    def text(self, size):
        self.count += 1
        return b"noise %d" % self.count + bytes(size - len(b"noise %d" % self.count))

    def struct(self, node, hidden=()):
        for m in self.schema.members(node.name):
            kind = self.schema.kind(m)
            counts = any(o.len == m.name for o in self.schema.members(node.name))
            if (node.name, m.name) in FIXED:
                node.values[m.name] = FIXED[node.name, m.name]
            elif kind == "scalar" and not counts:
                node.values[m.name] = self.bits(self.schema.size(m)[0])
            elif kind in ("struct", "structs", "fixed_structs"):
                for each in [node.values[m.name]] if kind == "struct" else node.values[m.name]:
                    self.struct(each)
            elif kind == "fixed_scalars":
                size = self.schema.size(m)[0]
                node.values[m.name] = self.text(m.fixed) if m.type == "char" else (
                    bytes(self.bits(1) for _ in range(m.fixed)) if size == 1 else [self.bits(size) for _ in range(m.fixed)])
                for i, most in enumerate(LOWERED.get((node.name, m.name), ())):
                    node.values[m.name][i] = min(node.values[m.name][i], most)
            elif kind == "fixed_handles":
                node.values[m.name] = [None] * m.fixed
        for each in node.chain:
            if each.name not in hidden:
                self.struct(each)
