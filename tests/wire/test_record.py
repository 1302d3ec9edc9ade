#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command, struct and chain through oriel-gpu to a driver that offers everything and writes down what it is asked.

What the driver saw and what came back must be what the wire rules (protocol.py) say, to the last bit.  The table of what was
reached is left in BUILD/venus-coverage.md; a row that guests can send and nothing reached is a failure.
"""
import copy
import functools
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import venus  # noqa: E402
from protocol import MANY, Handle, Noise, Node, Schema, Text, Wire, rows, u32, u64  # noqa: E402

REGISTRY = os.environ.get("VULKAN_REGISTRY", "/usr/share/vulkan/registry/vk.xml")
LIBRARY = venus.BUILD.resolve() / "tests/wire/librecorder.so"
T = "VK_OBJECT_TYPE_"
HOST_ALLOCATION, DMA_BUF, MODIFIER_TILING, MEMORY_PLANE_0 = 0x80, 0x200, 1000158000, 0x80

# Members that mean something to the server; all others are noise.
MEANT = {
    ("VkMemoryAllocateInfo", "allocationSize"): 8192, ("VkMemoryAllocateInfo", "memoryTypeIndex"): 1,
    ("VkDeviceCreateInfo", "enabledLayerCount"): 0, ("VkDeviceCreateInfo", "ppEnabledLayerNames"): None,
    ("VkDeviceQueueCreateInfo", "flags"): 0, ("VkDeviceQueueCreateInfo", "queueCount"): 2,
    ("VkDeviceQueueInfo2", "flags"): 0, ("VkImportSemaphoreResourceInfoMESA", "resourceId"): 0,
    ("VkInstanceCreateInfo", "enabledLayerCount"): 0, ("VkInstanceCreateInfo", "enabledExtensionCount"): 0,
    ("VkInstanceCreateInfo", "ppEnabledLayerNames"): None, ("VkInstanceCreateInfo", "ppEnabledExtensionNames"): None,
    ("VkInstanceCreateInfo", "flags"): 0, ("VkApplicationInfo", "apiVersion"): 0x403000,
    ("VkPhysicalDeviceExternalImageFormatInfo", "handleType"): DMA_BUF, ("VkPhysicalDeviceImageFormatInfo2", "tiling"): 1,
    ("vkWaitForFences", "timeout"): 0, ("vkWaitSemaphores", "timeout"): 0,
    ("vkEnumerateDeviceExtensionProperties", "pLayerName"): None,
}
# Structs of a chain that never reach the driver, and what does instead.  See memory.c, sync.c, device.c.
KEPT = {
    "vkAllocateMemory": {"VkImportMemoryResourceInfoMESA", "VkExportMemoryAllocateInfo", "VkMemoryDedicatedAllocateInfo"},
    "vkCreateSemaphore": {"VkExportSemaphoreCreateInfo"}, "vkCreateFence": {"VkExportFenceCreateInfo"},
    "vkCreateDevice": {"VkDeviceGroupDeviceCreateInfo"}, "vkCreateBuffer": {"VkExternalMemoryBufferCreateInfo"},
    "vkCreateImage": {"VkExternalMemoryImageCreateInfo"}, "vkGetDeviceBufferMemoryRequirements": {"VkExternalMemoryBufferCreateInfo"},
    "vkGetDeviceImageMemoryRequirements": {"VkExternalMemoryImageCreateInfo"},
    "vkGetDeviceImageSparseMemoryRequirements": {"VkExternalMemoryImageCreateInfo"},
    "vkGetDeviceImageSubresourceLayoutKHR": {"VkExternalMemoryImageCreateInfo"},
    "vkGetPhysicalDeviceImageFormatProperties2": {"VkPhysicalDeviceExternalImageFormatInfo"},
}
# What the server does itself; the driver never hears of it.  See sync.c, external.c.
EMULATED = {"VK_KHR_external_semaphore_fd", "VK_KHR_external_fence_fd", "VK_KHR_external_memory_fd", "VK_EXT_external_memory_dma_buf",
            "VK_EXT_image_drm_format_modifier", "VK_EXT_queue_family_foreign"}
SHARING = {n for n in EMULATED if "memory" in n or "EXT" in n}
OTHERS_KEPT = ("vkCreateSemaphore", "vkCreateFence", "vkCreateDevice")
# Commands that the server answers itself: the reply is what counts, and tests of their own say which it is.
ANSWERED = {"vkEnumeratePhysicalDevices", "vkEnumeratePhysicalDeviceGroups", "vkEnumerateDeviceExtensionProperties", "vkGetDeviceQueue2",
            "vkGetPhysicalDeviceExternalSemaphoreProperties", "vkGetPhysicalDeviceExternalFenceProperties", "vkEnumerateInstanceVersion",
            "vkGetPhysicalDeviceExternalBufferProperties", "vkGetImageDrmFormatModifierPropertiesEXT"}
ALWAYS = ("pApplicationInfo",)  # guests send it, and without it the loader takes them for Vulkan 1.0
# Odd arguments of each command, and which; others than these were tried, too.
ODD_ROUNDS, ODD_SEED = int(os.environ.get("ODD_ROUNDS", "3")), int(os.environ.get("ODD_SEED", "33"))
ALLOCATED = ("vkCreateCommandPool", "vkDestroyCommandPool")  # the server keeps the memory of what is recorded
DESTROYS = re.compile(r"vk(Destroy|Free|ResetDescriptorPool)")


@functools.cache
def schema():
    """Parsed once."""
    return Schema(REGISTRY)


@functools.cache
def stypes():
    """Value of each VK_STRUCTURE_TYPE, as the C compiler knows it."""
    names = sorted({schema().struct(n).stype for n in schema().struct_rows if schema().struct(n).stype and not n.endswith("MESA")})
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "s.c")
        source.write_text("#include <stdio.h>\n#include <vulkan/vulkan_core.h>\nint main(void)\n{\n" + "".join(
            f'\tprintf("{n} %d\\n", {n});\n' for n in names) + "}\n")
        subprocess.run(["gcc", "-o", folder + "/s", str(source)], check=True)
        lines = subprocess.run([folder + "/s"], capture_output=True, text=True, check=True).stdout.split("\n")
    values = {line.split()[0]: int(line.split()[1]) for line in lines if line}
    for name in schema().struct_rows:
        found = schema().struct(name)
        if name.endswith("MESA") and found.stype:
            values[found.stype] = 1000384000 + int(found.stype_offset)
    return values


class World:
    """A server with the recording driver, a client with a ring, and the objects made so far."""

    def __init__(self, seed, sparse=False, without="", dma_bufs=False, linear=False):
        """@dma_bufs: what is shared is the driver's own; @linear: it has to be told to draw to linear images."""
        self.dma_bufs, self.emulated = dma_bufs, EMULATED - SHARING if dma_bufs else EMULATED
        self.kept = {k: v & {"VkImportMemoryResourceInfoMESA", "VkExportMemoryAllocateInfo"} if dma_bufs and k not in OTHERS_KEPT else v for k, v in KEPT.items()}
        self.random, self.sparse = random.Random(seed), sparse
        self.wire, self.text = Wire(schema(), stypes()), Text(schema())
        self.objects, self.creating, self.next_id = {}, set(), 10
        self.odd = False  # rules will be broken
        self.reached, self.sent = {}, set()  # what arrived or came back, by which commands; the structs of the command that is being sent
        self.dir = tempfile.TemporaryDirectory()
        self.logs = Path(self.dir.name, "logs")
        self.logs.mkdir()
        icd = Path(self.dir.name, "icd.json")
        icd.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": {"api_version": "1.3.239", "library_path": str(LIBRARY)}}))
        self.fail = Path(self.dir.name, "fail")  # holds the name of the command that the driver shall fail
        self.env = {"VK_DRIVER_FILES": str(icd), "RECORDER_FAIL": str(self.fail), "VK_ICD_FILENAMES": str(icd), "RECORDER_DIR": str(self.logs), "RECORDER_WITHOUT": without,
                    **({"RECORDER_DMA_BUFS": "1"} if dma_bufs else {}), **({"RECORDER_LINEAR": "1"} if linear else {})}

    def __enter__(self):
        old = dict(os.environ)
        os.environ.update(self.env)
        try:
            probe = subprocess.run([str(venus.SERVER), "--probe"], capture_output=True, text=True, check=True).stdout
            self.shared_types = json.loads(probe)["devices"][0]["shared_types" if self.dma_bufs else "backed_types"]
            self.server = venus.Server()
            self.server.__enter__()
            self.others = set(self.logs.iterdir())
        finally:
            os.environ.clear()
            os.environ.update(old)
        self.client = self.server.client()
        self.ring = self.client.ring()
        self.reply, self.memory = self.client.blob(1 << 20)
        self.read = 0
        self.send("vkCreateInstance")
        return self

    def __exit__(self, *exc):
        self.client.close()
        errors = self.server.errors()
        self.server.__exit__(*exc)
        self.dir.cleanup()
        assert exc[0] or self.odd or "context ended" not in errors, errors

    # --- values ---

    def count_of(self, name, members):
        """What length member @name must be, or None if it is none."""
        for m in members:
            length = m.len.split(",")[0] if m.len else ""
            if length == name:
                return MANY
            if length in ("codeSize / 4",) and name == "codeSize":
                return 4 * MANY
            if length.startswith("(") and name == re.match(r"\((\w+)", length).group(1):
                return 64
        return None

    def scalar(self, var):
        size = schema().size(var)[0]
        if var.type == "VkBool32":
            return self.random.getrandbits(1)
        return self.random.getrandbits(8 * size)

    def one(self, var, partial):
        """A single thing of @var's type."""
        if schema().registry.is_handle(var.type):
            return self.object(schema().registry.handle_type(var.type))
        found = schema().struct(var.type)
        if found and found.union:
            self.sent.add(found.name)
            return Node(found.name, {"words": [self.random.getrandbits(32) for _ in range(4)]})
        return self.node(found.name, partial) if found else self.scalar(var)

    def value(self, var, owner, partial=False):
        """A value for a member or parameter that is no length."""
        kind = schema().kind(var)
        if (owner, var.name) in MEANT:
            return MEANT[owner, var.name]
        if kind == "null" or (self.sparse and var.optional and (var.pointers or kind == "handle") and var.name not in ALWAYS):
            return None
        if kind == "string":
            return self.string()
        if kind == "strings":
            return [self.string() for _ in range(MANY)]
        many = var.fixed or (1 if var.pointers and schema().single(var) else MANY)
        if not var.pointers and not var.fixed:
            return self.one(var, partial)
        if kind == "blob" or (kind.endswith("scalars") and schema().size(var)[0] == 1):
            return self.random.randbytes(many)
        return [self.one(var, partial) for _ in range(many)]

    def string(self):
        return b"text %d" % self.random.getrandbits(16) + b"\0"

    def node(self, name, partial=False, chained=False):
        """A struct with every member, and every struct that may follow it."""
        members = schema().members(name)
        values = {}
        for m in members:
            count = self.count_of(m.name, members)
            meant = MEANT.get((name, m.name))
            values[m.name] = meant if meant is not None else count if count is not None else self.value(m, name, partial)
        chain = [] if chained or self.sparse else [self.node(c, partial, True) for c in schema().children(name, partial) if c not in self.left_out]
        self.sent.add(name)
        return Node(name, values, chain)

    def object(self, kind):
        """An object of that type, made if there is none; None while it is being made."""
        if kind not in self.objects and kind not in self.creating:
            self.creating.add(kind)
            keep = self.now, self.left_out, self.sent
            self.send(self.creator(kind))
            self.now, self.left_out, self.sent = keep
            self.creating.discard(kind)
        return self.objects[kind][-1] if self.objects.get(kind) else None

    @staticmethod
    def creator(kind):
        """The command that makes objects of that type."""
        for name, (_, command) in schema().commands.items():
            for p in command.params:
                if schema().is_output(p) and schema().kind(p) == "handles" and schema().registry.handle_type(p.type) == kind:
                    return name
        raise AssertionError(kind)

    # --- commands ---

    def arguments(self, name, command):
        """Values of all parameters; outputs as the request has them."""
        args, params = {}, command.params
        for p in params:
            kind = schema().kind(p)
            count = self.count_of(p.name, params)
            if p is params[0] and kind == "handle":
                args[p.name] = self.one(p, False)
            elif not schema().is_output(p):
                args[p.name] = count if count is not None and not p.pointers else self.value(p, name)
            elif kind == "handles":
                args[p.name] = None  # below, when the number is known
            elif count is not None:
                args[p.name] = [MANY]
            elif schema().struct(p.type):
                args[p.name] = [self.node(schema().struct(p.type).name, True) for _ in range(1 if schema().single(p) else MANY)]
            else:
                args[p.name] = 1 if schema().single(p) else MANY
        for p in params:
            if schema().is_output(p) and schema().kind(p) == "handles":
                args[p.name] = self.new_ids(p, args)
        return args

    def new_ids(self, var, args):
        kind = schema().registry.handle_type(var.type)
        count = 1 if schema().single(var) else MANY
        if "->" in (var.len or ""):
            info, member = var.len.split("->")
            args[info][0].values[member] = count
        if kind == T + "PHYSICAL_DEVICE":
            count, known = 1, self.objects.get(kind)
            args["pPhysicalDeviceCount"] = [1]
            if known:
                return [known[0]]
        self.next_id += count
        return [Handle(kind, self.next_id - i, 0) for i in range(count)]

    def request(self, number, command, args):
        out = u32(number) + u32(1)
        for p in command.params:
            value, kind = args[p.name], schema().kind(p)
            if not schema().is_output(p) or kind == "handles" or isinstance(value, list) and not isinstance(value[0], Node):
                out += self.wire.value(p, value)
            elif isinstance(value, list):
                out += u64(len(value)) + b"".join(self.wire.partial(n) for n in value)
            else:
                out += u64(value)
        return out

    def expected_line(self, name, command, args):
        """What the driver must have written."""
        words = [name]
        for p in command.params:
            value, kind = args[p.name], schema().kind(p)
            if kind == "null" and name in ALLOCATED and args.get("commandPool", True):
                words.append("!")
            elif not schema().is_output(p):
                words.append(self.dump(p, value))
            elif isinstance(value, list) and not isinstance(value[0], (Node, Handle)):
                words.append(f"{value[0]:x}")
            else:
                chain = "".join(self.text.asked(c) for c in value[0].chain if self.is_enabled(c.name)) if isinstance(value, list) and kind != "handles" else ""
                words.append("?" + chain)
        return " ".join(words)

    def dump(self, var, value):
        if isinstance(value, list) and value and isinstance(value[0], Node):
            value = copy.deepcopy(value)
            for each in value:
                self.cut(each, self.kept.get(self.now, set()))
        text = self.text.value(var, value)
        if self.now == "vkAllocateMemory":
            made_of = "VkExportMemoryAllocateInfo{200}" if self.dma_bufs and not self.sparse else "host pointer"
            text = re.sub(r"VkMemoryAllocateInfo\{(<(.*?)>)?(2000 1\})", rf"VkMemoryAllocateInfo{{<{made_of}\2>\3", text, count=1)
        return text

    def cut(self, node, kept):
        """Take out what must not reach the driver, and put in what only the server knows."""
        node.chain = [c for c in node.chain if c.name not in kept and self.is_enabled(c.name)]
        if node.name == "VkBufferCreateInfo" and not any(c.name == "VkExternalMemoryBufferCreateInfo" for c in node.chain):
            node.chain.insert(0, Node("VkExternalMemoryBufferCreateInfo", {"handleTypes": HOST_ALLOCATION}))  # may lie in imported pages
        for value in list(node.values.values()) + node.chain:
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, Node):
                    self.cut(each, kept)

    def is_enabled(self, name):
        """True if the driver may see the struct: part of Vulkan 1.3, or of an extension that is on."""
        core, extensions = schema().known(name)
        names = [n for n, number in schema().registry.extensions.items() if number in extensions and n not in self.emulated]
        physical = schema().commands[self.now][1].params[0].type == "VkPhysicalDevice"
        return core is not None or any(physical or n.encode() + b"\0" in self.offered for n in names)

    def expected_reply(self, name, row, command, args):
        """The reply as the driver's noise makes it."""
        number = int(row["number"])
        noise, out = Noise(schema(), number << 16), b""
        for p in command.params:
            value = args[p.name]
            if not schema().is_output(p):
                continue
            if isinstance(value, list) and isinstance(value[0], Node):
                hidden = {c.name for c in value[0].chain if not self.is_enabled(c.name)}
                for each in value:
                    noise.struct(each, hidden)
                    OUTPUT.get(name, lambda *_: None)(self, each)
            elif isinstance(value, int):
                size = 1 if p.type == "void" else schema().size(p)[0]
                value = bytes(noise.bits(1) for _ in range(value)) if size == 1 else [noise.bits(size) for _ in range(value)]
            out += self.wire.value(p, value)
        ret = b"" if command.ret == "void" else u32(0) if command.ret == "VkResult" else u64(noise.bits(8))
        return u32(number) + ret + out

    def send(self, name, change=None):
        """One command with everything in it; checks what the driver saw and what came back.  Returns the arguments."""
        row, command = schema().commands[name]
        self.now, self.sent = name, set()
        self.left_out = {"VkImportMemoryResourceInfoMESA"} if name == "vkAllocateMemory" else set()
        if self.dma_bufs and name == "vkCreateImage":
            self.left_out = {"VkImageDrmFormatModifierExplicitCreateInfoEXT"}  # its layouts are compared: a test of its own
        args = self.arguments(name, command)
        SPECIAL.get(name, lambda *_: None)(self, args)
        if change:
            change(args)
        self.now = name
        size = 1 << 19
        self.memory[:size] = b"\xa5" * size
        self.ring.put(venus.set_reply(self.reply, 0, size) + self.request(int(row["number"]), command, args))
        assert self.ring.wait(), f"{name}: fatal: {self.server.errors()[-300:]}"
        line = self.check(name, row, command, args)
        if line is not None:
            self.note(name, command, args, line)
        return args

    def note(self, name, command, args, line):
        """What of @name, and of the structs that were sent with it, the driver saw in @line or gave back."""
        outputs = [v for p in command.params if schema().is_output(p) and isinstance(args[p.name], list) for v in args[p.name]]
        back = {n for v in outputs for n in self.names(v) if self.is_enabled(n)}
        for struct in self.sent:
            if struct + "{" in line or struct in back:
                self.reached.setdefault(struct, set()).add(name)
            elif struct in self.kept.get(name, ()) or self.is_never_offered(struct):
                self.reached.setdefault(struct, set()).add(f"{name}, which keeps it")
        self.reached.setdefault(name, set()).add(name)

    @staticmethod
    def is_never_offered(name):
        """True for a struct of NOT_OFFERED extensions alone."""
        names = [n for n, number in schema().registry.extensions.items() if number in schema().known(name)[1]]
        return bool(names) and set(names) <= set(NOT_OFFERED)

    def names(self, value):
        """Structs in @value that a driver fills."""
        if isinstance(value, list):
            return {n for v in value for n in self.names(v)}
        return {value.name, *self.names(list(value.values.values())), *self.names(value.chain)} if isinstance(value, Node) else set()

    def check(self, name, row, command, args):
        """The line that the driver wrote, or None if what counts is the answer: a test of its own says which."""
        if name == "vkCreateInstance":  # the driver is in the client's own process from now on
            self.log, = set(self.logs.iterdir()) - self.others
        lines = self.new_lines()
        mine = [l for l in lines if l.split(" ")[0] == name]
        if name.startswith("vkEnumerate") or name in ANSWERED:
            self.take_objects(command, args, ["0"] * MANY)
            return None
        if mine:
            seen, _, made = mine[-1].partition(" -> ")
            self.take_objects(command, args, made.split())
            want = self.expected_line(name, command, args)
            if name == "vkCreateInstance":  # the loader chains things of its own, and gives no extensions instead of NULL
                seen, want = re.sub("<unknown[^>]*>", "", seen).replace(" 0 []}", " 0 ~}"), f"{name} {self.text.struct(args['pCreateInfo'][0])}"
            if name == "vkCreateDevice" and "RECORDER_LINEAR" in self.env:
                seen = re.sub("unknown [0-9a-f]+", "", seen, count=1).replace("<>", "")  # the server tells it
            if name == "vkCreateDevice":  # extensions that are the server's own are not the driver's, and the other way round
                seen, want = (re.sub(r'[0-9a-f]+ \[("[0-9a-f]+" ?)+\]', "EXTENSIONS", line) for line in (seen, want))
            assert seen == want, f"{name}:\n got {diff(seen, want)}"
        else:
            raise AssertionError(f"{name}: the driver was not asked, but {lines}")
        want = self.expected_reply(name, row, command, args)
        got = self.memory[:len(want)]
        assert got == want, f"{name}: reply differs at {next(i for i in range(len(want)) if got[i] != want[i])}\n got {got.hex()}\nwant {want.hex()}"
        assert self.memory[len(want)] == 0xa5, f"{name}: reply is longer"
        return seen

    def take_objects(self, command, args, made):
        """Note the host's handles of what was created."""
        for p in command.params:
            if schema().is_output(p) and schema().kind(p) == "handles":
                for handle, host in zip(args[p.name], made):
                    handle.host = int(host, 16)
                self.objects[schema().registry.handle_type(p.type)] = args[p.name]

    def new_lines(self):
        """What the driver wrote since the last look; it had done so before the ring's head moved."""
        lines = self.log.read_text(errors="replace").split("\n")[self.read:-1]
        self.read += len(lines)
        return lines


