#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs with windows in the guest: a compositor on Zink imports its clients' buffers; pictures are the host's.

usage: test_desktop.py guest|long

Pictures and what programs said are kept in BUILD/desktop.
"""
import hashlib
import re
import sys
import types
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "wire")]
import tap  # noqa: E402
import desktop  # noqa: E402
import venus  # noqa: E402
import vm  # noqa: E402
import test_windows  # noqa: E402

KEPT = vm.BUILD / "desktop"
WINDOW = 500  # vkcube's
AT = 100  # where it puts itself on a screen without a shell
FRAMES = 40
# Windows fill the screen.  This shell does not survive the end of a program when there is no input device: one program a boot.
KIOSK = "--shell=kiosk"
HELD = f"VK_INSTANCE_LAYERS=VK_LAYER_ORIEL_hold HOLD_FRAMES={FRAMES}"


def keep(name, text):
    """An artefact."""
    KEPT.mkdir(exist_ok=True)
    (KEPT / name).write_text(text)


def cube_of_the_host():
    """RGB of the cube's frame: the same program in a window of that size over vtest, which wire-windows compares with the host's own."""
    mesa = test_windows.newer_mesa()
    with venus.Server() as server, test_windows.Screen(WINDOW + AT, WINDOW + AT) as screen:
        frame = screen.last_frame(lambda **env: mesa.start(
            server.path, "vkcube", "--wsi", "xcb", "--width", str(WINDOW), "--height", str(WINDOW), MESA_VK_WSI_DEBUG="sw",
            **{**env, "HOLD_FRAMES": str(FRAMES)}))
    rows = [frame[((y + AT) * (WINDOW + AT) + AT) * 4:(y + AT + 1) * (WINDOW + AT) * 4] for y in range(WINDOW)]
    return bytes(row[x * 4 + c] for row in rows for x in range(WINDOW) for c in (2, 1, 0))  # BGRX


def check_cube(picture):
    """The screen shows the cube as the host draws it."""
    width, height, seen = desktop.pixels(picture)
    wanted = cube_of_the_host()
    edge = wanted[:WINDOW * 3]  # all background: where the window is, since shells put it anywhere
    places = ((seen[y * width * 3:(y + 1) * width * 3].find(edge), y) for y in range(height))
    left, top = next(((at // 3, y) for at, y in places if at >= 0 and not at % 3), (0, 0))
    middle = b"".join(seen[((top + y) * width + left) * 3:((top + y) * width + left + WINDOW) * 3] for y in range(WINDOW))
    apart = [abs(a - b) for a, b in zip(middle, wanted)]
    assert len({middle[i:i + 3] for i in range(0, len(middle), 3)}) > 100, "nothing was drawn"
    # The program's own matrices are computed by another CPU, with fused multiplications: some colours round the other way.
    assert max(apart) <= 1 and sum(map(bool, apart)) < len(apart) // 100, f"{sum(map(bool, apart))} values differ, by up to {max(apart)}"


def test_guest_windows_show_what_the_host_draws():
    """weston draws by Zink and imports a Vulkan client's buffers."""
    KEPT.mkdir(exist_ok=True)
    picture = KEPT / "vkcube-wayland.png"
    result = desktop.run(f"""
        {HELD} vkcube --wsi wayland 2>/tmp/cube &
        n=0; until grep -q held /tmp/cube; do sleep 0.2; [ $((n += 1)) -lt 300 ] || break; done
        sleep 3; cat /tmp/cube""", shell=KIOSK, picture=picture)
    keep("desktop.log", result.console)
    result.told(r"GL renderer: zink Vulkan 1\.3\(Virtio-GPU Venus")
    result.told("^held")
    check_cube(picture)


def test_long_vkmark_runs_all_scenes():
    """In a window and without one.  Not texture:anisotropy=16: lavapipe 22.3 does not finish a frame of it in minutes."""
    result = desktop.run("""
        for winsys in wayland headless; do
            echo "vkmark $winsys"
            vkmark --winsys $winsys --size 320x240 -b :duration=1 -b vertex:device-local=true -b vertex:device-local=false \\
                -b texture:anisotropy=0 -b shading:shading=gouraud -b shading:shading=blinn-phong-inf -b shading:shading=phong \\
                -b shading:shading=cel -b effect2d:kernel=edge -b effect2d:kernel=blur -b desktop -b cube -b clear 2>&1 |
                grep -E '^\\[|Score|rror'
        done""", long=True, limit_s=1500)
    keep("vkmark.log", result.console)
    for winsys in ("wayland", "headless"):
        part = result.console.split(f"vkmark {winsys}")[1]
        scenes = set(re.findall(r"^\[(\w+)\]", part.split("vkmark Score")[0], re.M))
        assert scenes >= {"vertex", "texture", "shading", "effect2d", "desktop", "cube", "clear"}, scenes
    assert len(re.findall(r"vkmark Score: [1-9]", result.console)) == 2, result.console[-800:]


