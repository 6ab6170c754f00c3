"""`python -m benchmarks.afterthoughts`: how long encoders go on changing a screen that has come to rest.

Text scrolls, one page dissolves into another, and a dialog opens; then the screen rests for four seconds, in which the
encoder gets the same frame 30 times a second. A phone's encoder gets fewer, or none: this is the worst case. For each
threshold the table has the time from the last movement to the last change that counts: the encoder's afterthoughts,
which make a screen still later than it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Final

import av
import numpy as np
import numpy.typing as npt
import typer

from benchmarks.report import Grid, console, print_grid
from streamer.watch.change import LIMITS, THRESHOLD, Blocks
from streamer.watcher import BlockMeans

Luma = npt.NDArray[np.float64]

WIDTH, HEIGHT, FPS = 720, 1280, 30
REST: Final = 4 * FPS  # frames
THRESHOLDS: Final = (2, 3, 4, THRESHOLD, 8, 12)
_PIXEL: Final = 235.0  # white, in limited range


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder as it is set up for live screens."""

    name: str
    codec: str  # of libavcodec
    decoder: str
    bitrate_bps: int
    options: dict[str, str] = field(default_factory=dict)


def _x264(name: str, mbps: float, params: str, preset: str = "veryfast") -> Encoder:
    kbps = int(1000 * mbps)
    rate = f"vbv-maxrate={kbps}:vbv-bufsize={kbps // 4}"
    options = {"preset": preset, "tune": "zerolatency", "x264-params": f"{rate}:{params}".rstrip(":")}
    return Encoder(f"x264, {name}, {mbps:g} Mbit/s", "libx264", "h264", 1000 * kbps, options)


_LIVE: Final = {"deadline": "realtime", "lag-in-frames": "0"}
ENCODERS: Final = (
    _x264("no keyframes", 4, "keyint=infinite"),
    _x264("no keyframes", 2, "keyint=infinite"),
    _x264("a keyframe in 2 s", 4, "keyint=60"),
    _x264("intra refresh in 2 s", 4, "keyint=60:intra-refresh=1"),
    _x264("a keyframe in 1 s", 2, "keyint=30"),
    _x264("starved", 0.8, "keyint=infinite"),
    Encoder("libvpx VP8, as libwebrtc has it, 1 Mbit/s", "libvpx", "vp8", 1_000_000, {
        **_LIVE, "cpu-used": "-6", "error-resilient": "1", "static-thresh": "1", "max-intra-rate": "300",
        "undershoot-pct": "100", "overshoot-pct": "15",
    }),
    Encoder("libvpx VP8, screen content, 1 Mbit/s", "libvpx", "vp8", 1_000_000, {
        **_LIVE, "cpu-used": "-6", "static-thresh": "100", "screen-content-mode": "1",
    }),
    Encoder("libvpx VP9, as libwebrtc has it, 1 Mbit/s", "libvpx-vp9", "vp9", 1_000_000, {
        **_LIVE, "cpu-used": "7", "aq-mode": "3",
    }),
    Encoder("SVT-AV1, low delay, 1 Mbit/s", "libsvtav1", "libdav1d", 1_000_000, {
        "preset": "10", "svtav1-params": "pred-struct=1:rc=2",
    }),
    Encoder("x265, 2 Mbit/s", "libx265", "hevc", 2_000_000, {
        "preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none",
    }),
)  # fmt: skip


def main(only: Annotated[str, typer.Option(help="Encoders whose names have this in them.")] = "") -> None:
    """Encode, decode and compare; some minutes."""
    scenes: dict[str, Callable[[], Iterator[Luma]]] = {"scroll": _scroll, "dissolve": _dissolve, "dialog": _dialog}
    grids = {name: [] for name in scenes}  # type: dict[str, list[tuple[str, ...]]]
    for encoder in (encoder for encoder in ENCODERS if only in encoder.name):
        for name, scene in scenes.items():
            rests = _rests(encoder, list(scene()))
            with console.status(f"{encoder.name}, {name}"):
                grids[name].append(
                    (encoder.name, *(f"{rests[threshold] * 1000 / FPS:.0f}" for threshold in THRESHOLDS))
                )
    headings = ("encoder", *(f"above {threshold}" for threshold in THRESHOLDS))
    for name, rows in grids.items():
        print_grid(Grid(f"{name}: ms from the last movement to the last change", headings, rows))


