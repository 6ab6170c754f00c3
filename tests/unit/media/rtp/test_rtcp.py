"""RTCP: what is sent is read by aiortc's parser, what is read was written by its serialiser."""

import struct

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.media.rtp.rtcp import (
    Goodbye,
    ReportBlock,
    SenderReport,
    full_intra_request,
    negative_acknowledgement,
    parse_rtcp,
    picture_loss_indication,
    receiver_estimated_maximum_bitrate,
    receiver_report,
    source_description,
)

word = st.integers(0, 0xFFFFFFFF)
their_blocks = st.builds(
    RtcpReceiverInfo,
    ssrc=word,
    fraction_lost=st.integers(0, 255),
    packets_lost=st.integers(-(1 << 23), (1 << 23) - 1),
    highest_sequence=word,
    jitter=word,
    lsr=word,
    dlsr=word,
)
their_packets = st.one_of(
    st.builds(
        RtcpSrPacket,
        ssrc=word,
        sender_info=st.builds(
            RtcpSenderInfo,
            ntp_timestamp=st.integers(0, (1 << 64) - 1),
            rtp_timestamp=word,
            packet_count=word,
            octet_count=word,
        ),
        reports=st.lists(their_blocks, max_size=3),
    ),
    st.builds(RtcpByePacket, sources=st.lists(word, max_size=31)),
    st.builds(RtcpRrPacket, ssrc=word, reports=st.lists(their_blocks, max_size=3)),
    st.builds(
        RtcpSdesPacket,
        chunks=st.lists(
            st.builds(RtcpSourceInfo, ssrc=word, items=st.just([(1, b"cname")])),
            max_size=2,
        ),
    ),
    st.builds(RtcpPsfbPacket, fmt=st.integers(1, 15), ssrc=word, media_ssrc=word, fci=st.just(bytes(8))),
    st.builds(RtcpRtpfbPacket, fmt=st.just(1), ssrc=word, media_ssrc=word, lost=st.just([3, 4, 30])),
)


@given(st.lists(their_packets, max_size=6))
def test_sender_reports_and_goodbyes_are_found_in_any_compound_packet(sent: list[object]) -> None:
    """The law: from whatever aiortc writes, exactly the sender reports and goodbyes come out, in order."""
    datagram = b"".join(bytes(packet) for packet in sent)  # type: ignore[call-overload]
    expected: list[SenderReport | Goodbye] = []
    for packet in sent:
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            expected.append(SenderReport(packet.ssrc, info.ntp_timestamp, info.rtp_timestamp))
        elif isinstance(packet, RtcpByePacket):
            expected.append(Goodbye(tuple(packet.sources)))
    assert list(parse_rtcp(datagram)) == expected


@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda tail: b"\x81\xc8\x00\x06" + tail))
@example(b"\x9f\xcb\x00\x01\x00\x00\x00\x01")
@example(b"\x80\xc8\x00\x05" + bytes(20))
@example(b"\x80\xcb\xff\xff")
def test_any_bytes_are_parsed_without_an_exception(datagram: bytes) -> None:
    """The law: no bytes raise, and nothing is read beyond their end."""
    for item in parse_rtcp(datagram):
        ssrcs = item.ssrcs if isinstance(item, Goodbye) else (item.ssrc,)
        assert all(ssrc.to_bytes(4) in datagram for ssrc in ssrcs)


@given(st.lists(their_packets, min_size=1, max_size=4), st.data())
def test_a_compound_packet_that_is_cut_off_gives_what_was_whole(sent: list[object], data: st.DataObject) -> None:
    """The law: of a datagram cut anywhere, what comes out is a beginning of what came out of the whole."""
    datagram = b"".join(bytes(packet) for packet in sent)  # type: ignore[call-overload]
    cut = data.draw(st.integers(0, len(datagram)))
    whole = list(parse_rtcp(datagram))
    found = list(parse_rtcp(datagram[:cut]))
    assert found == whole[: len(found)]


