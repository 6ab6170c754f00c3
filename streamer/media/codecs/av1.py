"""AV1 from RTP payloads to temporal units in the low-overhead format (RTP Payload Format for AV1, version 1.0).

A sender leaves out the size of each open bitstream unit (OBU) and the temporal unit's delimiter. The depacketizer adds
both (AV1 specification, sections 5.2 and 7.5). With spatial layers, a temporal unit has the frames of all of them.
"""

from typing import ClassVar, Final

from streamer.media.codecs.depacketizer import MAX_UNIT_BYTES, PAYLOAD_COST, TOO_LARGE, MalformedPayload

_CONTINUES, _GOES_ON, _BEGINS = 0x80, 0x40, 0x08  # of the aggregation header: Z, Y and N
_FORBIDDEN, _HAS_EXTENSION, _HAS_SIZE = 0x80, 0x04, 0x02  # of an OBU's header
_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _FRAME_HEADER, _FRAME, _TILE_LIST = 1, 2, 3, 6, 8
_DELIMITER: Final = bytes((_TEMPORAL_DELIMITER << 3 | _HAS_SIZE, 0))
_SHOWN_KEY_FRAME: Final = 0b0001  # show_existing_frame, frame_type, show_frame
_MAX_SIZE_BYTES: Final = 8  # of a number in LEB128 (AV1 specification, section 4.10.5)


class Av1Depacketizer:
    """Collects the OBUs of one temporal unit; see `depacketizer.Depacketizer`."""

    has_slices: ClassVar = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Drop the access unit under way."""
        self._data = bytearray()
        self._fragments: list[bytes] = []
        self._size = 0
        self._has_sequence_header = False
        self._has_frame = False
        self._begins_with_key = False  # whether its first frame is a key frame, and shown

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""
        return not self._data and not self._fragments

    @property
    def may_be_whole(self) -> bool:
        """Whether a frame is under way, and no OBU of it is cut."""
        return self._has_frame and not self._fragments

    @staticmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload can only be the first of its temporal unit: it begins a coded video sequence."""
        return bool(payload) and payload[0] & _BEGINS != 0

    @staticmethod
    def goes_on(payload: bytes) -> bool:
        """Whether a payload can only continue a frame: it begins inside an OBU."""
        return bool(payload) and payload[0] & _CONTINUES != 0

    def add(self, payload: bytes) -> None:
        """Add the next payload of the temporal unit under way. Raises MalformedPayload."""
        if not payload:
            return
        self._size += len(payload) + PAYLOAD_COST
        if self._size > MAX_UNIT_BYTES:
            raise MalformedPayload(TOO_LARGE)
        if bool(payload[0] & _CONTINUES) != bool(self._fragments):
            raise MalformedPayload("an OBU fragment without its beginning, or without its end")
        *whole, last = _elements(payload)
        for element in whole:
            self._add_element(element)
        if payload[0] & _GOES_ON:
            self._fragments.append(last)
        else:
            self._add_element(last)

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the temporal unit and whether it is a keyframe; None without a frame.

        A decoder can start at a shown key frame with a sequence header in the same unit (AV1 specification, section
        7.6.1). Raises MalformedPayload if the end of an OBU is missing.
        """
        data, is_fragmented, has_frame = _DELIMITER + self._data, bool(self._fragments), self._has_frame
        is_keyframe = self._begins_with_key and self._has_sequence_header
        self.reset()
        if is_fragmented:
            raise MalformedPayload("an OBU fragment without its end")
        return (data, is_keyframe) if has_frame else None

    def _add_element(self, element: bytes) -> None:
        """Add an OBU element, or the last fragment of one."""
        if self._fragments:
            element = b"".join((*self._fragments, element))
            self._fragments = []
        if not element or element[0] & _FORBIDDEN:
            raise MalformedPayload("an OBU without a header")
        header = element[0]
        start = 2 if header & _HAS_EXTENSION else 1
        size, body = _leb128(element, start) if header & _HAS_SIZE else (len(element) - start, start)
        if size < 0 or body + size != len(element):
            raise MalformedPayload(f"an OBU of {size} bytes in an element of {len(element)}")
        kind = header >> 3 & 0x0F
        if kind in {_TEMPORAL_DELIMITER, _TILE_LIST}:  # not for a receiver (section 5)
            return
        self._data.append(header | _HAS_SIZE)
        self._data += element[1:start] + _to_leb128(size) + element[body:]
        if kind == _SEQUENCE_HEADER:
            self._has_sequence_header = True
        elif kind in {_FRAME, _FRAME_HEADER} and not self._has_frame:
            self._has_frame = True
            self._begins_with_key = size > 0 and element[body] >> 4 == _SHOWN_KEY_FRAME


def _elements(payload: bytes) -> list[bytes]:
    """Return the OBU elements of a payload. Each has its length before it, except the last one of a known count (W)."""
    count = payload[0] >> 4 & 0x03
    elements: list[bytes] = []
    position, end = 1, len(payload)
    while position < end:
        size = end - position
        if len(elements) + 1 != count:
            size, position = _leb128(payload, position)
        if size > end - position:
            raise MalformedPayload(f"an OBU element of {size} bytes does not fit")
        elements.append(payload[position : position + size])
        position += size
    if not elements or len(elements) != (count or len(elements)):
        raise MalformedPayload(f"{len(elements)} OBU elements where {count or 'some'} were announced")
    return elements


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at `position` and where it ends."""
    value = 0
    for place, byte in enumerate(data[position : position + _MAX_SIZE_BYTES]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, position + place + 1
    raise MalformedPayload("a length that has no end")


def _to_leb128(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
