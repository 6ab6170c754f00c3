"""Reads and makes RTCP packets (RFC 3550 section 6, RFC 4585 section 6)."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE = 200, 201, 202, 203
TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 205, 206

_HEADER: Final = struct.Struct("!BBH")
_SENDER_INFO: Final = struct.Struct("!IQIII")
_REPORT_BLOCK: Final = struct.Struct("!IIIIII")
_FEEDBACK: Final = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A sender's clock: `rtp_time` and `ntp_time` are the same moment (RFC 3550 section 6.4.1)."""

    ssrc: int
    ntp_time: int  # 32.32 fixed point, seconds since 1900
    rtp_time: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """These sources send no more (RFC 3550 section 6.6)."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlock:
    """Reception of one source since the last report (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int  # in 256ths
    packets_lost: int  # cumulative; saturates at 24 bits, signed
    highest_sequence: int  # extended to 32 bits
    jitter: int  # in ticks
    last_sender_report: int  # the middle 32 bits of its NTP time; 0 if none came
    delay_since: int  # in 1/65536 s


def parse_rtcp(datagram: bytes) -> Iterator[SenderReport | Goodbye]:
    """Yield the known packets of a decrypted compound packet. Others, and malformed ones, are ignored."""
    position = 0
    while position + 4 <= len(datagram):
        first, packet_type, words = _HEADER.unpack_from(datagram, position)
        body, end = position + 4, position + 4 + 4 * words
        if first >> 6 != 2 or end > len(datagram):
            return
        if packet_type == SENDER_REPORT and end - body >= _SENDER_INFO.size:
            ssrc, ntp_time, rtp_time, _, _ = _SENDER_INFO.unpack_from(datagram, body)
            yield SenderReport(ssrc, ntp_time, rtp_time)
        elif packet_type == GOODBYE and (first & 0x1F) * 4 <= end - body:
            yield Goodbye(struct.unpack_from(f"!{first & 0x1F}I", datagram, body))
        position = end


def receiver_report(own_ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """Return a receiver report of at most 31 sources."""
    parts = [_HEADER.pack(0x80 | len(blocks), RECEIVER_REPORT, 1 + 6 * len(blocks)), struct.pack("!I", own_ssrc)]
    for block in blocks:
        lost = max(-0x800000, min(block.packets_lost, 0x7FFFFF)) & 0xFFFFFF
        parts.append(
            _REPORT_BLOCK.pack(
                block.ssrc,
                block.fraction_lost << 24 | lost,
                block.highest_sequence & 0xFFFFFFFF,
                min(block.jitter, 0xFFFFFFFF),
                block.last_sender_report,
                min(block.delay_since, 0xFFFFFFFF),
            )
        )
    return b"".join(parts)


def source_description(own_ssrc: int, cname: str) -> bytes:
    """Return the CNAME item that every full compound packet carries (RFC 3550 section 6.5)."""
    item = bytes((1, len(cname.encode()))) + cname.encode()
    chunk = struct.pack("!I", own_ssrc) + item
    chunk += bytes(4 - len(chunk) % 4)
    return _HEADER.pack(0x81, SOURCE_DESCRIPTION, len(chunk) // 4) + chunk


def picture_loss_indication(own_ssrc: int, media_ssrc: int) -> bytes:
    """Return a PLI (RFC 4585 section 6.3.1)."""
    return _HEADER.pack(0x81, PAYLOAD_FEEDBACK, 2) + _FEEDBACK.pack(own_ssrc, media_ssrc)


def full_intra_request(own_ssrc: int, media_ssrc: int, number: int) -> bytes:
    """Return an FIR (RFC 5104 section 4.3.1); `number` grows with each new request."""
    fci = struct.pack("!IBxxx", media_ssrc, number & 0xFF)
    return _HEADER.pack(0x84, PAYLOAD_FEEDBACK, 4) + _FEEDBACK.pack(own_ssrc, 0) + fci


def receiver_estimated_maximum_bitrate(own_ssrc: int, bitrate_bps: int, media_ssrcs: Sequence[int]) -> bytes:
    """Return a REMB for at most 255 sources (draft-alvestrand-rmcat-remb-03 section 2.2)."""
    exponent = max(bitrate_bps.bit_length() - 18, 0)
    fci = struct.pack(
        f"!4sI{len(media_ssrcs)}I",
        b"REMB",
        len(media_ssrcs) << 24 | exponent << 18 | bitrate_bps >> exponent,
        *media_ssrcs,
    )
    return _HEADER.pack(0x8F, PAYLOAD_FEEDBACK, 2 + len(fci) // 4) + _FEEDBACK.pack(own_ssrc, 0) + fci


def negative_acknowledgement(own_ssrc: int, media_ssrc: int, sequence_numbers: Sequence[int]) -> bytes:
    """Return a generic NACK for sequence numbers in ascending order, wrap included (RFC 4585 section 6.2.1)."""
    entries: list[tuple[int, int]] = []
    for sequence_number in sequence_numbers:
        if entries:
            first, mask = entries[-1]
            offset = (sequence_number - first) & 0xFFFF
            if 1 <= offset <= 16:
                entries[-1] = (first, mask | 1 << (offset - 1))
                continue
        entries.append((sequence_number & 0xFFFF, 0))
    fci = b"".join(struct.pack("!HH", *entry) for entry in entries)
    return _HEADER.pack(0x81, TRANSPORT_FEEDBACK, 2 + len(entries)) + _FEEDBACK.pack(own_ssrc, media_ssrc) + fci
