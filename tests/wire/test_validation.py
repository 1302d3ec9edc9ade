#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Valid programs do not make the server tell its driver anything invalid: the Khronos validation layer listens between the two.

It checks synchronization, too.  Run with the host's driver and layer, and with newer ones, which know more rules.
"""
import collections
import contextlib
import functools
import os
import re
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import mesa  # noqa: E402
import test_windows as windows  # noqa: E402
import venus  # noqa: E402
from aptroot import AptError  # noqa: E402
from venus import Server  # noqa: E402

LAYER = "VK_LAYER_KHRONOS_validation"
MANIFESTS = Path("/usr/share/vulkan/explicit_layer.d")
SETTINGS = """khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.report_flags = error
khronos_validation.log_filename = stdout
khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
khronos_validation.validate_sync = true
"""
SCENE = (str(venus.BUILD / "images/vkscene/vkscene"), "--frames", "12", "--hash-every", "6")
VKMEMORY, VKCLAIMS = (str(venus.BUILD / "tests/wire" / name) for name in ("vkmemory", "vkclaims"))

# What the layer does say, by program: the rule in the words of both layers, how often, and why.
EXPLAINED = {
    # Its texture has data before its first use (VK_IMAGE_LAYOUT_PREINITIALIZED).  Such images must not name a handle
    # (VUID-VkImageCreateInfo-pNext-01443), so there is no valid way to bind them to memory that is imported, as all that guests map is.
    "vkcube": [(r"VUID-VkBindImageMemoryInfo-memory-(02729|02989)", 1)],
}


@functools.cache
def newer_mesa():
    """For the programs."""
    try:
        return mesa.Mesa()
    except AptError as error:
        raise tap.Skip(str(error)) from error


def installed():
    """How to run oriel-gpu on the host's driver, with the layer that is installed."""
    if not (MANIFESTS / "VkLayer_khronos_validation.json").exists():
        raise tap.Skip("the package vulkan-validationlayers is not installed")
    return {"env": {"VK_LAYER_PATH": str(MANIFESTS)}}


@functools.cache
def newer():
    """The same with the newer Mesa's lavapipe, and the layer of its time."""
    try:
        host = mesa.lavapipe()
    except AptError as error:
        raise tap.Skip(str(error)) from error
    serve = host.serve()
    return {**serve, "env": {**serve["env"], "VK_LAYER_PATH": str(host.dir / "root" / MANIFESTS.relative_to("/"))}}


def check(program, said):
    """All of what the layer said is explained, and it said all that is."""
    rules = collections.Counter(re.findall(r"Validation Error: \[ ([\w-]+) \]", said))
    assert rules or not said.strip(), said[:2000]
    for pattern, times in EXPLAINED.get(program, ()):
        seen = [r for r in rules if re.fullmatch(pattern, r)]
        assert sum(rules.pop(r) for r in seen) == times, (pattern, said[:2000])
    assert not rules, f"{program}: {dict(rules)}\n{said[:2000]}"


@contextlib.contextmanager
def validated(program, serve, below=()):
    """A server that the layer listens to; fails at the end if it heard what is not explained.  @below: our own layers, nearer to the driver."""
    with tempfile.TemporaryDirectory() as folder:
        settings, said = Path(folder, "vk_layer_settings.txt"), Path(folder, "said")
        settings.write_text(SETTINGS, encoding="utf-8")
        env = {**serve["env"], "VK_LAYER_SETTINGS_PATH": str(settings), "VK_INSTANCE_LAYERS": ":".join((LAYER, *below))}
        env["VK_LAYER_PATH"] += f":{venus.BUILD.resolve() / 'tests/wire'}"
        with open(said, "w", encoding="utf-8") as out, Server(**{**serve, "env": env}, stdout=out) as server:
            yield server
            errors = server.errors()
        assert "context ended" not in errors, errors
        check(program, said.read_text(encoding="utf-8"))


def programs(serve, below=()):
    """Those that have nothing to explain."""
    perf = ("", "no_fence_feedback,no_semaphore_feedback,no_event_feedback,no_query_feedback",
            "no_async_set_alloc,no_async_buffer_create,no_async_queue_submit,no_async_mem_alloc,no_async_image_create,no_cmd_batching,no_multi_ring")
    with validated("vkscene", serve, below) as server:
        for options in perf:
            newer_mesa().run(server.path, *SCENE, VN_PERF=options)
        threads = [threading.Thread(target=newer_mesa().run, args=(server.path, *SCENE)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with validated("vkclaims", serve, below) as server:
        newer_mesa().run(server.path, VKCLAIMS)
    with validated("vkmemory", serve, below) as server:
        newer_mesa().run(server.path, VKMEMORY, "odd", "50")


def cube(serve):
    """In a window; its one image that is not explained away tells that the layer is there and heard."""
    newer_mesa()
    with validated("vkcube", serve) as server, windows.Screen() as screen:
        screen.last_frame(lambda **env: newer_mesa().start(server.path, *windows.CUBE, MESA_VK_WSI_DEBUG="sw", **env))


def test_programs_stay_valid():
    programs(installed())


def test_programs_stay_valid_by_newer_rules():
    programs(newer())


def test_programs_stay_valid_on_a_gpu_with_memory_of_its_own():
    programs(installed(), below=("VK_LAYER_ORIEL_discrete",))


def test_windows_break_one_rule_that_is_explained():
    cube(installed())


def test_windows_break_no_other_of_the_newer_rules():
    cube(newer())


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
