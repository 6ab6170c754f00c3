"""H.265 from RTP payloads to access units (RFC 7798), Annex B out.

Payload formats: single NAL unit, aggregation packet and fragmentation unit (sections 4.4.1 to 4.4.3), in decoding
order: without the field DONL, which only a sender of interleaved or several streams has. Where what was sent as one NAL
unit holds start codes, it is split, as in `h264`.
"""

import struct
from typing import ClassVar, Final

from streamer.media.codecs.depacketizer import (
    MAX_NAL_UNITS,
    MAX_UNIT_BYTES,
    PAYLOAD_COST,
    TOO_LARGE,
    TOO_MANY_NAL_UNITS,
    MalformedPayload,
)
from streamer.media.codecs.nal import (
    START_CODES,
    ParameterSets,
    annex_b,
    exp_golomb,
    has_recovery_point,
    has_start_code,
    split,
    sprop,
)

_HEADER_BYTES: Final = 2
_FIRST_KEY, _LAST_KEY, _LAST_SLICE = 16, 21, 31  # the types of pictures a decoder may start at (IRAP), and of slices
_VPS, _SPS, _PPS, _DELIMITER, _SEI, _AGGREGATE, _FRAGMENT = 32, 33, 34, 35, 39, 48, 49
_HEADERS_ALONE: Final = (36, 37)  # end of sequence, end of bitstream
_PARAMETER_SETS: Final = (_VPS, _SPS, _PPS)
_MAX_ID_END: Final = 160  # of an SPS: some 90 bytes of profiles and levels before its id, and escapes among them


