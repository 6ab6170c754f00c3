"""Decoded frames: of one colour, and with given pixels."""

from typing import Any

import av
import numpy as np

from streamer.media.playback.video_frames import VideoFrame


def video_frame(
    sequence: int = 0, *, width: int = 64, height: int = 32, kind: str = "yuv420p", luma: int = 128
) -> VideoFrame:
    av_frame = av.VideoFrame(width, height, kind)
    for number, plane in enumerate(av_frame.planes):
        plane.update(bytes([luma if number == 0 else 128]) * plane.buffer_size)
    return _frame_of(av_frame, sequence)


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
