"""`AccessUnit`: what the stages of the media path hand to each other."""

from dataclasses import dataclass, field

from streamer.tracks import Codec, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One encoded frame, or one packet of encoded audio, in the form that libavcodec takes."""

    kind: Kind
    codec: Codec
    # H.264 and H.265: Annex B, parameter sets before every keyframe. AV1: the low-overhead format, with its delimiter.
    # VP9: a frame, or a superframe. All others as the encoder made it.
    data: bytes = field(repr=False)
    rtp_time: int  # in ticks of the codec's clock rate, extended: it never wraps and never jumps within a stream
    ssrc: int
    is_keyframe: bool  # a decoder may start here; true for all audio
    discontinuity: bool  # units were lost right before this one, or the stream restarted
    arrival_ns: int  # monotonic, of the datagram that completed it
    captured_ns: int | None = None  # Unix time on the phone's own clock; None before its first sender report
