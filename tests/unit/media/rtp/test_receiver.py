"""The receiver as a whole: other software's packets over an emulated path, and anything else that might arrive."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpRrPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
)

from streamer.media.rtp.receiver import REPORT_INTERVAL_NS
from streamer.media.rtp.source import AUDIO_HOLD_NS, PROBATION_NS, VIDEO_HOLD_NS
from tests.support.receiving import (
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
    AUDIO,
    H264,
    MS,
    VIDEO,
    encoded,
    nal_units,
    packets_by_aiortc,
    packets_by_libavformat,
    payloads,
    rtp,
)

# Where a frame begins and ends


def test_a_frame_leaves_with_its_last_packet_except_the_first_which_waits_for_the_next() -> None:
    by = receiver()
    first, *packets = packets_by_aiortc(STREAM)
    assert feed(by, first) == []
    counts = [len(by.receive([data], 0)) for data in flat(packets)]
    assert counts[0] == 1
    assert counts[1:] == [data[1] >> 7 for data in flat(packets)[1:]]


def without_markers(units: Iterable[list[bytes]]) -> list[list[bytes]]:
    return [[data[:1] + bytes((data[1] & 0x7F,)) + data[2:] for data in packets] for packets in units]


def test_without_marker_bits_a_frame_leaves_with_the_first_packet_of_the_next() -> None:
    received = feed(receiver(), flat(without_markers(packets_by_aiortc(SMALL))))
    assert check_against(SMALL, received) == list(range(len(SMALL) - 1))


def test_a_sender_without_marker_bits_is_received_again_after_a_loss() -> None:
    units = without_markers(packets_by_aiortc(SMALL))
    by = receiver(replace(VIDEO, feedback=frozenset()))
    received = feed(by, flat(units[:2] + units[3:])) + by.poll(VIDEO_HOLD_NS)
    assert check_against(SMALL, received) == [0, *range(4, len(SMALL))]


def test_padding_behind_a_gap_does_not_cost_the_keyframe_that_follows() -> None:
    keyframe, *_ = packets_by_aiortc(SMALL[:1], sequence_number=3)
    by = receiver(replace(VIDEO, feedback=frozenset()))
    by.receive([rtp(b"\x41lost its keyframe", 0, 4_294_800_000, marker=True)], 0)
    by.receive([rtp(b"", 2, 4_294_800_000)], 1)
    assert by.poll(VIDEO_HOLD_NS + 1) == []
    (unit,) = [*feed(by, keyframe, VIDEO_HOLD_NS + 2), *by.poll(VIDEO_HOLD_NS + PROBATION_NS + 2)]
    assert unit.is_keyframe


def test_a_keyframe_that_lost_only_its_delimiter_is_accepted() -> None:
    units = encoded(5, keyframe_every=4, x264=":aud=1")
    packets = packets_by_libavformat(units, packet_size=1400, mode=0)
    assert [data[12] & 0x1F for data in packets[4][:2]] == [9, 7]
    received = feed(receiver(replace(VIDEO, feedback=frozenset())), flat(packets[:4]) + packets[4][1:], interval_ns=MS)
    assert len(received) == 4
    by = receiver(replace(VIDEO, feedback=frozenset()))
    received = feed(by, flat(packets[:4]) + packets[4][1:], interval_ns=MS) + by.poll(1 << 60)
    assert nal_units(received[-1].data) == nal_units(units[4])[1:]
    assert received[-1].is_keyframe


def test_a_malformed_payload_costs_its_frame_and_what_depends_on_it() -> None:
    units = [list(packets) for packets in packets_by_aiortc(SMALL)]
    units[1][0] = units[1][0][:12] + b"\x7f" + units[1][0][13:]
    by = receiver()
    assert check_against(SMALL, feed(by, flat(units))) == [0, *range(4, len(SMALL))]
    assert by.counters.malformed == 1
    assert by.counters.frames_malformed == 1
    assert by.counters.frames_awaiting_keyframe == 2  # the third and the fourth
    assert by.counters.frames_lost == 0


@pytest.mark.parametrize("behind", [0, 1_900, 2_100, 2_700])
def test_a_retransmission_long_after_its_packet_was_given_up_costs_nothing(behind: int) -> None:
    units = encoded(100, keyframe_every=10, noise=True)
    packets = [data for made in packets_by_libavformat(units, packet_size=300) for data in made]
    assert len(packets) > 600 + behind
    packets = [rtp(p[12:], n, int.from_bytes(p[4:8]), marker=p[1] > 0x7F) for n, p in enumerate(packets)]
    lost = packets.pop(500)
    rtx = rtp(lost[2:4] + lost[12:], 7, int.from_bytes(lost[4:8]), payload_type=97, ssrc=2, marker=lost[1] > 0x7F)
    by = receiver(VIDEO)
    received = feed(by, packets[:500]) + by.poll(0)
    received += feed(by, packets[500:600], MS) + by.poll(MS + VIDEO_HOLD_NS)
    now_ns = MS + VIDEO_HOLD_NS
    received += feed(by, packets[600 : 600 + behind], now_ns) + by.receive([rtx], now_ns)
    received += feed(by, packets[600 + behind :], now_ns)
    expected = receiver(VIDEO)
    feed(expected, packets[:600], MS)
    expected.poll(MS + VIDEO_HOLD_NS)
    feed(expected, packets[600:], now_ns)
    assert len(received) == by.counters.frames == expected.counters.frames
    assert by.packets_lost == 1


@pytest.mark.parametrize("hours", [5, 7, 12, 14, 30, 200])
def test_rtp_time_goes_on_over_hours_of_silence(hours: int) -> None:
    """32 bits of 90 kHz wrap after 13 hours 15 minutes."""
    ticks, pause_ns = 3600 * hours * 90_000, 3_600 * hours * 1_000 * MS
    by = receiver()
    keyframe, delta = encoded(2)
    received = feed(by, flat(packets_by_aiortc([keyframe], sequence_number=0, rtp_time=0)))
    report = RtcpSenderInfo(
        ntp_timestamp=(2_208_988_800 + 3600 * hours) << 32,
        rtp_timestamp=ticks % (1 << 32),
        packet_count=0,
        octet_count=0,
    )
    by.receive_rtcp(bytes(RtcpSrPacket(ssrc=1, sender_info=report)), pause_ns)
    first = len(payloads(keyframe))
    received += feed(by, flat(packets_by_aiortc([delta], sequence_number=first, rtp_time=ticks)), pause_ns + 40 * MS)
    assert [unit.rtp_time - received[0].rtp_time for unit in received] == [0, ticks]
    assert received[1].captured_ns == 3_600 * hours * 1_000 * MS


# Audio


def test_audio_waits_for_reordered_packets_and_not_for_lost_ones() -> None:
    by = receiver()
    sent = {number: rtp(bytes((number,)), number, 960 * number, payload_type=111, ssrc=3) for number in range(1, 9)}
    received = feed(by, [sent[n] for n in (1, 3, 2, 4, 6, 7)])
    assert [unit.data[0] for unit in received] == [1, 2, 3, 4]
    received += by.poll(AUDIO_HOLD_NS)
    received += feed(by, [sent[8]], AUDIO_HOLD_NS)
    assert [(unit.data[0], unit.discontinuity) for unit in received] == [
        (1, True), (2, False), (3, False), (4, False), (6, True), (7, False), (8, False),
    ]  # fmt: skip
    assert {(unit.kind, unit.codec.name, unit.is_keyframe, unit.ssrc) for unit in received} == {
        ("audio", "opus", True, 3)
    }
    assert [unit.rtp_time - (1 << 32) for unit in received] == [960 * unit.data[0] for unit in received]
    assert by.counters.audio_packets_received == 7
    assert by.packets_lost == 1


# Sources


def test_a_restarted_sender_replaces_its_former_source() -> None:
    by = receiver(VIDEO)
    feed(by, flat(packets_by_aiortc(SMALL)))
    by.receive([rtp(b"\x41", 3, 0)], MS)  # far away: a gap that will not be closed
    by.receive([rtp(b"\x41", 5, 0)], MS)
    units = feed(by, flat(packets_by_aiortc(SMALL, ssrc=77)), 2 * MS)
    assert [unit.ssrc for unit in units] == [77] * len(SMALL)
    assert units[0].discontinuity
    sent_rtcp(by)
    by.poll(REPORT_INTERVAL_NS)
    (report,) = [item for item in sent_rtcp(by) if isinstance(item, RtcpRrPacket)]
    assert [info.ssrc for info in report.reports] == [77]


def test_a_packet_whose_header_extension_overruns_it_costs_its_frame_wherever_it_stands() -> None:
    by = receiver()
    fragments = [b"\x7c" + header + bytes(50) for header in (b"\x85", b"\x05", b"\x05", b"\x45")]
    extension = b"\xbe\xde\x00\x01\x00\x00\x00\x00"
    by.receive([rtp(b"\x41the frame before", 6, 0, marker=True)], 0)
    packets = [rtp(part, 7 + n, 3000, marker=n == 3, extension=extension) for n, part in enumerate(fragments)]
    packets[2] = packets[2][:14] + b"\xff\xff" + packets[2][16:]
    assert not any(by.receive([packet], 0) for packet in packets)
    assert (by.counters.malformed, by.counters.frames, list(by.poll(10_000 * MS))) == (1, 0, [])


def test_two_senders_on_one_section_do_not_make_us_ask_for_keyframes_more_often() -> None:
    by = receiver(VIDEO)
    for number in range(100):
        by.receive([rtp(b"\x41", number, 0, marker=True, ssrc=1 + number % 2)], number * 10 * MS)
    assert keyframe_requests(by) == 4  # at 0, 300, 600 and 900 ms


def test_a_goodbye_ends_a_source_and_what_it_lost_stays_counted() -> None:
    by = receiver(VIDEO)
    packets = flat(packets_by_aiortc(SMALL))
    feed(by, packets[:5] + packets[6:])
    by.poll(VIDEO_HOLD_NS)
    assert by.packets_lost == 1
    by.receive_rtcp(bytes(RtcpByePacket(sources=[1, 2, 3])), 0)
    assert by.packets_lost == 1
    sent_rtcp(by)
    by.poll(REPORT_INTERVAL_NS)
    (report,) = [item for item in sent_rtcp(by) if isinstance(item, RtcpRrPacket)]
    assert report.reports == []
    assert by.deadline_ns == 2 * REPORT_INTERVAL_NS


def test_a_new_negotiation_changes_what_payload_types_mean_and_keeps_what_goes_on() -> None:
    by = receiver(VIDEO)
    units = list(packets_by_aiortc(SMALL))
    received = feed(by, flat(units[:2]))
    by.set_tracks([VIDEO, replace(AUDIO, codecs={112: AUDIO.codecs[111]})])
    received += feed(by, flat(units[2:4]))
    assert [unit.discontinuity for unit in received] == [True, False, False, False]
    assert len(by.receive([rtp(b"audio", 1, 0, payload_type=112, ssrc=5)], 0)) == 1
    assert not by.receive([rtp(b"audio", 2, 0, payload_type=111, ssrc=5)], 0)
    assert by.counters.unknown_payload_type == 1
    by.set_tracks([replace(VIDEO, codecs={100: H264}, rtx={})])
    renumbered = [data[:1] + bytes((data[1] & 0x80 | 100,)) + data[2:] for data in flat(units)]
    assert len(feed(by, renumbered)) == len(SMALL)
