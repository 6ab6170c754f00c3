"""What H.264 and H.265 share: NAL units in Annex B form, parameter sets, and most of the depacketizer."""

import base64
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from streamer.bounded import BoundedMap
from streamer.media.codecs.bits import unescaped
from streamer.media.codecs.depacketizer import MAX_NAL_UNITS, MAX_UNIT_BYTES, TOO_LARGE, MalformedPayload

START_CODE: Final = b"\x00\x00\x00\x01"
START_CODES: Final = (START_CODE, START_CODE[1:])
MAX_PARAMETER_SETS: Final = 64  # encoders make two or three
MAX_PARAMETER_SET_BYTES: Final = 8 * 1024  # in total: they precede keyframes, which may be small

_NO_TYPES: Final[frozenset[int]] = frozenset()
_RECOVERY_POINT: Final = 6  # the payload type of an SEI message


class ParameterSets:
    """The parameter sets of a stream by type and id: at most 64, and 8 KiB in total. New ones replace the oldest."""

    def __init__(self, types: tuple[int, ...]) -> None:
        self._types = types
        self._sets: BoundedMap[tuple[int, int], bytes] = BoundedMap(
            max_items=MAX_PARAMETER_SETS, max_bytes=MAX_PARAMETER_SET_BYTES, size_of=len
        )

    def remember(self, nal_type: int, set_id: int, nal_unit: bytes) -> None:
        """Keep a parameter set; it replaces the one with its type and id."""
        self._sets.put((nal_type, set_id), nal_unit)

    @property
    def size(self) -> int:
        """The size of all sets in bytes."""
        return self._sets.budget.bytes

    @property
    def is_complete(self) -> bool:
        """Whether there is a set of each type."""
        return {nal_type for nal_type, _ in self._sets} == set(self._types)

    def in_order(self) -> list[bytes]:
        """Return the sets, ordered by type and id."""
        return [found for key in sorted(self._sets) if (found := self._sets.get(key)) is not None]


class NalDepacketizer(ABC):
    """Collects the NAL units of one access unit at a time; see `depacketizer.Depacketizer`.

    It remembers the parameter sets, also those of the SDP, and inserts them before a keyframe that comes without them:
    a decoder may start at any keyframe.
    """

    has_slices: ClassVar = True
    HEADER_BYTES: ClassVar[int]  # of a NAL unit
    SET_TYPES: ClassVar[tuple[int, ...]]  # of parameter sets, in the order that a decoder needs
    DELIMITER: ClassVar[int]
    SLICES: ClassVar[range]
    AGGREGATE: ClassVar[int]
    FRAGMENT: ClassVar[int]

    def __init__(self, sprops: Iterable[str]) -> None:
        self._sets = ParameterSets(self.SET_TYPES)
        self._is_embedding = False  # whether a NAL unit contained start codes: then all are searched for them
        for text in sprops:
            for nal_unit in sprop(text):
                self._remember(nal_unit)
        self.reset()

    def reset(self) -> None:
        """Drop the access unit under way."""
        self._nal_units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._size = 0
        self._set_types = _NO_TYPES  # of the parameter sets in this unit
        self._has_slice = False
        self._has_key = False
        self._has_recovery_point = False

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""
        return not self._nal_units and not self._fragments

    @property
    def may_be_whole(self) -> bool:
        """Whether a frame is under way, and no NAL unit of it is cut."""
        return self._has_slice and not self._fragments

    @classmethod
    def starts_unit(cls, payload: bytes) -> bool:
        """Whether a payload can only begin an access unit: with a delimiter or the first type of parameter set."""
        opening = cls._opening(payload)
        return bool(opening) and cls.type_of(opening) in {cls.SET_TYPES[0], cls.DELIMITER}

    @classmethod
    def goes_on(cls, payload: bytes) -> bool:
        """Whether a payload can only continue a frame: a later part of a slice, or a slice that is not the first.

        The first bit of a slice after its header is set in the first slice of a frame only: `first_mb_in_slice` is 0
        (H.264 section 7.3.3), or `first_slice_segment_in_pic_flag` is 1 (H.265 section 7.3.6.1).
        """
        opening = cls._opening(payload)
        if not opening:
            return bool(payload)
        size = cls.HEADER_BYTES
        return cls.type_of(opening) in cls.SLICES and len(opening) > size and opening[size] < 0x80

    @classmethod
    def _opening(cls, payload: bytes) -> bytes:
        """Return the first bytes of the NAL unit that begins with a payload; none if it continues one."""
        size, nal_type = cls.HEADER_BYTES, cls.type_of(payload) if payload else 0
        opening = payload[: size + 7]
        if nal_type == cls.AGGREGATE:
            opening = payload[size + 2 : size + 7]
        elif nal_type == cls.FRAGMENT:
            if len(payload) <= size or not payload[size] & 0x80:
                return b""
            opening = cls.fragmented_header(payload) + payload[size + 1 : size + 7]
        return opening.lstrip(b"\x00")[1:] if opening.startswith(START_CODES) else opening

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the access unit in Annex B form and whether it is a keyframe; None without a frame.

        Parameter sets alone are not a frame: they are kept for the next keyframe. Raises MalformedPayload if the end of
        a fragmented NAL unit is missing.
        """
        if self._fragments:
            self.reset()
            raise MalformedPayload("a fragmented NAL unit without an end")
        nal_units, has_slice = self._nal_units, self._has_slice
        is_keyframe = self._has_key or (may_recover and self._has_recovery_point)
        if is_keyframe and not self._set_types.issuperset(self.SET_TYPES):
            if self._size + self._sets.size > MAX_UNIT_BYTES:
                self.reset()
                raise MalformedPayload(TOO_LARGE)
            is_keyframe = self._sets.is_complete
            start = 1 if self.type_of(nal_units[0]) == self.DELIMITER else 0
            nal_units[start:start] = self._sets.in_order()
        self.reset()
        return (annex_b(nal_units), is_keyframe) if has_slice else None

    @staticmethod
    @abstractmethod
    def type_of(nal_unit: bytes) -> int:
        """Return a NAL unit's type."""

    @staticmethod
    @abstractmethod
    def fragmented_header(payload: bytes) -> bytes:
        """Return the header of the NAL unit that a fragment belongs to."""

    @abstractmethod
    def _add_nal_unit(self, nal_unit: bytes) -> None:
        """Add a complete NAL unit, or several with start codes between them."""

    @abstractmethod
    def _remember(self, nal_unit: bytes) -> None:
        """Keep a parameter set under its id: a stream may have several."""

    def _add_set(self, nal_type: int, nal_unit: bytes) -> None:
        self._set_types |= {nal_type}
        self._remember(nal_unit)

    def _add_embedded(self, nal_unit: bytes) -> None:
        self._is_embedding = True
        for part in split(nal_unit):
            self._add_nal_unit(part)

    def _add_aggregate(self, payload: bytes) -> None:
        position, end = self.HEADER_BYTES, len(payload)
        while position < end:
            if position + 2 > end:
                raise MalformedPayload("an aggregation packet that ends inside a length")
            (size,) = struct.unpack_from("!H", payload, position)
            position += 2
            if size == 0 or position + size > end:
                raise MalformedPayload(f"an aggregation packet whose unit of {size} bytes does not fit")
            self._add_nal_unit(payload[position : position + size])
            position += size

    def _add_fragment(self, payload: bytes) -> None:
        position = self.HEADER_BYTES
        if len(payload) <= position:
            raise MalformedPayload("a fragmentation unit without its header")
        header = payload[position]
        if header & 0x80:  # its start
            if self._fragments:
                raise MalformedPayload("a fragmentation unit that starts inside another")
            self._fragments.append(self.fragmented_header(payload))
        elif not self._fragments:
            raise MalformedPayload("a fragmentation unit without its start")
        self._fragments.append(payload[position + 1 :])
        if header & 0x40:  # its end
            nal_unit = b"".join(self._fragments)
            self._fragments = []
            self._add_nal_unit(nal_unit)


