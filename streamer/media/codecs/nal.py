"""What H.264 and H.265 share: NAL units in Annex B form, and parameter sets."""

import base64
from collections.abc import Iterator
from typing import Final

from streamer.bounded import BoundedMap
from streamer.media.codecs.depacketizer import MAX_NAL_UNITS

START_CODE: Final = b"\x00\x00\x00\x01"
START_CODES: Final = (START_CODE, START_CODE[1:])
MAX_PARAMETER_SETS: Final = 64  # encoders make two or three
MAX_PARAMETER_SET_BYTES: Final = 8 * 1024  # of all together: they precede keyframes, which may be small

_RECOVERY_POINT: Final = 6  # the payload type of an SEI message


class ParameterSets:
    """The parameter sets of a stream by type and id: at most 64, of 8 KiB together; the oldest give way."""

    def __init__(self, types: tuple[int, ...]) -> None:
        self._types = types
        self._sets: BoundedMap[tuple[int, int], bytes] = BoundedMap(
            max_items=MAX_PARAMETER_SETS, max_bytes=MAX_PARAMETER_SET_BYTES, size_of=len
        )

    def remember(self, nal_type: int, set_id: int, nal_unit: bytes) -> None:
        """Keep a parameter set in the place of the one with its type and id."""
        self._sets.put((nal_type, set_id), nal_unit)

    @property
    def size(self) -> int:
        """How many bytes all sets have."""
        return self._sets.budget.bytes

    @property
    def is_complete(self) -> bool:
        """Whether there is a set of each type."""
        return {nal_type for nal_type, _ in self._sets} == set(self._types)

    def in_order(self) -> list[bytes]:
        """Return the sets, those of the first type first."""
        return [found for key in sorted(self._sets) if (found := self._sets.get(key)) is not None]


def has_start_code(nal_unit: bytes) -> bool:
    """Whether what was sent as one NAL unit holds several: no start code occurs inside one (H.264 section 7.4.1)."""
    return b"\x00\x00\x01" in nal_unit


def split(data: bytes) -> list[bytes]:
    """Return the NAL units between start codes of three or four bytes, at most MAX_NAL_UNITS and a rest."""
    parts = data.split(b"\x00\x00\x01", MAX_NAL_UNITS)
    return [nal_unit for part in parts if (nal_unit := part.rstrip(b"\x00"))]


def has_recovery_point(messages: bytes) -> bool:
    """Whether an SEI NAL unit, without its header, announces a recovery point (H.264 section D.2.8, H.265 D.3.8).

    A decoder may start there; its frames are right once the refresh is complete. 16 messages and 4 KiB are looked at.
    """
    data = messages[:4096].replace(b"\x00\x00\x03", b"\x00\x00")
    position = 0
    for _ in range(16):
        payload_type, position = _sei_number(data, position)
        size, position = _sei_number(data, position)
        if position > len(data):
            return False
        if payload_type == _RECOVERY_POINT:
            return True
        position += size
    return False


def _sei_number(data: bytes, position: int) -> tuple[int, int]:
    """Return a payload type or size (H.264 section 7.3.2.3.1), and the position behind it, beyond the end if cut."""
    value = 0
    while position < len(data) and data[position] == 0xFF:
        value += 0xFF
        position += 1
    return (value + data[position] if position < len(data) else value), position + 1


def annex_b(nal_units: list[bytes]) -> bytes:
    """Return NAL units in Annex B form."""
    return START_CODE + START_CODE.join(nal_units)


def sprop(text: str) -> Iterator[bytes]:
    """Yield the NAL units of an SDP parameter such as `sprop-parameter-sets`: base64, divided by commas.

    Nothing of a text that is longer than parameter sets can be.
    """
    if len(text) > 2 * MAX_PARAMETER_SET_BYTES:
        return
    for item in text.split(",", MAX_PARAMETER_SETS)[:MAX_PARAMETER_SETS]:
        try:
            yield base64.b64decode(item, validate=True)
        except ValueError:  # binascii.Error, or not even ASCII
            continue


def exp_golomb(data: bytes) -> int:
    """Return the unsigned Exp-Golomb code at the start of `data` (H.264 section 9.1); 255 if it is longer than that."""
    bits = int.from_bytes(data[:4].ljust(4, b"\x00"))
    zeros = 32 - bits.bit_length()
    if zeros > 8:
        return 255
    return (bits >> (31 - 2 * zeros)) - 1
