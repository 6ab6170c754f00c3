"""What comes out of a receiver whatever is lost, reordered or made up on the way."""

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
    RtcpPacket,
    RtcpRtpfbPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.source import VIDEO_HOLD_NS
from streamer.tracks import Track
from tests.support.examples import examples
from tests.support.receiving import (
    CODED,
    END,
    NO_RTX,
    SMALL,
    STREAM,
    check_against,
    check_counts,
    feed,
    flat,
    receiver,
)
from tests.support.senders import (
    AUDIO,
    H264,
    MS,
    VIDEO,
    VIDEO_CODECS,
    content,
    decoded,
    packets_by_aiortc,
    packets_by_libavformat,
    payloads,
    rtp,
)

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
def test_only_whole_decodable_frames_come_out_whatever_the_path_does(
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


def test_frames_after_losses_decode_without_an_error() -> None:
    path = Path(4, loss=0.05, repeated=0, spread_ns=0, rtx=False)
    path.run(receiver(replace(VIDEO, feedback=frozenset())), packets_by_aiortc(STREAM))
    assert 0 < len(path.received) < len(STREAM)
    decoder = av.VideoCodecContext.create("h264", "r")
    decoder.thread_count, decoder.options = 1, {"err_detect": "explode"}
    frames = [frame for unit in path.received for frame in decoder.decode(av.Packet(unit.data))]
    assert len(frames + decoder.decode()) == len(path.received)


@given(datagrams, st.sampled_from([replace(VIDEO, transport_cc_id=3), replace(VIDEO, abs_send_time_id=3)]))
@examples(200)
def test_any_datagrams_are_handled_and_polling_at_the_deadline_comes_to_an_end(
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
def test_packets_taken_together_give_the_same_as_one_by_one(arrivals: list[tuple[bytes, int]], track: Track) -> None:
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


# What is known to be missing


def lacks(by: Receiver) -> bool:
    return by.is_video_incomplete


def test_a_frame_without_its_last_packet_is_known_to_be_incomplete_until_that_comes() -> None:
    by, packets = receiver(), list(packets_by_aiortc(STREAM))
    feed(by, flat(packets[:5]))
    assert not lacks(by)
    *head, last = packets[5]
    feed(by, head)
    assert lacks(by)
    by.poll(10_000 * MS)
    assert lacks(by)  # nothing follows, and no time completes it
    feed(by, [last])
    assert not lacks(by)


def test_a_gap_is_known_until_it_is_filled_and_a_lost_frame_until_a_keyframe() -> None:
    by, packets = receiver(NO_RTX, AUDIO), list(packets_by_aiortc(STREAM))  # a keyframe every ten frames
    feed(by, flat(packets[:3]))
    missing, rest = packets[3][0], packets[3][1:]
    feed(by, rest)
    assert lacks(by)
    feed(by, [missing])
    assert not lacks(by)
    feed(by, flat(packets[5:8]))  # frame 4 is lost
    by.poll(VIDEO_HOLD_NS + MS)
    assert lacks(by)
    feed(by, flat(packets[8:11]), now_ns=VIDEO_HOLD_NS + 2 * MS)
    assert not lacks(by)