def diff(got, want):
    """Around the first difference."""
    at = next((i for i in range(min(len(got), len(want))) if got[i] != want[i]), min(len(got), len(want)))
    return f"...{got[max(0, at - 120):at + 160]}\nwant ...{want[max(0, at - 120):at + 160]}"


# --- commands whose arguments must make sense to the server ---

def offered(world):
    """The device extensions that the server offers, as it says itself."""
    physical = world.object(T + "PHYSICAL_DEVICE")
    reply = set_and_ask(world, 14, u64(physical.guest) + u64(0) + u64(1) + u32(500) + u64(500))
    count, = struct.unpack_from("<I", reply, 16)
    entries = [reply[28 + i * 268:28 + (i + 1) * 268] for i in range(count)]
    return [e[8:264].split(b"\0")[0] + b"\0" for e in entries]


def set_and_ask(world, number, body):
    """A hand-made command with a reply."""
    world.ring.put(venus.set_reply(world.reply, 0, 1 << 19) + u32(number) + u32(1) + body)
    assert world.ring.wait(), world.server.errors()
    return world.memory[:1 << 19]


def make_device(world, args):
    info = args["pCreateInfo"][0]
    for i, queue in enumerate(info.values["pQueueCreateInfos"]):
        queue.values["queueFamilyIndex"] = i
    info.values["ppEnabledExtensionNames"] = world.offered
    info.values["enabledExtensionCount"] = len(world.offered)


