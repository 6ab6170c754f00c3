"""What is written on a frame. Only what has changed since the last reading is read again.

frame ── half-size luma, in cells of 8 x 8 ── cells that differ from what was read ── lines there are forgotten
           │                                                                           │
           └─ cells with edges in them, without which there is no text ────────────────┴─ detect ── read

The detector takes most of the time, and it takes as long for nothing as for text. So it gets the rows with such cells
alone, moved together, between the outermost columns that have some.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.errors import ConfigurationError
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.ocr import DETECTED_SIDE, Box, engine, models
from streamer.watch.region import Region

Pixels: TypeAlias = npt.NDArray[np.uint8]
Cells: TypeAlias = npt.NDArray[np.bool_]

CELL: Final = 16  # pixels of the frame each way
DIFFERENCE: Final = 16  # of 255: how far a pixel's luma may be off, and text still is as it was
CONTRAST: Final = 16  # of 255: text differs from what is around it by more
SCORE_LEAST: Final = 0.5  # of 1: below it, a line is no text
UNREAD: Final = -1000  # no luma


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text on an image.

    Attributes:
        text: What it says.
        region: Where it is, in pixels of the image.
        score: How sure that is, from 0.0 to 1.0.
        middles: Where the middle of each character is, as a fraction of the region's width. Without them, all
            characters count as equally wide.
    """

    text: str
    region: Region
    score: float = 1.0
    middles: tuple[float, ...] = ()


class ReadText(Protocol):
    """A function that reads the text on an image, for `connect(read_text=...)`. It is called in a thread."""

    def __call__(self, pixels: Pixels, /) -> Iterable[TextLine]:
        """Return the lines of text. `pixels` are RGB, of shape (height, width, 3)."""


class Reader(Protocol):
    """Reads frames. Any thread may call it, one at a time."""

    def read(self, frame: VideoFrame, within: Region | None) -> tuple[TextLine, ...]:
        """Return the lines on a frame, or at least those in a part of it."""


class CallingReader:
    """Reads with a function of the program's. A frame that it has just read is not read again."""

    def __init__(self, read_text: ReadText) -> None:
        self._read_text = read_text
        self._last: tuple[object, tuple[TextLine, ...]] = (None, ())

    def read(self, frame: VideoFrame, within: Region | None) -> tuple[TextLine, ...]:
        """Return the lines on a frame. Raises ConfigurationError if the function gives something else."""
        if frame.av_frame is not self._last[0]:
            lines = tuple(self._read_text(frame.to_ndarray("rgb24")))
            for line in lines:
                if not isinstance(line, TextLine):
                    raise ConfigurationError(
                        f"expected read_text to give streamer.TextLine objects, got {type(line).__name__}"
                    )
            self._last = frame.av_frame, lines
        return self._last[1]


