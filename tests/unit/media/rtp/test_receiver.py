"""The receiver as a whole: other software's packets over an emulated path, and anything else that might arrive."""

import heapq
import itertools
import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import av
import numpy as np
import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.rtp.receiver import REPORT_INTERVAL_NS, Receiver
from streamer.media.rtp.source import AUDIO_HOLD_NS, KEYFRAME_AFTER_NS, PROBATION_NS, VIDEO_HOLD_NS
from streamer.tracks import Track
from tests.support.examples import examples
from tests.support.senders import (
    AUDIO,
    H264,
    MS,
    VIDEO,
    VIDEO_CODECS,
    content,
    decoded,
    encoded,
    encoded_as,
    is_keyframe,
    nal_units,
    packets_by_aiortc,
    packets_by_libavformat,
    payloads,
    rtp,
)

STREAM = encoded(30, slices=3, keyframe_every=10, noise=True)  # some ten packets a frame
SMALL = encoded(12, keyframe_every=4)
END = rtp(b"", 65_500 + 2_000, 1)  # behind a gap, padding of another time: what was under way will not be finished
NO_RTX = replace(VIDEO, rtx={})
CODED = {
    codec: (stream, decoded(codec, stream))
    for codec, stream in ((codec, encoded_as(codec, 10, keyframe_every=4)) for codec in VIDEO_CODECS)
}


def receiver(*tracks: Track) -> Receiver:
    return Receiver(tracks or (VIDEO, AUDIO), own_ssrc=9, cname="name")


def flat(units: Iterable[list[bytes]]) -> list[bytes]:
    return list(itertools.chain.from_iterable(units))


def feed(to: Receiver, packets: Iterable[bytes], now_ns: int = 0, interval_ns: int = 0) -> list[AccessUnit]:
    return [unit for n, data in enumerate(packets) for unit in to.receive([data], now_ns + n * interval_ns)]


def sent_rtcp(by: Receiver) -> list[object]:
    had_some, messages = by.has_rtcp, by.take_rtcp()
    assert had_some == bool(messages)
    return [item for message in messages for item in RtcpPacket.parse(message)]


def keyframe_requests(by: Receiver) -> int:
    return sum(isinstance(item, RtcpPsfbPacket) and item.fmt == 1 for item in sent_rtcp(by))


def check_counts(by: Receiver, packets: Iterable[bytes], received: int) -> None:
    """Hold what was counted against the frames of which a packet came: each once, whatever became of it."""
    counted = by.counters
    assert counted.frames == received
    dropped = counted.frames_lost + counted.frames_malformed + counted.frames_awaiting_keyframe
    assert received + dropped == len({packet[4:8] for packet in packets})


