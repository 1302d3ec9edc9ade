#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that draw or compute by Vulkan, in the guest and, the same versions, on the host's own driver: what they show is the same.

Pictures and what programs said are kept in BUILD/desktop.
"""
import functools
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "wire")]
import tap  # noqa: E402
import frames  # noqa: E402
import native  # noqa: E402
import vm  # noqa: E402

KEPT = vm.BUILD / "desktop"
LIBRARIES = vm.BUILD / "tests/guest"
EVERY = 19  # at least one of each scene's 30, and the first of the last
# Half a second of each scene, by frames; of the last but a few, since lavapipe 22.3 does not finish some angles in minutes.
VKMARK = ["--winsys", "wayland", "--size", "320x240", *(word for scene in (
    ":duration=0.5", "vertex:device-local=true", "vertex:device-local=false", "texture:anisotropy=0", "shading:shading=gouraud",
    "shading:shading=blinn-phong-inf", "shading:shading=phong", "shading:shading=cel", "effect2d:kernel=edge", "effect2d:kernel=blur", "desktop", "cube",
    "clear", "texture:anisotropy=16:duration=0.05") for word in ("-b", scene))]
GLMARK2 = ["--size", "320x240", *(word for scene in (
    ":duration=0.5", "build", "texture", "shading", "bump", "effect2d", "desktop", "jellyfish") for word in ("-b", scene))]
# name: library of frames.c, arguments, what the unpacked program needs beyond them, frames to its end (0: it ends).
PROGRAMS = {
    "vkmark": ("vk", VKMARK, lambda root, libraries: ["--winsys-dir", libraries / "vkmark", "--data-dir", root / "usr/share/vkmark"], 0),
    "glmark2-es2-wayland": ("gl", GLMARK2, lambda root, libraries: ["--data-path", root / "usr/share/glmark2"], 0),
    "es2gears_wayland": ("gl", [], lambda root, libraries: [], 120),
}


@functools.cache
def of_host():
    """{program/NNNN.ppm: bytes}"""
    host, found = native.Native(), {}
    for name, (kind, arguments, more, end) in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as folder, host.wayland() as env:
            host.run(name, *arguments, *more(host.root, host.libraries[0]), preload=LIBRARIES / f"libframes_{kind}.so", FRAMES_EVERY=str(EVERY),
                     FRAMES_DIR=folder, FRAMES_END=str(end), **env)
            found.update({f"{name}/{path.name}": path.read_bytes() for path in Path(folder).iterdir()})
    return found


@functools.cache
def of_guest():
    """The same from one guest, on Zink and Venus."""
    script = "".join(f"""
        mkdir /tmp/out/{name}
        FRAMES_EVERY={EVERY} FRAMES_END={end} FRAMES_DIR=/tmp/out/{name} LD_PRELOAD=/tmp/in/libframes_{kind}.so \\
            $(ls /usr/bin/{name}* | head -n 1) {' '.join(arguments)} >/tmp/out/{name}.log 2>&1; echo "{name} ended with $?" """
                     for name, (kind, arguments, _, end) in PROGRAMS.items())
    with tempfile.TemporaryDirectory() as folder:
        result, files = frames.in_guest(script, [frames.library(kind, folder) for kind in ("gl", "vk")], limit_s=900)
    for name in PROGRAMS:
        result.told(f"^{name} ended with 0")
        KEPT.mkdir(exist_ok=True)
        (KEPT / f"{name}-frames.log").write_bytes(files.pop(f"{name}.log"))
    return files


def check(name, pictures, apart_share):
    """Every kept frame is the host's.  The program's own matrices are computed by another CPU, with fused multiplications, so some colours round
    the other way: at most @apart_share of a frame's values, by one.  @pictures: how many of more than 50 colours there must be."""
    ours, theirs = ({path: data for path, data in where().items() if path.startswith(name + "/")} for where in (of_guest, of_host))
    assert set(ours) == set(theirs) and len(set(ours.values())) >= pictures, (sorted(ours), sorted(theirs))
    rich = 0
    for path in sorted(ours):
        (width, height, seen), (*size, wanted) = frames.pixels(ours[path]), frames.pixels(theirs[path])
        frames.keep(KEPT / path.replace("/", "-").replace(".ppm", ".png"), width, height, seen)
        assert [width, height] == size, (path, width, height, size)
        many, most = frames.apart(seen, wanted)
        assert most <= 1 and many <= len(seen) * apart_share, f"{path}: {many} of {len(seen)} values differ, by up to {most}"
        rich += len(set(zip(*[iter(seen)] * 3))) > 50
        print(f"# {path}: {many} of {len(seen)} values differ by one", flush=True)
    assert rich >= pictures, f"{rich} pictures"


def test_vkmark_draws_what_the_host_draws():
    check("vkmark", 12, 0.001)


def test_glmark2_draws_what_the_host_draws():
    check("glmark2-es2-wayland", 7, 0.001)


def test_gears_are_the_hosts():
    check("es2gears_wayland", 6, 0.01)


FFMPEG = ["-v", "error", "-init_hw_device", "vulkan", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=5:duration=2", "-vf",
          "libplacebo=w=160:h=120:format=rgba", "-f", "rawvideo", "-y"]


def test_a_video_filter_computes_what_the_host_computes():
    """libplacebo scales and converts a generated clip on the GPU."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip"
        native.Native().run("ffmpeg", *FFMPEG, clip)
        wanted = clip.read_bytes()
    result, files = frames.in_guest(f"""
        lib=/usr/lib/aarch64-linux-gnu; export LD_LIBRARY_PATH=$lib/blas:$lib/lapack  # what Debian's alternatives would link
        ffmpeg {' '.join(FFMPEG)} /tmp/out/clip; echo "ffmpeg ended with $?" """)
    result.told("^ffmpeg ended with 0")
    seen = files["clip"]
    frames.keep(KEPT / "ffmpeg.png", 160, 120, bytes(b for i, b in enumerate(seen[:160 * 120 * 4]) if i % 4 != 3))
    assert len(seen) == 160 * 120 * 4 * 10 and len(set(seen)) > 100, len(seen)
    assert seen == wanted, "{} values differ, by up to {}".format(*frames.apart(seen, wanted))


if __name__ == "__main__":
    tap.main(sys.modules[__name__], sys.argv[1] if len(sys.argv) > 1 else None)