def test_long_gears_turn_in_two_windows_at_once():
    result = desktop.run("""
        timeout 40 es2gears_wayland.aarch64-linux-gnu 2>/dev/null &
        timeout 40 es2gears_wayland.aarch64-linux-gnu 2>/dev/null
        wait $!; echo "then $(ps | grep -c '[w]eston --backend')" """, picture=KEPT / "gears.png")
    keep("gears.log", result.console)
    assert len(re.findall(r"[1-9]\d* frames in 5\.\d seconds", result.console)) >= 2, result.console[-800:]
    result.told("^then [1-9]")


def test_long_glmark2_runs_on_zink():
    result = desktop.run("""
        glmark2-es2-wayland --size 320x240 -b build:duration=2 -b texture:duration=2 -b shading:duration=2 -b bump:duration=2 \\
            -b effect2d:duration=2 -b desktop:duration=2 -b jellyfish:duration=2 --validate 2>&1 | grep -E '^\\[|GL_RENDERER|Score'
        glmark2-es2-wayland --size 320x240 -b build:duration=3 -b shading:duration=3 2>&1 | grep -E '^\\[|GL_RENDERER|Score'""",
                         long=True, limit_s=900)
    keep("glmark2.log", result.console)
    result.told(r"GL_RENDERER:\s+zink Vulkan 1\.3\(Virtio-GPU Venus")
    assert "Failure" not in result.console, result.console[-1500:]
    assert "Success" in result.console, result.console[-1500:]
    result.told(r"glmark2 Score: [1-9]")


def test_long_x11_window_shows_what_the_host_draws():
    """By Xwayland, which takes the client's buffers by DRI3."""
    picture = KEPT / "vkcube-x11.png"
    result = desktop.run(f"""
        n=0; until [ -S /tmp/.X11-unix/X0 ]; do sleep 0.2; [ $((n += 1)) -lt 100 ] || break; done
        DISPLAY=:0 {HELD} vkcube --wsi xcb --width {WINDOW} --height {WINDOW} 2>/tmp/cube &
        n=0; until grep -q held /tmp/cube; do sleep 0.2; [ $((n += 1)) -lt 300 ] || break; done
        sleep 3; cat /tmp/cube""", shell="--xwayland", long=True, picture=picture)
    keep("x11.log", result.console)
    result.told("^held")
    check_cube(picture)


def test_long_a_video_filter_computes_the_same_twice():
    """libplacebo scales a generated clip on the GPU."""
    result = desktop.run("""
        lib=/usr/lib/aarch64-linux-gnu; export LD_LIBRARY_PATH=$lib/blas:$lib/lapack  # what Debian's alternatives would link
        for n in 1 2; do
            ffmpeg -v error -init_hw_device vulkan -f lavfi -i testsrc2=size=320x240:rate=5:duration=2 \\
                -vf libplacebo=w=160:h=120,format=rgb24 -f rawvideo -y /tmp/clip$n 2>&1 | tail -n 3
            echo "clip $(wc -c </tmp/clip$n) $(sha256sum </tmp/clip$n)"
        done""", long=True, limit_s=600)
    keep("ffmpeg.log", result.console)
    clips = re.findall(r"^clip (\d+) (\w+)", result.console, re.M)
    assert len(clips) == 2 and clips[0] == clips[1], result.console[-1200:]
    assert int(clips[0][0]) == 160 * 120 * 3 * 10, clips
    assert clips[0][1] != hashlib.sha256(bytes(160 * 120 * 3 * 10)).hexdigest(), "all black"


if __name__ == "__main__":
    prefix = "test_long" if sys.argv[1:2] == ["long"] else "test_guest"
    tap.main(types.SimpleNamespace(**{n: f for n, f in globals().items() if n.startswith(prefix)}), sys.argv[2] if len(sys.argv) > 2 else None)
