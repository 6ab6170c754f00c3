"""libswscale, called on memory of the caller's own.

PyAV's conversions allocate their result, and have no argument for where it goes. libswscale's own functions have one.
They are found through PyAV's module for conversions, which is linked with them, so it is the same libswscale. Where
they cannot be found that way, such as on Windows, `tight_rows` says so, and PyAV converts.

libswscale writes whole blocks of pixels, behind the end of a row and, behind the last row, of the memory. If rows are
tight, some of its functions leave the last pixels of a row out instead. Which of that happens depends on the width, the
processor and the version. So four rows of noise are converted before the first frame of a kind, and compared with what
PyAV makes of them. Then it is known how far the writing goes, and whether it is right.
"""

import ctypes
import functools
import weakref
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video import reformatter

from streamer.media.playback.array_pool import SLACK
from streamer.media.playback.lending import Lending, renewed_in_forks

_BILINEAR: Final = 2  # SWS_BILINEAR, which is PyAV's default
_ONE: Final = 1 << 16  # contrast and saturation as they are
_FULL_RANGE: Final = 2  # AVCOL_RANGE_JPEG
_FORMATS: Final = frozenset({"yuv420p", "yuvj420p"})
_CHECKED_ROWS: Final = 4
_GUARD: Final = 0xA5
_GUARDED: Final = 1024  # bytes behind the noise
_KEPT: Final = 8  # contexts that nobody uses: some 70 kB each

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Kind:
    """What decides how a row is converted."""

    width: int
    source: str
    is_full_range: bool
    colorspace: int
    target: str  # "rgb24" or "bgr24"


def kind_of(frame: av.VideoFrame, target: str) -> Kind | None:
    """Return a frame's kind; None if it is none that is converted row by row, as every 8-bit 4:2:0 frame is."""
    source = frame.format.name
    if source not in _FORMATS or frame.width % 2 or frame.height % 2 or frame.interlaced_frame:
        return None
    is_full_range = source == "yuvj420p" or frame.color_range == _FULL_RANGE
    return Kind(frame.width, source, is_full_range, int(frame.colorspace), target)


@functools.lru_cache(maxsize=64)
def tight_rows(kind: Kind) -> int | None:
    """Return how many bytes behind tight rows are written; None if such rows cannot be written rightly."""
    if _library() is None:
        return None
    frame = av.VideoFrame(kind.width, _CHECKED_ROWS, kind.source)
    frame.colorspace = kind.colorspace
    frame.color_range = _FULL_RANGE if kind.is_full_range else 1
    noise = np.random.default_rng(0)
    for plane in frame.planes:
        plane.update(noise.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    stride = 3 * kind.width
    memory = np.full(_CHECKED_ROWS * stride + _GUARDED, _GUARD, np.uint8)
    _Context((kind, _CHECKED_ROWS)).convert(frame, memory.ctypes.data, stride, 0, _CHECKED_ROWS)
    rows, behind = np.split(memory, [_CHECKED_ROWS * stride])
    expected = reformatter.VideoReformatter().reformat(frame, format=kind.target, threads=1).planes[0]
    if not np.array_equal(
        rows.reshape(_CHECKED_ROWS, stride),
        np.frombuffer(memoryview(expected), np.uint8).reshape(_CHECKED_ROWS, expected.line_size)[:, :stride],
    ):
        return None
    overrun = int(np.max(np.flatnonzero(behind != _GUARD), initial=-1)) + 1
    return overrun if overrun <= SLACK else None


def convert(frame: av.VideoFrame, kind: Kind, out: Pixels, *, has_slack: bool) -> None:
    """Write a frame of a kind whose `tight_rows` is not None into `out`: C-contiguous, of shape (height, width, 3).

    With `has_slack`, the `SLACK` bytes behind `out` may be written.
    """
    height, stride, behind = frame.height, 3 * kind.width, tight_rows(kind)
    with _contexts.lend((kind, height)) as context:
        if has_slack or not behind:
            context.convert(frame, out.ctypes.data, stride, 0, height)
            return
        last = min(2 * -(-behind // (2 * stride)), height)  # these rows take what is written behind those before them
        first = height - last
        if first:
            context.convert(frame, out.ctypes.data, stride, 0, first)
        rows = np.empty(last * stride + SLACK, np.uint8)
        context.convert(frame, rows.ctypes.data - first * stride, stride, first, height)
        out[first:] = rows[: last * stride].reshape(last, kind.width, 3)


class _Context:
    """One of libswscale's contexts, for frames of one kind and height. One thread may use it at a time."""

    def __init__(self, kind_and_height: tuple[Kind, int]) -> None:
        kind, height = kind_and_height
        library = _library()
        assert library is not None  # noqa: S101 - `tight_rows` said that it is there
        size, formats = (kind.width, height), [library.av_get_pix_fmt(f.encode()) for f in (kind.source, kind.target)]
        self._scale = library.sws_scale
        self._context = library.sws_getContext(*size, formats[0], *size, formats[1], _BILINEAR, None, None, None)
        if not self._context:
            raise MemoryError(f"libswscale has no context for {kind.width}x{height} pixels")
        weakref.finalize(self, library.sws_freeContext, self._context).atexit = False
        table = library.sws_getCoefficients(kind.colorspace)
        library.sws_setColorspaceDetails(self._context, table, kind.is_full_range, table, 1, 0, _ONE, _ONE)

    def convert(self, frame: av.VideoFrame, address: int, stride: int, begin: int, end: int) -> None:
        """Write the rows from `begin` to before `end`, both even; row 0 would be at `address`. Begin with row 0."""
        planes = frame.planes  # they hold the memory, and this holds them
        chroma = begin // 2
        sources = (ctypes.c_void_p * 4)(
            *(plane.buffer_ptr + plane.line_size * (chroma if index else begin) for index, plane in enumerate(planes))
        )
        strides = (ctypes.c_int * 4)(*(plane.line_size for plane in planes))
        targets, target_strides = (ctypes.c_void_p * 4)(address), (ctypes.c_int * 4)(stride)
        rows = self._scale(self._context, sources, strides, begin, end - begin, targets, target_strides)
        if rows != end - begin:
            raise MemoryError(f"libswscale converted {rows} of {end - begin} rows")


_contexts: Final = renewed_in_forks(Lending(_Context, limit=_KEPT))


@functools.cache
def _library() -> Any:
    """Return what PyAV's conversions are linked with; None if it cannot be called."""
    pointer, number = ctypes.c_void_p, ctypes.c_int
    try:
        library = ctypes.CDLL(reformatter.__file__)
        library.av_get_pix_fmt.argtypes = [ctypes.c_char_p]
        library.sws_getContext.restype = pointer
        library.sws_getContext.argtypes = [number] * 7 + [pointer] * 3
        library.sws_freeContext.restype = None
        library.sws_freeContext.argtypes = [pointer]
        library.sws_getCoefficients.restype = pointer
        library.sws_setColorspaceDetails.argtypes = [pointer, pointer, number, pointer, *[number] * 4]
        library.sws_scale.argtypes = [pointer] * 3 + [number] * 2 + [pointer] * 2
    except (OSError, AttributeError):
        return None
    return library