class H265Depacketizer:
    """Collect the NAL units of one access unit; see `payload.Depacketizer`.

    Parameter sets are remembered, also those of the SDP (`sprop-vps`, `sprop-sps`, `sprop-pps`, section 7.1), and put
    before a keyframe that comes without them: a decoder may start at any keyframe.
    """

    has_slices: ClassVar = True

    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        self._sets = ParameterSets(_PARAMETER_SETS)
        self._is_embedding = False  # whether a NAL unit held start codes: then all are searched for them
        for name in ("sprop-vps", "sprop-sps", "sprop-pps"):
            for nal_unit in sprop((parameters or {}).get(name, "")):
                self._remember(nal_unit)
        self.reset()

    def reset(self) -> None:
        """Drop the access unit under way."""
        self._nal_units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._size = 0
        self._types: set[int] = set()
        self._has_recovery_point = False

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""
        return not self._nal_units and not self._fragments

    @property
    def may_be_whole(self) -> bool:
        """Whether a picture is under way, and no NAL unit of it is cut."""
        return not self._fragments and self._has_slice

    @staticmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload can only be the first of its access unit (it opens with a delimiter or a VPS)."""
        opening = _opening(payload)
        return bool(opening) and _type(opening) in {_VPS, _DELIMITER}

    @staticmethod
    def goes_on(payload: bytes) -> bool:
        """Whether a payload can only go on with a picture: within a slice, or one that is not its picture's first."""
        opening = _opening(payload)
        if not opening:
            return bool(payload)
        return _type(opening) <= _LAST_SLICE and len(opening) > _HEADER_BYTES and opening[_HEADER_BYTES] < 0x80

    def add(self, payload: bytes) -> None:
        """Take the next payload of the access unit under way. Raises MalformedPayload."""
        if not payload:
            return
        self._size += len(payload) + PAYLOAD_COST
        if self._size > MAX_UNIT_BYTES:
            raise MalformedPayload(TOO_LARGE)
        nal_type = _type(payload)
        if nal_type == _FRAGMENT:
            self._add_fragment(payload)
        elif nal_type == _AGGREGATE:
            self._add_aggregate(payload)
        elif nal_type < _AGGREGATE:
            self._add_nal_unit(payload)
        else:
            raise MalformedPayload(f"NAL unit type {nal_type} is none that was negotiated")

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the access unit in Annex B form and whether it is a keyframe; None if it holds no picture.

        Parameter sets alone are no picture: they wait for the next keyframe. Raises MalformedPayload if a fragmented
        NAL unit has no end.
        """
        nal_units, types, size, is_cut = self._nal_units, self._types, self._size, bool(self._fragments)
        has_slice, has_recovery_point = self._has_slice, self._has_recovery_point
        self.reset()
        if is_cut:
            raise MalformedPayload("a fragmented NAL unit without an end")
        if not has_slice:
            return None
        is_keyframe = any(_FIRST_KEY <= nal_type <= _LAST_KEY for nal_type in types) or (
            may_recover and has_recovery_point
        )
        if is_keyframe and not types.issuperset(_PARAMETER_SETS):
            if size + self._sets.size > MAX_UNIT_BYTES:
                raise MalformedPayload(TOO_LARGE)
            is_keyframe = self._sets.is_complete
            start = 1 if _type(nal_units[0]) == _DELIMITER else 0
            nal_units[start:start] = self._sets.in_order()
        return annex_b(nal_units), is_keyframe

    @property
    def _has_slice(self) -> bool:
        return any(nal_type <= _LAST_SLICE for nal_type in self._types)

    def _add_nal_unit(self, nal_unit: bytes) -> None:
        nal_type = _type(nal_unit)
        if (nal_type >= _FIRST_KEY or self._is_embedding or nal_unit[0] == 0) and has_start_code(nal_unit):
            self._is_embedding = True
            for part in split(nal_unit):
                self._add_nal_unit(part)
            return
        if len(nal_unit) <= _HEADER_BYTES and not (len(nal_unit) == _HEADER_BYTES and nal_type in _HEADERS_ALONE):
            raise MalformedPayload("a NAL unit without content")
        if len(self._nal_units) == MAX_NAL_UNITS:
            raise MalformedPayload(TOO_MANY_NAL_UNITS)
        if nal_type in _PARAMETER_SETS:
            self._remember(nal_unit)
        elif nal_type == _SEI:
            self._has_recovery_point = self._has_recovery_point or has_recovery_point(nal_unit[_HEADER_BYTES:])
        self._types.add(nal_type)
        self._nal_units.append(nal_unit)

    def _add_aggregate(self, payload: bytes) -> None:
        position, end = _HEADER_BYTES, len(payload)
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
        if len(payload) <= _HEADER_BYTES + 1:
            raise MalformedPayload("a fragmentation unit without content")
        header = payload[2]
        is_start, is_end = header & 0x80, header & 0x40
        if is_start:
            if self._fragments:
                raise MalformedPayload("a fragmentation unit that starts inside another")
            self._fragments.append(bytes((payload[0] & 0x81 | (header & 0x3F) << 1, payload[1])))
        elif not self._fragments:
            raise MalformedPayload("a fragmentation unit without its start")
        self._fragments.append(payload[3:])
        if is_end:
            nal_unit = b"".join(self._fragments)
            self._fragments = []
            self._add_nal_unit(nal_unit)

    def _remember(self, nal_unit: bytes) -> None:
        """Keep a parameter set by its id, so that a stream with several keeps them all."""
        if len(nal_unit) > _HEADER_BYTES and _type(nal_unit) in _PARAMETER_SETS:
            self._sets.remember(_type(nal_unit), _parameter_set_id(nal_unit), nal_unit)


def _opening(payload: bytes) -> bytes:
    """Return the first bytes of the NAL unit that a payload begins; none if it goes on with one."""
    nal_type = _type(payload) if payload else 0
    opening = payload[:9]
    if nal_type == _AGGREGATE:
        opening = payload[4:9]
    elif nal_type == _FRAGMENT:
        if len(payload) < 3 or not payload[2] & 0x80:
            return b""
        opening = bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1])) + payload[3:9]
    return opening.lstrip(b"\x00")[1:] if opening.startswith(START_CODES) else opening


def _type(nal_unit: bytes) -> int:
    return nal_unit[0] >> 1 & 0x3F


def _parameter_set_id(nal_unit: bytes) -> int:
    """Return a parameter set's id (H.265 sections 7.3.2.1 to 7.3.2.3), at most what the standard allows."""
    content = nal_unit[_HEADER_BYTES:_MAX_ID_END].replace(b"\x00\x00\x03", b"\x00\x00")
    if _type(nal_unit) == _VPS:
        return content[0] >> 4
    if _type(nal_unit) == _PPS:
        return min(exp_golomb(content), 63)
    sub_layers = content[0] >> 1 & 0x07  # the id follows each sub-layer's profile and level
    start = 13
    if sub_layers:
        flags = int.from_bytes(content[13:15])
        start += 2
        for layer in range(sub_layers):
            start += 11 * (flags >> (15 - 2 * layer) & 1) + (flags >> (14 - 2 * layer) & 1)
    return min(exp_golomb(content[start:]), 15)
