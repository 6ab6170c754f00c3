"""H.264 from RTP payloads to access units (RFC 6184), Annex B out.

Payload formats: single NAL unit, STAP-A and FU-A (sections 5.6 to 5.8; packetization modes 0 and 1). The others belong
to the interleaved mode 2, which no WebRTC peer offers. Some senders packetize a whole access unit with its start codes
as if it were one NAL unit. The depacketizer splits it again.
"""

from typing import ClassVar, Final

from streamer.media.codecs.depacketizer import (
    MAX_NAL_UNITS,
    MAX_UNIT_BYTES,
    PAYLOAD_COST,
    TOO_LARGE,
    TOO_MANY_NAL_UNITS,
    MalformedPayload,
)
from streamer.media.codecs.nal import START_CODES, NalDepacketizer, exp_golomb, has_recovery_point, has_start_code

_NAL_TYPE: Final = 0x1F
_NON_IDR_SLICE, _IDR_SLICE, _SEI, _SPS, _PPS, _DELIMITER = 1, 5, 6, 7, 8, 9
_STAP_A, _FU_A = 24, 28


class H264Depacketizer(NalDepacketizer):
    """Collects the NAL units of one access unit. `parameters` are the SDP's (`sprop-parameter-sets`, section 8.1)."""

    HEADER_BYTES: ClassVar = 1
    SET_TYPES: ClassVar = (_SPS, _PPS)
    DELIMITER: ClassVar = _DELIMITER
    SLICES: ClassVar = range(_NON_IDR_SLICE, _IDR_SLICE + 1)
    AGGREGATE: ClassVar = _STAP_A
    FRAGMENT: ClassVar = _FU_A

    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        super().__init__([(parameters or {}).get("sprop-parameter-sets", "")])

    def add(self, payload: bytes) -> None:
        """Add the next payload of the access unit under way. Raises MalformedPayload."""
        if not payload:
            return
        self._size += len(payload) + PAYLOAD_COST
        if self._size > MAX_UNIT_BYTES:
            raise MalformedPayload(TOO_LARGE)
        nal_type = payload[0] & _NAL_TYPE
        if nal_type == _FU_A:
            if self._fragments and len(payload) > 1 and not payload[1] & 0xC0:  # a middle part, like most packets
                self._fragments.append(payload[2:])
            else:
                self._add_fragment(payload)
        elif 1 <= nal_type < _STAP_A:
            self._add_nal_unit(payload)
        elif nal_type == _STAP_A:
            self._add_aggregate(payload)
        elif payload.startswith(START_CODES):
            self._add_nal_unit(payload)
        else:
            raise MalformedPayload(f"NAL unit type {nal_type} is not one of packetization modes 0 and 1")

    @staticmethod
    def type_of(nal_unit: bytes) -> int:
        """Return a NAL unit's type."""
        return nal_unit[0] & _NAL_TYPE

    @staticmethod
    def fragmented_header(payload: bytes) -> bytes:
        """Return the header of the NAL unit that an FU-A belongs to."""
        return bytes((payload[0] & 0xE0 | payload[1] & _NAL_TYPE,))

    def _add_nal_unit(self, nal_unit: bytes) -> None:
        nal_type = nal_unit[0] & _NAL_TYPE
        if (nal_type != _NON_IDR_SLICE or self._is_embedding) and has_start_code(nal_unit):
            self._add_embedded(nal_unit)
            return
        if len(self._nal_units) == MAX_NAL_UNITS:
            raise MalformedPayload(TOO_MANY_NAL_UNITS)
        if _NON_IDR_SLICE <= nal_type <= _IDR_SLICE:
            self._has_slice = True
            self._has_key = self._has_key or nal_type == _IDR_SLICE
        elif nal_type == _SEI:
            self._has_recovery_point = self._has_recovery_point or has_recovery_point(nal_unit[1:])
        elif nal_type in {_SPS, _PPS}:
            self._add_set(nal_type, nal_unit)
        self._nal_units.append(nal_unit)

    def _remember(self, nal_unit: bytes) -> None:
        # The id is the first Exp-Golomb code; in an SPS it follows profile, constraints and level. The standard allows
        # ids below 32 and 256 (H.264 section 7.4.2).
        if len(nal_unit) < 4:
            return
        if nal_unit[0] & _NAL_TYPE == _SPS and len(nal_unit) > 4:
            self._sets.remember(_SPS, min(exp_golomb(nal_unit[4:]), 31), nal_unit)
        elif nal_unit[0] & _NAL_TYPE == _PPS:
            self._sets.remember(_PPS, min(exp_golomb(nal_unit[1:]), 255), nal_unit)