class IncrementalReader:
    """Reads with the extra `ocr`, and keeps the lines of the frame that it read last.

    Raises MissingExtraError if the extra is not installed.
    """

    def __init__(self) -> None:
        models()  # else the first reading would be the one to fail
        self._size = (0, 0)
        self._luma: npt.NDArray[np.int16] = np.empty((0, 0), np.int16)  # of what was read, at half size; else UNREAD
        self._lines: dict[Box, TextLine] = {}

    def read(self, frame: VideoFrame, within: Region | None) -> tuple[TextLine, ...]:
        """Return the lines on a frame, or at least those in a part of it."""
        self._read(frame, within)
        return tuple(self._lines.values())

    def _read(self, frame: VideoFrame, within: Region | None) -> None:
        width, height = size = frame.width, frame.height
        gray = frame.to_ndarray("gray", size=(max(width // 2, 1), max(height // 2, 1)))
        half = CELL // 2
        padding = ((0, -gray.shape[0] % half), (0, -gray.shape[1] % half))
        luma = np.pad(gray, padding, mode="edge").astype(np.int16)
        if size != self._size:
            self._size, self._lines, self._luma = size, {}, np.full_like(luma, UNREAD)
        stale: Cells = _of_cells(np.maximum, np.abs(luma - self._luma)) > DIFFERENCE
        if within is not None:
            _, top, _, bottom = within.pixels(*size)
            stale[: max(top // CELL - 1, 0)] = stale[bottom // CELL + 2 :] = False
        if not stale.any():
            return
        wanted = stale.copy()
        for box in [box for box in self._lines if stale[_cells(_beside(box))].any()]:
            wanted[_cells(box)] = True
            del self._lines[box]
        has_edges: Cells = _of_cells(np.maximum, luma) - _of_cells(np.minimum, luma) > CONTRAST
        wanted &= has_edges
        if wanted.any():
            for box, line in self._read_lines(frame, wanted):
                for other in [other for other in self._lines if _overlap(box, other)]:
                    del self._lines[other]
                self._lines[box] = line
        np.copyto(self._luma, luma, where=stale.repeat(half, axis=0).repeat(half, axis=1))

    def _read_lines(self, frame: VideoFrame, wanted: Cells) -> Iterator[tuple[Box, TextLine]]:
        """Read each line that touches a wanted cell."""
        around = np.asarray(wanted.any(axis=1), np.bool_)
        around[:-1] |= wanted[1:].any(axis=1)
        around[1:] |= wanted[:-1].any(axis=1)
        rows = np.flatnonzero(around.repeat(CELL)[: frame.height])
        columns = np.flatnonzero(wanted.any(axis=0))
        left, right = max(int(columns[0]) - 2, 0) * CELL, (int(columns[-1]) + 3) * CELL
        rgb = frame.to_ndarray("rgb24")
        reads = engine()
        boxes = []
        for found in reads.find_lines(rgb[rows, left:right], min(DETECTED_SIDE / min(rgb.shape[:2]), 1.0)):
            # Where rows were moved together, a line is on one side of the seam.
            its_rows = rows[found.top : found.bottom]
            its_rows = its_rows[
                its_rows - its_rows[len(its_rows) // 2] == np.arange(len(its_rows)) - len(its_rows) // 2
            ]
            box = Box(left + found.left, int(its_rows[0]), left + found.right, int(its_rows[-1]) + 1)
            if wanted[_cells(box)].any():
                boxes.append(box)
        readings = reads.read_lines([rgb[box.top : box.bottom, box.left : box.right] for box in boxes])
        for box, reading in zip(boxes, readings, strict=True):
            if reading.score >= SCORE_LEAST and reading.text.strip():
                region = Region(box.left, box.top, box.right - box.left, box.bottom - box.top)
                yield box, TextLine(reading.text, region, reading.score, reading.middles)


def _of_cells(reduce: np.ufunc, luma: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return the largest or least of the pixels of each cell."""
    half = CELL // 2
    rows, columns = luma.shape
    reduced: npt.NDArray[np.int16] = reduce.reduce(
        reduce.reduce(luma.reshape(rows // half, half, columns), axis=1).reshape(rows // half, -1, half), axis=2
    )
    return reduced


def _cells(box: Box) -> tuple[slice, slice]:
    """Return the cells that a box touches."""
    return slice(box.top // CELL, -(-box.bottom // CELL)), slice(box.left // CELL, -(-box.right // CELL))


def _beside(box: Box) -> Box:
    """Return a box with the places beside it at which its line may go on."""
    height = box.bottom - box.top
    return box._replace(left=max(box.left - height, 0), right=box.right + height)


def _overlap(one: Box, other: Box) -> bool:
    """Whether one box has the other's middle in it."""
    for inner, outer in ((one, other), (other, one)):
        x, y = (inner.left + inner.right) // 2, (inner.top + inner.bottom) // 2
        if outer.left <= x < outer.right and outer.top <= y < outer.bottom:
            return True
    return False
