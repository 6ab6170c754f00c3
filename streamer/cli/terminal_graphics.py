"""Frames as a terminal shows them: half blocks, sixel, or kitty's graphics. Pixels in, bytes out.

    layout()      → where on the terminal a frame goes, and how many pixels it has there
    draw(pixels)  → the bytes that bring the terminal from the last frame to this one; none if nothing has changed
    QUESTIONS     → what to ask a terminal; `read_answers` returns what it can do

The status line has the last row: nothing else is drawn there.
"""

import base64
import re
import zlib
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3), RGB
Graphics: TypeAlias = Literal["blocks", "sixel", "kitty"]

CELL: Final = (10, 20)  # pixels of a cell, if the terminal does not say
CELL_LIMIT: Final = 100  # pixels, each way: a larger cell is no cell, and an image of such cells would be huge
TOLERANCE: Final = 6  # of 255: less is noise of the encoder, and not drawn again
RESTORED: Final = b"\x1b[?2026l\x1b[m"
_BEGIN, _END = b"\x1b[?2026h", b"\x1b[?2026l"  # the terminal shows what is between them at once
_CHUNK: Final = 4096  # bytes of an escape sequence (kitty's limit)
_CUBE: Final = np.array([0, 95, 135, 175, 215, 255])  # of xterm's 256 colors
_LEVELS: Final = np.array([6, 8, 5])  # of red, green and blue in a sixel picture: 240 colors, and a terminal has 256
_CHARACTERS: Final = [chr(63 + bits) for bits in range(64)]  # of a sixel
_BAYER: Final = (
    np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], dtype=np.float32) + 0.5
) / 16  # thresholds of an ordered dither: a still picture stays still


@dataclass(frozen=True, slots=True)
class Grid:
    """The size of a terminal in cells, and of a cell in pixels."""

    columns: int
    rows: int
    cell: tuple[int, int] = CELL


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a frame goes: its first cell, counted from 0, its size in cells, and in pixels."""

    left: int
    top: int
    columns: int
    rows: int
    pixels: tuple[int, int]  # width, height


class Picture(Protocol):
    """A way to draw frames."""

    def layout(self, frame: tuple[int, int], grid: Grid) -> Layout | None:
        """Return where a frame of this width and height goes; None if there is no room."""

    def draw(self, pixels: Pixels, layout: Layout) -> bytes:
        """Return what draws a frame over the last one, or on an empty screen if the layout is another one."""

    def erase(self) -> bytes:
        """Return what removes the picture from the terminal."""


class Blocks:
    """Two pixels a cell: the upper one is the color of a half block, the lower one that of its background."""

    def __init__(self, *, truecolor: bool) -> None:
        self._truecolor = truecolor
        self._layout: Layout | None = None
        self._shown = np.zeros((0, 0, 6), dtype=np.uint8)  # of each cell: the upper pixel and the lower one

    def layout(self, frame: tuple[int, int], grid: Grid) -> Layout | None:
        """Return where a frame goes."""
        if (found := _fit(frame, grid)) is None:
            return None
        return _centered(grid, found, (found[0], 2 * found[1]))

    def draw(self, pixels: Pixels, layout: Layout) -> bytes:
        """Return what changes the cells whose colors have changed."""
        pairs = pixels.reshape(layout.rows, 2, layout.columns, 3).transpose(0, 2, 1, 3)
        cells = pairs.reshape(layout.rows, layout.columns, 6)
        if layout == self._layout:
            changed = _differ(cells, self._shown)
        else:
            self._layout, self._shown = layout, cells.copy()
            changed = np.ones(cells.shape[:2], dtype=bool)
        self._shown[changed] = cells[changed]
        parts: list[str] = []
        foreground = background = ""
        for row in np.flatnonzero(changed.any(axis=1)).tolist():
            after = -1
            colors = self._colors(self._shown[row])
            for column in np.flatnonzero(changed[row]).tolist():
                if column != after:
                    parts.append(f"\x1b[{layout.top + row + 1};{layout.left + column + 1}H")
                after = column + 1
                upper, lower = colors[column]
                if background != lower:
                    parts.append(f"\x1b[48;{lower}m")
                    background = lower
                if upper == lower:
                    parts.append(" ")
                    continue
                if foreground != upper:
                    parts.append(f"\x1b[38;{upper}m")
                    foreground = upper
                parts.append("▀")
        return _at_once("".join(parts).encode() + b"\x1b[m") if parts else b""

    def erase(self) -> bytes:
        """Return nothing: text goes with the screen."""
        self._layout = None
        return b""

    def _colors(self, cells: Pixels) -> list[tuple[str, str]]:
        """Return the two colors of each cell of a row, as a terminal takes them."""
        if self._truecolor:
            return [(f"2;{r};{g};{b}", f"2;{r2};{g2};{b2}") for r, g, b, r2, g2, b2 in cells.tolist()]
        return [(f"5;{upper}", f"5;{lower}") for upper, lower in xterm_colors(cells.reshape(-1, 2, 3)).tolist()]


class Kitty:
    """The frame as an image, which the terminal scales (kitty's graphics protocol)."""

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self._shown = np.zeros((0, 0, 3), dtype=np.uint8)
        self._number = 1  # of the image that is shown: 1 or 2

    def layout(self, frame: tuple[int, int], grid: Grid) -> Layout | None:
        """Return where a frame goes; it has no more pixels than it came with."""
        if (found := _fit(frame, grid)) is None:
            return None
        width, height = found[0] * grid.cell[0], found[1] * grid.cell[1]
        return _centered(grid, found, frame if frame[0] * frame[1] < width * height else (width, height))

    def draw(self, pixels: Pixels, layout: Layout) -> bytes:
        """Return the whole image if a pixel has changed. The image before it goes when it is there."""
        if layout == self._layout and not _differ(pixels, self._shown).any():
            return b""
        before, self._number = self._number, 3 - self._number
        self._layout, self._shown = layout, pixels
        data = base64.b64encode(zlib.compress(pixels.tobytes(), 1))
        chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
        keys = (
            f"a=T,f=24,o=z,s={layout.pixels[0]},v={layout.pixels[1]},c={layout.columns},r={layout.rows},"
            f"i={self._number},C=1,"
        )
        parts = [f"\x1b[{layout.top + 1};{layout.left + 1}H".encode()]
        for number, chunk in enumerate(chunks, start=1):
            parts.append(f"\x1b_G{keys}q=2,m={int(number < len(chunks))};".encode() + chunk + b"\x1b\\")
            keys = ""
        return _at_once(b"".join(parts) + f"\x1b_Ga=d,d=I,i={before},q=2\x1b\\".encode())

    def erase(self) -> bytes:
        """Return what removes all images: they are not text, and stay when the screen is cleared."""
        self._layout = None
        return b"\x1b_Ga=d,d=A,q=2\x1b\\"


class Sixel:
    """The frame as sixels, in 240 colors with a dither: those rows of cells in which something has changed."""

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self._shown = np.zeros((0, 0, 3), dtype=np.uint8)

    def layout(self, frame: tuple[int, int], grid: Grid) -> Layout | None:
        """Return where a frame goes; it is not scaled up."""
        if (found := _fit(frame, grid, most=1.0)) is None:
            return None
        return _centered(grid, found, (found[0] * grid.cell[0], found[1] * grid.cell[1]))

    def draw(self, pixels: Pixels, layout: Layout) -> bytes:
        """Return a strip for each series of rows that have changed."""
        tall = layout.pixels[1] // layout.rows
        if layout == self._layout:
            changed = _differ(pixels, self._shown).reshape(layout.rows, -1).any(axis=1)
        else:
            self._layout, self._shown = layout, pixels.copy()
            changed = np.ones(layout.rows, dtype=bool)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], changed, [False]))))
        parts: list[bytes] = []
        for first, after in edges.reshape(-1, 2).tolist():
            strip = slice(first * tall, after * tall)
            self._shown[strip] = pixels[strip]
            parts.append(f"\x1b[{layout.top + first + 1};{layout.left + 1}H".encode())
            parts.append(sixel(pixels[strip], row=first * tall))
        return _at_once(b"".join(parts)) if parts else b""

    def erase(self) -> bytes:
        """Return nothing: sixels go with the screen."""
        self._layout = None
        return b""


