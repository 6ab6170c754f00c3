"""What a receiver asks for and reports: keyframes, reports, congestion feedback."""

import struct
from dataclasses import replace

import pytest
from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)

from streamer.media.rtp.receiver import FOLLOWING, REPORT_INTERVAL_NS
from streamer.media.rtp.source import KEYFRAME_AFTER_NS
from tests.support.receiving import (
    NO_RTX,
    SMALL,
    STREAM,
    check_against,
    feed,
    flat,
    keyframe_requests,
    receiver,
    sent_rtcp,
)
from tests.support.senders import (
    MS,
    VIDEO,
    packets_by_aiortc,
    rtp,
)


def test_a_keyframe_is_requested_with_the_first_packet_and_until_one_is_whole() -> None:
    by = receiver()
    by.receive([rtp(b"\x41no keyframe", 65_499, 4_294_890_000, marker=True)], 0)
    asked = [(now_ms, keyframe_requests(by)) for now_ms in range(0, 1000, 10) if by.poll(now_ms * MS) == []]
    assert [now_ms for now_ms, count in asked if count] == [0, 300, 600, 900]
    assert len(feed(by, flat(packets_by_aiortc(SMALL)), 1000 * MS)) == len(SMALL)
    by.poll(5_000 * MS)
    assert keyframe_requests(by) == 0
    assert (by.counters.plis, by.counters.firs) == (4, 0)


def test_a_users_request_for_a_keyframe_is_repeated_until_one_arrives() -> None:
    by = receiver()
    feed(by, flat(packets_by_aiortc(SMALL)))
    sent_rtcp(by)
    by.request_keyframe(1_000 * MS)
    assert keyframe_requests(by) == 1
    by.poll(1_300 * MS)
    assert keyframe_requests(by) == 1
    first = 65_500 + len(flat(packets_by_aiortc(SMALL)))
    feed(by, flat(packets_by_aiortc(SMALL[:1], sequence_number=first, rtp_time=4_294_936_000)), 1_400 * MS)
    by.poll(9_000 * MS)
    assert keyframe_requests(by) == 0


def test_a_sender_that_knows_only_full_intra_requests_gets_numbered_ones() -> None:
    by = receiver(replace(VIDEO, feedback=frozenset({"ccm fir"})))
    by.receive([rtp(b"\x41no keyframe", 1, 0, marker=True)], 0)
    for now_ms in (300, 600):
        by.poll(now_ms * MS)
    assert (by.counters.plis, by.counters.firs) == (0, 3)
    requests = [item for item in sent_rtcp(by) if isinstance(item, RtcpPsfbPacket)]
    assert [(item.fmt, item.media_ssrc, struct.unpack("!IB3x", item.fci)) for item in requests] == [
        (4, 0, (1, number)) for number in (1, 2, 3)
    ]


def test_a_sender_without_keyframe_requests_gets_none_and_none_is_counted() -> None:
    by = receiver(replace(VIDEO, feedback=frozenset({"nack"})))
    by.receive([rtp(b"\x41no keyframe", 1, 0, marker=True)], 0)
    by.poll(400 * MS)
    assert not by.has_rtcp
    assert (by.counters.plis, by.counters.firs) == (0, 0)


def test_a_lasting_gap_requests_a_keyframe_and_ends_when_one_is_whole() -> None:
    """Of three groups the first loses a frame for good, and the keyframe of the next one a packet for a while."""
    units = [list(packets) for packets in packets_by_aiortc(STREAM)]
    late = units[10].pop(5)
    by = receiver(NO_RTX)
    assert check_against(STREAM, feed(by, flat(units[:3]))) == [0, 1, 2]
    assert feed(by, flat(units[4:8]), 1_000 * MS) == []
    sent_rtcp(by)
    asked_ns = 1_000 * MS + KEYFRAME_AFTER_NS
    assert by.poll(asked_ns - MS) == []
    assert keyframe_requests(by) == 0
    assert by.poll(asked_ns) == []
    assert keyframe_requests(by) == 1
    assert feed(by, flat(units[8:13]), asked_ns + MS) == []
    left = [*by.receive([late], asked_ns + 2 * MS)]
    assert check_against(STREAM, left) == [10, 11, 12]
    assert left[0].discontinuity
    assert by.packets_lost == len(units[3])
    left += feed(by, flat(units[13:]), asked_ns + 3 * MS)
    assert check_against(STREAM, left) == [*range(10, 30)]
    assert by.poll(asked_ns + 400 * MS) == []
    assert keyframe_requests(by) == 0


def test_a_gap_filled_in_time_costs_no_frame_whatever_is_behind_it() -> None:
    units = [list(packets) for packets in packets_by_aiortc(STREAM)]
    late = units[3].pop(1)
    by = receiver(NO_RTX)
    received = feed(by, flat(units[:15]), interval_ns=MS)
    assert check_against(STREAM, received) == [0, 1, 2]
    received += by.receive([late], KEYFRAME_AFTER_NS - MS)
    assert check_against(STREAM, received) == [*range(15)]


