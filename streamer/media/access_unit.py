"""`AccessUnit`: what the stages of the media path hand to each other."""

from dataclasses import dataclass, field

from streamer.tracks import Codec, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One encoded frame, or one packet of encoded audio, in the form that libavcodec takes.

    H.264 and H.265 are in Annex B, with the parameter sets before every keyframe. AV1 is in the low-overhead format,
    with its delimiter. VP9 is a frame, or a superframe. All others are as the encoder made them.
    """

    kind: Kind  # "video" or "audio"
    codec: Codec  # `codec.name` is "h264", "opus", ..., and `codec.clock_rate` the ticks in a second
    data: bytes = field(repr=False)  # the encoded frame
    rtp_time: int  # in ticks of the codec's clock rate, extended: it never wraps and never jumps within a stream
    ssrc: int  # of the RTP stream (RFC 3550)
    is_keyframe: bool  # a decoder may start here; true for all audio
    discontinuity: bool  # units were lost right before this one, or the stream restarted
    arrival_ns: int  # monotonic, of the datagram that completed it
    captured_ns: int | None = None  # Unix time on the phone's own clock; None before its first sender report