def make_queue(world, args):
    info = args["pQueueInfo"][0]
    info.values["queueFamilyIndex"], info.values["queueIndex"] = divmod(world.queues, 2)
    world.queues += 1
    for chained in info.chain:
        if chained.name == "VkDeviceQueueTimelineInfoMESA":
            chained.values["ringIdx"] = world.queues


def only_linear(world, node):
    """Formats have one modifier: linear, with the features of linear tiling."""
    if world.dma_bufs:
        return
    features = node.values["formatProperties"].values["linearTilingFeatures"]
    for each in node.chain:
        if each.name.startswith("VkDrmFormatModifierPropertiesList"):
            each.values["drmFormatModifierCount"] = 1
            array = each.values["pDrmFormatModifierProperties"]
            array[:] = [Node(array[0].name, {"drmFormatModifier": 0, "drmFormatModifierPlaneCount": 1, "drmFormatModifierTilingFeatures": features})]


def shareable(world, node):
    """Both ways, as dma-buf."""
    if world.dma_bufs:
        return
    for each in node.chain:
        if each.name == "VkExternalImageFormatProperties":
            each.values["externalMemoryProperties"].values = {
                "externalMemoryFeatures": 6, "exportFromImportedHandleTypes": DMA_BUF, "compatibleHandleTypes": DMA_BUF}


