"""Decoded frames of one colour."""

import av

from streamer.media.playback.video_frames import VideoFrame


def video_frame(
    sequence: int = 0, *, width: int = 64, height: int = 32, kind: str = "yuv420p", luma: int = 128
) -> VideoFrame:
    av_frame = av.VideoFrame(width, height, kind)
    for number, plane in enumerate(av_frame.planes):
        plane.update(bytes([luma if number == 0 else 128]) * plane.buffer_size)
    return VideoFrame(
        width=width,
        height=height,
        sequence=sequence,
        rtp_time=0,
        arrival_ns=0,
        received_at=0.0,
        decoded_ns=0,
        captured_at=None,
        is_keyframe=False,
        discontinuity=False,
        av_frame=av_frame,
    )


FRAMES = [video_frame(number) for number in range(64)]
