"""Checks SCTP packets before aiortc parses them: two kinds would keep it busy for minutes, or for ever."""

from typing import Final

_COMMON_HEADER: Final = 12  # bytes (RFC 9260 section 3.1)
_CHUNK_HEADER: Final = 4
_SACK: Final = 3
# Where the parameters of a chunk begin, by the chunk's type (RFC 9260 section 3.3, RFC 6525 section 3.1).
_PARAMETERS_AT: Final = {1: 20, 2: 20, 4: 4, 5: 4, 6: 4, 9: 4, 130: 4}
MAX_ACKNOWLEDGED: Final = 65_535  # in the gap blocks of one packet


def is_safe_to_parse(packet: bytes) -> bool:
    """Whether aiortc 1.16 parses a packet in bounded time.

    The length of a parameter includes its own four bytes (RFC 9260 section 3.2.1). At 0, aiortc parses it for ever. Gap
    blocks are disjoint (section 3.3.4), so they acknowledge at most 65535 packets; aiortc visits each of them. aiortc
    detects all other errors itself.
    """
    position, acknowledged = _COMMON_HEADER, 0
    while position + _CHUNK_HEADER <= len(packet):
        chunk_type, length = packet[position], int.from_bytes(packet[position + 2 : position + 4])
        if length < _CHUNK_HEADER:
            return True  # aiortc stops there, too
        chunk = packet[position : position + length]
        if chunk_type == _SACK:
            acknowledged += _acknowledged(chunk)
        elif chunk_type in _PARAMETERS_AT and not _have_lengths(chunk[_PARAMETERS_AT[chunk_type] :]):
            return False
        if acknowledged > MAX_ACKNOWLEDGED:
            return False
        position += _padded(length)
    return True


def _have_lengths(parameters: bytes) -> bool:
    position = 0
    while position + 4 <= len(parameters):
        length = int.from_bytes(parameters[position + 2 : position + 4])
        if length < 4:
            return False
        position += _padded(length)
    return True


def _acknowledged(sack: bytes) -> int:
    """Return how many packets the gap blocks of a SACK acknowledge, counting repetitions."""
    blocks = int.from_bytes(sack[12:14])
    offsets = [int.from_bytes(sack[at : at + 2]) for at in range(16, min(16 + 4 * blocks, len(sack)), 2)]
    return sum(max(last - first + 1, 0) for first, last in zip(offsets[::2], offsets[1::2], strict=False))


def _padded(length: int) -> int:
    return length + -length % 4