def has_start_code(nal_unit: bytes) -> bool:
    """Whether the payload of one NAL unit contains several: a real one has no start code (H.264 section 7.4.1)."""
    return b"\x00\x00\x01" in nal_unit


def split(data: bytes) -> list[bytes]:
    """Return the NAL units between start codes of three or four bytes: at most MAX_NAL_UNITS, and a rest."""
    parts = data.split(b"\x00\x00\x01", MAX_NAL_UNITS)
    return [nal_unit for part in parts if (nal_unit := part.rstrip(b"\x00"))]


def has_recovery_point(messages: bytes) -> bool:
    """Whether an SEI NAL unit, without its header, announces a recovery point (H.264 section D.2.8, H.265 D.3.8).

    A decoder can start there; its frames are correct once the refresh is complete. Only the first 16 messages and 4 KiB
    are searched.
    """
    data = unescaped(messages[:4096])
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
    """Return a payload type or size (H.264 section 7.3.2.3.1) and the position after it: beyond the end if cut."""
    value = 0
    while position < len(data) and data[position] == 0xFF:
        value += 0xFF
        position += 1
    return (value + data[position] if position < len(data) else value), position + 1


def annex_b(nal_units: list[bytes]) -> bytes:
    """Return NAL units in Annex B form."""
    return START_CODE + START_CODE.join(nal_units)


def sprop(text: str) -> Iterator[bytes]:
    """Yield the NAL units of an SDP parameter such as `sprop-parameter-sets`: base64, separated by commas.

    A text that is longer than parameter sets can be yields nothing.
    """
    if len(text) > 2 * MAX_PARAMETER_SET_BYTES:
        return
    for item in text.split(",", MAX_PARAMETER_SETS)[:MAX_PARAMETER_SETS]:
        try:
            yield base64.b64decode(item, validate=True)
        except ValueError:  # binascii.Error, or not even ASCII
            continue


def exp_golomb(data: bytes) -> int:
    """Return the unsigned Exp-Golomb code at the start of `data` (H.264 section 9.1); 255 if it is larger."""
    bits = int.from_bytes(data[:4].ljust(4, b"\x00"))
    zeros = 32 - bits.bit_length()
    if zeros > 8:
        return 255
    return (bits >> (31 - 2 * zeros)) - 1