def mappable(world, node):
    """What is shared can only be bound to what we can map.  Objects without a chain are not shared."""
    values = node.values["memoryRequirements"].values
    if node.chain:
        values["memoryTypeBits"] = values["memoryTypeBits"] & world.shared_types or values["memoryTypeBits"]


OUTPUT = {"vkGetPhysicalDeviceFormatProperties2": only_linear, "vkGetPhysicalDeviceImageFormatProperties2": shareable,
          "vkGetImageMemoryRequirements2": mappable, "vkGetBufferMemoryRequirements2": mappable,
          "vkGetDeviceImageMemoryRequirements": mappable, "vkGetDeviceBufferMemoryRequirements": mappable}
World.queues = 0
SPECIAL = {"vkCreateDevice": make_device, "vkGetDeviceQueue2": make_queue}
LAST = ("vkDestroyDevice", "vkDestroyInstance")
FIRST = ("vkCreateInstance", "vkCreateDevice", *LAST)


def queue_handles(world):
    """The driver's queues, in the order the server fetched them."""
    lines = world.log.read_text(errors="replace").split("\n")
    return [int(l.partition(" -> ")[2], 16) for l in lines if l.startswith("vkGetDeviceQueue ")]


def ordinary():
    """Commands that go to the driver as they are."""
    for name, (row, _) in schema().commands.items():
        if not name.endswith("MESA") and name not in ANSWERED and not DESTROYS.match(name) and name not in FIRST:
            yield name


def start(world):
    """Instance, device, a queue."""
    world.offered = offered(world)
    for name in world.offered:
        REACHED.setdefault(name[:-1].decode(), set()).add("enabled with its structs and commands")
    assert len(world.offered) > 100, world.offered
    world.object(T + "DEVICE")
    queue = world.object(T + "QUEUE")
    queue.host = queue_handles(world)[0]


def destroy(world, name):
    """Destroys objects that were made for it, all of them known to nobody else."""
    command = schema().commands[name][1]
    kinds = [schema().registry.handle_type(p.type) for p in command.params[1:] if schema().registry.is_handle(p.type)]
    kept = {k: world.objects.pop(k) for k in kinds if k in world.objects}
    for kind in kinds:
        world.object(kind)
    world.send(name, change=lambda args: use_all(world, command, args))
    for kind in kinds:
        world.objects.pop(kind)
    world.objects.update(kept)


def use_all(world, command, args):
    """Arrays of handles name different objects."""
    for p in command.params:
        if schema().kind(p) == "handles":
            args[p.name] = list(world.objects[schema().registry.handle_type(p.type)])


REACHED = {}


def everything(seed, sparse=False, dma_bufs=False):
    """All commands once, in one world."""
    with World(seed, sparse, dma_bufs=dma_bufs) as world:
        start(world)
        for name in ordinary():
            world.send(name)
        for name in schema().commands:
            if DESTROYS.match(name) and name not in FIRST and not name.endswith("MESA"):
                destroy(world, name)
        for name in LAST:
            world.send(name)
        for name in sorted(ANSWERED - {"vkGetDeviceQueue2"}) if not sparse else ():
            if name == "vkEnumerateInstanceVersion":
                world.send(name)
        for name, tests in world.reached.items():
            REACHED.setdefault(name, set()).update(tests)


def test_every_command_and_struct_arrives_and_returns_as_sent():
    for seed in range(1, 4):
        everything(seed)


def test_what_is_optional_may_be_missing():
    everything(4, sparse=True)


def test_the_same_where_the_driver_has_dma_bufs():
    for seed in (11, 12):
        everything(seed, dma_bufs=True)
    everything(13, sparse=True, dma_bufs=True)


def test_what_the_server_answers_itself():
    with World(5) as world:
        start(world)
        physical = world.object(T + "PHYSICAL_DEVICE")
        version = struct.unpack_from("<IiQI", set_and_ask(world, 137, u64(1)))
        assert version[:3] == (137, 0, 1) and version[3] >> 12 == 0x403, version
        instance = world.objects[T + "INSTANCE"][0]
        listed = set_and_ask(world, 2, u64(instance.guest) + u64(1) + u32(1) + u64(1) + u64(physical.guest))
        assert struct.unpack_from("<IiQIQQ", listed) == (2, 0, 1, 1, 1, physical.guest)
        groups = set_and_ask(world, 143, u64(instance.guest) + u64(1) + u32(1) + u64(1) + u32(1000070000) + u64(0) + u64(32) + bytes(256))
        assert struct.unpack_from("<IiQIQ", groups) == (143, 0, 1, 1, 1) and struct.unpack_from("<IQIQQ", groups, 28) == (
            1000070000, 0, 1, 32, physical.guest), groups[:80].hex()
        semaphore = set_and_ask(world, 163, u64(physical.guest) + u64(1) + u32(1000076000) + u64(0) + u32(16) + u64(1) + u32(1000076001) + u64(0))
        assert struct.unpack_from("<IQIQIII", semaphore) == (163, 1, 1000076001, 0, 16, 16, 3), semaphore[:48].hex()
        fence = set_and_ask(world, 162, u64(physical.guest) + u64(1) + u32(1000112000) + u64(0) + u32(8) + u64(1) + u32(1000112001) + u64(0))
        assert struct.unpack_from("<IQIQIII", fence) == (162, 1, 1000112001, 0, 8, 8, 3), fence[:48].hex()
        buffer = set_and_ask(world, 161, u64(physical.guest) + u64(1) + u32(1000071002) + u64(0) + u32(0) + u32(2) + u32(DMA_BUF)
                             + u64(1) + u32(1000071003) + u64(0))
        assert struct.unpack_from("<IQIQIII", buffer) == (161, 1, 1000071003, 0, 6, DMA_BUF, DMA_BUF), buffer[:48].hex()
        image, device = world.object(T + "IMAGE"), world.object(T + "DEVICE")
        modifier = set_and_ask(world, 187, u64(device.guest) + u64(image.guest) + u64(1) + u32(1000158005) + u64(0))
        assert struct.unpack_from("<IIQIQQ", modifier) == (187, 0, 1, 1000158005, 0, 0), modifier[:48].hex()
        for name in ANSWERED - {"vkGetDeviceQueue2"}:
            REACHED.setdefault(name, set()).add("answers")
        for name in ("VkPhysicalDeviceGroupProperties", "VkPhysicalDeviceExternalSemaphoreInfo", "VkExternalSemaphoreProperties",
                     "VkPhysicalDeviceExternalFenceInfo", "VkExternalFenceProperties", "VkExtensionProperties",
                     "VkPhysicalDeviceExternalBufferInfo", "VkExternalBufferProperties", "VkImageDrmFormatModifierPropertiesEXT"):
            REACHED.setdefault(name, set()).add("answers")


