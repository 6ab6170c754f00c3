"""What changed between two frames, each reduced to its blocks: the mean luma and chroma of some 16 x 16 pixels.

A block has changed if its mean luma, from 0 to 255, differs by more than THRESHOLD, or its mean chroma by twice that.
What sharpens a block, as an encoder does once the screen rests, leaves its means nearly as they were. The threshold was
measured (see docs/performance.md): below it, frames that repeat a resting screen differ again and again; above it, a
fade of one level a frame would pass for rest.

A frame is compared with a reference, not with the frame before it: so changes too small to count add up. The first
frame is the first reference, and every frame that differs from the reference becomes the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.errors import ConfigurationError
from streamer.watch.region import Region

Blocks: TypeAlias = npt.NDArray[np.uint8]
Mask: TypeAlias = npt.NDArray[np.bool_]

BLOCK: Final = 16  # pixels each way, or nearly so
FAST: Final = 16  # libswscale reduces a frame to a multiple of so many columns a fifth faster
THRESHOLD: Final = 6  # of 255; twice as much for chroma, which encoders treat more roughly
LIMITS: Final = np.array([THRESHOLD, 2 * THRESHOLD, 2 * THRESHOLD], np.int16).reshape(3, 1, 1)
REGIONS_LIMIT: Final = 8  # that `regions_of` returns


def grid_of(width: int, height: int) -> tuple[int, int]:
    """Return how many columns and rows of blocks a frame has."""
    columns, rows = max(round(width / BLOCK), 1), max(round(height / BLOCK), 1)
    fast = FAST * round(columns / FAST)
    return fast if abs(fast - columns) <= columns / 10 else columns, rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What the comparison of one frame with the reference gave."""

    rtp_time: int  # 90 kHz ticks, extended: the phone's clock
    arrival_ns: int  # monotonic, of the frame's last datagram
    size: tuple[int, int]  # width and height of the frame, in pixels
    is_first: bool = False  # there was no reference
    follows_loss: bool = False  # frames were lost before it: they may have changed something and changed it back
    changed: Mask | None = None  # the blocks that changed; None if none did

    @property
    def region(self) -> Region:
        """The smallest region with everything that changed. Call it only if something did."""
        assert self.changed is not None  # noqa: S101 - see above
        return _region(self.changed, self.size)


class Reference:
    """The frame that others are compared with. Only blocks that touch `region`, and no region of `ignore`, count."""

    def __init__(self, *, region: Region | None = None, ignore: Sequence[Region] = ()) -> None:
        self._region = region
        self._ignore = tuple(ignore)
        self._blocks: npt.NDArray[np.int16] | None = None
        self._size = (0, 0)
        self._mask: Mask | None = None  # the blocks that count; None if all do

    def check(self, size: tuple[int, int]) -> None:
        """Raise ConfigurationError if no block counts on a screen of this width and height."""
        columns, rows = grid_of(*size)
        mask_of((rows, columns), size, self._region, self._ignore)

    def compare(self, blocks: Blocks, size: tuple[int, int], *, rtp_time: int, arrival_ns: int) -> Look:
        """Compare a frame with the reference. A frame of another size than the reference's differs everywhere.

        Args:
            blocks: The frame's blocks; shape (3, rows, columns), as `grid_of` says: luma, and two of chroma.
            size: The frame's width and height in pixels.
            rtp_time: The frame's own.
            arrival_ns: The frame's own.

        Raises:
            ConfigurationError: No block counts on a screen of this size.
        """
        now = blocks.astype(np.int16)
        is_first, has_turned = self._blocks is None, size != self._size
        if has_turned:
            self._mask = mask_of(blocks.shape[1:], size, self._region, self._ignore)
            self._size = size
        changed: Mask | None = None
        if self._blocks is not None:
            differs: Mask
            if has_turned:
                differs = np.ones(blocks.shape[1:], np.bool_)
            else:
                differs = (np.abs(now - self._blocks) > LIMITS).any(axis=0)
            if self._mask is not None:
                differs &= self._mask
            changed = differs if differs.any() else None
        if is_first or changed is not None:
            self._blocks = now
        return Look(rtp_time=rtp_time, arrival_ns=arrival_ns, size=size, is_first=is_first, changed=changed)


def mask_of(
    shape: tuple[int, ...], size: tuple[int, int], region: Region | None, ignore: Sequence[Region]
) -> Mask | None:
    """Return which blocks count: those that touch `region`, and no region of `ignore`; None if all do.

    Raises ConfigurationError if none does.
    """
    if region is None and not ignore:
        return None
    mask = np.ones(shape, dtype=np.bool_) if region is None else _touched(shape, size, region)
    for ignored in ignore:
        mask &= ~_touched(shape, size, ignored)
    if not mask.any():
        what = "the screen" if region is None else str(region)
        raise ConfigurationError(
            f"expected something to watch of a screen of {size[0]}x{size[1]} pixels, got {what} without "
            f"{', '.join(map(str, ignore)) or 'anything on the screen'}: watch more, or ignore less"
        )
    return mask


def regions_of(changed: Mask, size: tuple[int, int]) -> tuple[Region, ...]:
    """Return the regions of blocks that touch each other, corners included: the largest REGIONS_LIMIT, largest first.

    `size` is the frame's width and height in pixels; the regions are in pixels.
    """
    left = {(int(row), int(column)) for row, column in np.argwhere(changed)}
    groups: list[Mask] = []
    while left:
        pending = [left.pop()]
        group: list[tuple[int, int]] = []
        while pending:
            row, column = pending.pop()
            group.append((row, column))
            around = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= around
            pending += around
        mask: Mask = np.zeros(changed.shape, np.bool_)
        mask[tuple(np.array(group).T)] = True
        groups.append(mask)
    groups.sort(key=lambda mask: (-np.count_nonzero(mask), int(np.argmax(mask))))
    return tuple(_region(mask, size) for mask in groups[:REGIONS_LIMIT])


def _region(mask: Mask, size: tuple[int, int]) -> Region:
    """Return the smallest region with all blocks of a mask, in pixels."""
    (height, width), (width_px, height_px) = mask.shape, size
    rows, columns = np.nonzero(mask)
    left, right = int(columns.min()) * width_px // width, -(-(int(columns.max()) + 1) * width_px // width)
    top, bottom = int(rows.min()) * height_px // height, -(-(int(rows.max()) + 1) * height_px // height)
    return Region(left, top, right - left, bottom - top)


def _touched(shape: tuple[int, ...], size: tuple[int, int], region: Region) -> Mask:
    """Return the blocks that a region touches."""
    rows, columns = shape
    left, top, right, bottom = region.pixels(*size)
    mask = np.zeros(shape, dtype=np.bool_)
    if right > left and bottom > top:
        mask[
            top * rows // size[1] : -(-bottom * rows // size[1]),
            left * columns // size[0] : -(-right * columns // size[0]),
        ] = True
    return mask
