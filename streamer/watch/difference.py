"""Whether two pictures show the same, whatever an encoder made of each; and a picture of where they differ.

    close      a pixel is as bright as one of its neighbors in the other picture, within PIXEL_LIMIT
    a mark     at least PIXELS_LEAST pixels within 16 x 16 that are not close: a letter, a line, an icon
    a surface  a block whose mean luma or chroma differs by more than its limit, at either size of SURFACES

Two pictures differ where there is a mark, or a surface. The neighbors are those that touch the pixel: edges that are
smoothed otherwise, and the ringing of an encoder around them, lie between them. The limits were measured on x264 (see
docs/performance.md, "Golden images").
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.watch.region import Region

Planes: TypeAlias = npt.NDArray[np.uint8]  # shape (3, height, width), full range: luma, and two of chroma
Mask: TypeAlias = npt.NDArray[np.bool_]

PIXEL_LIMIT: Final = 60  # of 255, luma
PIXELS_LEAST: Final = 4
SURFACES: Final = ((16, (12, 12, 12)), (64, (3, 4, 4)))  # pixels each way, and the limits of luma and chroma
_TILE: Final = 8
_RED: Final = (214, 28, 28)
_FADED: Final = 3  # the picture below the red is so many times paler
_MARGIN: Final = 6  # pixels between what differs and the box around it


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two pictures of one size.

    Attributes:
        share: How much of what counts differs, from 0.0 to 1.0.
        region: The smallest region with everything that differs, in pixels; None if nothing does.
        pixels: Which pixels differ.
    """

    share: float
    region: Region | None
    pixels: Mask = field(repr=False)


def difference_of(one: Planes, other: Planes, ignore: Iterable[Region] = ()) -> Difference:
    """Compare two pictures of the same shape. What touches no pixel outside the regions of `ignore` does not count."""
    height, width = one.shape[1:]
    counted = np.ones((height, width), np.bool_)
    for region in ignore:
        left, top, right, bottom = region.pixels(width, height)
        counted[top:bottom, left:right] = False
    differs = _marks(one[0], other[0], counted)
    _add_surfaces(differs, one, other, counted)
    differs &= counted
    count = int(np.count_nonzero(differs))
    return Difference(count / max(int(np.count_nonzero(counted)), 1), _around(differs) if count else None, differs)


def draw_difference(actual: Planes, difference: Difference) -> npt.NDArray[np.uint8]:
    """Return RGB pixels of shape (height, width, 3): the picture in pale gray, what differs in red, a box around it."""
    pale = 255 - (255 - actual[0]) // _FADED
    drawn = np.repeat(pale[..., None], 3, axis=2)
    drawn[difference.pixels] = _RED
    if difference.region is not None:
        height, width = pale.shape
        left, top, right, bottom = difference.region.pixels(width, height)
        rows, columns = slice(max(top - _MARGIN, 0), bottom + _MARGIN), slice(max(left - _MARGIN, 0), right + _MARGIN)
        box = np.ones((height, width), np.bool_)
        box[rows, columns] = False
        inner = np.ones((height, width), np.bool_)
        inner[rows.start + 2 : bottom + _MARGIN - 2, columns.start + 2 : right + _MARGIN - 2] = False
        drawn[inner & ~box] = _RED
    return drawn


def _marks(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], counted: Mask) -> Mask:
    """Return the pixels that are not close, where there are enough of them within 16 x 16."""
    far = (_beyond(one, other) | _beyond(other, one)) & counted
    tiles = _blocks(far, _TILE).sum(axis=(1, 3), dtype=np.uint8)
    tiles = np.pad(tiles, ((0, 1), (0, 1)))
    busy = tiles[:-1, :-1] + tiles[1:, :-1] + tiles[:-1, 1:] + tiles[1:, 1:] >= PIXELS_LEAST  # 16 x 16, each 8 pixels
    near = busy.copy()
    near[1:] |= busy[:-1]
    near[:, 1:] |= near[:, :-1].copy()
    return far & _grown(near, _TILE, far.shape)


def _beyond(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Mask:
    """Return the pixels that are brighter or darker than all their neighbors in the other picture, by the limit."""
    brightest = _neighbors(other, np.maximum)
    darkest = _neighbors(other, np.minimum)
    over = np.maximum(one, brightest) - brightest
    under = darkest - np.minimum(one, darkest)
    return np.maximum(over, under) > PIXEL_LIMIT


def _neighbors(
    plane: npt.NDArray[np.uint8],
    choose: Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], npt.NDArray[np.uint8]],
) -> npt.NDArray[np.uint8]:
    padded = np.pad(plane, 1, mode="edge")
    rows = choose(choose(padded[:-2], padded[1:-1]), padded[2:])
    return choose(choose(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def _add_surfaces(differs: Mask, one: Planes, other: Planes, counted: Mask) -> None:
    """Add the pixels of the blocks whose means differ by more than a limit, unless something in the block does."""
    apart = (one.astype(np.int16) - other) * counted
    sums, count, size = list(apart), counted, 1
    for block, limits in SURFACES:
        sums = [_blocks(each, block // size).sum(axis=(1, 3), dtype=np.int32) for each in sums]
        count = _blocks(count, block // size).sum(axis=(1, 3), dtype=np.int32)
        size = block
        found = np.logical_or.reduce([np.abs(each) > limit * count for each, limit in zip(sums, limits, strict=True)])
        found &= ~_blocks(differs, size).any(axis=(1, 3))
        differs |= _grown(found, size, differs.shape)


def _blocks(plane: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return a plane in blocks: shape (rows, size, columns, size), filled up with zeros."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % size), (0, -width % size)))
    return padded.reshape(padded.shape[0] // size, size, padded.shape[1] // size, size)


def _grown(blocks: Mask, size: int, shape: tuple[int, ...]) -> Mask:
    return blocks.repeat(size, axis=0).repeat(size, axis=1)[: shape[0], : shape[1]]


def _around(mask: Mask) -> Region:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return Region(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