def test_queues_are_those_that_were_asked_for():
    with World(10) as world:
        start(world)
        made = [re.match(r"vkGetDeviceQueue (\d) (\d) -> (\w+)", l) for l in world.log.read_text(errors="replace").split("\n")]
        hosts = {(int(m[1]), int(m[2])): int(m[3], 16) for m in made if m}
        assert len(set(hosts.values())) == 4, hosts
        for number in range(4):  # make_queue() asks for two of each family
            queue = world.object(T + "QUEUE")
            queue.host = hosts[divmod(number, 2)]
            world.send("vkQueueSubmit")  # which looks at the queue, too
            world.objects.pop(T + "QUEUE")
        for name in ("vkGetDeviceQueue2", "VkDeviceQueueInfo2", "VkDeviceQueueTimelineInfoMESA"):
            REACHED.setdefault(name, set()).add("queues")


MADE_OTHERWISE = {T + "INSTANCE", T + "PHYSICAL_DEVICE", T + "DEVICE", T + "QUEUE"}  # their creation always has a reply


def kinds_made_unasked():
    """Types of objects whose creation guests do not wait for."""
    found = []
    for _, command in schema().commands.values():
        found += [schema().registry.handle_type(p.type) for p in command.params if schema().is_output(p) and schema().kind(p) == "handles"]
    return [k for k in dict.fromkeys(found) if k not in MADE_OTHERWISE]


def mentions(value, handles):
    """True if one of @handles is in @value."""
    if isinstance(value, Node):
        return mentions(list(value.values.values()), handles) or mentions(value.chain, handles)
    return any(mentions(v, handles) for v in value) if isinstance(value, list) else any(value is h for h in handles)


def destroyer(kind):
    """(name, command) that destroys objects of that type."""
    for name, (_, command) in schema().commands.items():
        handles = [p for p in command.params[1:] if schema().registry.is_handle(p.type)]
        if re.match("vk(Destroy|Free)", name) and handles and schema().registry.handle_type(handles[-1].type) == kind:
            return name, command
    raise AssertionError(kind)


def unasked(world, name, reply, change=lambda args: None):
    """Sends @name as it comes, without comparison: its arguments, the answer's VkResult, and what the driver was asked, or nothing."""
    row, command = schema().commands[name]
    world.now, world.left_out = name, {"VkImportMemoryResourceInfoMESA", "VkImageDrmFormatModifierExplicitCreateInfoEXT"}
    args = world.arguments(name, command)
    change(args)
    world.new_lines()
    text = world.request(int(row["number"]), command, args)
    world.ring.put(venus.set_reply(world.reply, 0, 1 << 19) + text if reply else text[:4] + u32(0) + text[8:])
    assert world.ring.wait(), f"{name}: fatal: {world.server.errors()[-300:]}"
    asked = [line for line in world.new_lines() if line.split(" ")[0] == name]
    return args, struct.unpack_from("<i", world.memory, 4)[0], asked[-1] if asked else ""


COMMAND_ARRAYS = ("pCommandBuffers", "pCommandBufferInfos", "pCommandBufferDeviceMasks")
COMMAND_COUNTS = ("commandBufferCount", "commandBufferInfoCount")


def without_commands(world, name, args, left_out):
    """What the driver is asked of a submission that goes without these command buffers."""
    for batch in args["pSubmits"]:
        commands = next(batch.values[m] for m in COMMAND_ARRAYS if m in batch.values)
        kept = [i for i, c in enumerate(commands) if not mentions([c], left_out)]
        for node in (batch, *batch.chain):
            node.values.update({m: [node.values[m][i] for i in kept] for m in COMMAND_ARRAYS if m in node.values})
            node.values.update({m: len(kept) for m in COMMAND_COUNTS if m in node.values})
    return world.expected_line(name, schema().commands[name][1], args)


def test_objects_that_could_not_be_made_are_remembered():
    """Guests do not wait for most creations: when one fails in the driver, later uses must fail or be ignored, and nothing else."""
    uses = 0
    with World(15) as world:
        start(world)
        for kind in kinds_made_unasked():
            world.object(kind)
        for kind in kinds_made_unasked():
            creator = World.creator(kind)
            world.fail.write_text(creator)
            command = schema().commands[creator][1]
            args, _, asked = unasked(world, creator, reply=False)
            world.fail.unlink()
            output = next(p.name for p in command.params if schema().is_output(p) and schema().kind(p) == "handles")
            failed, good = args[output], world.objects[kind]
            assert asked and len(failed) in (1, MANY), kind
            world.objects[kind] = failed
            for name in ordinary():
                command = schema().commands[name][1]
                if mentions(list(world.arguments(name, command).values()), failed):
                    args, result, asked = unasked(world, name, reply=True)
                    if kind == T + "COMMAND_BUFFER" and "Submit" in name:  # the rest of it is awaited
                        want = without_commands(world, name, args, failed)
                        assert asked == want, f"{name}: {diff(asked, want)}"
                    else:
                        assert not asked and (command.ret != "VkResult" or result < 0), (kind, name, result, asked)
                    uses += 1
            name, command = destroyer(kind)
            _, _, asked = unasked(world, name, reply=False, change=lambda args, command=command: use_all(world, command, args))
            assert not asked or len(failed) > 1, name  # of several, drivers ignore what is NULL
            world.objects[kind] = good
            world.send("vkQueueSubmit2")  # all else is as it was
        world.send("vkCmdPipelineBarrier2")
    assert uses > 200, uses


def test_what_could_not_be_recorded_is_left_out():
    """Guests do not wait to hear that recording failed: what they submit runs without it, until it is recorded anew."""
    with World(21) as world:
        start(world)
        world.object(T + "COMMAND_BUFFER")
        good, bad = world.objects[T + "COMMAND_BUFFER"][-2:]
        for failing in ("vkEndCommandBuffer", "vkBeginCommandBuffer"):
            world.fail.write_text(failing)
            unasked(world, "vkBeginCommandBuffer", reply=False)
            unasked(world, "vkEndCommandBuffer", reply=False)
            world.fail.unlink()
            for name in ("vkQueueSubmit", "vkQueueSubmit2"):
                args, result, asked = unasked(world, name, reply=True, change=lambda args: some_others(args, bad, good))
                want = without_commands(world, name, args, [bad])
                assert result == 0 and asked == want, f"{name}: {diff(asked, want)}"
            *_, asked = unasked(world, "vkCmdExecuteCommands", reply=False)
            assert not asked, asked
            world.send("vkBeginCommandBuffer")
            world.send("vkEndCommandBuffer")
            for name in ("vkQueueSubmit", "vkQueueSubmit2", "vkCmdExecuteCommands"):
                world.send(name, change=lambda args: some_others(args, bad, good))


def some_others(args, each, other):
    """Names @other in place of @each in the middle of each array of command buffers."""
    for holder in [args, *(batch.values for batch in args.get("pSubmits", ()))]:
        for member in set(COMMAND_ARRAYS[:2]) & set(holder):
            middle = len(holder[member]) // 2
            assert mentions(holder[member], [each])
            if isinstance(holder[member][middle], Node):
                holder[member][middle].values["commandBuffer"] = other
            else:
                holder[member][middle] = other


EDGES = (0, 1, 2, 3, 4, 8, 255, 4095, 4096, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1)


