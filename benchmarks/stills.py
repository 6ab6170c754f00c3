"""Frames as JPEG and PNG: what they cost in CPU, and how large they are, beside the encoders of others.

`python -m benchmarks.stills` decodes screens of the emulator, the clip of the other benchmarks, and one like a photo.
All have 720x1280 pixels. Each encoder gets the decoded frame, so its conversion counts. Rounds are interleaved, and
times are medians of the CPU time of the process. *Before* goes through RGB and the encoders of libavcodec.
"""

import fractions
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from unittest import mock

import av
import cv2
import numpy as np
from PIL import Image

from benchmarks.clips import access_units, clip_named
from benchmarks.texts import coded
from streamer.media.playback.video_frames import VideoFrame
from tests.support.app_screens import frame_of, screens

ROUNDS: Final = 15
QUALITY: Final = 90
GOALS: Final = {"JPEG": 0.20, "PNG": 0.45}  # of the CPU before
SIZE_GOAL: Final = 1.05  # of a PNG before
SCREENS: Final = ("launcher", "settings", "keyboard", "player")

Encode = Callable[[VideoFrame], bytes]


class Made(NamedTuple):
    """What an encoder made of a frame: the median CPU time, and the file's size."""

    cost_ms: float
    size: int


def main() -> None:
    """Measure, and print the tables."""
    cv2.setNumThreads(1)
    frames = dict(contents())
    for kind, encoders in (("JPEG", JPEG), ("PNG", PNG)):
        tables = {name: measured(frame, encoders) for name, frame in frames.items()}
        print(f"\n{kind}{f', quality {QUALITY}' if kind == 'JPEG' else ''}: CPU ms (of before), kB (of before)")
        print(f"{'':12}" + "".join(f"{name:>26}" for name in encoders))
        for name, made in tables.items():
            before = made["before"]
            print(f"{name:12}" + "".join(f"{_cell(each, before):>26}" for each in made.values()))
        ratios = [made["streamer"].cost_ms / made["before"].cost_ms for made in tables.values()]
        print(f"time of before: {_spread(ratios)}; the goal is {GOALS[kind]:.2f}")
        sizes = [made["streamer"].size / made["before"].size for made in tables.values()]
        print(f"size of before: {_spread(sizes)}" + (f"; the goal is {SIZE_GOAL:.2f}" if kind == "PNG" else ""))


def contents() -> Iterator[tuple[str, VideoFrame]]:
    """Yield what is encoded, each as a decoder leaves it."""
    for screen in screens():
        if screen.name in SCREENS:
            yield screen.name, coded(screen.image)
    yield "photo", coded(_photo(720, 1280))
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoded = [
        frame for _, data in access_units(clip_named("720p30"))[:10] for frame in decoder.decode(av.Packet(data))
    ]
    template = frame_of(np.zeros((1280, 720, 3), np.uint8))
    yield (
        "clip",
        VideoFrame(
            **{name: getattr(template, name) for name in template.__slots__ if name != "av_frame"}, av_frame=decoded[-1]
        ),
    )


def measured(frame: VideoFrame, encoders: dict[str, Encode]) -> dict[str, Made]:
    """Encode a frame with each encoder in turn, a few rounds."""
    costs: dict[str, list[float]] = {name: [] for name in encoders}
    sizes = {}
    for _ in range(ROUNDS):
        for name, encode in encoders.items():
            began = time.process_time_ns()
            sizes[name] = len(encode(frame))
            costs[name].append((time.process_time_ns() - began) / 1e6)
    return {name: Made(statistics.median(costs[name]), sizes[name]) for name in encoders}


def _photo(width: int, height: int) -> Any:
    """Draw slow waves of color, and noise of every size on them."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width]
    waves = [90 * np.sin(x / 97 + y / 201), 80 * np.cos(x / 61 - y / 133), 100 * np.sin((x + 2 * y) / 177)]
    levels = 128 + np.stack(waves, axis=2)
    for size in (64, 32, 16, 8, 4, 2, 1):
        noise = random.normal(0, 2 + 2.5 * size**0.5, (height // size + 1, width // size + 1, 3))
        levels += np.kron(noise, np.ones((size, size, 1)))[:height, :width]
    return np.clip(levels, 0, 255).astype(np.uint8)


def _cell(made: Made, before: Made) -> str:
    cost, size = made.cost_ms / before.cost_ms, made.size / before.size
    return f"{made.cost_ms:.2f} ({cost:.2f}) {made.size / 1000:.0f} ({size:.2f})"


def _spread(ratios: list[float]) -> str:
    return f"{min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}"


@contextmanager
def _without(name: str) -> Iterator[None]:
    with mock.patch.dict(sys.modules, {name: None}):
        yield


def _before(codec: str, options: dict[str, str]) -> Encode:
    def encode(frame: VideoFrame) -> bytes:
        pixels = np.ascontiguousarray(frame.av_frame.to_ndarray(format="rgb24"), dtype=np.uint8)
        made = av.VideoFrame.from_ndarray(pixels, "rgb24")
        if codec == "mjpeg":
            made = made.reformat(format="yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = made.width, made.height, made.format.name
        context.time_base, context.thread_count, context.options = fractions.Fraction(1), 1, options
        return b"".join(bytes(packet) for packet in (*context.encode(made), *context.encode(None)))

    return encode


def _without_extra(kind: Any, package: str) -> Encode:
    def encode(frame: VideoFrame) -> bytes:
        with _without(package):
            return frame.encode(kind, quality=QUALITY)

    return encode


def _pillow(kind: str, **options: Any) -> Encode:
    def encode(frame: VideoFrame) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frame.av_frame.to_ndarray(format="rgb24")).save(file, kind, **options)
        return file.getvalue()

    return encode


def _opencv(suffix: str, *options: int) -> Encode:
    return lambda frame: cv2.imencode(suffix, frame.av_frame.to_ndarray(format="bgr24"), list(options))[1].tobytes()


JPEG: Final[dict[str, Encode]] = {
    "before": _before("mjpeg", {"qmin": "2", "qmax": "2", "huffman": "optimal"}),
    "streamer": lambda frame: frame.encode("jpeg", quality=QUALITY),
    "without the extra": _without_extra("jpeg", "simplejpeg"),
    "Pillow": _pillow("JPEG", quality=QUALITY),
    "OpenCV": _opencv(".jpg", cv2.IMWRITE_JPEG_QUALITY, QUALITY),
}
PNG: Final[dict[str, Encode]] = {
    "before": _before("png", {"pred": "up"}),
    "streamer": lambda frame: frame.encode("png"),
    "Pillow": _pillow("PNG"),
    "OpenCV": _opencv(".png"),
}


if __name__ == "__main__":
    main()
