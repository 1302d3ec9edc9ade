#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mesa's own Venus driver against oriel-gpu over vtest: the host's device, Vulkan 1.3, exact pictures."""
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tap  # noqa: E402
import mesa  # noqa: E402
import venus  # noqa: E402
import vulkaninfo  # noqa: E402
from processes import anonymous_mib, children  # noqa: E402
from venus import Server  # noqa: E402

SCENE = str(venus.BUILD / "images/vkscene/vkscene")
FRAMES = ("--frames", "24", "--hash-every", "6")


@functools.cache
def native():
    """The scene on the host's own driver."""
    out = subprocess.run([SCENE, *FRAMES], capture_output=True, text=True, check=True, timeout=120).stdout
    return json.loads(out.splitlines()[-1])


def scene(server, *args, **env):
    """The scene through Venus; its report."""
    return json.loads(mesa.newer().run(server.path, SCENE, *FRAMES, *args, **env).splitlines()[-1])


def probed(env):
    """The first device, as the server sees it."""
    out = subprocess.run([str(venus.SERVER), "--probe"], env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout
    return json.loads(out)["devices"][0]


def test_vulkaninfo_shows_the_hosts_device_with_vulkan_1_3():
    with Server() as server:
        out = mesa.newer().run(server.path, "vulkaninfo", "--summary")
    assert f"Virtio-GPU Venus ({probed({})['name']})" in out, out
    assert re.search(r"apiVersion\s+= 1\.3\.", out), out


def test_vulkaninfo_differs_from_the_hosts_only_as_explained():
    with Server() as server:
        out = mesa.newer().run(server.path, "vulkaninfo")
        assert "VK_KHR_synchronization2" in out and "VkPhysicalDeviceVulkan13Features" in out
        assert "dropped" not in server.errors() and "context ended" not in server.errors(), server.errors()
    vulkaninfo.check(vulkaninfo.of_the_host(mesa.newer()), out, "vtest")


def test_scene_is_the_hosts_to_the_last_bit():
    with Server() as server:
        report = scene(server)
        assert report["device"].startswith("Virtio-GPU Venus") and report["api"].startswith("1.3"), report
        assert report["hashes"] == native()["hashes"], report
        assert server.errors() == "", server.errors()


def test_scene_without_feedback_or_batching():
    """Fences, semaphores and queries are then asked for by calls, and each call travels alone."""
    perf = ("no_fence_feedback,no_semaphore_feedback,no_event_feedback,no_query_feedback",
            "no_async_set_alloc,no_async_buffer_create,no_async_queue_submit,no_async_mem_alloc,no_async_image_create",
            "no_cmd_batching,no_multi_ring")
    with Server() as server:
        for options in perf:
            assert scene(server, VN_PERF=options)["hashes"] == native()["hashes"], options
        assert server.errors() == "", server.errors()


def test_the_newest_mesa_speaks_our_revision_of_the_protocol():
    """It knows commands and extensions that we do not: the capability mask says so, and it does without."""
    newest = mesa.Mesa("sid")
    assert newest.version != mesa.newer().version, newest.version
    with Server() as server:
        out = newest.run(server.path, "vulkaninfo", "--summary")
        assert re.search(r"apiVersion\s+= 1\.3\.", out), out
        report = json.loads(newest.run(server.path, SCENE, *FRAMES).splitlines()[-1])
        assert report["hashes"] == native()["hashes"], report
        assert server.errors() == "", server.errors()


@functools.cache
def newer_host():
    """lavapipe of the newer Mesa; it has extensions that the host's own lacks, and its pictures differ from the older one's."""
    return mesa.lavapipe().serve()


def test_a_newer_host_driver_says_the_same_with_and_without_oriel():
    serve = newer_host()
    with Server(**serve) as server:
        out = mesa.newer().run(server.path, "vulkaninfo")
    vulkaninfo.check_newer(vulkaninfo.run(serve["wrap"], mesa.newer(), serve["env"]), out, "vtest", "newer")


def test_a_newer_host_driver_draws_the_same_with_and_without_oriel():
    serve = newer_host()
    alone = subprocess.run([*serve["wrap"], SCENE, *FRAMES], env={**os.environ, **serve["env"]}, capture_output=True, text=True, timeout=120,
                           check=True).stdout
    with Server(**serve) as server:
        report = scene(server)
        assert "LLVM 19" in report["device"], report["device"]
        assert report["hashes"] == json.loads(alone.splitlines()[-1])["hashes"], report
        assert "all claims are true" in mesa.newer().run(server.path, VKCLAIMS)
        assert server.errors() == "", server.errors()


VKMEMORY = str(venus.BUILD / "tests/wire/vkmemory")
VKCLAIMS = str(venus.BUILD / "tests/wire/vkclaims")


def test_what_is_offered_is_true_and_what_is_not_is_refused():
    with Server() as server:
        out = mesa.newer().run(server.path, VKCLAIMS)
        assert out.endswith("all claims are true\n"), out
        assert server.errors() == "", server.errors()


def test_odd_pieces_of_memory_are_their_owners_alone():
    with Server() as server:
        out = mesa.newer().run(server.path, VKMEMORY, "odd", "400")
        assert re.search(r"odd: \d{3} pieces", out), out
        assert server.errors() == "", server.errors()


def test_the_end_of_memory_is_an_error_and_passes():
    with Server("--memory-limit", "256") as server:
        out = mesa.newer().run(server.path, VKMEMORY, "fill", str(32 << 20))
        assert re.search(r"fill: [67] pieces, then VkResult -[125]\nfill: there is room again", out), out
        assert server.errors() == "", server.errors()


def test_programs_share_one_limit_and_get_back_what_others_had():
    with Server("--memory-limit", "256") as server:
        for end in ("terminate", "kill"):
            with mesa.newer().start(server.path, VKMEMORY, "hold", str(160 << 20)) as first:
                try:
                    assert first.stdout.readline() == "there\n"
                    out = mesa.newer().run(server.path, VKMEMORY, "fill", str(32 << 20))
                finally:
                    getattr(first, end)()
            assert re.search(r"fill: [12] pieces, then VkResult -[125]\nfill: there is room again", out), out
            out = mesa.newer().run(server.path, VKMEMORY, "fill", str(32 << 20))
            assert re.search(r"fill: [67] pieces, then VkResult -[125]\n", out), (end, out)
        assert server.errors() == "", server.errors()


def test_what_is_recorded_counts_as_memory():
    """lavapipe keeps some 250 bytes of each copy: 125 MB of 100 command buffers. They have to be given back, for there to be room for as many again.

    meson has malloc() touch what it leaves unused, which would count as kept by the driver.
    """
    with Server("--memory-limit", "128", env={"MALLOC_PERTURB_": "0"}) as server:
        out = mesa.newer().run(server.path, VKMEMORY, "record", "100")
        assert out.count("record: 100 command buffers were run\n") == 2 and not server.errors(), (out, server.errors())
        with mesa.newer().start(server.path, VKMEMORY, "record", "1000") as program:
            out, _ = program.communicate(timeout=120)
        assert program.returncode and not out, (program.returncode, out)
        assert re.search(r"^oriel-gpu: warning: context ended: what it records is beyond the limit of GPU memory \(.* --memory-limit\) in vkCmd\w+$", server.errors(), re.M), server.errors()
        mesa.newer().run(server.path, VKMEMORY, "record", "100")


def own_mib_at_rest(count, enough=0, limit_s=2.0):
    """What the server of a program that has recorded @count command buffers has to itself, at first and once it is @enough or after @limit_s."""
    with Server() as server, mesa.newer().start(server.path, VKMEMORY, "rest", str(count)) as program:
        try:
            for line in 2 * [f"record: {count} command buffers were run\n"] + ["there\n"]:
                assert program.stdout.readline() == line
            [client] = children(server.process.pid)
            first = left = anonymous_mib(client)
            end = time.monotonic() + limit_s
            while left > enough and time.monotonic() < end:
                time.sleep(0.05)
                left = anonymous_mib(client)
            program.terminate()
            assert program.wait(20) == 0
            return first, left
        finally:
            program.kill()


def test_an_idle_context_gives_back_what_was_recorded():
    """malloc() keeps what is freed, and command pools 8 MiB; both are emptied when the rings have been asleep for half a second."""
    usual = own_mib_at_rest(1)[1] + 4
    first, left = own_mib_at_rest(100, usual, 20)
    assert first > usual + 100 and left <= usual, (first, left, usual)


def test_what_the_driver_keeps_counts_as_memory():
    """Shader modules are of no size that the server knows.  128 MiB of what a driver keeps are free, and 64 MiB are spare."""
    with Server("--memory-limit", "128") as server:
        assert mesa.newer().run(server.path, VKMEMORY, "leak", "6400") == "leak: 6400 modules\n"
        with mesa.newer().start(server.path, VKMEMORY, "leak", "200000") as program:
            out, _ = program.communicate(timeout=120)
        assert program.returncode and not out, (program.returncode, out)
        assert "oriel-gpu: warning: context ended: what its driver keeps is beyond the limit of GPU memory (oriel run --gpu-memory, oriel-gpu --memory-limit)\n" in server.errors(), server.errors()
        mesa.newer().run(server.path, VKMEMORY, "leak", "6400")


def test_memory_that_cannot_be_mapped_is_used():
    """On a GPU with memory of its own, or where there is none, as on one: one type that no program can map, and one that only the server could."""
    layer = {"VK_LAYER_PATH": str(venus.BUILD.resolve() / "tests/wire"), "VK_INSTANCE_LAYERS": "VK_LAYER_ORIEL_discrete"}
    env = layer if probed({})["visible_types"] == 1 else {}
    device = probed(env)
    assert device["backed_types"] and device["visible_types"] & ~device["backed_types"], device
    with Server(env=env) as server:
        facts = vulkaninfo.facts(mesa.newer().run(server.path, "vulkaninfo"))
        optimal = {int(n) for n in re.findall(r"memoryTypes/memoryTypes\[(\d+)\]/usable for/IMAGE_TILING_OPTIMAL/color images", "\n".join(facts))}
        assert optimal and not any(device["backed_types"] & 1 << n for n in optimal), optimal  # they name no handle of such memory
        flags = [int(value.rstrip(":"), 16) for path, value in facts.items() if re.fullmatch(r"memoryTypes/memoryTypes\[\d+\]/propertyFlags", path)]
        assert sum(1 << i for i, flag in enumerate(flags) if flag & 2) == device["backed_types"], flags  # visible
        assert 1 in flags, flags  # device-local
        assert not env or (flags, device["backed_types"]) == ([1, 14, 1], 1 << 1), flags  # device-local; visible, coherent, cached
        assert scene(server)["hashes"] == native()["hashes"]
        mesa.newer().run(server.path, VKMEMORY, "odd", "100")
        if env:
            assert max(int(n) for n in re.findall(r"^device memory: (\d+)$", server.errors(), re.M)) > 3, server.errors()


def test_a_program_whose_gpu_is_lost_is_ended_not_hung():
    """It only looks at words in memory that nobody will write any more; nobody but the server asks the driver."""
    layer = {"VK_LAYER_PATH": str(venus.BUILD.resolve() / "tests/wire"), "VK_INSTANCE_LAYERS": "VK_LAYER_ORIEL_lost", "LOST_AFTER": "20"}
    with Server(env=layer) as server:
        with mesa.newer().start(server.path, SCENE, *FRAMES) as program:
            try:
                _, said = program.communicate(timeout=60)
            finally:
                program.kill()
        assert program.returncode == -signal.SIGABRT and "stuck in fence wait" in said and "fatal error" in said, (program.returncode, said)
        assert "context ended: the host's driver has lost its device in vkWaitForFences" in server.errors(), server.errors()


def test_programs_run_side_by_side():
    reports = []
    with Server() as server:
        threads = [threading.Thread(target=lambda: reports.append(scene(server))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [r["hashes"] for r in reports] == [native()["hashes"]] * 3


def test_a_program_that_is_killed_harms_nobody():
    with Server() as server:
        mesa.newer()
        try:
            mesa.newer().run(server.path, SCENE, "--frames", "1000000", timeout=2)
            raise AssertionError("it came to an end")
        except subprocess.TimeoutExpired:
            pass
        assert scene(server)["hashes"] == native()["hashes"]


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
