"""Chooses the depacketizer for a codec."""

from streamer.media.codecs.av1 import Av1Depacketizer
from streamer.media.codecs.depacketizer import Depacketizer
from streamer.media.codecs.h264 import H264Depacketizer
from streamer.media.codecs.h265 import H265Depacketizer
from streamer.media.codecs.vp8 import Vp8Depacketizer
from streamer.media.codecs.vp9 import Vp9Depacketizer
from streamer.tracks import Codec


def depacketizer_for(codec: Codec) -> Depacketizer:
    """Return a new depacketizer for one stream of a video codec that `rtc.sdp` accepts."""
    match codec.name:
        case "h264":
            return H264Depacketizer(codec.parameters)
        case "h265":
            return H265Depacketizer(codec.parameters)
        case "vp8":
            return Vp8Depacketizer()
        case "vp9":
            return Vp9Depacketizer()
        case "av1":
            return Av1Depacketizer()
    raise ValueError(f"no depacketizer for {codec.name}")
