"""RTP headers, against aiortc's own serialiser and parser."""

import pytest
from aiortc import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, wrap_rtx
from aiortc.rtp import RtpPacket as TheirPacket
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.media.rtp.packet import find_extension, parse_rtp, unwrap_rtx
from streamer.media.wraparound import extend

EXTENSIONS = HeaderExtensionsMap()
EXTENSIONS.configure(
    RTCRtpParameters(
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(id=3, uri="urn:ietf:params:rtp-hdrext:sdes:mid"),
            RTCRtpHeaderExtensionParameters(
                id=5, uri="http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            ),
            RTCRtpHeaderExtensionParameters(id=14, uri="http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
        ]
    )
)

their_packets = st.builds(
    TheirPacket,
    payload_type=st.integers(0, 127),
    marker=st.integers(0, 1),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=60),
)


def with_extras(packet: TheirPacket, contributors: list[int], padding: int, extensions: HeaderExtensions) -> bytes:
    packet.csrc, packet.padding_size, packet.extensions = contributors, padding, extensions
    return packet.serialize(EXTENSIONS)


@given(
    their_packets,
    st.lists(st.integers(0, 0xFFFFFFFF), max_size=15),
    st.integers(0, 255),
    st.builds(
        HeaderExtensions,
        mid=st.none() | st.text("abc", min_size=1, max_size=16),
        transport_sequence_number=st.none() | st.integers(0, 0xFFFF),
        abs_send_time=st.none() | st.integers(0, 0xFFFFFF),
    ),
)
def test_packets_that_another_library_writes_are_read_correctly(
    sent: TheirPacket, contributors: list[int], padding: int, extensions: HeaderExtensions
) -> None:
    """The law: for any fields, contributing sources, padding and extensions, each field comes back as written."""
    datagram = with_extras(sent, contributors, padding, extensions)
    packet = parse_rtp(datagram, 42)
    assert packet is not None
    assert (packet.payload_type, packet.marker, packet.sequence_number) == (
        sent.payload_type,
        bool(sent.marker),
        sent.sequence_number,
    )
    assert (packet.rtp_time, packet.ssrc, packet.payload) == (sent.timestamp, sent.ssrc, sent.payload)
    assert packet.arrival_ns == 42
    mid = extensions.mid
    number = extensions.transport_sequence_number
    assert find_extension(datagram, 3) == (None if mid is None else mid.encode())
    assert find_extension(datagram, 5) == (None if number is None else number.to_bytes(2))
    assert find_extension(datagram, 1) is None


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\x90\x60" + tail))
@example(bytes(11))
@example(b"\x80" + bytes(11))
@example(b"\xa0" + bytes(11))
@example(b"\xa0" + bytes(10) + b"\x01")
@example(b"\x90" + bytes(11))
@example(b"\x90" + bytes(11) + b"\xbe\xde\xff\xff")
@example(b"\x8f" + bytes(30))
def test_any_bytes_are_a_packet_whose_payload_lies_within_them_or_none(datagram: bytes) -> None:
    """The law: parsing raises nothing, and invents nothing."""
    packet = parse_rtp(datagram, 0)
    assert packet is None or packet.payload in datagram[12:]
    for wanted_id in range(1, 15):
        element = find_extension(datagram, wanted_id)
        assert element is None or (1 <= len(element) <= 16 and element in datagram[12:])


@given(
    st.sampled_from([0x80, 0x90, 0xA0, 0xB0]),
    st.integers(0, 3),
    st.binary(min_size=11, max_size=11),
    st.integers(0, 4),
    st.binary(min_size=1, max_size=60),
)
def test_packets_that_another_parser_accepts_are_read_alike(
    flags: int, contributors: int, head: bytes, words: int, rest: bytes
) -> None:
    """The law: on any bytes that aiortc takes for a packet, both parsers agree on all of its fields."""
    extension = b"\xbe\xde" + words.to_bytes(2) if flags & 0x10 else b""
    datagram = bytes((flags | contributors,)) + head + bytes(4 * contributors) + extension + rest
    try:
        theirs = TheirPacket.parse(datagram, HeaderExtensionsMap())
    except ValueError:
        return
    packet = parse_rtp(datagram, 0)
    assert packet is not None
    assert (packet.payload, packet.sequence_number, packet.rtp_time, packet.ssrc, packet.payload_type) == (
        theirs.payload,
        theirs.sequence_number,
        theirs.timestamp,
        theirs.ssrc,
        theirs.payload_type,
    )


def test_an_element_behind_padding_is_found_and_one_that_overruns_is_not() -> None:
    head = b"\x90" + bytes(11)
    assert find_extension(head + b"\xbe\xde\x00\x01\x00\x00\x20\x07", 2) == b"\x07"
    assert find_extension(head + b"\xbe\xde\x00\x01\x00\x00\x21\x07", 2) is None
    assert find_extension(head + b"\xbe\xde\x00\x01\xf0\x00\x20\x07", 2) is None  # 15 ends the list (RFC 8285)
    assert find_extension(head + b"\x10\x00\x00\x01\x02\x01\x07\x00", 2) is None  # two-byte form: not offered


@given(their_packets, st.integers(0, 127), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_a_retransmission_gives_back_the_packet_that_it_carries(
    original: TheirPacket, payload_type: int, sequence_number: int, ssrc: int
) -> None:
    """The law: unwrapping undoes what aiortc's `wrap_rtx` did, for any packet."""
    datagram = wrap_rtx(original, payload_type, sequence_number, ssrc).serialize()
    carrier = parse_rtp(datagram, 7)
    assert carrier is not None
    packet = unwrap_rtx(carrier, payload_type=original.payload_type, ssrc=original.ssrc)
    assert packet is not None
    assert (packet.sequence_number, packet.payload) == (original.sequence_number, original.payload)
    assert (packet.rtp_time, packet.marker) == (original.timestamp, bool(original.marker))
    assert (packet.payload_type, packet.ssrc, packet.arrival_ns) == (original.payload_type, original.ssrc, 7)


@pytest.mark.parametrize("payload", [b"", b"\x01"])
def test_a_retransmission_that_carries_nothing_is_padding(payload: bytes) -> None:
    carrier = parse_rtp(TheirPacket(payload_type=97, payload=payload).serialize(), 0)
    assert carrier is not None
    assert unwrap_rtx(carrier, payload_type=96, ssrc=1) is None


@given(st.integers(0, 1 << 70), st.sampled_from([8, 16, 24, 32]), st.data())
def test_a_counter_is_extended_to_the_nearest_value_with_these_low_bits(
    previous: int, bits: int, data: st.DataObject
) -> None:
    """The law: no counter with the same low bits is nearer than the one returned."""
    low = data.draw(st.integers(0, (1 << bits) - 1))
    extended = extend(previous, low, bits)
    assert extended % (1 << bits) == low
    assert abs(extended - previous) <= 1 << (bits - 1)
