#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs with windows in the guest: a compositor on Zink imports its clients' buffers; pictures are the host's.

usage: test_desktop.py guest|long

Pictures and what programs said are kept in BUILD/desktop.
"""
import re
import sys
import types
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "wire")]
import tap  # noqa: E402
import desktop  # noqa: E402
import guests  # noqa: E402
import mesa  # noqa: E402
import program  # noqa: E402
import programs  # noqa: E402
import test_share  # noqa: E402
import vm  # noqa: E402
import test_windows  # noqa: E402

KEPT = vm.BUILD / "desktop"
WINDOW = 500  # vkcube's
AT = 100  # where it puts itself on a screen without a shell
FRAMES = 40
# Windows fill the screen.  This shell does not survive the end of a program when there is no input device: one program a boot.
KIOSK = "--shell=kiosk"
HELD = f"VK_INSTANCE_LAYERS=VK_LAYER_ORIEL_hold HOLD_FRAMES={FRAMES}"


# A driver that a layer makes say that its GPU has memory of its own, and whose linear images are drawn to as NVIDIA's are.
DISCRETE = {"VK_LAYER_PATH": str(vm.BUILD.resolve() / "tests/wire"), "VK_INSTANCE_LAYERS": "VK_LAYER_ORIEL_discrete"}


def keep(name, text):
    """An artefact."""
    KEPT.mkdir(exist_ok=True)
    (KEPT / name).write_text(text)


def cube_of_the_host(theirs):
    """RGB of the cube's frame: the same program in a window of that size on the host's own driver."""
    with test_windows.Screen(WINDOW + AT, WINDOW + AT) as screen:
        frame = screen.last_frame(lambda **env: theirs.start_on_host("vkcube", "--wsi", "xcb", "--width", str(WINDOW), "--height", str(WINDOW),
                                                                   **{**env, "HOLD_FRAMES": str(FRAMES)}))
    rows = [frame[((y + AT) * (WINDOW + AT) + AT) * 4:(y + AT + 1) * (WINDOW + AT) * 4] for y in range(WINDOW)]
    return bytes(row[x * 4 + c] for row in rows for x in range(WINDOW) for c in (2, 1, 0))  # BGRX


def check_cube(picture, theirs=None, apart_most=1, bits=8):
    """The screen shows the cube as the host draws it.  @theirs: the Mesa whose vkcube it is; @bits: of a colour, as far as the screen keeps them."""
    width, height, seen = desktop.pixels(picture)
    wanted = cube_of_the_host(theirs or mesa.newer())
    most = (1 << bits) - 1
    background = (wanted[0] * most + 127) // 255 * 255 // most
    edge = bytes([background]) * (WINDOW * 3)  # where the window is, since shells put it anywhere
    places = ((seen[y * width * 3:(y + 1) * width * 3].find(edge), y) for y in range(height))
    left, top = next(((at // 3, y) for at, y in places if at >= 0 and not at % 3), (0, 0))
    middle = b"".join(seen[((top + y) * width + left) * 3:((top + y) * width + left + WINDOW) * 3] for y in range(WINDOW))
    apart = [abs(a - b) for a, b in zip(middle, wanted)]
    assert len({middle[i:i + 3] for i in range(0, len(middle), 3)}) > 100, "nothing was drawn"
    # The program's own matrices are computed by another CPU, with fused multiplications: some colours round the other way.
    many = sum(a > apart_most - 1 for a in apart)
    assert max(apart) <= apart_most and many < len(apart) // 100, f"{many} values differ, by up to {max(apart)}"


def cube_in_a_window(name, env=None):
    """weston draws by Zink and imports a Vulkan client's buffers; both kept as @name."""
    KEPT.mkdir(exist_ok=True)
    picture = KEPT / f"{name}.png"
    result = desktop.run(f"""
        {HELD} vkcube --wsi wayland 2>/tmp/cube &
        n=0; until grep -q held /tmp/cube; do sleep 0.2; [ $((n += 1)) -lt 300 ] || break; done
        sleep 3; cat /tmp/cube""", shell=KIOSK, picture=picture, env=env)
    keep(f"{name}.log", result.console)
    result.told(r"GL renderer: zink Vulkan 1\.3\(Virtio-GPU Venus")
    result.told("^held")
    assert "warning" not in result.errors and "error" not in result.errors, result.errors
    check_cube(picture)


def test_guest_windows_show_what_the_host_draws():
    cube_in_a_window("vkcube-wayland")


def test_guest_windows_on_a_gpu_with_memory_of_its_own():
    """What is shared is not in that memory, though programs want it there, and another image than what is drawn to; and Zink compiles ahead."""
    cube_in_a_window("vkcube-discrete", DISCRETE)


def test_guest_sharing_on_a_gpu_with_memory_of_its_own():
    """Each program sees what the other has drawn, and the screen shows it, though the image that is shared is another one."""
    test_share.test_two_programs_share_images_and_a_buffer(DISCRETE)
    test_share.test_an_image_is_shown_itself(DISCRETE)


def test_guest_a_display_without_a_window_system():
    """VK_KHR_display, which Mesa's Venus has since 26."""
    disk = program.disk(vm.BUILD, "vkdisplay", [program.ROOT / "tests/guest/vkdisplay.c"])
    KEPT.mkdir(exist_ok=True)
    picture = KEPT / "vkdisplay.png"
    result = desktop.boot(program.TAKE + """
        mkfifo /tmp/hold; sleep 60 >/tmp/hold &
        /tmp/program /dev/dri/card0 2080e0 </tmp/hold >/tmp/out 2>&1 &
        n=0; until [ -s /tmp/out ]; do sleep 0.2; [ $((n += 1)) -lt 150 ] || break; done
        sleep 1; cat /tmp/out""", "--disk", f"{disk},ro", image=guests.make("newest"), picture=picture)
    result.told("^shown 1280x800")
    width, height, seen = desktop.pixels(picture)
    assert (width, height) == (1280, 800) and seen == bytes.fromhex("2080e0") * (width * height), "another colour"


