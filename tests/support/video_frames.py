"""Decoded frames: of one colour, and with given pixels."""

import itertools
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np

from streamer.media.playback.video_frames import VideoFrame


def video_frame(
    sequence: int = 0, *, width: int = 64, height: int = 32, kind: str = "yuv420p", luma: int = 128
) -> VideoFrame:
    av_frame = av.VideoFrame(width, height, kind)
    for number, plane in enumerate(av_frame.planes):
        plane.update(bytes([luma if number == 0 else 128]) * plane.buffer_size)
    return _frame_of(av_frame, sequence)


def noise_frame(
    width: int,
    height: int,
    kind: str = "yuv420p",
    colorspace: int = 2,
    color_range: int = 1,
    *,
    levels: tuple[int, int] = (0, 255),
    seed: int = 0,
) -> av.VideoFrame:
    """Return a frame of PyAV's whose planes hold any values of these levels, also where rows are padded."""
    noise = np.random.default_rng([seed, width, height])
    frame = av.VideoFrame(width, height, kind)
    for plane in frame.planes:
        plane.update(noise.integers(levels[0], levels[1] + 1, plane.buffer_size, np.uint8).tobytes())
    frame.colorspace, frame.color_range = colorspace, color_range
    return frame


def filtered(frame: av.VideoFrame, name: str, arguments: str | None = None) -> av.VideoFrame:
    """Return a frame after one of libavfilter's filters."""
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)),
        graph.add(name, arguments),
        graph.add("buffersink"),
    ]
    for source, target in itertools.pairwise(nodes):
        source.link_to(target)
    graph.configure()
    graph.push(frame)
    result = graph.pull()
    assert isinstance(result, av.VideoFrame)
    return result


def shown(av_frame: av.VideoFrame) -> VideoFrame:
    """Return one of PyAV's frames as one of ours."""
    return _frame_of(av_frame, 0)


def frame_with(rgb: Any, *, arrival_ns: int = 0) -> VideoFrame:
    """Return a frame with these RGB pixels, as a decoder gives it: as luma, and chroma of half the size."""
    return _frame_of(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24").reformat(format="yuv420p"), 0, arrival_ns
    )


def _frame_of(av_frame: av.VideoFrame, sequence: int, arrival_ns: int = 0) -> VideoFrame:
    return VideoFrame(
        width=av_frame.width,
        height=av_frame.height,
        sequence=sequence,
        rtp_time=0,
        arrival_ns=arrival_ns,
        received_at=0.0,
        decoded_ns=0,
        captured_at=None,
        is_keyframe=False,
        discontinuity=False,
        av_frame=av_frame,
    )


FRAMES = [video_frame(number) for number in range(64)]
