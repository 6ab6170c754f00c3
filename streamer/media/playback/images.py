"""Encodes pixels as PNG or JPEG, decodes image files with libavcodec, and takes parts of frames. It needs no extra."""

import io
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import av
import numpy as np
import numpy.typing as npt

from streamer.errors import ConfigurationError
from streamer.media.playback import jpeg
from streamer.media.playback.png import encode_png

ImageFormat: TypeAlias = Literal["png", "jpeg"]

_BY_SUFFIX: Final[dict[str, ImageFormat]] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
QUALITY: Final = 90  # of a JPEG, by the usual scale
_TILE: Final = 16  # pixels each way: whole chroma samples of every format


def image_format_of(path: Path) -> ImageFormat:
    """Return the image format for a file name. Raises ConfigurationError if its suffix is not known."""
    found = _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise ConfigurationError(f"expected a file name that ends in .png, .jpg or .jpeg, got {path.name or '.'!r}")
    return found


def encode_image(pixels: npt.NDArray[np.uint8], image_format: ImageFormat, *, quality: int = QUALITY) -> bytes:
    """Return RGB pixels of shape (height, width, 3) as an image file; `quality` is for JPEG, from 1 to 100.

    Raises ConfigurationError for another format or quality.
    """
    check_image(image_format, quality)
    return encode_png(pixels) if image_format == "png" else jpeg.encode_pixels(np.ascontiguousarray(pixels), quality)


def check_image(image_format: ImageFormat, quality: int) -> None:
    """Raise ConfigurationError if this is no format of images, or no quality of a JPEG."""
    if image_format not in get_args(ImageFormat):
        raise ConfigurationError(f'expected the image format "png" or "jpeg", got {image_format!r}')
    if not 1 <= quality <= 100:
        raise ConfigurationError(f"expected a quality from 1 to 100, got {quality}")


def decode_image(data: bytes, name: str = "the bytes") -> npt.NDArray[np.uint8]:
    """Return the pixels of an image file (PNG, JPEG, WebP, BMP …) as RGBA, of shape (height, width, 4).

    Raises ConfigurationError if `data` is no image; it calls it `name`.
    """
    try:
        with av.open(io.BytesIO(data), "r") as container:
            frame = next(container.decode(video=0))
            return np.asarray(frame.to_ndarray(format="rgba"), dtype=np.uint8)
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise ConfigurationError(f"expected an image file such as a PNG, got {name}, which is none") from error


def yuv_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return RGB or RGBA pixels as luma and two planes of chroma: shape (3, height, width), full range.

    Pictures that are compared go this way, so that a stream's own color space does not count. Nor does transparency.
    """
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[..., :3]), format="rgb24")
    return np.asarray(frame.reformat(format="yuv444p", dst_color_range="JPEG").to_ndarray(), dtype=np.uint8)


def color_at(av_frame: av.VideoFrame, x: int, y: int) -> tuple[int, int, int]:
    """Return the red, green and blue of one pixel, without converting the others.

    It is what `to_ndarray("rgb24")` gives, within what the chroma of neighbouring pixels adds there.
    """
    red, green, blue = rgb_of(av_frame, x, y, x + 1, y + 1)[0, 0].tolist()
    return red, green, blue


def rgb_of(av_frame: av.VideoFrame, left: int, top: int, right: int, bottom: int) -> npt.NDArray[np.uint8]:
    """Return the pixels of a part of a frame as RGB, of shape (bottom - top, right - left, 3), converting no others.

    They are what `to_ndarray("rgb24")` gives, within what the chroma of neighbouring pixels adds at the edge.
    """
    left_tile, top_tile = left - left % _TILE, top - top % _TILE
    width, height = -(-(right - left_tile) // _TILE) * _TILE, -(-(bottom - top_tile) // _TILE) * _TILE
    tile = av.VideoFrame(width, height, av_frame.format.name)
    tile.color_range, tile.colorspace = av_frame.color_range, av_frame.colorspace
    sample = 2 if max(component.bits for component in av_frame.format.components) > 8 else 1  # bytes
    for source, target in zip(av_frame.planes, tile.planes, strict=True):
        rows = np.frombuffer(memoryview(source), np.uint8).reshape(-1, source.line_size)
        first_row, first_byte = top_tile * target.height // height, sample * left_tile * target.width // width
        last_byte = min(first_byte + sample * target.width, sample * source.width)
        cut = rows[first_row : min(first_row + target.height, source.height), first_byte:last_byte]
        padded = np.zeros((target.buffer_size // target.line_size, target.line_size), np.uint8)
        padded[: cut.shape[0], : cut.shape[1]] = cut
        target.update(padded.tobytes())
    pixels = tile.to_ndarray(format="rgb24")[top - top_tile : bottom - top_tile, left - left_tile : right - left_tile]
    return np.asarray(pixels, dtype=np.uint8)
