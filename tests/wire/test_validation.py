#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Valid programs do not make the server tell its driver anything invalid: the Khronos validation layer listens between the two.

It checks synchronization, too.  Run with the host's driver and layer, and with newer ones, which know more rules.
"""
import concurrent.futures
import contextlib
import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import mesa  # noqa: E402
import test_windows as windows  # noqa: E402
import validation  # noqa: E402
import venus  # noqa: E402

SCENE = (str(venus.BUILD / "images/vkscene/vkscene"), "--frames", "12", "--hash-every", "6")
VKMEMORY, VKCLAIMS = (str(venus.BUILD / "tests/wire" / name) for name in ("vkmemory", "vkclaims"))


def installed():
    """How to run oriel-gpu on the host's driver, and where the layer is."""
    return {}, validation.installed()


@functools.cache
def newer():
    """The same with the newer Mesa's lavapipe, and the layer of its time."""
    host = mesa.lavapipe()
    return host.serve(), host.dir / "root" / validation.MANIFESTS.relative_to("/")


@contextlib.contextmanager
def validated(program, host, below=()):
    """A server that the layer listens to while @program runs."""
    serve, manifests = host
    with validation.listening(program, manifests, below) as env, \
         venus.Server(**{**serve, "env": {**serve.get("env", {}), **env}}) as server:
        yield server
        assert "context ended" not in server.errors(), server.errors()


def programs(host, below=()):
    """Those that have nothing to explain."""
    perf = ("", "no_fence_feedback,no_semaphore_feedback,no_event_feedback,no_query_feedback",
            "no_async_set_alloc,no_async_buffer_create,no_async_queue_submit,no_async_mem_alloc,no_async_image_create,no_cmd_batching,no_multi_ring")
    with validated("vkscene", host, below) as server:
        for options in perf:
            mesa.newer().run(server.path, *SCENE, VN_PERF=options)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda _: mesa.newer().run(server.path, *SCENE), range(2)))
    with validated("vkclaims", host, below) as server:
        mesa.newer().run(server.path, VKCLAIMS)
    with validated("vkmemory", host, below) as server:
        mesa.newer().run(server.path, VKMEMORY, "odd", "50")


def cube(host):
    """In a window; the rule that it breaks tells that the layer is there and heard."""
    mesa.newer()
    with validated("vkcube", host) as server, windows.Screen() as screen:
        screen.last_frame(lambda **env: mesa.newer().start(server.path, *windows.CUBE, MESA_VK_WSI_DEBUG="sw", **env))


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
