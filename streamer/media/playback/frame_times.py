"""Makes the frame that users get from a decoded one: with its times, on both clocks."""

from streamer.audio_ports import AudioPort
from streamer.media.frame_decoder import DecodedFrame
from streamer.media.playback.video_frames import VideoFrame


def frame_of(
    decoded: DecodedFrame,
    now_ns: int,
    wall_ns: int,
    *,
    sequence: int = 0,
    discontinuity: bool = False,
    audio_port: AudioPort | None = None,
) -> VideoFrame:
    """Return a frame that was decoded at `now_ns` (monotonic), which is `wall_ns` in Unix time."""
    unit, av_frame = decoded.unit, decoded.av_frame
    return VideoFrame(
        width=av_frame.width,
        height=av_frame.height,
        sequence=sequence,
        rtp_time=unit.rtp_time,
        arrival_ns=unit.arrival_ns,
        decoded_ns=now_ns,
        received_at=(wall_ns - (now_ns - unit.arrival_ns)) / 1e9,
        captured_at=None if unit.captured_ns is None else unit.captured_ns / 1e9,
        is_keyframe=unit.is_keyframe,
        discontinuity=discontinuity,
        audio_port=audio_port,
        av_frame=av_frame,
    )
