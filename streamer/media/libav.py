"""Opens libavcodec's decoders, on the CPU or an NVIDIA GPU, limits how large a frame may be, and encodes single frames.

A peer declares a frame's size in a few bits, and the decoder allocates memory for it.
"""

import fractions
import functools
import logging
from typing import Final, Literal, TypeAlias

import av
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel

from streamer.codec_table import CODECS
from streamer.errors import ConfigurationError, IncompatibleLibraryError

Device: TypeAlias = Literal["cpu", "cuda", "auto"]

_logger = logging.getLogger("streamer.decode")

PIXELS_LIMIT: Final = 4096 * 4096  # 25 MB a frame; the largest screens of phones, 3840x2160, have half as many


def open_decoder(codec_name: str, device: Device = "cpu") -> av.VideoCodecContext:
    """Return a decoder for a codec by its name in the SDP.

    On "cuda" an NVIDIA GPU decodes, and the frames are copied to the CPU's memory. "auto" means a GPU if there is one.

    Raises IncompatibleLibraryError if libavcodec has no decoder, and ConfigurationError if there is no GPU for "cuda".
    """
    codec = CODECS[codec_name]
    if device == "cuda":
        require_cuda()
    if device != "cpu" and cuda_problem() is None:
        try:
            return _opened(codec.gpu_decoder, _cuda())
        except av.FFmpegError as error:
            if device == "cuda":
                raise _no_cuda(error) from error
            _logger.warning("= the GPU cannot decode %s (%s): the CPU does", codec_name, error)
    return _opened(codec.decoder)


def _opened(name: str, hwaccel: HWAccel | None = None) -> av.VideoCodecContext:
    try:
        context = av.CodecContext.create(name, "r", hwaccel=hwaccel)
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


@functools.cache
def cuda_problem() -> str | None:
    """Return why libavcodec cannot decode on an NVIDIA GPU; None if it can. The first call may take a second."""
    try:
        av.CodecContext.create("h264", "r", hwaccel=_cuda())
    except (av.FFmpegError, NotImplementedError, RuntimeError, ValueError) as error:
        problem = str(error)
        _logger.info("= no NVIDIA GPU to decode on (%s): the CPU decodes", problem)
        return problem
    return None


def require_cuda() -> None:
    """Raise ConfigurationError if libavcodec cannot decode on an NVIDIA GPU."""
    if (problem := cuda_problem()) is not None:
        raise _no_cuda(problem)


def _no_cuda(problem: object) -> ConfigurationError:
    return ConfigurationError(
        f'expected an NVIDIA GPU for decoder="cuda", and libavcodec cannot use one ({problem}): '
        'install its driver, or use decoder="auto"'
    )


def _cuda() -> HWAccel:
    return HWAccel("cuda", allow_software_fallback=False)


def pixel_options() -> dict[str, str]:
    """Return the options that keep libavcodec from allocating memory for a larger frame."""
    return {"max_pixels": str(PIXELS_LIMIT)}


def is_too_large(codec_name: str, context: av.VideoCodecContext, error: av.FFmpegError) -> bool:
    """Whether a codec's decoder refused a frame because of its size."""
    return context.width * context.height > PIXELS_LIMIT or error.errno == CODECS[codec_name].size_errno


def encode_one(codec: str, frame: av.VideoFrame, options: dict[str, str]) -> bytes:
    """Return one frame as a codec's encoder makes it: a whole image, if the codec is one of images."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)  # noqa: S101 - what the codecs of images are
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = fractions.Fraction(1)
    context.thread_count = 1
    context.options = options
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