def test_reports_cover_every_source_and_come_each_second() -> None:
    by = receiver()
    feed(by, flat(packets_by_aiortc(SMALL[:1])))
    by.receive([rtp(b"audio", 7, 0, payload_type=111, ssrc=3)], 0)
    sent_rtcp(by)
    due = []
    for now_ms in range(0, 3_500, 50):
        by.poll(now_ms * MS)
        due += [(now_ms, item) for item in sent_rtcp(by) if isinstance(item, RtcpRrPacket) and item.reports]
    assert [now_ms for now_ms, _ in due] == [1000, 2000, 3000]
    assert REPORT_INTERVAL_NS == 1000 * MS
    assert [[info.ssrc for info in item.reports] for _, item in due] == [[1, 3]] * 3


def test_without_reduced_size_every_message_is_a_full_compound_packet() -> None:
    by = receiver(replace(VIDEO, reduced_size_rtcp=False))
    by.receive([rtp(b"\x41no keyframe", 1, 0, marker=True)], 0)
    by.receive([rtp(b"\x41no keyframe", 5, 3000, marker=True)], 1)
    by.poll(1_000 * MS)
    messages = by.take_rtcp()
    assert len(messages) > 2
    for message in messages:
        report, description, *_ = RtcpPacket.parse(message)
        assert isinstance(report, RtcpRrPacket)
        assert isinstance(description, RtcpSdesPacket)
        assert description.chunks[0].items == [(1, b"name")]


def test_congestion_feedback_is_sent_for_every_packet_with_the_extension() -> None:
    by = receiver(replace(VIDEO, transport_cc_id=5, feedback=frozenset({"transport-cc"})))
    for number in range(20):
        element = b"\xbe\xde\x00\x01\x51" + struct.pack("!H", 65_530 + number & 0xFFFF) + b"\x00"
        by.receive([rtp(b"\x41", number, 0, extension=element)], number * 2 * MS)
    by.poll(by.deadline_ns or 0)
    (message,) = by.take_rtcp()
    assert struct.unpack_from("!BBHIIHH", message)[1:2] + struct.unpack_from("!HH", message, 12) == (205, 65_530, 20)
    assert message[0] & 0x1F == 15


def test_the_bandwidth_estimate_uses_every_packet_with_a_send_time() -> None:
    by = receiver(replace(VIDEO, abs_send_time_id=5, feedback=frozenset({"goog-remb"})))
    for number in range(2_000):  # 8 Mbit/s, half of it for probing
        send_time = b"\xbe\xde\x00\x01\x52" + ((number * MS << 18) // 10**9).to_bytes(3)
        by.receive([rtp(bytes(484), number, 0, extension=send_time)], number * MS)
        by.receive([rtp(bytes(484), number, 0, extension=send_time, payload_type=97, ssrc=2)], number * MS)
        by.poll(number * MS)
    messages = [item for item in sent_rtcp(by) if isinstance(item, RtcpPsfbPacket) and item.fmt == 15]
    assert len(messages) == 9  # each 200 ms
    bitrate_bps, ssrcs = unpack_remb_fci(messages[-1].fci)
    assert bitrate_bps == pytest.approx(1.5 * 8_064_000, rel=0.05)
    assert ssrcs == [1]


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_latest_sender_report_gives_the_capture_time(wrapped: bool) -> None:
    by = receiver()
    packets = flat(packets_by_aiortc(SMALL, rtp_time=0xFFFFFFFF - 9_000 if wrapped else 50_000))
    start = struct.unpack_from("!I", packets[0], 4)[0]
    before = feed(by, packets[:1])
    seconds = 1_700_000_000
    info = RtcpSenderInfo(
        ntp_timestamp=(2_208_988_800 + seconds) << 32 | 1 << 31, rtp_timestamp=start, packet_count=0, octet_count=0
    )
    by.receive_rtcp(bytes(RtcpSrPacket(ssrc=1, sender_info=info)), 5 * MS)
    units = before + feed(by, packets[1:])
    assert [unit.captured_ns for unit in units if unit is not units[0]] == [
        seconds * 10**9 + 10**9 // 2 + (unit.rtp_time - units[0].rtp_time) * 10**9 // 90_000 for unit in units[1:]
    ]
    assert units[0].captured_ns in {None, seconds * 10**9 + 10**9 // 2}
    by.poll(1_005 * MS)
    (report,) = [item for item in sent_rtcp(by) if isinstance(item, RtcpRrPacket)]
    (block,) = report.reports
    assert block.lsr == info.ntp_timestamp >> 16 & 0xFFFFFFFF
    assert block.dlsr == 65_536


def test_packets_that_may_follow_the_newest_are_asked_for_unless_a_gap_is_known() -> None:
    by = receiver()
    by.request_following()
    assert by.take_rtcp() == []  # nothing has come: there is nothing to follow
    packets = flat(packets_by_aiortc(STREAM))
    feed(by, packets[:20])
    by.take_rtcp()
    by.request_following()
    (asked,) = [item for item in sent_rtcp(by) if isinstance(item, RtcpRtpfbPacket)]
    numbers = [int.from_bytes(packet[2:4]) for packet in packets[20 : 20 + FOLLOWING]]
    assert asked.lost == numbers
    feed(by, [packets[21]])
    by.take_rtcp()
    by.request_following()
    assert not by.has_rtcp
