"""Draws digits into a frame: white on black, readable after encoding, from a built-in table instead of a font."""

from typing import Final

import numpy as np
import numpy.typing as npt

_WHITE, _BLACK = 235, 16  # of luma, limited range
_ROWS: Final = {  # seven rows of five pixels, in bits
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    "-": (0, 0, 0, 31, 0, 0, 0),
    ":": (0, 12, 12, 0, 12, 12, 0),
    ".": (0, 0, 0, 0, 0, 12, 12),
    " ": (0, 0, 0, 0, 0, 0, 0),
}
_CELL: Final = (9, 6)  # rows and columns of a character, with the space around it
_LENGTH: Final = 23  # characters of a date and time with milliseconds


def draw_stamp(frame: npt.NDArray[np.uint8], text: str) -> None:
    """Draw digits and "-:. " at the top left of a yuv420p frame of shape (height * 3 // 2, width), in place.

    A date and time fits into the frame's width. Longer text is cut off.
    """
    rows, width = frame.shape
    height = rows * 2 // 3
    scale = max(min(width, height) // (2 * _LENGTH * _CELL[1]), min(width // (_LENGTH * _CELL[1] + 1), 2), 1)
    box = np.kron(_bits(text), np.ones((scale, scale), dtype=np.uint8))[:height, :width]
    down, across = box.shape
    frame[:down, :across] = np.where(box, _WHITE, _BLACK)
    chroma = frame[height:].reshape(2, height // 2, width // 2)  # both planes
    chroma[:, : -(-down // 2), : -(-across // 2)] = 128


def _bits(text: str) -> npt.NDArray[np.uint8]:
    """Return the text's pixels, ones and zeros, with a margin."""
    bits = np.zeros((_CELL[0], _CELL[1] * len(text) + 1), dtype=np.uint8)
    for number, character in enumerate(text):
        glyph = [[row >> shift & 1 for shift in range(4, -1, -1)] for row in _ROWS[character]]
        left = 1 + number * _CELL[1]
        bits[1:8, left : left + 5] = glyph
    return bits
