"""Bits and Exp-Golomb codes of H.264 and H.265 (H.264 section 9.1), and their emulation prevention (7.4.1)."""

import re
from typing import Final

_GOLOMB_ZEROS: Final = 31  # in the longest code that the standards use
_EMULATION: Final = re.compile(rb"\x00\x00(?=[\x00-\x03])")


class SyntaxViolation(ValueError):  # noqa: N818 - the parsing modules catch it
    """The bits violate the standard's syntax."""


class BitReader:
    """Reads a raw byte sequence payload without emulation prevention bytes. Raises SyntaxViolation at its end."""

    __slots__ = ("_bits", "_size", "position")

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data)
        self._size = 8 * len(data)
        self.position = 0

    def u(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        end = self.position + count
        if end > self._size:
            raise SyntaxViolation("the bits end too early")
        self.position = end
        return self._bits >> (self._size - end) & ((1 << count) - 1)

    def ue(self, limit: int = (1 << 32) - 2) -> int:
        """Return the next unsigned Exp-Golomb code. Raises SyntaxViolation if it is above `limit`."""
        left = self._size - self.position
        zeros = left - (self._bits & ((1 << left) - 1)).bit_length()
        if zeros > _GOLOMB_ZEROS:
            raise SyntaxViolation("an Exp-Golomb code of more than 63 bits")
        value = self.u(2 * zeros + 1) - 1
        if value > limit:
            raise SyntaxViolation(f"{value} is more than {limit}")
        return value

    def se(self) -> int:
        """Return the next signed Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def since(self, start: int) -> tuple[int, int]:
        """Return the bits from `start` up to the current position, as arguments of `BitWriter.u`."""
        count = self.position - start
        return self._bits >> (self._size - self.position) & ((1 << count) - 1), count

    def rest(self) -> tuple[int, int]:
        """Return the remaining bits without the stop bit and the zeros after it, as arguments of `BitWriter.u`.

        Raises SyntaxViolation if there is no stop bit.
        """
        left = self._size - self.position
        bits = self._bits & ((1 << left) - 1)
        if not bits:
            raise SyntaxViolation("no stop bit")
        zeros = (bits & -bits).bit_length() - 1
        return bits >> (zeros + 1), left - zeros - 1


class BitWriter:
    """Writes a raw byte sequence payload."""

    __slots__ = ("_bits", "_size")

    def __init__(self) -> None:
        self._bits = 0
        self._size = 0

    def u(self, value: int, count: int) -> None:
        """Append a number of `count` bits."""
        self._bits = self._bits << count | value
        self._size += count

    def ue(self, value: int) -> None:
        """Append an unsigned Exp-Golomb code."""
        self.u(value + 1, 2 * (value + 1).bit_length() - 1)

    def payload(self) -> bytes:
        """Return the payload with its stop bit, padded to whole bytes."""
        padding = -(self._size + 1) % 8
        return ((self._bits << 1 | 1) << padding).to_bytes((self._size + 1 + padding) // 8)


def unescaped(data: bytes) -> bytes:
    """Return bytes of a NAL unit without their emulation prevention bytes."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def escaped(payload: bytes) -> bytes:
    """Return a payload with emulation prevention bytes."""
    return _EMULATION.sub(b"\x00\x00\x03", payload)
