"""Encodes frames as JPEG: straight from the decoder's planes where that is possible, with libjpeg-turbo if it is there.

A JPEG has luma and chroma of ITU-R BT.601 in full range (JFIF 1.02). A phone's stream has limited range as a rule: its
planes are stretched first. Frames with another color matrix, such as BT.709, and deeper ones go through RGB.
"""

from typing import Final, Protocol, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from streamer.media.libav import encode_one
from streamer.media.playback.full_range import full_range_chroma, full_range_luma
from streamer.media.playback.pixels import Conversion, planes_of

Plane: TypeAlias = npt.NDArray[np.uint8]

_SUBSAMPLED: Final = frozenset({"yuv420p", "yuv422p", "yuv444p"})  # formats with planes as a JPEG has them
_FULL_RANGE: Final = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
# AVCOL_SPC_UNSPECIFIED, which to_ndarray() takes for BT.601, AVCOL_SPC_BT470BG and AVCOL_SPC_SMPTE170M.
_BT601: Final = frozenset({2, 5, 6})


class _TurboJpeg(Protocol):
    """What is used of `simplejpeg`, which the extra `fast` brings."""

    def encode_jpeg_yuv_planes(self, Y: Plane, U: Plane, V: Plane, quality: int) -> bytes:  # noqa: N803 - its names
        """Return a JPEG of three planes."""

    def encode_jpeg(self, image: Plane, quality: int, colorspace: str, colorsubsampling: str) -> bytes:
        """Return a JPEG of RGB pixels."""


def _find_turbo() -> _TurboJpeg | None:
    try:
        import simplejpeg  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    turbo: _TurboJpeg = simplejpeg
    return turbo


def encode_frame(av_frame: av.VideoFrame, quality: int, size: tuple[int, int] | None) -> bytes:
    """Return a decoded frame as a JPEG, scaled to `size`; the chroma has as many samples as the frame's own.

    Raises ConfigurationError if the size is impossible.
    """
    to_rgb = Conversion("rgb24", size)
    layout = _FULL_RANGE.get(av_frame.format.name, av_frame.format.name)
    if layout not in _SUBSAMPLED or av_frame.colorspace not in _BT601:
        return encode_pixels(to_rgb(av_frame), quality)
    turbo = _find_turbo()
    if turbo is None:
        return _with_libavcodec(av_frame, layout.replace("yuv", "yuvj"), quality, size)
    if size is not None:
        av_frame = VideoReformatter().reformat(av_frame, *size, interpolation=Interpolation.AREA, threads=1)
    is_full = av_frame.format.name in _FULL_RANGE or av_frame.color_range == ColorRange.JPEG
    luma, blue, red = planes_of(av_frame)
    if not is_full:
        luma, blue, red = full_range_luma(luma), full_range_chroma(blue), full_range_chroma(red)
    return turbo.encode_jpeg_yuv_planes(luma, blue, red, quality)


def encode_pixels(pixels: Plane, quality: int) -> bytes:
    """Return RGB pixels of shape (height, width, 3) as a JPEG, whose chroma has half the size."""
    if (turbo := _find_turbo()) is not None:
        return turbo.encode_jpeg(pixels, quality, "RGB", "420")
    return _with_libavcodec(av.VideoFrame.from_ndarray(pixels, format="rgb24"), "yuvj420p", quality, None)


def _with_libavcodec(av_frame: av.VideoFrame, layout: str, quality: int, size: tuple[int, int] | None) -> bytes:
    width, height = size or (av_frame.width, av_frame.height)
    frame = VideoReformatter().reformat(
        av_frame,
        width,
        height,
        layout,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC if size is None else Interpolation.AREA,
        threads=1,
    )
    step = str(_quantiser(quality))
    return encode_one("mjpeg", frame, {"qmin": step, "qmax": step, "huffman": "optimal"})


def _quantiser(quality: int) -> int:
    """Return libavcodec's quantiser for a quality: libjpeg's scale of the tables, in eighths."""
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    return min(max(round(8 * scale), 1), 31)