def picture(graphics: Graphics, *, truecolor: bool) -> Picture:
    """Return a way to draw."""
    if graphics == "blocks":
        return Blocks(truecolor=truecolor)
    return Kitty() if graphics == "kitty" else Sixel()


def xterm_colors(colors: Pixels) -> npt.NDArray[np.integer]:
    """Return the nearest of xterm's 256 colors: its cube of 216, or its 24 shades of gray."""
    wide = colors.astype(np.int32)
    in_cube = np.abs(wide[..., None] - _CUBE).argmin(axis=-1)
    shade = np.clip((wide.mean(axis=-1) - 8 + 5) // 10, 0, 23).astype(np.int32)
    far_cube = ((wide - _CUBE[in_cube]) ** 2).sum(axis=-1)
    far_gray = ((wide - (8 + 10 * shade)[..., None]) ** 2).sum(axis=-1)
    cube: npt.NDArray[np.integer] = 16 + in_cube @ np.array([36, 6, 1])
    return np.where(far_gray < far_cube, 232 + shade, cube)


def sixel(pixels: Pixels, *, row: int = 0) -> bytes:
    """Return pixels as a sixel picture (DEC STD 070 chapter 9). `row` is that of the first pixel, for the dither."""
    height, width = pixels.shape[:2]
    rows, columns = np.arange(row, row + height) % 4, np.arange(width) % 4
    levels = pixels * ((_LEVELS - 1) / 255).astype(np.float32) + _BAYER[rows][:, columns, None]
    numbers = np.minimum(levels.astype(np.int32), _LEVELS - 1) @ np.array([40, 5, 1])
    parts = [f'\x1bP0;1;0q"1;1;{width};{height}']
    for number in np.unique(numbers).tolist():
        shares = (100 * np.array([number // 40, number // 5 % 8, number % 5]) // (_LEVELS - 1)).tolist()
        parts.append(f"#{number};2;{shares[0]};{shares[1]};{shares[2]}")
    parts.extend(_band(numbers[top : top + 6]) for top in range(0, height, 6))
    return ("".join(parts) + "\x1b\\").encode()


def _band(numbers: npt.NDArray[np.integer]) -> str:
    """Return six rows of color numbers, or fewer: a line for each color, in which a character has a column's bits."""
    used, places = np.unique(numbers, return_inverse=True)
    places = places.reshape(numbers.shape)
    width = numbers.shape[1]
    bits = np.zeros((len(used), width), dtype=np.uint8)
    columns = np.arange(width)
    for row, of_row in enumerate(places):
        bits[of_row, columns] |= 1 << row
    is_start = np.ones(bits.shape, dtype=bool)
    is_start[:, 1:] = bits[:, 1:] != bits[:, :-1]
    lines, begins = np.nonzero(is_start)
    lengths = np.where(np.diff(lines, append=-1) == 0, np.diff(begins, append=0), width - begins)
    codes = bits[lines, begins]
    lengths[(codes == 0) & (begins + lengths == width)] = 0  # what is empty at a line's end is left out
    texts = [
        f"!{length}{_CHARACTERS[code]}" if length > 3 else _CHARACTERS[code] * length
        for length, code in zip(lengths.tolist(), codes.tolist(), strict=True)
    ]
    edges = [*np.flatnonzero(begins == 0).tolist(), len(texts)]
    joined = [
        f"#{number}{''.join(texts[first:after])}"
        for number, first, after in zip(used.tolist(), edges[:-1], edges[1:], strict=True)
    ]
    return "$".join(joined) + "-"


def _differ(pixels: Pixels, before: Pixels) -> npt.NDArray[np.bool_]:
    """Return which pixels, or cells, differ by more than noise."""
    differ: npt.NDArray[np.bool_] = (np.maximum(pixels, before) - np.minimum(pixels, before)).max(axis=-1) > TOLERANCE
    return differ


def _at_once(data: bytes) -> bytes:
    return _BEGIN + data + _END


def _fit(frame: tuple[int, int], grid: Grid, *, most: float = float("inf")) -> tuple[int, int] | None:
    """Return how many columns and rows show a frame as large as possible, above the status line."""
    columns, rows = grid.columns, grid.rows - 1
    if columns < 1 or rows < 1:
        return None
    wide, tall = grid.cell
    scale = min(columns * wide / frame[0], rows * tall / frame[1], most)
    return max(min(round(frame[0] * scale / wide), columns), 1), max(min(round(frame[1] * scale / tall), rows), 1)


def _centered(grid: Grid, cells: tuple[int, int], pixels: tuple[int, int]) -> Layout:
    return Layout((grid.columns - cells[0]) // 2, (grid.rows - 1 - cells[1]) // 2, *cells, pixels)


# What a terminal is asked. Each terminal answers the last question (DA1), so that the answers before it are known to
# have come, or to come no more.
QUESTIONS: Final = (
    b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"  # kitty's graphics: may it send a pixel?
    b"\x1b[16t"  # xterm: how large is a cell?
    b"\x1b[48;2;1;2;3m\x1bP$qm\x1b\\\x1b[m"  # DECRQSS: which color is this, after a color of 24 bits?
    b"\x1b[c"  # DA1: what can it do?
)
_ATTRIBUTES: Final = re.compile(rb"\x1b\[\?([\d;]*)c")
_CELL: Final = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_TRUECOLOR: Final = re.compile(rb"\x1bP1\$r[\d:;]*48[:;]2[:;]+1[:;]2[:;]3\D")
_SEQUENCE: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[P_\]X^].*?(?:\x1b\\|\x07)|\x1bO.|\x1b", re.DOTALL)
_SIXEL: Final = b"4"  # among the attributes


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a terminal has said that it can do."""

    kitty: bool = False
    sixel: bool = False
    truecolor: bool = False
    cell: tuple[int, int] | None = None  # pixels: width, height

    @property
    def best(self) -> Graphics:
        """The best way to draw."""
        return "kitty" if self.kitty else "sixel" if self.sixel else "blocks"


def read_answers(data: bytes) -> Abilities | None:
    """Return what a terminal's answers say; None before the last one has come."""
    if (attributes := _ATTRIBUTES.search(data)) is None:
        return None
    cell = _CELL.search(data)
    size = None if cell is None else (int(cell[2]), int(cell[1]))
    return Abilities(
        kitty=b"\x1b_Gi=31;OK\x1b\\" in data,
        sixel=_SIXEL in attributes[1].split(b";")[1:],
        truecolor=_TRUECOLOR.search(data) is not None,
        cell=size if size is not None and all(0 < length <= CELL_LIMIT for length in size) else None,
    )


def typed(data: bytes) -> bytes:
    """Return what was typed, without answers that came late and keys that are escape sequences."""
    return _SEQUENCE.sub(b"", data)