class Oddities:
    """Changes valid arguments into ones that a program should not send, but can: they decode, mostly."""

    def __init__(self, world):
        self.world, self.random = world, world.random

    def some(self, share):
        return self.random.random() < share

    def holder(self, members, values):
        """The parameters of a command, or the members of a struct."""
        for m in members:
            name, value, kind = m.name, values.get(m.name), schema().kind(m)
            if value is None or schema().is_output(m):
                continue
            if m.len and m.len in values and isinstance(values[m.len], int) and self.some(0.15):
                self.resize(members, values, m.len)
            elif m.pointers and self.some(0.05):
                values[name] = None
            elif kind == "scalar" and self.world.count_of(name, members) is None and self.some(0.3):
                values[name] = self.random.choice(EDGES) % (1 << 8 * schema().size(m)[0])
            elif kind == "handle" and self.some(0.15):
                values[name] = self.handle(m)
            else:
                self.inside(values[name])

    def resize(self, members, values, count):
        """All arrays of that length."""
        values[count] = size = self.random.randrange(MANY + 1)
        for m in members:
            if m.len == count and isinstance(values[m.name], (list, bytes)):
                values[m.name] = values[m.name][:size] if size or self.some(0.5) else None

    def handle(self, var):
        known = self.world.objects.get(schema().registry.handle_type(var.type))
        return self.random.choice(known) if known and self.some(0.5) else None

    def inside(self, value):
        """A struct or an array of them."""
        if isinstance(value, list):
            for i, each in enumerate(value):
                if isinstance(each, Handle) and self.some(0.1):
                    value[i] = None
                self.inside(each)
        elif isinstance(value, Node) and "words" not in value.values:
            self.holder(schema().members(value.name), value.values)
            value.chain = [c for c in value.chain if self.some(0.7)]
            self.random.shuffle(value.chain)
            self.inside(value.chain)


def connect_again(world):
    """A new client of the same server, with nothing yet."""
    world.client.close()
    world.others = set(world.logs.iterdir())
    world.client = world.server.client()
    world.ring = world.client.ring()
    world.reply, world.memory = world.client.blob(1 << 20)
    world.objects, world.read, world.queues = {}, 0, 0
    world.send("vkCreateInstance")
    start(world)


def test_odd_arguments_hurt_nobody(**driver):
    """Of each command, many that break Vulkan's rules: the context may end for it, by name, but its process lives and answers."""
    ended = went = 0
    with World(ODD_SEED, **driver) as world:
        world.odd = True
        start(world)
        for name, (row, command) in schema().commands.items():
            if name.endswith("MESA") or name in (*LAST, "vkCreateInstance") or DESTROYS.match(name):
                continue
            for _ in range(ODD_ROUNDS):
                world.now, world.left_out = name, {"VkImportMemoryResourceInfoMESA"}
                args = copy.deepcopy(world.arguments(name, command))
                Oddities(world).holder(command.params, args)
                text = world.request(int(row["number"]), command, args)
                if world.random.random() < 0.1:
                    world.fail.write_text(name)
                world.ring.put(venus.set_reply(world.reply, 0, 1 << 19) + text if world.random.random() < 0.7 else text[:4] + u32(0) + text[8:])
                lives = world.ring.wait()
                world.fail.unlink(missing_ok=True)
                went += lives
                ended += not lives
                if lives:
                    world.new_lines()
                else:
                    connect_again(world)
        errors = world.server.errors()
        assert "signal" not in errors, errors[-3000:]
    print(f"# {went} went on, {ended} ended", flush=True)
    assert went > 2 * ended > 0, (went, ended)


def test_odd_arguments_hurt_nobody_where_the_driver_has_dma_bufs():
    test_odd_arguments_hurt_nobody(dma_bufs=True)


def test_odd_arguments_hurt_nobody_where_images_are_two():
    test_odd_arguments_hurt_nobody(linear=True)


def calls(world):
    """What the driver was asked since the last look."""
    return [line.partition(" ")[0] for line in world.new_lines()]


def test_sync_files_are_emulated():
    with World(6, sparse=True) as world:
        start(world)
        device = world.object(T + "DEVICE")
        world.send("vkCreateSemaphore", change=lambda args: args["pCreateInfo"][0].chain.append(
            Node("VkExportSemaphoreCreateInfo", {"handleTypes": 16})))
        semaphore = world.object(T + "SEMAPHORE")
        fence = world.object(T + "FENCE")
        world.new_lines()
        world.ring.put(u32(246) + u32(0) + u64(device.guest) + u64(1) + u32(stypes()["VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_RESOURCE_INFO_MESA"])
                       + u64(0) + u64(semaphore.guest) + u32(0))
        assert world.ring.wait()
        submit = schema().commands["vkQueueSubmit"]
        args = world.arguments("vkQueueSubmit", submit[1])
        args["submitCount"], args["pSubmits"], args["fence"] = 1, args["pSubmits"][:1], None
        batch = args["pSubmits"][0].values
        batch.update(waitSemaphoreCount=1, pWaitSemaphores=[semaphore], pWaitDstStageMask=[1], signalSemaphoreCount=1, pSignalSemaphores=[semaphore],
                     commandBufferCount=0, pCommandBuffers=None)
        world.ring.put(u32(18) + u32(0) + world.request(18, submit[1], args)[8:])
        assert world.ring.wait()
        line = world.new_lines()[-1]
        assert f"[VkSubmitInfo{{0 [] [] 0 ~ 1 [@{semaphore.host:x}]}}]" in line, line  # no wait left, the signal is
        world.ring.put(u32(245) + u32(0) + u64(device.guest) + u64(semaphore.guest))
        assert world.ring.wait()
        line = world.new_lines()[-1]
        queue = queue_handles(world)[0]
        assert line.startswith(f"vkQueueSubmit @{queue:x} 1 [VkSubmitInfo{{1 [@{semaphore.host:x}]"), line  # consumed where it is signalled
        world.ring.put(u32(244) + u32(0) + u64(device.guest) + u64(fence.guest) + u32(38) + u32(0) + u64(device.guest) + u64(fence.guest))
        assert world.ring.wait()
        assert calls(world) == ["vkWaitForFences", "vkResetFences", "vkGetFenceStatus"]
        for name in ("vkImportSemaphoreResourceMESA", "vkWaitSemaphoreResourceMESA", "vkResetFenceResourceMESA", "VkImportSemaphoreResourceInfoMESA"):
            REACHED.setdefault(name, set()).add("sync files")


def test_memory_is_imported_through_its_resource():
    with World(7, sparse=True) as world:
        start(world)
        device, memory = world.object(T + "DEVICE"), world.object(T + "DEVICE_MEMORY")
        resource, _ = world.client.blob(8192, memory.guest)
        kinds = {n: stypes()[schema().struct(n).stype] for n in (
            "VkMemoryResourcePropertiesMESA", "VkMemoryResourceAllocationSizePropertiesMESA")}
        head = u64(1) + u32(kinds["VkMemoryResourcePropertiesMESA"]) + u64(1) + u32(kinds["VkMemoryResourceAllocationSizePropertiesMESA"]) + u64(0)
        reply = set_and_ask(world, 192, u64(device.guest) + u32(resource) + head)
        assert reply[:8 + len(head)] == u32(192) + u32(0) + head, reply[:64].hex()
        assert struct.unpack_from("<QI", reply, 8 + len(head)) == (8192, 3), reply[:64].hex()
        world.send("vkAllocateMemory", change=lambda args: args["pAllocateInfo"][0].chain.append(
            Node("VkImportMemoryResourceInfoMESA", {"resourceId": resource})))
        for name in ("vkGetMemoryResourcePropertiesMESA", "VkImportMemoryResourceInfoMESA", *kinds):
            REACHED.setdefault(name, set()).add("memory import")