def check_against(sent: list[bytes], received: list[AccessUnit]) -> list[int]:
    """Hold what came out against what was sent, by RTP time; return the numbers of the frames that came out."""
    numbers = [(unit.rtp_time - (1 << 32) - 4_294_900_000) // 3000 for unit in received]
    for unit, number, previous in zip(received, numbers, [-1, *numbers], strict=False):
        assert nal_units(unit.data) == nal_units(sent[number])
        assert unit.is_keyframe == is_keyframe(sent[number])
        assert number > previous
        assert number == previous + 1 or unit.is_keyframe
        assert unit.discontinuity == (number != previous + 1 or previous == -1) or unit.is_keyframe
    return numbers


# The path


@dataclass(order=True)
class Datagram:
    due_ns: int
    order: int
    data: bytes = field(compare=False)
    to_phone: bool = field(compare=False)


class Path:
    """Both directions of a lossy path, and a sender at its far end that honours NACK. All chance is the seed's."""

    DELAY_NS = 20 * MS

    def __init__(self, seed: int, *, loss: float, repeated: float, spread_ns: int, rtx: bool) -> None:
        self._chance = random.Random(seed)
        self._loss, self._repeated, self._spread_ns, self._rtx = loss, repeated, spread_ns, rtx
        self._flying: list[Datagram] = []
        self._order = itertools.count()
        self._rtx_sequence = itertools.count(40_000)
        self._history: dict[int, bytes] = {}
        self.received: list[AccessUnit] = []

    def send(self, data: bytes, now_ns: int, *, to_phone: bool = False) -> None:
        for _ in range(1 + (self._chance.random() < self._repeated)):
            if self._chance.random() >= self._loss:
                due_ns = now_ns + self.DELAY_NS + self._chance.randint(0, self._spread_ns)
                heapq.heappush(self._flying, Datagram(due_ns, next(self._order), data, to_phone))

    def run(self, to: Receiver, units: Iterable[list[bytes]]) -> None:
        """Send a frame's packets each 33 ms, and do what is due in order of time, until all is quiet.

        The first packet of all arrives, and first: it is where a stream begins for its receiver.
        """
        for number, packets in enumerate(units):
            for place, data in enumerate(packets):
                self._history[struct.unpack_from("!H", data, 2)[0]] = data
                if number == place == 0:
                    self.received += to.receive([data], 0)
                else:
                    self.send(data, number * 33 * MS)
        polls = 0
        while self._flying or (to.deadline_ns or 1 << 62) < 3_000 * MS:
            if not self._flying or (to.deadline_ns is not None and to.deadline_ns < self._flying[0].due_ns):
                now_ns = to.deadline_ns or 0
                self.received += to.poll(now_ns)
                polls += 1
            else:
                datagram = heapq.heappop(self._flying)
                now_ns = datagram.due_ns
                if datagram.to_phone:
                    self._answer(datagram.data, now_ns)
                else:
                    self.received += to.receive([datagram.data], now_ns)
            for message in to.take_rtcp():
                self.send(message, now_ns, to_phone=True)
        assert polls < 2_000  # three seconds: a deadline that stays in the past would be a busy loop

    def _answer(self, message: bytes, now_ns: int) -> None:
        for item in RtcpPacket.parse(message):
            if isinstance(item, RtcpRtpfbPacket):
                for number in item.lost:
                    data = self._history[number & 0xFFFF]
                    self.send(self._again(data) if self._rtx else data, now_ns)

    def _again(self, data: bytes) -> bytes:
        second, rtp_time = data[1], struct.unpack_from("!I", data, 4)[0]
        payload = data[2:4] + data[12:]
        marker = second > 0x7F
        return rtp(payload, next(self._rtx_sequence), rtp_time, marker=marker, payload_type=97, ssrc=2)


@given(
    st.integers(0, 1 << 32),
    st.sampled_from([0.0, 0.01, 0.1, 0.4]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0, 1 * MS, 40 * MS]),
    st.sampled_from([VIDEO, NO_RTX, replace(VIDEO, feedback=frozenset({"nack pli"}))]),
)
@examples(60)
def test_whatever_happens_on_the_way_only_whole_frames_that_can_be_decoded_come_out(
    seed: int, loss: float, repeated: float, spread_ns: int, track: Track
) -> None:
    """The law: for any loss, repetition and reordering, with retransmissions of either kind or none, every unit given
    out is bit for bit one that was sent, in order, and after a loss the next is a keyframe or directly continues."""
    path = Path(seed, loss=loss, repeated=repeated, spread_ns=spread_ns, rtx=bool(track.rtx))
    by = receiver(track)
    path.run(by, packets_by_aiortc(STREAM))
    numbers = check_against(STREAM, path.received)
    assert by.counters.frames == len(numbers)
    if loss == 0:
        assert numbers == list(range(len(STREAM)))
        assert by.packets_lost == 0


@pytest.mark.parametrize("track", [VIDEO, NO_RTX], ids=["on a stream of their own", "as they were"])
@pytest.mark.parametrize("seed", range(5))
def test_with_retransmissions_nothing_is_missing_on_a_path_that_loses_a_tenth(seed: int, track: Track) -> None:
    path = Path(seed, loss=0.1, repeated=0.0, spread_ns=0, rtx=bool(track.rtx))
    by = receiver(track)
    path.run(by, packets_by_aiortc(STREAM))
    numbers = check_against(STREAM, path.received)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= len(STREAM) - 1  # a packet lost at the very end shows only with what follows
    assert by.packets_lost == 0
    assert by.counters.recovered > 10
    assert by.counters.video_gaps > 10
    assert by.counters.retransmission_requests >= by.counters.recovered
    assert by.counters.retransmission_requests >= by.counters.nacks > 10
    assert by.round_trip.smoothed_ns == pytest.approx(2 * path.DELAY_NS, rel=0.01)


