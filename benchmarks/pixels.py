"""What arrays of pixels cost: one conversion, and a whole stream delivered as BGR.

The floor of a conversion is libswscale into memory that is there already; of gray, one copy of the plane of luma. The
floor of a stream is the paced decode and one such conversion a frame. Every side is a process of its own, and rounds
are interleaved.
"""

import concurrent.futures
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import av
import numpy as np

from benchmarks.clips import CLIPS, Clip, access_units, clip_named
from benchmarks.receiving import played
from benchmarks.report import Goal, Grid, Report
from streamer.media.playback.pixels import Conversion, PixelFormat, luma_of, shape_of
from tests.support.processes import Child, say

FRAMES: Final = 240
WARM_UP: Final = 40  # frames that do not count
STREAM_GOAL: Final = 1.12  # of the floor, at 1080p60
GRAY_GOAL: Final = 0.25  # of PyAV's own, at 1080p
FORMATS: Final[tuple[PixelFormat, ...]] = ("bgr24", "gray")
SIDES: Final = ("PyAV", "to_ndarray()", "to_ndarray(out=)", "floor")
STREAMS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "floor": ("floor", {"pixels": "out"}),
    'streamer, frames(format="bgr24")': ("watch", {"rival": "streamer", "pixels": "frames"}),
    "streamer, to_ndarray() in the loop": ("watch", {"rival": "streamer", "pixels": "to_ndarray"}),
    "streamer, PyAV's to_ndarray() in the loop": ("watch", {"rival": "streamer", "pixels": "pyav"}),
    "aiortc, PyAV's to_ndarray() in the loop": ("watch", {"rival": "aiortc", "pixels": "pyav"}),
}


class Cost(NamedTuple):
    """The cost of one frame."""

    cpu_ms: float
    page_faults: float


def measure(rounds: int) -> Iterator[str | Report]:
    """Measure conversions and streams of both clips, round after round."""
    costs: dict[tuple[str, str, str], list[Cost]] = {}
    streams: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for clip in CLIPS:
            for pixel_format in FORMATS:
                for side in SIDES:
                    yield f"{clip.name} as {pixel_format}, {side}, round {number + 1} of {rounds}"
                    costs.setdefault((clip.name, pixel_format, side), []).append(_cost(clip, pixel_format, side))
            for side in STREAMS:
                yield f"{clip.name}, {side}, round {number + 1} of {rounds}"
                streams.setdefault((clip.name, side), []).append(_stream_ms(clip, side))
    medians = {
        key: Cost(*(statistics.median(values) for values in zip(*found, strict=True))) for key, found in costs.items()
    }
    delivered = {key: statistics.median(found) for key, found in streams.items()}
    yield Report(
        [_gray_goal(medians), _stream_goal(delivered)],
        [*(_conversions(pixel_format, medians) for pixel_format in FORMATS), _streams(delivered)],
    )


def _cost(clip: Clip, pixel_format: PixelFormat, side: str) -> Cost:
    with Child("benchmarks.pixels", json.dumps([clip.name, pixel_format, side])) as child:
        return Cost(*child.hear())


def _stream_ms(clip: Clip, side: str) -> float:
    task, options = STREAMS[side]
    with Child("benchmarks.receiver", task, json.dumps({"clip": clip.name, **options})) as receiver:
        if task != "floor":
            played(receiver, {"clip": clip.name})
        result = receiver.hear()
    cpu_ms: float = 1000 * result["cpu_s"] / max(result["frames"], 1)
    return cpu_ms


def _gray_goal(medians: dict[tuple[str, str, str], Cost]) -> Goal:
    clip = CLIPS[-1].name
    ours, pyav = (medians[clip, "gray", side].cpu_ms for side in ("to_ndarray()", "PyAV"))
    return Goal(
        measure=f"one frame as gray, {clip}",
        ours=f"{ours:.2f} ms",
        beside=f"PyAV {pyav:.2f} ms",
        ratio=f"{ours / pyav:.2f}",
        goal=f"≤ {GRAY_GOAL:.2f}",
        is_met=ours / pyav <= GRAY_GOAL,
    )


def _stream_goal(delivered: dict[tuple[str, str], float]) -> Goal:
    clip = CLIPS[-1].name
    ours, floor = (delivered[clip, side] for side in ('streamer, frames(format="bgr24")', "floor"))
    return Goal(
        measure=f"delivered as bgr24, CPU a frame, {clip}",
        ours=f"{ours:.2f} ms",
        beside=f"decoding and converting {floor:.2f} ms",
        ratio=f"{ours / floor:.2f}",
        goal=f"≤ {STREAM_GOAL:.2f}",
        is_met=ours / floor <= STREAM_GOAL,
    )


def _conversions(pixel_format: PixelFormat, medians: dict[tuple[str, str, str], Cost]) -> Grid:
    rows = []
    for clip in CLIPS:
        floor_ms = medians[clip.name, pixel_format, "floor"].cpu_ms
        for side in SIDES:
            cost = medians[clip.name, pixel_format, side]
            name, size = f"{clip.width}x{clip.height}, {side}", f"{cost.cpu_ms / floor_ms:.2f}"
            rows.append((name, f"{cost.cpu_ms:.2f}", size, f"{cost.page_faults:.0f}"))
    headings = ("", "CPU ms a frame", "of the floor", "page faults a frame")
    return Grid(f"One frame as {pixel_format}", headings, rows)


def _streams(delivered: dict[tuple[str, str], float]) -> Grid:
    rows = []
    for clip in CLIPS:
        floor_ms = delivered[clip.name, "floor"]
        for side in STREAMS:
            cpu_ms = delivered[clip.name, side]
            rows.append((f"{clip.name}, {side}", f"{cpu_ms:.2f}", f"{cpu_ms / floor_ms:.2f}"))
    return Grid("A stream delivered as bgr24", ("", "CPU ms a frame", "of the floor"), rows)


def _converter(pixel_format: PixelFormat, side: str, clip: Clip) -> Callable[[av.VideoFrame], Any]:
    conversion = Conversion(pixel_format)
    warm = np.zeros(shape_of(pixel_format, clip.width, clip.height), np.uint8)
    if side == "PyAV":
        return lambda frame: np.ascontiguousarray(frame.to_ndarray(format=pixel_format))
    if side == "to_ndarray()":
        return conversion
    if side == "floor" and pixel_format == "gray":
        return lambda frame: np.copyto(warm, luma_of(frame))
    return lambda frame: conversion(frame, warm)


def main(clip_name: str, pixel_format: PixelFormat, side: str) -> None:
    """Convert frames that another thread decodes, and say what one cost. The last array is held, as a consumer does."""
    clip = clip_named(clip_name)
    convert = _converter(pixel_format, side, clip)
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.thread_count = 1
    costs: list[Cost] = []
    held: Any = None
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        for _, data in access_units(clip)[:FRAMES]:
            for frame in executor.submit(decoder.decode, av.Packet(data)).result():
                faults, begun_ns = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time_ns()
                held = convert(frame)
                cpu_ms = (time.process_time_ns() - begun_ns) / 1e6
                costs.append(Cost(cpu_ms, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults))
    del held
    say([statistics.median(values) for values in zip(*costs[WARM_UP:], strict=True)])


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
