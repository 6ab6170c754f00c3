"""What a datagram is (RFC 7983). It may have several DTLS records (RFC 6347 section 4.1); aiortc 1.16 reads one."""

from typing import Final

_HEADER: Final = 13  # type, version, epoch, sequence number, length
RECORD_LIMIT: Final = 1500  # bytes: aiortc reads no more of a record


def is_srtp(datagram: bytes) -> bool:
    """Whether a datagram is SRTP or SRTCP, not STUN, DTLS or TURN (RFC 7983 section 7)."""
    return len(datagram) > 1 and 127 < datagram[0] < 192


def is_dtls(datagram: bytes) -> bool:
    """Whether a datagram is DTLS (RFC 7983 section 7)."""
    return bool(datagram) and 19 < datagram[0] < 64


def split_records(datagram: bytes) -> list[bytes]:
    """Return the complete DTLS records of a datagram, without those longer than RECORD_LIMIT."""
    records = []
    position = 0
    while (begin := position + _HEADER) <= len(datagram) and is_dtls(datagram[position:begin]):
        position = begin + int.from_bytes(datagram[begin - 2 : begin])
        record = datagram[begin - _HEADER : position]
        if position <= len(datagram) and len(record) <= RECORD_LIMIT:
            records.append(record)
    return records
