"""A decoded frame's pixels as arrays: the decoder's own planes, and conversions of them."""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from streamer.errors import ConfigurationError
from streamer.media.playback import swscale
from streamer.media.playback.array_pool import ARRAYS
from streamer.media.playback.full_range import full_range_luma
from streamer.media.playback.lending import Lending, renewed_in_forks

PixelFormat: TypeAlias = Literal["rgb24", "bgr24", "gray", "yuv420p"]
Pixels: TypeAlias = npt.NDArray[np.uint8]

FORMATS: Final = ("rgb24", "bgr24", "gray", "yuv420p")
SIZE_LIMIT: Final = 16384

_FULL_RANGE: Final = 2  # AVCOL_RANGE_JPEG
_LUMA_FIRST: Final = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12", "gray"})
_KEPT: Final = 8  # reformatters that nobody uses

_reformatters: Final[Lending[tuple[Any, ...], VideoReformatter]] = renewed_in_forks(
    Lending(lambda _: VideoReformatter(), limit=_KEPT)
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What pixels shall become."""

    format: PixelFormat
    size: tuple[int, int] | None = None  # width and height; None: the frame's own

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what is possible for no frame."""
        if self.format not in FORMATS:
            raise ConfigurationError(f"expected a pixel format of {', '.join(FORMATS)}, got {self.format!r}")
        if self.size is not None:
            self._check(*self.size)

    def __call__(self, frame: av.VideoFrame, out: Pixels | None = None) -> Pixels:
        """Return a frame's pixels in `out`, or in an array of the pool.

        Raises ConfigurationError if the format cannot have the frame's size, or `out` is no place for it.
        """
        width, height = self.size or (frame.width, frame.height)
        self._check(width, height)
        shape = shape_of(self.format, width, height)
        if out is not None:
            _check_place(out, shape)
        is_scaled = (width, height) != (frame.width, frame.height)
        if self.format == "gray" and frame.format.name in _LUMA_FIRST:
            return _gray(frame, self, shape, out)
        if is_scaled:
            return _copied(_reformatted(frame, self, width, height), self.format, shape, out)
        if self.format == "yuv420p":
            same = frame.format.name == "yuv420p"
            return _copied(frame if same else _reformatted(frame, self, width, height), self.format, shape, out)
        kind = swscale.kind_of(frame, self.format) if self.format != "gray" else None
        if kind is None or swscale.tight_rows(kind) is None:
            return _copied(_reformatted(frame, self, width, height), self.format, shape, out)
        if out is not None and out.flags.c_contiguous:
            swscale.convert(frame, kind, out, has_slack=False)
            return out
        array = ARRAYS.take(shape)
        swscale.convert(frame, kind, array, has_slack=True)
        return array if out is None else _copy(array, out)

    def _check(self, width: int, height: int) -> None:
        if not (0 < width <= SIZE_LIMIT and 0 < height <= SIZE_LIMIT):
            raise ConfigurationError(f"expected a size of 1 to {SIZE_LIMIT} pixels each way, got {width}x{height}")
        if self.format == "yuv420p" and (width % 2 or height % 2):
            raise ConfigurationError(f'expected an even size for "yuv420p", got {width}x{height}: pass an even size')


def shape_of(pixel_format: PixelFormat, width: int, height: int) -> tuple[int, ...]:
    """Return the shape of an array in this format."""
    if pixel_format == "gray":
        return height, width
    return (height * 3 // 2, width) if pixel_format == "yuv420p" else (height, width, 3)


def planes_of(frame: av.VideoFrame) -> tuple[npt.NDArray[Any], ...]:
    """Return a frame's planes as read-only views, which keep the frame's memory.

    A view has the shape (height, width), or (height, width, n) for a plane of n components, and the plane's own stride.
    """
    views = []
    components = frame.format.components
    for number, plane in enumerate(frame.planes):
        interleaved = [component for component in components if component.plane == number]
        dtype = np.dtype(np.uint16 if max(component.bits for component in interleaved) > 8 else np.uint8)
        shape = (plane.height, plane.width, len(interleaved))
        step, stride = dtype.itemsize * len(interleaved), plane.line_size
        view: npt.NDArray[Any] = np.ndarray(
            shape,
            dtype,
            buffer=np.frombuffer(memoryview(plane).toreadonly(), np.uint8),
            offset=(plane.height - 1) * -stride if stride < 0 else 0,  # rows from the bottom up
            strides=(stride, step, dtype.itemsize),
        )
        views.append(view if len(interleaved) > 1 else view[..., 0])
    return tuple(views)


def luma_of(frame: av.VideoFrame) -> npt.NDArray[Any]:
    """Return the plane of luma as `planes_of` does. Raises ConfigurationError if the frame has none, being RGB."""
    if frame.format.is_rgb:
        raise ConfigurationError(
            f'expected a frame with a plane of luma, got one in {frame.format.name}: use to_ndarray("gray")'
        )
    return planes_of(frame)[0]


def _gray(frame: av.VideoFrame, conversion: Conversion, shape: tuple[int, ...], out: Pixels | None) -> Pixels:
    """Return the luma from 0 to 255; see `full_range` for how exact it is."""
    luma = luma_of(frame)
    if shape != luma.shape:  # scaled before, as there is less to expand then
        height, width = shape
        plane = av.VideoFrame.from_numpy_buffer(luma if luma.strides[0] > 0 else luma.copy(), "gray")
        luma = planes_of(_reformatted(plane, conversion, width, height))[0]
    gray = ARRAYS.take(shape) if out is None else out
    if frame.format.name.startswith("yuvj") or frame.format.name == "gray" or frame.color_range == _FULL_RANGE:
        return _copy(luma, gray)
    return full_range_luma(luma, gray)


def _reformatted(frame: av.VideoFrame, conversion: Conversion, width: int, height: int) -> av.VideoFrame:
    """Return PyAV's conversion, in memory that PyAV allocates."""
    is_scaled = conversion.size is not None
    with _reformatters.lend((conversion, frame.width, frame.height, frame.format.name)) as reformatter:
        return reformatter.reformat(
            frame,
            width,
            height,
            conversion.format,
            interpolation="AREA" if is_scaled else None,
            threads=1,  # each context would have threads of its own
        )


def _copied(frame: av.VideoFrame, pixel_format: PixelFormat, shape: tuple[int, ...], out: Pixels | None) -> Pixels:
    """Return the pixels of a frame that has this format already."""
    array = ARRAYS.take(shape) if out is None else out
    planes = planes_of(frame)
    if pixel_format != "yuv420p":
        return _copy(planes[0], array)
    luma, *chroma = planes
    height = len(luma)
    np.copyto(array[:height], luma)
    rows = array if array.flags.c_contiguous else ARRAYS.take(shape)
    begin = luma.size
    for plane in chroma:
        np.copyto(rows.reshape(-1)[begin : begin + plane.size].reshape(plane.shape), plane)
        begin += plane.size
    if rows is not array:
        np.copyto(array[height:], rows[height:])
    return array


def _copy(source: npt.NDArray[Any], target: Pixels) -> Pixels:
    np.copyto(target, source)
    return target


def _check_place(out: object, shape: tuple[int, ...]) -> None:
    """Raise ConfigurationError unless pixels of this shape can be written into `out`."""
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != shape:
        got = f"{out.shape} and {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ConfigurationError(f"expected an array of shape {shape} and uint8 as out, got {got}")
    if not out.flags.writeable:
        raise ConfigurationError("expected an array as out that can be written, got a read-only one")
