"""A frame as encoders take it, YUV 4:2:0 (BT.601, limited range), drawn in place: nothing is converted on its way."""

import functools
from typing import Any, Final, Self

import av
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Color = tuple[int, int, int]  # red, green, blue

BLACK: Final = 16  # of luma
WHITE: Final = 235
_SHIFTS: Final = (0, 1, 1)  # chroma has half as many rows and columns


class Picture:
    """A frame of even width and height; `planes` are views of the memory of `frame`.

    Places and sizes are in pixels. Luma gets exactly these; of an odd place, chroma gets the even one before it.
    """

    def __init__(self, width: int, height: int) -> None:
        self.frame = av.VideoFrame(width, height, "yuv420p")
        self.width, self.height = width, height
        self.planes = _planes_of(self.frame)

    @classmethod
    def from_rgb(cls, image: Bytes) -> Self:
        """Return what an array of shape (height, width, 3) shows; where a row or column lacks, the last comes twice."""
        even = np.ascontiguousarray(_even(image))
        picture = cls(even.shape[1], even.shape[0])
        converted = av.VideoFrame.from_numpy_buffer(even, format="rgb24").reformat(format="yuv420p")
        for mine, theirs in zip(picture.planes, _planes_of(converted), strict=True):
            mine[:] = theirs
        return picture

    def to_rgb(self) -> Bytes:
        """Return an array of shape (height, width, 3)."""
        return np.asarray(self.frame.to_ndarray(format="rgb24"), dtype=np.uint8)

    def fill(self, left: int, top: int, right: int, bottom: int, color: Color) -> None:
        """Fill a part of it."""
        for mine, shift, level in zip(self.planes, _SHIFTS, levels_of(color), strict=True):
            mine[top >> shift : bottom + shift >> shift, left >> shift : right + shift >> shift] = level

    def put(
        self,
        source: "Picture",
        x: int = 0,
        y: int = 0,
        *,
        left: int = 0,
        top: int = 0,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        """Copy a part of another picture, which is there at `left` and `top`; what would be outside is left out."""
        right = x + (source.width - left if width is None else width)
        bottom = y + (source.height - top if height is None else height)
        for mine, theirs, shift in zip(self.planes, source.planes, _SHIFTS, strict=True):
            below = mine[y >> shift : bottom + shift >> shift, x >> shift : right + shift >> shift]
            part = theirs[top >> shift :, left >> shift :][: below.shape[0], : below.shape[1]]
            below[: part.shape[0], : part.shape[1]] = part


class Sprite:
    """A small picture of shape (height, width, 3), and how much of it covers what is below: 0 to 255."""

    def __init__(self, image: Bytes, cover: Bytes) -> None:
        shares = _even(cover).astype(np.uint16)
        shares += shares >> 7  # 256 covers all
        halves = shares.reshape(shares.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3)).astype(np.uint16)
        planes = Picture.from_rgb(image).planes
        self._layers = [
            (plane * share, 256 - share) for plane, share in zip(planes, (shares, halves, halves), strict=True)
        ]

    def put(self, picture: Picture, x: int, y: int) -> None:
        """Copy it to a place; what would be outside is left out."""
        for mine, (colors, lets_through), shift in zip(picture.planes, self._layers, _SHIFTS, strict=True):
            left, top = x >> shift, y >> shift
            part = np.s_[max(-top, 0) : max(mine.shape[0] - top, 0), max(-left, 0) : max(mine.shape[1] - left, 0)]
            through = lets_through[part]
            rows, columns = through.shape
            below = mine[max(top, 0) :, max(left, 0) :][:rows, :columns]
            below[:] = (below * through + colors[part]) >> 8


@functools.lru_cache(maxsize=256)
def levels_of(color: Color) -> tuple[int, int, int]:
    """Return a color's luma and its chroma, blue and red."""
    red, green, blue = color
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (
        round(BLACK + luma * 219 / 255),
        round(128 + (blue - luma) / 1.772 * 224 / 255),
        round(128 + (red - luma) / 1.402 * 224 / 255),
    )


def gray_of(luma: int) -> Color:
    """Return the gray that has this luma."""
    level = round((luma - BLACK) * 255 / 219)
    return level, level, level


def _planes_of(frame: Any) -> tuple[Bytes, ...]:
    return tuple(
        np.frombuffer(plane, dtype=np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )


def _even(image: Bytes) -> Bytes:
    """Return it with its last row and column twice, where that makes their number even."""
    height, width = image.shape[:2]
    if height % 2 == width % 2 == 0:
        return image
    return np.pad(image, [(0, height % 2), (0, width % 2), *[(0, 0)] * (image.ndim - 2)], mode="edge")
