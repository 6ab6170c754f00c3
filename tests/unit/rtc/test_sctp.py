"""Which SCTP packets are handed to aiortc: all that its own writing gives, and none that would keep it busy."""

import struct

import pytest
from aiortc.rtcsctptransport import (
    Chunk,
    DataChunk,
    HeartbeatChunk,
    InitAckChunk,
    InitChunk,
    ReconfigChunk,
    SackChunk,
    serialize_packet,
)
from hypothesis import given
from hypothesis import strategies as st

from streamer.rtc.sctp import MAX_ACKNOWLEDGED, is_safe_to_parse

PARAMETERS = st.lists(st.tuples(st.integers(1, 65_535), st.binary(max_size=40)), max_size=5)


def packet(*chunks: bytes) -> bytes:
    """Return a packet of chunks that may be anything."""
    return bytes(12) + b"".join(chunk + bytes(-len(chunk) % 4) for chunk in chunks)


def sack(*blocks: tuple[int, int]) -> bytes:
    body = struct.pack("!LLHH", 1, 2, len(blocks), 0) + b"".join(struct.pack("!HH", *block) for block in blocks)
    return struct.pack("!BBH", 3, 0, 4 + len(body)) + body


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    kind = draw(st.sampled_from([DataChunk, HeartbeatChunk, InitAckChunk, InitChunk, ReconfigChunk, SackChunk]))
    chunk: Chunk = kind()
    if isinstance(chunk, DataChunk):
        chunk.tsn, chunk.stream_id, chunk.user_data = 1, 2, draw(st.binary(max_size=100))
    elif isinstance(chunk, SackChunk):
        edges = sorted(draw(st.lists(st.integers(1, 65_535), max_size=12, unique=True)))
        chunk.gaps = list(zip(edges[::2], edges[1::2], strict=False))
    elif isinstance(chunk, HeartbeatChunk | InitAckChunk | InitChunk | ReconfigChunk):
        chunk.params = draw(PARAMETERS)
    return chunk


@given(chunks())
def test_packets_that_aiortc_writes_pass(chunk: Chunk) -> None:
    assert is_safe_to_parse(serialize_packet(5000, 5000, 1, chunk))


@pytest.mark.parametrize(("chunk_type", "head"), [(1, 16), (2, 16), (4, 0), (5, 0), (6, 0), (9, 0), (130, 0)])
def test_a_parameter_without_a_length_does_not_pass(chunk_type: int, head: int) -> None:
    whole = struct.pack("!HH", 7, 8) + b"four"
    for length in range(4):
        body = bytes(head) + whole + struct.pack("!HH", 7, length) + whole
        assert not is_safe_to_parse(packet(struct.pack("!BBH", chunk_type, 0, 4 + len(body)) + body))
    body = bytes(head) + whole + struct.pack("!HH", 7, 4) + whole
    assert is_safe_to_parse(packet(struct.pack("!BBH", chunk_type, 0, 4 + len(body)) + body))


def test_impossible_gap_blocks_do_not_pass() -> None:
    assert is_safe_to_parse(packet(sack((1, MAX_ACKNOWLEDGED))))
    assert is_safe_to_parse(packet(sack((9, 1))))
    assert not is_safe_to_parse(packet(sack((1, MAX_ACKNOWLEDGED), (7, 7))))
    assert not is_safe_to_parse(packet(sack((1, 40_000)), sack((1, 40_000))))
