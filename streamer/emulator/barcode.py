"""The strip at the bottom left of every frame that says, to a machine, which frame it is and when it was drawn.

Two rows of 44 square cells, white for 1 and black for 0, each row: four sync bits 1010, 32 bits of data, a CRC-8
(polynomial 0x07) of the data's four bytes. The upper row holds the frame counter, the lower one the phone's clock in
milliseconds. A cell is a 45th of the frame's shorter side: the strip is found after any scaling, either way up.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

CELLS: Final = 44
_SYNC: Final = (1, 0, 1, 0)


class Barcode(NamedTuple):
    """What a strip says; both count modulo 2**32."""

    counter: int  # the frame's number
    clock_ms: int  # when it was drawn, by the phone's clock


def cell_size(width: int, height: int) -> int:
    """Return the side of a cell in pixels."""
    return min(width, height) // 45


def draw_barcode(image: npt.NDArray[np.uint8], counter: int, clock_ms: int) -> None:
    """Draw the strip into an image of shape (height, width) or (height, width, 3), in place."""
    height, width = image.shape[:2]
    size = cell_size(width, height)
    bits = np.array([_row(counter), _row(clock_ms)], dtype=np.uint8) * 255
    strip = np.kron(bits, np.ones((size, size), dtype=np.uint8))
    image[height - 2 * size :, : CELLS * size] = strip if image.ndim == 2 else strip[:, :, None]


def read_barcode(image: npt.NDArray[np.uint8]) -> Barcode | None:
    """Return what the strip in a frame says; None if it cannot be read. Shapes as for `draw_barcode`."""
    height, width = image.shape[:2]
    size = cell_size(width, height)
    if size < 2 or width < CELLS * size:
        return None
    strip = image[height - 2 * size :, : CELLS * size]
    if strip.ndim == 3:
        strip = strip[:, :, 1]
    inner = strip.reshape(2, size, CELLS, size)[:, size // 4 : size - size // 4, :, size // 4 : size - size // 4]
    bits = (inner.mean(axis=(1, 3)) > 127).astype(int)
    values = [_value(row) for row in bits]
    if None in values:
        return None
    return Barcode(*values)  # type: ignore[arg-type]


def _row(value: int) -> list[int]:
    data = (value & 0xFFFFFFFF) << 8 | _crc8((value & 0xFFFFFFFF).to_bytes(4))
    return [*_SYNC, *(data >> shift & 1 for shift in range(39, -1, -1))]


def _value(bits: npt.NDArray[np.int_]) -> int | None:
    if tuple(bits[:4]) != _SYNC:
        return None
    value = int("".join(map(str, bits[4:36])), 2)
    check = int("".join(map(str, bits[36:])), 2)
    return value if _crc8(value.to_bytes(4)) == check else None


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
