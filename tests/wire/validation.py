# SPDX-License-Identifier: Apache-2.0
"""The Khronos validation layer between oriel-gpu and its driver, and which of its messages are explained."""
import collections
import contextlib
import os
import re
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import venus  # noqa: E402

LAYER = "VK_LAYER_KHRONOS_validation"
MANIFESTS = Path("/usr/share/vulkan/explicit_layer.d")
SETTINGS = """khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.report_flags = error
khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
khronos_validation.validate_sync = true
khronos_validation.log_filename = """
END = b"\0end"

# vkcube's texture has data before its first use (VK_IMAGE_LAYOUT_PREINITIALIZED).  Such images must not name a handle
# (VUID-VkImageCreateInfo-pNext-01443), so there is no valid way to bind them to memory that is imported or exported, as all that guests map is.
PREINITIALIZED = (r"VUID-VkBindImageMemoryInfo-memory-(02728|02729|02989)", 1, 1)
# Zink asks about a format that the driver does not know (VK_FORMAT_A1B5G5R5_UNORM_PACK16).
FORMAT = (r"VUID-vkGetPhysicalDeviceFormatProperties2-format-parameter", 0, 2)
# An image that is imported is in the layout in which another program gave it away, which the older layer does not believe.
IMPORTED = (r"UNASSIGNED-CoreValidation-DrawState-InvalidImageLayout", 0, 3)
# The older layer does not know VK_NV_linear_color_attachment, by which linear images are drawn to there ...
LINEAR = (r"VUID-VkImageViewCreateInfo-usage-02276", 0, 100)
# ... nor that pipeline libraries without a fragment output interface, which Zink makes on GPUs alone, have no formats: what is there is noise.
LIBRARY = (r"VUID-VkGraphicsPipelineCreateInfo-renderPass-06585", 0, 10)
# What the layer says, by what is run: the rule in the words of the older and the newer layer, how often at least, and at most.
EXPLAINED = {
    "vkcube": [PREINITIALIZED], "vkshare": [IMPORTED], "desktop": [PREINITIALIZED, FORMAT],
    "desktop on a discrete GPU": [PREINITIALIZED, FORMAT, LINEAR, LIBRARY],
}


def installed():
    """Where the installed layer's manifest is, or a skip."""
    if not (MANIFESTS / "VkLayer_khronos_validation.json").exists():
        raise tap.Skip("the package vulkan-validationlayers is not installed")
    return MANIFESTS


def check(name, said):
    """All of what the layer said is explained, and it said all that is: else it was not there."""
    rules = collections.Counter(re.findall(r"Validation Error: \[ ([\w-]+) \]", said))
    assert rules or not said.strip(), said[:2000]
    for pattern, least, most in EXPLAINED.get(name, ()):
        times = sum(rules.pop(r) for r in list(rules) if re.fullmatch(pattern, r))
        assert least <= times <= most, f"{name}: {pattern}: {times} times\n{said[:2000]}"
    assert not rules, f"{name}: {dict(rules)}\n{said[:2000]}"


def read_all(fd, into):
    """What is written to the pipe, by any process, until END."""
    while not into.endswith(END):
        into += os.read(fd, 65536)


@contextlib.contextmanager
def listening(name, manifests, below=()):
    """The environment of servers that the layer listens to while @name is run; fails at the end if it heard what is not explained.

    @manifests: where the layer is; @below: layers of ours, nearer to the driver; nearest are those that are in use already.
    """
    layers = [LAYER, *below, *os.environ.get("VK_INSTANCE_LAYERS", "").split(":")]
    paths = [str(manifests), str(venus.BUILD.resolve() / "tests/wire"), *os.environ.get("VK_LAYER_PATH", "").split(":")]
    with tempfile.TemporaryDirectory() as folder:
        pipe, settings, said = Path(folder, "pipe"), Path(folder, "vk_layer_settings.txt"), bytearray()
        settings.write_text(f"{SETTINGS}{pipe}\n", encoding="utf-8")
        os.mkfifo(pipe)
        fd = os.open(pipe, os.O_RDWR)
        reader = threading.Thread(target=read_all, args=(fd, said))
        reader.start()
        try:
            yield {"VK_LAYER_SETTINGS_PATH": str(settings), "VK_INSTANCE_LAYERS": ":".join(filter(None, layers)),
                   "VK_LAYER_PATH": ":".join(filter(None, paths))}
        finally:
            os.write(fd, END)
            reader.join()
            os.close(fd)
        check(name, said[:-len(END)].decode(errors="replace"))