def _rests(encoder: Encoder, scene: list[Luma]) -> dict[int, int]:
    """Return for each threshold after how many frames of rest the last one changed."""
    blocks = list(_decoded(encoder, [*scene, *[scene[-1]] * REST]))
    last_moved = len(scene) - 1
    found = {}
    for threshold in THRESHOLDS:
        reference, found[threshold] = blocks[last_moved], 0
        for index, frame in enumerate(blocks[last_moved + 1 :], start=1):
            if (np.abs(frame.astype(int) - reference) > LIMITS * threshold / THRESHOLD).any():
                reference, found[threshold] = frame, index
    return found


def _decoded(encoder: Encoder, scene: list[Luma]) -> Iterator[Blocks]:
    sender, receiver = av.CodecContext.create(encoder.codec, "w"), av.CodecContext.create(encoder.decoder, "r")
    if not isinstance(sender, av.VideoCodecContext) or not isinstance(receiver, av.VideoCodecContext):
        raise TypeError(f"{encoder.codec} is no video encoder")
    sender.width, sender.height, sender.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    sender.time_base, sender.framerate = Fraction(1, FPS), Fraction(FPS)
    sender.bit_rate, sender.options = encoder.bitrate_bps, encoder.options
    sender.thread_count = receiver.thread_count = 1
    sender.gop_size = 10_000
    means = BlockMeans()
    for number, luma in enumerate([*scene, None]):
        for packet in sender.encode(None if luma is None else _frame(luma, number)):
            yield from map(means, receiver.decode(av.Packet(bytes(packet))))
    yield from map(means, receiver.decode(None))


def _frame(luma: Luma, number: int) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    frame.planes[0].update(np.clip(luma, 16, _PIXEL).astype(np.uint8).tobytes())
    tint = np.kron(luma.reshape(HEIGHT // 16, 16, WIDTH // 16, 16).mean(axis=(1, 3)), np.ones((8, 8)))
    for plane, gain in zip(frame.planes[1:], (0.3, -0.4), strict=True):  # blue shadows, orange light
        chroma = np.clip(128 + gain * (128 - tint), 16, 240).astype(np.uint8)
        plane.update(np.pad(chroma, ((0, 0), (0, plane.line_size - chroma.shape[1]))).tobytes())
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _page(seed: int) -> Luma:
    """Return a page of text and photographs, two screens long."""
    random = np.random.default_rng(seed)
    glyphs = np.kron(random.random((40, 12, 7)) < 0.33, np.ones((1, 2, 2)))
    page = np.full((2 * HEIGHT, WIDTH), _PIXEL)
    down, right = np.mgrid[0:120, 0:160]
    for top in range(20, 2 * HEIGHT - 140, 134):
        if random.integers(4) == 0:
            waves = 128 + 60 * np.sin(right / 17 + 6 * random.random()) + 40 * np.cos(down / 11)
            page[top : top + 120, 24:184] = waves + random.normal(0, 8, waves.shape)
        for line in range(top, top + 108, 36):
            for left in range(200, 200 + 15 * int(random.integers(15, 33)), 15):
                page[line : line + 24, left : left + 14] = np.where(glyphs[random.integers(40)], 40, _PIXEL)
        page[top + 128 : top + 130] = 200
    return page


def _scroll() -> Iterator[Luma]:
    """A page scrolls and slows down, like after a fling."""
    page, position, speed = _page(1), 0.0, 40.0
    while speed > 0.4:
        position += speed
        speed *= 0.88
        yield page[int(position) : int(position) + HEIGHT]


def _dissolve() -> Iterator[Luma]:
    """A page becomes another within two thirds of a second."""
    before, after = _page(1)[:HEIGHT], _page(2)[:HEIGHT]
    for step in range(21):
        yield before + (after - before) * step / 20


def _dialog() -> Iterator[Luma]:
    """A dialog opens while the page behind it gets dark."""
    page = _page(1)[:HEIGHT]
    for step in range(13):
        shown = page * (1 - 0.5 * step / 12)
        half = 2 + 200 * step // 12
        shown[640 - half : 640 + half, 60:660] = 225
        yield shown


if __name__ == "__main__":
    typer.run(main)