@given(st.data())
@examples(60)
def test_any_choice_of_lost_packets_gives_whole_frames_whatever_the_packetiser(data: st.DataObject) -> None:
    """The law: the same for every subset of packets that hypothesis chooses, single NAL units and small packets too."""
    mode, size = data.draw(st.sampled_from([(0, 1400), (1, 300), (1, 1200)]))
    units = packets_by_libavformat(SMALL, packet_size=size, mode=mode)
    offset = struct.unpack_from("!I", units[0][0], 4)[0] - 4_294_900_000
    packets = []
    for number, packet in enumerate(flat(units)):
        if data.draw(st.integers(0, 9), label=f"packet {number} comes unless 0") != 0:
            rtp_time = struct.unpack_from("!I", packet, 4)[0] - offset & 0xFFFFFFFF
            packets.append(packet[:4] + struct.pack("!II", rtp_time, 1) + packet[12:])
    by = receiver(replace(VIDEO, feedback=frozenset()))
    received = feed(by, [*packets, END], interval_ns=VIDEO_HOLD_NS + MS)
    received += by.poll(1 << 60)
    check_against(SMALL, received)
    check_counts(by, packets, len(received))


@pytest.mark.parametrize("codec", VIDEO_CODECS)
@given(st.data())
@examples(40)
def test_any_choice_of_lost_packets_gives_the_frames_that_were_sent_in_every_codec(
    codec: str, data: st.DataObject
) -> None:
    """The law: for every subset of packets, with marker bits or without, each unit given out is one that was sent, in
    order, after a loss it is a keyframe, and a decoder makes of them the frames that were sent."""
    stream, sent = CODED[codec]
    has_markers = data.draw(st.booleans())
    sequence_numbers = itertools.count(65_530)
    packets = []
    for number, made in enumerate(packets_by_libavformat(stream, codec=codec, packet_size=60, keyframe_every=4)):
        for packet in made:
            marker = has_markers and packet[1] >> 7 == 1
            renumbered = rtp(packet[12:], next(sequence_numbers), 3000 * number, marker=marker)
            if data.draw(st.integers(0, 19), label=f"a packet of frame {number} comes unless 0") != 0:
                packets.append(renumbered)
    by = receiver(replace(VIDEO, codecs={96: replace(H264, name=codec)}, feedback=frozenset()))
    received = feed(by, [*packets, END], interval_ns=VIDEO_HOLD_NS + MS)
    received += by.poll(1 << 60)
    check_counts(by, packets, len(received))
    numbers = [unit.rtp_time % (1 << 32) // 3000 for unit in received]
    for unit, number, previous in zip(received, numbers, [-1, *numbers], strict=False):
        assert content(codec, unit.data) == content(codec, stream[number])
        assert unit.is_keyframe == (number % 4 == 0)
        assert number == previous + 1 or (number > previous and unit.is_keyframe)
        assert unit.discontinuity == (number != previous + 1 or previous == -1) or unit.is_keyframe
    frames = decoded(codec, [unit.data for unit in received])
    for frame, number in zip(frames, numbers, strict=True):
        assert np.array_equal(frame, sent[number])
    if len(packets) == next(sequence_numbers) - 65_530:
        assert numbers == list(range(len(stream) if has_markers else len(stream) - 1))


def test_a_phone_may_change_from_one_codec_to_another() -> None:
    by = receiver(replace(VIDEO, codecs={96: H264, 98: replace(H264, name="vp9")}))
    packets = flat(packets_by_aiortc(SMALL[:2], sequence_number=0, rtp_time=0))
    units = packets_by_libavformat(CODED["vp9"][0][:2], codec="vp9")
    packets += [
        rtp(data[12:], len(packets) + number, 6000 + 3000 * number, marker=True, payload_type=98)
        for number, data in enumerate(flat(units))
    ]
    received = feed(by, packets)
    assert [unit.codec.name for unit in received] == ["h264", "h264", "vp9", "vp9"]
    assert [unit.is_keyframe for unit in received] == [True, False, True, False]
    assert [unit.data for unit in received[2:]] == CODED["vp9"][0][:2]


def test_what_comes_out_after_losses_decodes_without_an_error() -> None:
    path = Path(4, loss=0.05, repeated=0, spread_ns=0, rtx=False)
    path.run(receiver(replace(VIDEO, feedback=frozenset())), packets_by_aiortc(STREAM))
    assert 0 < len(path.received) < len(STREAM)
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.thread_count, decoder.options = 1, {"err_detect": "explode"}
    frames = [frame for unit in path.received for frame in decoder.decode(av.Packet(unit.data))]
    assert len(frames + decoder.decode()) == len(path.received)


# Where a frame begins and ends


def test_a_frame_leaves_with_its_last_packet_but_for_the_first_which_waits_for_the_next() -> None:
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


def test_a_keyframe_that_lost_its_delimiter_alone_is_whole_enough() -> None:
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
def test_a_retransmission_that_comes_long_after_its_packet_was_given_up_costs_nothing(behind: int) -> None:
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
def test_rtp_time_goes_on_with_the_hours_though_nothing_came(hours: int) -> None:
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


# Keyframes


def test_a_keyframe_is_asked_for_with_the_first_packet_and_again_until_one_is_whole() -> None:
    by = receiver()
    by.receive([rtp(b"\x41no keyframe", 65_499, 4_294_890_000, marker=True)], 0)
    asked = [(now_ms, keyframe_requests(by)) for now_ms in range(0, 1000, 10) if by.poll(now_ms * MS) == []]
    assert [now_ms for now_ms, count in asked if count] == [0, 300, 600, 900]
    assert len(feed(by, flat(packets_by_aiortc(SMALL)), 1000 * MS)) == len(SMALL)
    by.poll(5_000 * MS)
    assert keyframe_requests(by) == 0
    assert (by.counters.plis, by.counters.firs) == (4, 0)


def test_a_keyframe_that_was_asked_for_by_the_user_is_asked_for_until_it_comes() -> None:
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


def test_a_sender_that_knows_only_full_intra_requests_gets_those_numbered() -> None:
    by = receiver(replace(VIDEO, feedback=frozenset({"ccm fir"})))
    by.receive([rtp(b"\x41no keyframe", 1, 0, marker=True)], 0)
    for now_ms in (300, 600):
        by.poll(now_ms * MS)
    assert (by.counters.plis, by.counters.firs) == (0, 3)
    requests = [item for item in sent_rtcp(by) if isinstance(item, RtcpPsfbPacket)]
    assert [(item.fmt, item.media_ssrc, struct.unpack("!IB3x", item.fci)) for item in requests] == [
        (4, 0, (1, number)) for number in (1, 2, 3)
    ]


def test_a_sender_that_knows_no_keyframe_requests_gets_none_and_none_is_counted() -> None:
    by = receiver(replace(VIDEO, feedback=frozenset({"nack"})))
    by.receive([rtp(b"\x41no keyframe", 1, 0, marker=True)], 0)
    by.poll(400 * MS)
    assert not by.has_rtcp
    assert (by.counters.plis, by.counters.firs) == (0, 0)


def test_a_gap_that_lasts_has_a_keyframe_asked_for_and_is_left_when_one_is_whole() -> None:
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


def test_a_gap_that_is_filled_in_time_costs_no_frame_whatever_is_behind_it() -> None:
    units = [list(packets) for packets in packets_by_aiortc(STREAM)]
    late = units[3].pop(1)
    by = receiver(NO_RTX)
    received = feed(by, flat(units[:15]), interval_ns=MS)
    assert check_against(STREAM, received) == [0, 1, 2]
    received += by.receive([late], KEYFRAME_AFTER_NS - MS)
    assert check_against(STREAM, received) == [*range(15)]


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


# RTCP


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


def test_congestion_feedback_is_sent_for_every_packet_that_bears_the_extension() -> None:
    by = receiver(replace(VIDEO, transport_cc_id=5, feedback=frozenset({"transport-cc"})))
    for number in range(20):
        element = b"\xbe\xde\x00\x01\x51" + struct.pack("!H", 65_530 + number & 0xFFFF) + b"\x00"
        by.receive([rtp(b"\x41", number, 0, extension=element)], number * 2 * MS)
    by.poll(by.deadline_ns or 0)
    (message,) = by.take_rtcp()
    assert struct.unpack_from("!BBHIIHH", message)[1:2] + struct.unpack_from("!HH", message, 12) == (205, 65_530, 20)
    assert message[0] & 0x1F == 15


def test_the_bandwidth_is_told_of_every_packet_that_bears_its_send_time_retransmitted_or_not() -> None:
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
def test_the_moment_of_capture_is_told_by_the_latest_sender_report(wrapped: bool) -> None:
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


# Sources


def test_a_sender_that_starts_anew_takes_the_place_of_its_former_self() -> None:
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


# Anything else


prefixes = st.sampled_from(
    [
        *(
            b"",
            b"\x80\x60",
            b"\x80\xe0",
            b"\x80\x61",
            b"\x80\x6f",
            b"\x90\x60",
            b"\x80\xc8\x00\x06",
            b"\x81\xcb\x00\x01",
        ),
        b"\x90\x60" + bytes(10) + b"\xbe\xde\x00\x01\x31",
        b"\x90\x60" + bytes(10) + b"\xbe\xde\x00\x01\x32",
    ]
)
whole_packets = st.sampled_from(flat(packets_by_aiortc(SMALL)))
datagrams = st.lists(
    st.tuples(st.tuples(prefixes, st.binary(max_size=40)).map(b"".join) | whole_packets, st.integers(0, 400 * MS)),
    max_size=60,
)


@given(datagrams, st.sampled_from([replace(VIDEO, transport_cc_id=3), replace(VIDEO, abs_send_time_id=3)]))
@examples(200)
def test_any_datagrams_are_survived_and_a_poll_at_the_deadline_is_never_asked_for_for_ever(
    arrivals: list[tuple[bytes, int]], track: Track
) -> None:
    """The law: for any bytes taken for RTP and for RTCP, nothing is raised, what is sent can be parsed, and polling at
    the deadline moves it into the future."""
    by = receiver(track, AUDIO)
    now_ns = 0
    for data, wait_ns in arrivals:
        now_ns += wait_ns
        for unit in by.receive([data], now_ns):
            assert unit.data
            assert unit.arrival_ns <= now_ns
        by.receive_rtcp(data, now_ns)
        for _ in range(2100 // 250 + 2):
            if by.deadline_ns is None or by.deadline_ns > now_ns:
                break
            by.poll(now_ns)
        assert by.deadline_ns is None or by.deadline_ns > now_ns
        for message in by.take_rtcp():
            assert len(message) <= 1400
            if message[1] != 205 or message[0] & 0x1F != 15:  # aiortc 1.16 does not read congestion feedback
                RtcpPacket.parse(message)
    assert by.counters.packets == len(arrivals)


@given(
    st.lists(st.tuples(whole_packets, st.integers(0, 3)), min_size=1, max_size=80),
    st.sampled_from([replace(VIDEO, transport_cc_id=3), replace(VIDEO, abs_send_time_id=3)]),
)
@examples(200)
def test_packets_taken_together_are_as_good_as_taken_one_by_one(
    arrivals: list[tuple[bytes, int]], track: Track
) -> None:
    """The law: however packets are divided into bursts, the same units, requests and counts come of them."""
    together, alone = receiver(track, AUDIO), receiver(track, AUDIO)
    for burst, group in enumerate(_bursts(arrivals)):
        now_ns = burst * 20 * MS
        assert together.receive(group, now_ns) == [unit for data in group for unit in alone.receive([data], now_ns)]
        assert together.counters == alone.counters
        assert together.take_rtcp() == alone.take_rtcp()


def _bursts(arrivals: list[tuple[bytes, int]]) -> list[list[bytes]]:
    """Divide packets before each whose number is zero."""
    bursts: list[list[bytes]] = [[]]
    for data, number in arrivals:
        if number == 0:
            bursts.append([])
        bursts[-1].append(data)
    return bursts


def test_the_frames_of_a_burst_leave_together() -> None:
    by = receiver(NO_RTX)
    packets = flat(packets_by_aiortc(STREAM))
    assert by.receive(packets[:-1], 0) == feed(receiver(NO_RTX), packets[:-1])
    assert len(by.receive(packets[-1:], 0)) == 1


def test_the_first_frames_payloads_are_cut_as_webrtc_cuts_them() -> None:
    """What the other tests stand on: single NAL units, aggregates and fragments all occur among the packets."""
    kinds = {payload[0] & 0x1F for unit in STREAM + SMALL for payload in payloads(unit)}
    assert kinds >= {1, 24, 28}