def image_by_modifier(*layouts):
    """Changes vkCreateImage: modifier tiling, chosen from a list or as somebody else laid its planes out."""
    def change(args):
        info = args["pCreateInfo"][0]
        info.values["tiling"], info.values["format"] = MODIFIER_TILING, 37
        info.chain = [Node("VkExternalMemoryImageCreateInfo", {"handleTypes": DMA_BUF})]
        if not layouts:
            info.chain.append(Node("VkImageDrmFormatModifierListCreateInfoEXT", {"drmFormatModifierCount": 2, "pDrmFormatModifiers": [77, 0]}))
        else:
            info.chain.append(Node("VkImageDrmFormatModifierExplicitCreateInfoEXT", {
                "drmFormatModifier": 0, "drmFormatModifierPlaneCount": len(layouts),
                "pPlaneLayouts": [Node("VkSubresourceLayout", layout) for layout in layouts]}))
    return change


def create(world, name, change):
    """A creation without the usual comparison; returns (VkResult, what the driver was asked)."""
    row, command = schema().commands[name]
    world.now, world.left_out = name, set()
    args = world.arguments(name, command)
    change(args)
    world.new_lines()
    world.memory[:64] = bytes(64)
    reply = set_and_ask(world, int(row["number"]), world.request(int(row["number"]), command, args)[8:])
    return struct.unpack_from("<Ii", reply)[1], world.new_lines()


def usual_usage(features):
    """What every image that is shared is made for, if linear images have @features."""
    return (features & 1) << 2 | (features >> 14 & 3) | (features >> 7 & 1) << 4  # sampled; transfer, both ways; drawn to


def test_images_have_the_linear_modifier():
    with World(8, sparse=True) as world:
        start(world)
        wanted = []
        result, lines = create(world, "vkCreateImage", lambda args: (image_by_modifier()(args), wanted.append(args["pCreateInfo"][0].values["usage"])))
        assert result == 0 and [l.split()[0] for l in lines] == ["vkGetPhysicalDeviceFormatProperties2", "vkCreateImage"], (result, lines)
        words = lines[1].split("VkImageCreateInfo{")[1].split()
        features = Noise(schema(), int(schema().commands["vkGetPhysicalDeviceFormatProperties2"][0]["number"]) << 16).bits(4)
        assert "<" not in lines[1] and words[9] == "1", lines  # linear tiling
        assert int(words[10], 16) == wanted[0] | usual_usage(features) != wanted[0], (words[10], wanted, features)
        noise = Noise(schema(), 56 << 16)
        layout = {m: noise.bits(8) for m in ("offset", "size", "rowPitch", "arrayPitch", "depthPitch")}
        result, lines = create(world, "vkCreateImage", image_by_modifier(layout))
        assert result == 0 and [l.split()[0] for l in lines][1:] == ["vkCreateImage", "vkGetImageSubresourceLayout"], (result, lines)
        for member in ("offset", "rowPitch"):
            result, lines = create(world, "vkCreateImage", image_by_modifier({**layout, member: layout[member] + 64}))
            assert result == -1000158000, result  # VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT
            assert lines[-1].startswith("vkDestroyImage "), lines
        result, lines = create(world, "vkCreateImage", lambda args: (image_by_modifier()(args),
                               args["pCreateInfo"][0].chain[-1].values.update(pDrmFormatModifiers=[77, 78])))
        assert result == -1000158000 and not lines, (result, lines)
        device, image = world.object(T + "DEVICE"), world.object(T + "IMAGE")
        set_and_ask(world, 56, u64(device.guest) + u64(image.guest) + u64(1) + u32(MEMORY_PLANE_0) + u32(0) + u32(0) + u64(1))
        assert "VkImageSubresource{1 0 0}" in world.new_lines()[-1]


def handles(line):
    """Those in a line of the driver's, in order."""
    return re.findall(r"@(\w+)", line)


def hand_over(world, name, before, src, dst):
    """A barrier of the newest image alone from queue family to queue family: the lines that the driver wrote."""
    row, command = schema().commands[name]
    world.now = name
    args = world.arguments(name, command)
    owner = args if name == "vkCmdPipelineBarrier" else args["pDependencyInfo"][0].values
    for kind in ("memory", "bufferMemory"):
        owner[f"{kind}BarrierCount"], owner[f"p{kind[0].upper()}{kind[1:]}Barriers"] = 0, None
    owner["imageMemoryBarrierCount"], owner["pImageMemoryBarriers"] = 1, owner["pImageMemoryBarriers"][:1]
    owner["pImageMemoryBarriers"][0].values.update(oldLayout=before, newLayout=LATER, srcQueueFamilyIndex=src, dstQueueFamilyIndex=dst)
    world.new_lines()
    world.ring.put(u32(int(row["number"])) + u32(0) + world.request(int(row["number"]), command, args)[8:])
    assert world.ring.wait(), world.server.errors()
    return world.new_lines()


GENERAL, COPY_SRC, COPY_DST, LATER, IGNORED, FOREIGN = 1, 6, 7, 5, 0xffffffff, 0xfffffffd


def barriers_of(line):
    """(layout before, after, families, image) of each image in a barrier that the driver was asked for."""
    form = r"VkImageMemoryBarrier2?\{(?:\w+ )*?(\w+) (\w+) (\w+) (\w+) @(\w+) VkImage"
    return [(int(b, 16), int(a, 16), (int(s, 16), int(d, 16)), i) for b, a, s, d, i in re.findall(form, line)]


def test_images_that_cannot_be_drawn_to_where_they_are_shared_are_two():
    """One is drawn to, the other is bound and shared; where the program hands it over, or takes it back, the one is copied to the other."""
    with World(8, sparse=True, linear=True) as world:
        start(world)
        result, lines = create(world, "vkCreateImage", lambda args: (image_by_modifier()(args), args["pCreateInfo"][0].values.update(usage=0x10)))
        lines = lines[2:]  # what linear images can do
        assert result == 0 and [l.split()[0] for l in lines] == ["vkCreateImage", "vkCreateImage", "vkAllocateMemory", "vkBindImageMemory2"], (result, lines)
        linear, drawn = (l.split(" -> ")[1] for l in lines[:2])
        tiling, usage = zip(*((int(w[9]), int(w[10], 16)) for w in (l.split("VkImageCreateInfo{")[1].split() for l in lines[:2])))
        assert tiling == (1, 0) and usage[0] & 0x10 and usage[1] & 0x13 == 0x13, lines  # linear, optimal; drawn to, copied from and to
        assert handles(lines[3])[1] == drawn, lines
        image = world.objects[T + "IMAGE"] = [Handle(T + "IMAGE", world.next_id, int(drawn, 16))]
        for name in ("vkCmdPipelineBarrier", "vkCmdPipelineBarrier2"):
            first, opened, copied, closed = hand_over(world, name, LATER, 0, FOREIGN)
            assert barriers_of(first) == [(LATER, COPY_SRC, (IGNORED, IGNORED), drawn)], first
            assert barriers_of(opened) == [(0, COPY_DST, (IGNORED, IGNORED), linear)], opened
            assert copied.startswith("vkCmdCopyImage ") and handles(copied)[1:] == [drawn, linear], copied
            assert barriers_of(closed) == [(COPY_DST, GENERAL, (IGNORED, IGNORED), linear), (COPY_SRC, LATER, (IGNORED, IGNORED), drawn)], closed
            first, opened, copied, closed = hand_over(world, name, LATER, FOREIGN, 0)
            assert barriers_of(first) == [(0, COPY_DST, (IGNORED, IGNORED), drawn)], first
            assert barriers_of(opened) == [(GENERAL, COPY_SRC, (IGNORED, IGNORED), linear)], opened
            assert copied.startswith("vkCmdCopyImage ") and handles(copied)[1:] == [linear, drawn], copied
            assert barriers_of(closed) == [(COPY_SRC, GENERAL, (IGNORED, IGNORED), linear), (COPY_DST, LATER, (IGNORED, IGNORED), drawn)], closed
            alone, = hand_over(world, name, 0, FOREIGN, 0)  # nobody wants what is in it
            assert barriers_of(alone) == [(0, LATER, (IGNORED, IGNORED), drawn)], alone
            alone, = hand_over(world, name, LATER, 0, 0)  # it stays here
            assert barriers_of(alone) == [(LATER, LATER, (0, 0), drawn)], alone
        row, command = schema().commands["vkBindImageMemory2"]
        world.now = "vkBindImageMemory2"
        args = world.arguments("vkBindImageMemory2", command)
        world.new_lines()
        set_and_ask(world, int(row["number"]), world.request(int(row["number"]), command, args)[8:])
        assert handles(world.new_lines()[-1])[1::2] == MANY * [linear]
        row, command = schema().commands["vkDestroyImage"]
        world.now = "vkDestroyImage"
        world.ring.put(u32(int(row["number"])) + u32(0) + u64(world.object(T + "DEVICE").guest) + u64(image[0].guest) + u64(0))
        assert world.ring.wait()
        gone = [(l.split()[0], handles(l)[1]) for l in world.new_lines()]
        assert [n for n, _ in gone] == ["vkDestroyImage", "vkDestroyImage", "vkFreeMemory"] and {h for _, h in gone[:2]} == {linear, drawn}, gone
        result, lines = create(world, "vkCreateImage", lambda args: (image_by_modifier()(args), args["pCreateInfo"][0].values.update(usage=4)))
        assert result == 0 and [l.split()[0] for l in lines].count("vkCreateImage") == 1, lines  # not drawn to