@given(word, st.lists(their_blocks, max_size=31))
def test_a_receiver_report_says_what_was_put_into_it(own_ssrc: int, blocks: list[RtcpReceiverInfo]) -> None:
    """The law: aiortc reads every field of every block as it was given."""
    ours = [
        ReportBlock(
            ssrc=block.ssrc,
            fraction_lost=block.fraction_lost,
            packets_lost=block.packets_lost,
            highest_sequence=block.highest_sequence,
            jitter=block.jitter,
            last_sender_report=block.lsr,
            delay_since=block.dlsr,
        )
        for block in blocks
    ]
    assert RtcpPacket.parse(receiver_report(own_ssrc, ours)) == [RtcpRrPacket(ssrc=own_ssrc, reports=blocks)]


@pytest.mark.parametrize(("lost", "told"), [(1 << 30, (1 << 23) - 1), (-(1 << 30), -(1 << 23)), (-1, -1)])
def test_values_too_large_for_a_report_block_saturate(lost: int, told: int) -> None:
    block = ReportBlock(
        ssrc=1,
        fraction_lost=255,
        packets_lost=lost,
        highest_sequence=(7 << 32) + 5,
        jitter=1 << 40,
        last_sender_report=0,
        delay_since=1 << 40,
    )
    (report,) = RtcpPacket.parse(receiver_report(2, [block]))
    assert isinstance(report, RtcpRrPacket)
    (info,) = report.reports
    assert (info.packets_lost, info.highest_sequence, info.jitter, info.dlsr) == (told, 5, 0xFFFFFFFF, 0xFFFFFFFF)


@given(word, st.text("abcdef0123456789", max_size=64))
def test_a_source_description_names_us(own_ssrc: int, cname: str) -> None:
    """The law: for a name of any length the packet ends on a word, its chunk with a zero (RFC 3550 section 6.5)."""
    message = source_description(own_ssrc, cname)
    assert message[-1] == 0
    assert RtcpPacket.parse(message) == [
        RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=own_ssrc, items=[(1, cname.encode())])])
    ]


@given(word, word, st.integers(0, 1000))
def test_other_software_reads_our_keyframe_requests(own_ssrc: int, media_ssrc: int, number: int) -> None:
    """The law: for any SSRC, PLI names it as the media source, FIR in its entry with its number modulo 256."""
    pli, fir = RtcpPacket.parse(
        picture_loss_indication(own_ssrc, media_ssrc) + full_intra_request(own_ssrc, media_ssrc, number)
    )
    assert pli == RtcpPsfbPacket(fmt=1, ssrc=own_ssrc, media_ssrc=media_ssrc)
    entry = struct.pack("!IBBBB", media_ssrc, number % 256, 0, 0, 0)
    assert fir == RtcpPsfbPacket(fmt=4, ssrc=own_ssrc, media_ssrc=0, fci=entry)


@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 400), min_size=1, max_size=250))
def test_a_nack_names_what_is_missing_and_nothing_else(first: int, offsets: set[int]) -> None:
    """The law: for any set of numbers, also across the wrap, aiortc reads that set, in the fewest entries."""
    numbers = [(first + offset) & 0xFFFF for offset in sorted(offsets)]
    message = negative_acknowledgement(7, 8, numbers)
    (parsed,) = RtcpPacket.parse(message)
    assert isinstance(parsed, RtcpRtpfbPacket)
    assert (parsed.fmt, parsed.ssrc, parsed.media_ssrc) == (1, 7, 8)
    assert [number & 0xFFFF for number in parsed.lost] == numbers  # aiortc 1.16 does not wrap them
    entries, reach = 0, -1
    for offset in sorted(offsets):
        if offset > reach:
            entries, reach = entries + 1, offset + 16
    assert len(message) == 12 + 4 * entries


@given(st.integers(0, 10**12), st.lists(word, max_size=255))
def test_a_bandwidth_is_read_back_rounded_down_by_less_than_a_thousandth(bitrate_bps: int, ssrcs: list[int]) -> None:
    (packet,) = RtcpPacket.parse(receiver_estimated_maximum_bitrate(9, bitrate_bps, ssrcs))
    assert isinstance(packet, RtcpPsfbPacket)
    assert (packet.fmt, packet.ssrc, packet.media_ssrc) == (15, 9, 0)
    read_bps, read_ssrcs = unpack_remb_fci(packet.fci)
    assert read_ssrcs == ssrcs
    assert 0.999 * bitrate_bps <= read_bps <= bitrate_bps