# Mesa 26's GBM makes only dumb buffers on a device that says it is a CPU, and those are guest RAM: the one of Debian 13 makes the driver's.
OLDER_GBM = {"libc6", "libgcc-s1", "gcc-14-base", "libstdc++6", "libdrm2", "libdrm-common", "libdrm-amdgpu1", "zlib1g", "libexpat1", "libffi8", "libzstd1",
             "libwayland-server0", "liblzma5", "libx11-6", "libx11-data", "libx11-xcb1", "libxcb1", "libxcb-randr0"}  # newer ones are there


def weston_by_vulkan(name, start):
    """The cube's picture in a weston that @start starts as `inner`; both kept as @name.  vkcube takes a format of five bits for each colour."""
    picture = KEPT / f"{name}.png"
    KEPT.mkdir(exist_ok=True)
    result = desktop.boot(f"""
        export LIBSEAT_BACKEND=builtin SEATD_VTBOUND=0 VK_LAYER_PATH=/usr/lib/oriel/layers
        chmod 700 /run/user
        wait_for() {{ n=0; until [ -S /run/user/$1 ]; do sleep 0.2; [ $((n += 1)) -lt 150 ] || break; done; }}
        {start}
        wait_for inner
        WAYLAND_DISPLAY=inner {HELD} vkcube --wsi wayland 2>/tmp/cube &
        n=0; until grep -q held /tmp/cube; do sleep 0.2; [ $((n += 1)) -lt 300 ] || break; done
        sleep 5; cat /tmp/cube; grep -E 'Using Vulkan renderer|Vulkan device|rror' /tmp/log""", "--disk", f"{programs.disk('libgbm1', OLDER_GBM)},ro",
                          image=guests.make("newest-desktop"), picture=picture)
    keep(f"{name}.log", result.console)
    result.told("^held")
    result.told("Vulkan device: 'Virtio-GPU Venus")
    result.told("Using Vulkan renderer")
    check_cube(picture, mesa.Mesa("sid"), apart_most=8, bits=5)


def test_long_weston_composes_by_vulkan_on_its_own_screen():
    """Its renderer draws into buffers of GBM, which the screen shows, and imports the client's."""
    weston_by_vulkan("weston-vulkan", """
        mount -t ext4 -o ro /dev/vdc /mnt; older=/mnt/usr/lib/aarch64-linux-gnu
        env GBM_BACKENDS_PATH=$older/gbm LD_LIBRARY_PATH=$older MESA_LOADER_DRIVER_OVERRIDE=zink LIBGL_ALWAYS_SOFTWARE=1 weston \
            --backend=drm --drm-device=card0 --continue-without-input --idle-time=0 --renderer=vulkan --socket=inner --log=/tmp/log &""")


def test_long_weston_composes_by_vulkan_in_a_window():
    """Of another weston, which takes frames by shared memory."""
    weston_by_vulkan("weston-vulkan-window", f"""
        weston --backend=drm --drm-device=card0 --continue-without-input --idle-time=0 --renderer=pixman {KIOSK} --socket=outer --log=/tmp/log1 &
        wait_for outer
        MESA_VK_WSI_DEBUG=sw WAYLAND_DISPLAY=outer weston --backend=wayland --renderer=vulkan --width=800 --height=700 --idle-time=0 \
            --socket=inner --log=/tmp/log &""")


def test_long_vkmark_runs_all_scenes():
    """In a window and without one.  The last for a moment only: lavapipe 22.3 does not finish some of its angles in minutes."""
    result = desktop.run("""
        for winsys in wayland headless; do
            echo "vkmark $winsys"
            vkmark --winsys $winsys --size 320x240 -b :duration=1 -b vertex:device-local=true -b vertex:device-local=false \\
                -b texture:anisotropy=0 -b shading:shading=gouraud -b shading:shading=blinn-phong-inf -b shading:shading=phong \\
                -b shading:shading=cel -b effect2d:kernel=edge -b effect2d:kernel=blur -b desktop -b cube -b clear \\
                -b texture:anisotropy=16:duration=0.01 2>&1 |
                grep -E '^\\[|Score|rror'
        done""", long=True, limit_s=1500)
    keep("vkmark.log", result.console)
    for winsys in ("wayland", "headless"):
        part = result.console.split(f"vkmark {winsys}")[1]
        scenes = set(re.findall(r"^\[(\w+)\]", part.split("vkmark Score")[0], re.M))
        assert "anisotropy=16" in part and scenes >= {"vertex", "texture", "shading", "effect2d", "desktop", "cube", "clear"}, scenes
    assert len(re.findall(r"vkmark Score: [1-9]", result.console)) == 2, result.console[-800:]


def test_long_gears_turn_in_two_windows_at_once():
    result = desktop.run("""
        timeout 40 es2gears_wayland.aarch64-linux-gnu 2>/dev/null &
        timeout 40 es2gears_wayland.aarch64-linux-gnu 2>/dev/null
        wait $!; echo "then $(ps | grep -c '[w]eston --backend')" """)
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


if __name__ == "__main__":
    prefix = "test_long" if sys.argv[1:2] == ["long"] else "test_guest"
    tap.main(types.SimpleNamespace(**{n: f for n, f in globals().items() if n.startswith(prefix)}), sys.argv[2] if len(sys.argv) > 2 else None)