def test_imports_into_a_driver_with_dma_bufs_have_its_own_layout():
    with World(14, sparse=True, dma_bufs=True) as world:
        start(world)
        noise = Noise(schema(), 56 << 16)
        layout = {m: noise.bits(8) for m in ("offset", "size", "rowPitch", "arrayPitch", "depthPitch")}
        result, lines = create(world, "vkCreateImage", image_by_modifier(layout, layout))
        assert result == 0 and [l.split()[0] for l in lines] == ["vkCreateImage"] + 2 * ["vkGetImageSubresourceLayout"], (result, lines)
        planes = f"VkSubresourceLayout{{{' '.join(f'{v:x}' for v in layout.values())}}}"
        assert f"VkImageDrmFormatModifierExplicitCreateInfoEXT{{0 2 [{planes} {planes}]}}" in lines[0], lines[0]
        assert [re.search(r"VkImageSubresource\{(\w+)", l).group(1) for l in lines[1:]] == ["80", "100"], lines
        result, lines = create(world, "vkCreateImage", image_by_modifier(layout, {**layout, "rowPitch": layout["rowPitch"] + 64}))
        assert result == -1000158000 and lines[-1].startswith("vkDestroyImage "), (result, lines)
        result, lines = create(world, "vkCreateImage", image_by_modifier(*5 * [layout]))
        assert result == -1000158000 and not lines, (result, lines)


def external_queues_are_seen(without):
    with World(9, without=without) as world:
        start(world)
        for name, info in (("vkCmdPipelineBarrier", None), ("vkCmdPipelineBarrier2", "pDependencyInfo"), ("vkCmdWaitEvents", None),
                           ("vkCmdWaitEvents2", "pDependencyInfos"), ("vkCmdSetEvent2", "pDependencyInfo")):
            row, command = schema().commands[name]
            world.now = name
            args = world.arguments(name, command)
            owners = [args] if not info else [n.values for n in args[info]]
            for barrier in (b for o in owners for b in o["pBufferMemoryBarriers"] + o["pImageMemoryBarriers"]):
                barrier.values.update(srcQueueFamilyIndex=0xfffffffd, dstQueueFamilyIndex=0xfffffffd)
            world.ring.put(u32(int(row["number"])) + u32(0) + world.request(int(row["number"]), command, args)[8:])
            assert world.ring.wait()
            line = world.new_lines()[-1]
            assert line.startswith(name + " ") and line.count("fffffffe fffffffe") >= 4 and "fffffffd" not in line, line


def test_drivers_without_foreign_queues_see_external_ones():
    external_queues_are_seen("VK_EXT_queue_family_foreign")


def test_drivers_that_are_not_told_of_foreign_queues_see_external_ones():
    """Where sharing is emulated the driver may know them, but its device is made without."""
    external_queues_are_seen("")


def sent_structs():
    """Structs that a command of today's guests can carry."""
    found, todo = set(), [p.type for _, command in schema().commands.values() for p in command.params]
    while todo:
        name = schema().registry.resolve(todo.pop())
        if name in schema().struct_rows and name not in found:
            found.add(name)
            todo += [m.type for m in schema().struct(name).members] + schema().children(name, False) + schema().children(name, True)
    return found


# Extensions that a device never offers, and why.
NOT_OFFERED = {
    "VK_EXT_command_serialization": "the protocol's own", "VK_MESA_venus_protocol": "the protocol's own",
    "VK_EXT_external_memory_acquire_unmodified": "not offered: what it tells drivers is not true of emulated dma-bufs",
}


# Reached by tests of test_vtest.py.
VTEST = {
    "test_ring_answers": "vkSetReplyCommandStreamMESA VkCommandStreamDescriptionMESA vkCreateRingMESA VkRingCreateInfoMESA",
    "test_streams_are_executed_from_shared_memory": "vkExecuteCommandStreamsMESA VkCommandStreamDependencyMESA",
    "test_ring_wakes_from_idle_and_wraps": "vkNotifyRingMESA", "test_rings_end_on_request": "vkDestroyRingMESA",
    "test_monitored_rings_are_said_to_live": "VkRingMonitorInfoMESA", "test_rings_run_at_their_priority": "VkRingPriorityInfoMESA",
    "test_bad_ring_contents_are_fatal": "VkCommandStreamDependencyMESA",
    "test_virtqueue_and_ring_wait_for_each_other": "vkSubmitVirtqueueSeqnoMESA vkWaitVirtqueueSeqnoMESA vkWaitRingSeqnoMESA",
}


def test_nothing_is_untested():
    """The table of what was reached; all that guests can send and this registry knows must be in it."""
    elsewhere = {name: test[5:] for test, names in VTEST.items() for name in names.split()}
    for test in VTEST:
        assert f"def {test}(" in Path(__file__).with_name("test_vtest.py").read_text(), test
    lines, missing = ["| command, struct or extension | reached by |", "|---|---|"], []

    def row(name, known):
        tests = sorted(REACHED.get(name, ())) or ([elsewhere[name]] if name in elsewhere else [])
        if not tests and known:
            missing.append(name)
        why = "guests never send it" if known is None else "not in this registry" if not known else ""
        shown = "; ".join(tests[:6]) + (f" and {len(tests) - 6} more" if len(tests) > 6 else "")
        lines.append(f"| {name} | {shown or why} |")

    for each in schema().command_rows:
        if each["sent_by_mesa_25_0_7"] != "no":
            row(each["command"], each["command"] in schema().commands)
    sent = sent_structs()
    for name in sorted(r["struct"] for r in rows("structs.csv")):
        resolved = schema().registry.resolve(name)
        if resolved and resolved != name:
            REACHED.setdefault(name, set()).update(REACHED.get(resolved, ()))
        row(name, False if not resolved else True if resolved in sent else None)
    for each in rows("extensions.csv"):
        name, known = each["name"], each["name"] in schema().registry.extensions
        if known and name not in REACHED:
            elsewhere[name] = NOT_OFFERED[name]
        elif not known and name in NOT_OFFERED:
            elsewhere[name] = NOT_OFFERED[name]
        row(name, known)
    (venus.BUILD / "venus-coverage.md").write_text("\n".join(lines) + "\n")
    assert not missing, missing[:20]


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
