"""How large a frame may be: its size is a few bits of what a peer sends, and a decoder takes memory by it."""

import errno
from typing import Final

import av

PIXELS_LIMIT: Final = 4096 * 4096  # 25 MB a frame; 3840x2160, the largest that phones have, is half of that

# What libavcodec's decoders say to a frame of more than `max_pixels`, where they tell no size (libavcodec 62).
_REFUSALS: Final = {"vp8": errno.EINVAL, "vp9": errno.EINVAL, "libdav1d": errno.ERANGE}


def pixel_options() -> dict[str, str]:
    """Return the options that keep libavcodec from taking memory for a larger frame."""
    return {"max_pixels": str(PIXELS_LIMIT)}


def is_too_large(context: av.VideoCodecContext, error: av.FFmpegError) -> bool:
    """Whether a decoder with these options refused a frame for its size."""
    if context.width * context.height > PIXELS_LIMIT:
        return True
    return error.errno == _REFUSALS.get(context.name)
