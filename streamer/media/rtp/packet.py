"""Parses RTP packets: only the fields that are used (RFC 3550 section 5.1, RFC 8285 section 4.2)."""

import struct
from typing import Final

_FIXED_HEADER: Final = struct.Struct("!BBHII")
_EXTENSION_HEADER: Final = struct.Struct("!HH")
_ONE_BYTE_PROFILE: Final = b"\xbe\xde"
_VERSION: Final = 2


class RtpPacket:
    """One packet. `index` is its sequence number extended to a counter that never wraps, set by the jitter buffer."""

    __slots__ = ("arrival_ns", "index", "marker", "payload", "payload_type", "rtp_time", "sequence_number", "ssrc")

    def __init__(  # noqa: PLR0917 - called for each packet: keywords would cost a tenth of the path
        self,
        payload_type: int,
        marker: bool,
        sequence_number: int,
        rtp_time: int,
        ssrc: int,
        payload: bytes,
        arrival_ns: int,
    ) -> None:
        self.payload_type = payload_type
        self.marker = marker
        self.sequence_number = sequence_number
        self.rtp_time = rtp_time
        self.ssrc = ssrc
        self.payload = payload
        self.arrival_ns = arrival_ns
        self.index = -1


def parse_rtp(datagram: bytes, arrival_ns: int) -> RtpPacket | None:
    """Return the packet in a decrypted datagram, without header extensions and padding; None if it is malformed."""
    end = len(datagram)
    if end < _FIXED_HEADER.size:
        return None
    first, second, sequence_number, rtp_time, ssrc = _FIXED_HEADER.unpack_from(datagram)
    if first >> 6 != _VERSION:
        return None
    start = _FIXED_HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if start + 4 > end:
            return None
        start += 4 + 4 * _EXTENSION_HEADER.unpack_from(datagram, start)[1]
    if first & 0x20:
        padding = datagram[-1]
        if padding == 0:
            return None
        end -= padding
    if start > end:
        return None
    return RtpPacket(second & 0x7F, second > 0x7F, sequence_number, rtp_time, ssrc, datagram[start:end], arrival_ns)


def find_extension(datagram: bytes, wanted_id: int) -> bytes | None:
    """Return the data of the header extension element `wanted_id` (one-byte form, ids 1 to 14); None without it."""
    size = len(datagram)
    if size < _FIXED_HEADER.size or not datagram[0] & 0x10:
        return None
    position = _FIXED_HEADER.size + 4 + 4 * (datagram[0] & 0x0F)
    if position > size or datagram[position - 4 : position - 2] != _ONE_BYTE_PROFILE:
        return None
    end = position + 4 * (datagram[position - 2] << 8 | datagram[position - 1])
    if end > size:
        return None
    while position < end:
        head = datagram[position]
        position += 1
        if head == 0:  # padding
            continue
        element_id, length = head >> 4, (head & 0x0F) + 1
        if element_id == 15 or position + length > end:
            return None
        if element_id == wanted_id:
            return datagram[position : position + length]
        position += length
    return None


def unwrap_rtx(packet: RtpPacket, *, payload_type: int, ssrc: int) -> RtpPacket | None:
    """Return the original packet in a retransmission (RFC 4588 section 4); None if there is none.

    A retransmission without payload is padding that probes for bandwidth.
    """
    if len(packet.payload) < 2:
        return None
    original = int.from_bytes(packet.payload[:2])
    return RtpPacket(
        payload_type, packet.marker, original, packet.rtp_time, ssrc, packet.payload[2:], packet.arrival_ns
    )
