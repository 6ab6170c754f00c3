"""H.265 from RTP payloads to access units (RFC 7798), Annex B out.

Payload formats: single NAL unit, aggregation packet and fragmentation unit (sections 4.4.1 to 4.4.3), in decoding
order: without the field DONL, which only a sender of interleaved or several streams has.
"""

import struct
from typing import Final

from streamer.media.nal import annex_b, exp_golomb, sprop
from streamer.media.payload import MAX_UNIT_BYTES, TOO_LARGE, MalformedPayload

_HEADER_BYTES: Final = 2
_FIRST_KEY, _LAST_KEY, _LAST_SLICE = 16, 21, 31  # the types of pictures a decoder may start at (IRAP), and of slices
_VPS, _SPS, _PPS, _DELIMITER, _AGGREGATE, _FRAGMENT = 32, 33, 34, 35, 48, 49
_PARAMETER_SETS: Final = (_VPS, _SPS, _PPS)
_MAX_ID_END: Final = 160  # of an SPS: some 90 bytes of profiles and levels before its id, and escapes among them


class H265Depacketizer:
    """Collect the NAL units of one access unit; see `payload.Depacketizer`.

    Parameter sets are remembered, also those of the SDP (`sprop-vps`, `sprop-sps`, `sprop-pps`, section 7.1), and put
    before a keyframe that comes without them: a decoder may start at any keyframe.
    """

    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        self._known: dict[int, dict[int, bytes]] = {nal_type: {} for nal_type in _PARAMETER_SETS}
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

    @property
    def is_empty(self) -> bool:
        """Whether no access unit is under way."""
        return not self._nal_units and not self._fragments

    @staticmethod
    def starts_unit(payload: bytes) -> bool:
        """Whether a payload can only be the first of its access unit (it opens with a delimiter or a VPS)."""
        if not payload:
            return False
        nal_type = _type(payload)
        if nal_type == _AGGREGATE and len(payload) > 4:
            nal_type = _type(payload[4:])
        return nal_type in {_VPS, _DELIMITER}

    def add(self, payload: bytes) -> None:
        """Take the next payload of the access unit under way. Raises MalformedPayload."""
        if not payload:
            return
        self._size += len(payload)
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

    def finish(self) -> tuple[bytes, bool] | None:
        """Return the access unit in Annex B form and whether it is a keyframe; None if it holds no picture.

        Parameter sets alone are no picture: they wait for the next keyframe. Raises MalformedPayload if a fragmented
        NAL unit has no end.
        """
        nal_units, types, is_fragmented = self._nal_units, self._types, bool(self._fragments)
        self.reset()
        if is_fragmented:
            raise MalformedPayload("a fragmented NAL unit without an end")
        if not any(nal_type <= _LAST_SLICE for nal_type in types):
            return None
        is_keyframe = any(_FIRST_KEY <= nal_type <= _LAST_KEY for nal_type in types)
        if is_keyframe and not types.issuperset(_PARAMETER_SETS):
            is_keyframe = all(self._known.values())
            start = 1 if _type(nal_units[0]) == _DELIMITER else 0
            nal_units[start:start] = [nal_unit for known in self._known.values() for nal_unit in known.values()]
        return annex_b(nal_units), is_keyframe

    def _add_nal_unit(self, nal_unit: bytes) -> None:
        if len(nal_unit) <= _HEADER_BYTES:
            raise MalformedPayload("a NAL unit without content")
        nal_type = _type(nal_unit)
        self._remember(nal_unit)
        self._types.add(nal_type)
        self._nal_units.append(nal_unit)

    def _add_aggregate(self, payload: bytes) -> None:
        position, end = _HEADER_BYTES, len(payload)
        while position < end:
            if position + 2 > end:
                raise MalformedPayload("an aggregation packet that ends inside a length")
            (size,) = struct.unpack_from("!H", payload, position)
            position += 2
            if position + size > end:
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
        if len(nal_unit) > _HEADER_BYTES and (known := self._known.get(_type(nal_unit))) is not None:
            known[_parameter_set_id(nal_unit)] = nal_unit


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
