"""libavcodec's decoders: how one is opened, and how large a frame may be.

A frame's size is a few bits of what a peer sends, and a decoder takes memory by it.
"""

from typing import Final

import av
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags

from streamer.codec_table import CODECS
from streamer.errors import IncompatibleLibraryError

PIXELS_LIMIT: Final = 4096 * 4096  # 25 MB a frame; 3840x2160, the largest that phones have, is half of that


def open_decoder(codec_name: str) -> av.VideoCodecContext:
    """Return a decoder for a codec by its name in the SDP. Raises IncompatibleLibraryError if libavcodec has none."""
    name = CODECS[codec_name].decoder
    try:
        context = av.CodecContext.create(name, "r")
    except UnknownCodecError:
        context = None
    if not isinstance(context, av.VideoCodecContext):
        raise IncompatibleLibraryError(
            f"expected a libavcodec with the decoder {name}, found none in av {av.__version__}: install av from a wheel"
        )
    # One thread and low delay: a frame leaves with the access unit that holds it, where frame threads would
    # keep back as many frames as there are threads.
    context.thread_count = 1
    context.options = pixel_options()
    context.flags |= Flags.low_delay
    return context


def pixel_options() -> dict[str, str]:
    """Return the options that keep libavcodec from taking memory for a larger frame."""
    return {"max_pixels": str(PIXELS_LIMIT)}


def is_too_large(codec_name: str, context: av.VideoCodecContext, error: av.FFmpegError) -> bool:
    """Whether a codec's decoder refused a frame for its size."""
    return context.width * context.height > PIXELS_LIMIT or error.errno == CODECS[codec_name].size_errno
