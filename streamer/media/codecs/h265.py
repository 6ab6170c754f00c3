"""H.265 from RTP payloads to access units (RFC 7798), Annex B out.

Payload formats: single NAL unit, aggregation packet and fragmentation unit (sections 4.4.1 to 4.4.3), in decoding
order. The field DONL is not supported: only interleaved or multiple streams have it. A NAL unit that contains start
codes is split, as in `h264`.
"""

from typing import ClassVar, Final

from streamer.media.codecs.bits import unescaped
from streamer.media.codecs.depacketizer import (
    MAX_NAL_UNITS,
    MAX_UNIT_BYTES,
    PAYLOAD_COST,
    TOO_LARGE,
    TOO_MANY_NAL_UNITS,
    MalformedPayload,
)
from streamer.media.codecs.nal import NalDepacketizer, exp_golomb, has_recovery_point, has_start_code

_HEADER_BYTES: Final = 2
_FIRST_KEY, _LAST_KEY, _LAST_SLICE = 16, 21, 31  # types of slices: of keyframes (IRAP), and of all
_VPS, _SPS, _PPS, _DELIMITER, _SEI, _AGGREGATE, _FRAGMENT = 32, 33, 34, 35, 39, 48, 49
_HEADERS_ALONE: Final = (36, 37)  # end of sequence, end of bitstream
_MAX_ID_END: Final = 160  # of an SPS: some 90 bytes of profiles and levels precede its id, with emulation prevention


class H265Depacketizer(NalDepacketizer):
    """Collects the NAL units of one access unit at a time.

    `parameters` are the SDP's (`sprop-vps`, `sprop-sps`, `sprop-pps`, section 7.1).
    """

    HEADER_BYTES: ClassVar = _HEADER_BYTES
    SET_TYPES: ClassVar = (_VPS, _SPS, _PPS)
    DELIMITER: ClassVar = _DELIMITER
    SLICES: ClassVar = range(_LAST_SLICE + 1)
    AGGREGATE: ClassVar = _AGGREGATE
    FRAGMENT: ClassVar = _FRAGMENT

    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        super().__init__((parameters or {}).get(name, "") for name in ("sprop-vps", "sprop-sps", "sprop-pps"))

    def add(self, payload: bytes) -> None:
        """Add the next payload of the access unit under way. Raises MalformedPayload."""
        if not payload:
            return
        self._size += len(payload) + PAYLOAD_COST
        if self._size > MAX_UNIT_BYTES:
            raise MalformedPayload(TOO_LARGE)
        nal_type = _type(payload)
        if nal_type == _FRAGMENT:
            if len(payload) <= _HEADER_BYTES + 1:
                raise MalformedPayload("a fragmentation unit without content")
            self._add_fragment(payload)
        elif nal_type == _AGGREGATE:
            self._add_aggregate(payload)
        elif nal_type < _AGGREGATE:
            self._add_nal_unit(payload)
        else:
            raise MalformedPayload(f"NAL unit type {nal_type} was not negotiated")

    @staticmethod
    def type_of(nal_unit: bytes) -> int:
        """Return a NAL unit's type."""
        return nal_unit[0] >> 1 & 0x3F

    @staticmethod
    def fragmented_header(payload: bytes) -> bytes:
        """Return the header of the NAL unit that a fragmentation unit belongs to."""
        return bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))

    def _add_nal_unit(self, nal_unit: bytes) -> None:
        nal_type = _type(nal_unit)
        if (nal_type >= _FIRST_KEY or self._is_embedding or nal_unit[0] == 0) and has_start_code(nal_unit):
            self._add_embedded(nal_unit)
            return
        if len(nal_unit) <= _HEADER_BYTES and not (len(nal_unit) == _HEADER_BYTES and nal_type in _HEADERS_ALONE):
            raise MalformedPayload("a NAL unit without content")
        if len(self._nal_units) == MAX_NAL_UNITS:
            raise MalformedPayload(TOO_MANY_NAL_UNITS)
        if nal_type <= _LAST_SLICE:
            self._has_slice = True
            self._has_key = self._has_key or _FIRST_KEY <= nal_type <= _LAST_KEY
        elif nal_type in self.SET_TYPES:
            self._add_set(nal_type, nal_unit)
        elif nal_type == _SEI:
            self._has_recovery_point = self._has_recovery_point or has_recovery_point(nal_unit[_HEADER_BYTES:])
        self._nal_units.append(nal_unit)

    def _remember(self, nal_unit: bytes) -> None:
        if len(nal_unit) > _HEADER_BYTES and _type(nal_unit) in self.SET_TYPES:
            self._sets.remember(_type(nal_unit), _parameter_set_id(nal_unit), nal_unit)


_type: Final = H265Depacketizer.type_of


def _parameter_set_id(nal_unit: bytes) -> int:
    """Return a parameter set's id (H.265 sections 7.3.2.1 to 7.3.2.3), at most the standard's maximum."""
    content = unescaped(nal_unit[_HEADER_BYTES:_MAX_ID_END])
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
