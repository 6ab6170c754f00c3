"""Pictures as the encoder takes them, and the few ways to put one into another."""

from typing import Any, Final, Self

import av
import numpy as np
import numpy.typing as npt

_BT601: Final = 5  # swscale's name for the matrix that decoders assume where a stream names none


class Yuv:
    """A yuv420p picture of even size; `array` is the whole of it, `(height * 3 // 2, width)`, as PyAV takes it.

    `planes` are views of it: luma, and the two chroma planes of half the size. All coordinates are in luma pixels, and
    even. Nothing here wraps or scales: what lies outside of the picture is cut off.
    """

    def __init__(self, array: npt.NDArray[np.uint8]) -> None:
        self.array = array
        self.height, self.width = array.shape[0] * 2 // 3, array.shape[1]
        luma, quarter = self.width * self.height, self.width * self.height // 4
        flat = array.reshape(-1)
        half = (self.height // 2, self.width // 2)
        self.planes = (
            flat[:luma].reshape(self.height, self.width),
            flat[luma : luma + quarter].reshape(half),
            flat[luma + quarter :].reshape(half),
        )

    @classmethod
    def empty(cls, width: int, height: int) -> Self:
        """Return a picture of this size with undefined content."""
        return cls(np.empty((height * 3 // 2, width), np.uint8))

    @classmethod
    def from_rgb(cls, rgb: npt.NDArray[np.uint8]) -> Self:
        """Return `(height, width, 3)` RGB as yuv420p: BT.601, limited range."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        return cls(frame.reformat(format="yuv420p", dst_colorspace=_BT601).to_ndarray())

    def copy_from(self, other: "Yuv") -> None:
        """Become a copy of `other`, which has the same size."""
        np.copyto(self.array, other.array)

    def paste(self, other: "Yuv", x: int, y: int, opacity: "Opacity | None" = None) -> None:
        """Put `other` here with its corner at (x, y), blended where an opacity is given."""
        for level, (target, source) in enumerate(zip(self.planes, other.planes, strict=True)):
            left, top = (x, y) if level == 0 else (x // 2, y // 2)
            rows, source_rows = _overlap(top, source.shape[0], target.shape[0])
            columns, source_columns = _overlap(left, source.shape[1], target.shape[1])
            into, what = target[rows, columns], source[source_rows, source_columns]
            if opacity is None:
                into[...] = what
            else:
                share = opacity.planes[min(level, 1)][source_rows, source_columns]
                into[...] = (what * share + into * (256 - share)) >> 8

    def fill(self, x: int, y: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
        """Fill a rectangle with one colour, given as Y, Cb and Cr."""
        self.planes[0][y : y + height, x : x + width] = colour[0]
        for plane, value in zip(self.planes[1:], colour[1:], strict=True):
            plane[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = value

    def slide(self, old: "Yuv", new: "Yuv", shift: int) -> None:
        """Become the two side by side, the view moved by `shift` pixels from `old` towards `new`, on its right."""
        for level, (target, left, right) in enumerate(zip(self.planes, old.planes, new.planes, strict=True)):
            cut = shift if level == 0 else shift // 2
            width = target.shape[1]
            target[:, : width - cut] = left[:, cut:]
            target[:, width - cut :] = right[:, :cut]


class Opacity:
    """How much of each pixel of a picture counts, 0 to 256, for luma and for chroma."""

    def __init__(self, mask: npt.NDArray[np.uint8]) -> None:
        whole: npt.NDArray[Any] = mask.astype(np.uint16)
        whole += whole >> 7  # 255 becomes 256: full is full
        height, width = mask.shape
        self.planes = (whole, whole.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)).astype(np.uint16))


def _overlap(at: int, length: int, limit: int) -> tuple[slice, slice]:
    start, stop = max(at, 0), max(min(at + length, limit), 0)
    start = min(start, stop)
    return slice(start, stop), slice(start - at, stop - at)
