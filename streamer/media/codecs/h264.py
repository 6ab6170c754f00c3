"""H.264 from RTP payloads to access units (RFC 6184), Annex B out.

Payload formats: single NAL unit, STAP-A and FU-A (sections 5.6 to 5.8; packetization modes 0 and 1). The others belong
to the interleaved mode 2, which no WebRTC peer offers. Some encoders hand a whole access unit, start codes and all, to
a packetizer that takes it for one NAL unit: it is split where it is put together.
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

_NAL_TYPE: Final = 0x1F
_NON_IDR_SLICE, _IDR_SLICE, _SEI, _SPS, _PPS, _DELIMITER = 1, 5, 6, 7, 8, 9
_STAP_A, _FU_A = 24, 28


class H264Depacketizer:
    """Collect the NAL units of one access unit at a time; see `payload.Depacketizer`.

    Parameter sets are remembered, also those of the SDP (`sprop-parameter-sets`, section 8.1), and put before a
    keyframe that comes without them: a decoder may start at any keyframe.
    """

    has_slices: ClassVar = True

    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        self._sets = ParameterSets((_SPS, _PPS))
        self._is_embedding = False  # whether a NAL unit held start codes: then all are searched for them
        for nal_unit in sprop((parameters or {}).get("sprop-parameter-sets", "")):
            self._remember(nal_unit)
        self.reset()

    def reset(self) -> None:
        """Drop the access unit under way."""
        self._nal_units: list[bytes] = []
        self._fragments: list[bytes] = []
        self._size = 0
        self._has_slice = False
        self._has_idr = False
        self._has_recovery_point = False
        self._has_sps = False
        self._has_pps = False

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""
        return not self._nal_units and not self._fragments

    @property
    def may_be_whole(self) -> bool:
        """Whether a picture is under way, and no NAL unit of it is cut."""
        return self._has_slice and not self._fragments

    @staticmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload can only be the first of its access unit (it opens with a delimiter or an SPS)."""
        opening = _opening(payload)
        return bool(opening) and opening[0] & _NAL_TYPE in {_SPS, _DELIMITER}

    @staticmethod
    def goes_on(payload: bytes) -> bool:
        """Whether a payload can only go on with a picture: within a slice, or one whose first macroblock is not 0."""
        opening = _opening(payload)
        if not opening:
            return bool(payload)
        return _NON_IDR_SLICE <= opening[0] & _NAL_TYPE <= _IDR_SLICE and len(opening) > 1 and opening[1] < 0x80

    def add(self, payload: bytes) -> None:
        """Take the next payload of the access unit under way.

        Raises MalformedPayload; the access unit is then unusable: `reset` and look for the next.
        """
        if not payload:
            return
        self._size += len(payload) + PAYLOAD_COST
        if self._size > MAX_UNIT_BYTES:
            raise MalformedPayload(TOO_LARGE)
        nal_type = payload[0] & _NAL_TYPE
        if nal_type == _FU_A:
            if self._fragments and len(payload) > 1 and not payload[1] & 0xC0:  # a middle part, as most packets are
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

    def finish(self, *, may_recover: bool = False) -> tuple[bytes, bool] | None:
        """Return the access unit in Annex B form and whether it is a keyframe; None if it holds no picture.

        Parameter sets alone are no picture: they wait for the next keyframe. Raises MalformedPayload.
        """
        if self._fragments:
            self.reset()
            raise MalformedPayload("a fragmented NAL unit without an end")
        nal_units, has_slice = self._nal_units, self._has_slice
        is_keyframe = self._has_idr or (may_recover and self._has_recovery_point)
        if is_keyframe and not (self._has_sps and self._has_pps):
            if self._size + self._sets.size > MAX_UNIT_BYTES:
                self.reset()
                raise MalformedPayload(TOO_LARGE)
            nal_units = [*self._sets.in_order(), *nal_units]
            is_keyframe = self._sets.is_complete
        self.reset()
        return (annex_b(nal_units), is_keyframe) if has_slice else None

    def _add_nal_unit(self, nal_unit: bytes) -> None:
        nal_type = nal_unit[0] & _NAL_TYPE
        if (nal_type != _NON_IDR_SLICE or self._is_embedding) and has_start_code(nal_unit):
            self._is_embedding = True
            for part in split(nal_unit):
                self._add_nal_unit(part)
            return
        if len(self._nal_units) == MAX_NAL_UNITS:
            raise MalformedPayload(TOO_MANY_NAL_UNITS)
        if nal_type == _IDR_SLICE:
            self._has_idr = self._has_slice = True
        elif _NON_IDR_SLICE <= nal_type < _IDR_SLICE:
            self._has_slice = True
        elif nal_type == _SEI:
            self._has_recovery_point = self._has_recovery_point or has_recovery_point(nal_unit[1:])
        elif nal_type == _SPS:
            self._has_sps = True
            self._remember(nal_unit)
        elif nal_type == _PPS:
            self._has_pps = True
            self._remember(nal_unit)
        self._nal_units.append(nal_unit)

    def _add_aggregate(self, payload: bytes) -> None:
        position, end = 1, len(payload)
        while position < end:
            if position + 2 > end:
                raise MalformedPayload("a STAP-A that ends inside a length")
            (size,) = struct.unpack_from("!H", payload, position)
            position += 2
            if size == 0 or position + size > end:
                raise MalformedPayload(f"a STAP-A whose unit of {size} bytes does not fit")
            self._add_nal_unit(payload[position : position + size])
            position += size

    def _add_fragment(self, payload: bytes) -> None:
        if len(payload) < 2:
            raise MalformedPayload("an FU-A without its header")
        indicator, header = payload[0], payload[1]
        is_start, is_end = header & 0x80, header & 0x40
        if is_start:
            if self._fragments:
                raise MalformedPayload("an FU-A that starts inside another")
            self._fragments.append(bytes(((indicator & 0xE0) | (header & _NAL_TYPE),)))
        elif not self._fragments:
            raise MalformedPayload("an FU-A without its start")
        self._fragments.append(payload[2:])
        if is_end:
            nal_unit = b"".join(self._fragments)
            self._fragments = []
            self._add_nal_unit(nal_unit)

    def _remember(self, nal_unit: bytes) -> None:
        # Identified by their ids (first Exp-Golomb code; for an SPS after profile, constraints and level), so that a
        # stream with several sets keeps them all; 32 and 256 are the standard's own limits (H.264 section 7.4.2).
        if len(nal_unit) < 4:
            return
        if nal_unit[0] & _NAL_TYPE == _SPS and len(nal_unit) > 4:
            self._sets.remember(_SPS, min(exp_golomb(nal_unit[4:]), 31), nal_unit)
        elif nal_unit[0] & _NAL_TYPE == _PPS:
            self._sets.remember(_PPS, min(exp_golomb(nal_unit[1:]), 255), nal_unit)


def _opening(payload: bytes) -> bytes:
    """Return the first bytes of the NAL unit that a payload begins; none if it goes on with one."""
    nal_type = payload[0] & _NAL_TYPE if payload else 0
    opening = payload[:8]
    if nal_type == _STAP_A:
        opening = payload[3:8]
    elif nal_type == _FU_A:
        if len(payload) < 2 or not payload[1] & 0x80:
            return b""
        opening = bytes((payload[0] & 0xE0 | payload[1] & _NAL_TYPE,)) + payload[2:8]
    return opening.lstrip(b"\x00")[1:] if opening.startswith(START_CODES) else opening
