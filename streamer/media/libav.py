"""Opens libavcodec's decoders, and limits how large a frame may be.

A peer declares a frame's size in a few bits, and the decoder allocates memory for it.
"""

from typing import Final

import av
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags

from streamer.codec_table import CODECS
from streamer.errors import IncompatibleLibraryError

PIXELS_LIMIT: Final = 4096 * 4096  # 25 MB a frame; the largest screens of phones, 3840x2160, have half as many


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
    # One thread and low delay: a frame comes with its access unit. Frame threads would hold back one frame each.
    context.thread_count = 1
    context.options = pixel_options()
    context.flags |= Flags.low_delay
    return context


def pixel_options() -> dict[str, str]:
    """Return the options that keep libavcodec from allocating memory for a larger frame."""
    return {"max_pixels": str(PIXELS_LIMIT)}


def is_too_large(codec_name: str, context: av.VideoCodecContext, error: av.FFmpegError) -> bool:
    """Whether a codec's decoder refused a frame because of its size."""
    return context.width * context.height > PIXELS_LIMIT or error.errno == CODECS[codec_name].size_errno
