"""Reports to the sender, and their times: against the formulas of the RFCs, and a decoder made from the draft."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.media.rtp.feedback import (
    KeyframeRequests,
    ReceptionStatistics,
    RetransmissionRequests,
    RoundTripTime,
    TransportFeedback,
)
from streamer.media.rtp.jitter_buffer import JitterBuffer
from streamer.media.rtp.packet import RtpPacket
from streamer.media.rtp.rtcp import ReportBlock
from tests.support.examples import examples

MS = 1_000_000
US = 1_000


def packet(number: int, *, rtp_time: int = 0, arrival_ns: int = 0) -> RtpPacket:
    return RtpPacket(96, False, number & 0xFFFF, rtp_time & 0xFFFFFFFF, 5, b"payload", arrival_ns)


# Reception statistics


@dataclass
class Rfc3550:
    """Appendices A.3 and A.8 word for word, over true numbers."""

    base: int
    highest: int
    received: int = 0
    expected_prior: int = 0
    received_prior: int = 0
    transit: float | None = None
    jitter: float = 0.0

    def add(self, number: int, rtp_time: int, arrival_ns: int) -> None:
        self.received += 1
        self.highest = max(self.highest, number)
        transit = arrival_ns * 90_000 / 1e9 - rtp_time
        if self.transit is not None:
            self.jitter += (abs(transit - self.transit) - self.jitter) / 16
        self.transit = transit

    def report(self) -> tuple[int, int, int, int]:
        expected = self.highest - self.base + 1
        expected_interval = expected - self.expected_prior
        self.expected_prior = expected
        received_interval = self.received - self.received_prior
        self.received_prior = self.received
        lost_interval = expected_interval - received_interval
        fraction = 0 if expected_interval == 0 or lost_interval <= 0 else (lost_interval << 8) // expected_interval
        return min(fraction, 255), expected - self.received, self.highest, int(self.jitter)


def told(block: ReportBlock) -> tuple[int, int, int, int]:
    return block.fraction_lost, block.packets_lost, block.highest_sequence, block.jitter


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 300), st.booleans()), min_size=1, max_size=300),
)
@example(0xFFFF, [(1, 10, True), (30_000, 10, True), (30_000, 10, True), (30_000, 10, True)])
def test_reports_follow_the_formulas_of_rfc_3550(first: int, steps: list[tuple[int, int, bool]]) -> None:
    """The law: for any loss, reordering, repetition and delay, each report has the fractions, counts and jitter of
    appendices A.3 and A.8."""
    statistics, model = ReceptionStatistics(5, 90_000), Rfc3550(first, first)
    number, now_ns = first, 0
    statistics.add(packet(first))
    model.add(first, 0, 0)
    for position, (step, wait_ms, is_reported) in enumerate(steps, start=1):
        highest = max(number, model.highest)
        number = max(highest + step, first)
        now_ns += wait_ms * MS
        statistics.add(packet(number, rtp_time=3000 * position, arrival_ns=now_ns))
        model.add(number, 3000 * position, now_ns)
        if is_reported:
            assert told(statistics.report(now_ns)) == model.report()
    assert told(statistics.report(now_ns)) == model.report()
    assert statistics.jitter == pytest.approx(model.jitter)


def test_a_report_refers_to_the_latest_sender_report() -> None:
    statistics = ReceptionStatistics(5, 90_000)
    statistics.add(packet(1))
    block = statistics.report(7 * MS)
    assert (block.last_sender_report, block.delay_since) == (0, 0)
    statistics.sender_report(0x0123456789ABCDEF, 1_000 * MS)
    statistics.sender_report(0x0123456889ABCDEF, 2_000 * MS)
    block = statistics.report(2_250 * MS)
    assert (block.last_sender_report, block.delay_since) == (0x456889AB, 65536 // 4)


def test_packets_of_one_frame_and_a_wrap_of_its_time_are_no_jitter() -> None:
    statistics = ReceptionStatistics(5, 90_000)
    for number in range(100):
        frame, part = divmod(number, 4)
        arrival_ns = frame * 100 * MS + part * 20 * MS  # a sender that spaces the packets of each frame
        statistics.add(packet(number, rtp_time=0xFFFFFFFF - 30_000 + 9_000 * frame, arrival_ns=arrival_ns))
    assert statistics.jitter == pytest.approx(0, abs=1)


# Round-trip time


@given(st.lists(st.integers(0, 3_000 * MS), min_size=1, max_size=50))
def test_the_round_trip_time_is_smoothed_as_rfc_6298_says(samples: list[int]) -> None:
    """The law: after any samples, SRTT and RTTVAR are those of section 2, to a nanosecond a sample."""
    round_trip = RoundTripTime()
    assert not RoundTripTime().is_measured
    smoothed, variation = 0.0, 0.0
    for count, sample in enumerate(samples):
        round_trip.measured(sample)
        if count == 0:
            smoothed, variation = sample, sample / 2
        else:
            variation = 0.75 * variation + 0.25 * abs(smoothed - sample)
            smoothed = 0.875 * smoothed + 0.125 * sample
    assert round_trip.is_measured
    assert round_trip.smoothed_ns == pytest.approx(smoothed, abs=len(samples) + 8)
    assert round_trip.variation_ns == pytest.approx(variation, abs=len(samples) + 8)
    assert 20 * MS <= round_trip.retry_after_ns <= 500 * MS


# Retransmission requests


def with_gap(*absent: int, hold_ns: int = 500 * MS) -> tuple[JitterBuffer, RetransmissionRequests, RoundTripTime]:
    """Return a buffer that noticed at time 0 that these packets are missing, and what requests them."""
    buffer, round_trip = JitterBuffer(hold_ns=hold_ns), RoundTripTime()
    for number in range(max(absent) + 2):
        if number not in absent:
            buffer.insert(packet(number), 0)
    return buffer, RetransmissionRequests(buffer, round_trip), round_trip


def test_a_missing_packet_is_requested_at_once_and_after_each_overdue_answer_until_given_up() -> None:
    buffer, requests, round_trip = with_gap(3)
    retry_ns = round_trip.retry_after_ns
    asked = []
    now_ns = 0
    while requests.deadline_ns is not None or now_ns == 0:
        now_ns = requests.deadline_ns or 0
        buffer.give_up(now_ns)
        assert requests.due(now_ns - 1) == [] or now_ns == 0
        asked += [(now_ns, number) for number in requests.due(now_ns)]
    assert asked == [(turn * retry_ns, 3) for turn in range(500 * MS // retry_ns + 1)]
    assert buffer.lost == 1


def test_a_packet_that_arrived_is_not_requested_again() -> None:
    buffer, requests, _ = with_gap(3, 5)
    assert requests.due(0) == [3, 5]
    buffer.insert(packet(3), 10 * MS)
    assert requests.due(requests.deadline_ns or 0) == [5]
    buffer.insert(packet(5), 10 * MS)
    assert requests.due(1 << 60) == []
    assert requests.deadline_ns is None


def test_more_packets_than_one_message_names_are_requested_in_consecutive_messages() -> None:
    _, requests, _ = with_gap(*range(1, 601))
    sizes = []
    while (requests.deadline_ns or 0) <= 0:
        sizes.append(len(requests.due(0)))
    assert sizes == [250, 250, 100]


def test_the_round_trip_is_learnt_from_requests_that_were_sent_once() -> None:
    buffer, requests, round_trip = with_gap(3, 5)
    requests.due(0)
    requests.came(buffer.missing[0x10000 + 3], 40 * MS, retransmitted=True)
    assert (round_trip.is_measured, round_trip.smoothed_ns) == (True, 40 * MS)
    buffer.insert(packet(3), 40 * MS)
    requests.due(requests.deadline_ns or 0)
    requests.came(buffer.missing[0x10000 + 5], 160 * MS, retransmitted=True)  # which request was it the answer to?
    assert round_trip.smoothed_ns == 40 * MS


def test_a_request_waits_as_long_as_reordered_packets_were_late() -> None:
    buffer, requests, _ = with_gap(3)
    requests.came(buffer.missing[0x10000 + 3], 12 * MS, retransmitted=False)
    buffer.insert(packet(3), 12 * MS)
    buffer.insert(packet(6), 20 * MS)
    assert requests.due(20 * MS) == []
    assert requests.deadline_ns == 32 * MS
    assert requests.due(32 * MS - 1) == []
    assert requests.due(32 * MS) == [5]


def test_the_wait_for_reordered_packets_never_exceeds_a_round_trip_and_fades_with_loss() -> None:
    buffer, requests, round_trip = with_gap(3)
    requests.came(buffer.missing[0x10000 + 3], 400 * MS, retransmitted=False)
    buffer.insert(packet(3), 400 * MS)
    waits = []
    number, now_ns = 4, 1_000 * MS
    for _ in range(100):
        number, now_ns = number + 2, now_ns + 1_000 * MS
        buffer.insert(packet(number), now_ns)
        asked = requests.due(now_ns)
        waits.append((requests.deadline_ns or 0) - now_ns if not asked else 0)
        requests.due(now_ns + waits[-1])
        missing = buffer.missing[0x10000 + number - 1]
        requests.came(missing, now_ns + waits[-1] + 100 * MS, retransmitted=True)
        buffer.insert(packet(number - 1), now_ns + waits[-1] + 100 * MS)
    assert waits[0] == 100 * MS  # the round trip as it was believed to be
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] < 1 * MS
    assert round_trip.smoothed_ns == pytest.approx(100 * MS, rel=0.01)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 50 * MS)), min_size=1, max_size=40),
    st.lists(st.integers(0, 100 * MS), max_size=40),
)
def test_polling_at_the_deadline_requests_everything_and_nothing_too_often(
    arrivals: list[tuple[int, int]], late_polls: list[int]
) -> None:
    """The law: for any arrivals and any lateness of the polls, a number is asked for only while it is missing, first
    when it was noticed, then no sooner than `retry_after_ns` later; and a poll is asked for while anything is missing.
    """
    buffer, round_trip = JitterBuffer(hold_ns=500 * MS), RoundTripTime()
    requests = RetransmissionRequests(buffer, round_trip)
    buffer.insert(packet(0), 0)
    asked_ns: dict[int, int] = {}
    number, now_ns = 0, 0
    lateness = iter(late_polls)
    for step, wait_ns in [*arrivals, (1, 0)]:
        now_ns += wait_ns
        while requests.deadline_ns is not None and requests.deadline_ns <= now_ns:
            poll_ns = min(requests.deadline_ns + next(lateness, 0), now_ns)
            buffer.give_up(poll_ns)
            for asked in requests.due(poll_ns):
                assert 0x10000 + asked in buffer.missing
                assert poll_ns - asked_ns.get(asked, -500 * MS) >= round_trip.retry_after_ns
                asked_ns[asked] = poll_ns
        number += step
        buffer.insert(packet(number), now_ns)
        for asked in requests.due(now_ns):
            assert 0x10000 + asked in buffer.missing
            assert now_ns - asked_ns.get(asked, -500 * MS) >= round_trip.retry_after_ns
            asked_ns[asked] = now_ns
        assert {index - 0x10000 for index in buffer.missing} <= asked_ns.keys()
        assert (requests.deadline_ns is None) == (not buffer.missing)


# Keyframe requests


def test_a_keyframe_is_requested_at_once_and_at_intervals_until_it_arrives() -> None:
    requests = KeyframeRequests()
    assert (requests.deadline_ns, requests.due(0)) == (None, False)
    requests.need()
    assert requests.due(5 * MS)
    asked = [now_ms for now_ms in range(6, 1000) if requests.due(now_ms * MS)]
    assert (asked, requests.deadline_ns) == ([305, 605, 905], 1205 * MS)
    requests.satisfied()
    assert (requests.deadline_ns, requests.due(1 << 60)) == (None, False)


@given(st.lists(st.tuples(st.sampled_from(["need", "satisfied", "due"]), st.integers(0, 200 * MS)), max_size=100))
def test_no_two_keyframe_requests_are_closer_than_the_interval(events: list[tuple[str, int]]) -> None:
    """The law: for any order of needs and keyframes, one is asked for exactly when it is needed and the last request is
    an interval ago."""
    requests = KeyframeRequests()
    needed, last_ns, now_ns = False, -(1 << 60), 0
    for event, wait_ns in events:
        now_ns += wait_ns
        if event == "need":
            needed = True
            requests.need()
        elif event == "satisfied":
            needed = False
            requests.satisfied()
        else:
            is_due = needed and now_ns - last_ns >= requests.INTERVAL_NS
            assert requests.due(now_ns) == is_due
            last_ns = now_ns if is_due else last_ns
        assert (requests.deadline_ns is None) == (not needed)


# Transport-wide congestion feedback


@dataclass
class Decoded:
    """One message, read as draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1 describes it."""

    count: int
    arrivals_us: dict[int, int | None]  # by sequence number; None where the packet did not come


def decode(message: bytes) -> Decoded:
    first, packet_type, words, sender, media, base, status_count, tail = struct.unpack_from("!BBHIIHHI", message)
    assert (first >> 6, first & 0x1F, packet_type) == (2, 15, 205)
    assert (sender, media) == (11, 22)
    assert len(message) == 4 * (words + 1)
    end = len(message) - (message[-1] if first & 0x20 else 0)
    position = 20
    symbols: list[int] = []
    while len(symbols) < status_count:
        (chunk,) = struct.unpack_from("!H", message, position)
        position += 2
        if not chunk & 0x8000:  # run length: two bits of symbol, thirteen of length
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
        elif chunk & 0x4000:  # seven symbols of two bits
            symbols += [chunk >> 12 - 2 * place & 3 for place in range(7)]
        else:  # fourteen of one bit
            symbols += [chunk >> 13 - place & 1 for place in range(14)]
    assert not any(symbols[status_count:])
    time_us = (tail >> 8) * 64_000
    arrivals: dict[int, int | None] = {}
    for offset, symbol in enumerate(symbols[:status_count]):
        number = base + offset & 0xFFFF
        arrivals[number] = None
        if symbol:
            assert symbol in {1, 2}
            (delta,) = struct.unpack_from("!B" if symbol == 1 else "!h", message, position)
            position += symbol
            time_us += 250 * delta
            arrivals[number] = time_us
    assert position == end
    return Decoded(tail & 0xFF, arrivals)


def decode_all(messages: Iterable[bytes]) -> tuple[dict[int, int], set[int]]:
    """Return when each packet came, and which did not, of numbers that do not repeat."""
    came: dict[int, int] = {}
    absent: set[int] = set()
    for message in messages:
        assert len(message) <= 1200
        for number, time_us in decode(message).arrivals_us.items():
            if time_us is None:
                absent.add(number)
            else:
                assert number not in came
                came[number] = time_us
    return came, absent - came.keys()


WRAP_US = (1 << 24) * 64_000

steps = st.lists(
    st.tuples(
        st.integers(1, 3) | st.integers(1, 60),  # to the next number that comes
        st.integers(0, 900 * US) | st.integers(0, 3_000_000 * US) | st.just(9_000_000 * US),  # ns to the next arrival
    ),
    min_size=1,
    max_size=500,
)


@given(st.integers(0, 0xFFFF), st.integers(0, 1 << 60), steps, st.integers(1, 6), st.randoms(use_true_random=False))
@examples(200)
def test_congestion_feedback_reports_arrivals_with_their_times_and_losses(
    first: int, start_ns: int, waits: list[tuple[int, int]], overtaking: int, chance: object
) -> None:
    """The law: for any loss, reordering and pauses, the messages together name every packet that came once, with its
    time to 250 µs, name as absent only what did not come, and each fits a datagram."""
    numbers, times_ns = [first], [start_ns]
    for step, wait_ns in waits:
        numbers.append(numbers[-1] + step)
        times_ns.append(times_ns[-1] + wait_ns)
    order = sorted(range(len(numbers)), key=lambda place: place + chance.randrange(overtaking))  # type: ignore[attr-defined]
    feedback = TransportFeedback()
    sent: dict[int, int] = {}
    for place, now_ns in zip(order, times_ns, strict=True):
        feedback.add([numbers[place] & 0xFFFF], now_ns)
        sent[numbers[place] & 0xFFFF] = now_ns // US
    assert feedback.deadline_ns is not None
    came, absent = decode_all(feedback.due(feedback.deadline_ns, 11, 22))
    assert came.keys() == sent.keys()
    for number, time_us in came.items():
        assert 0 <= (sent[number] - time_us) % WRAP_US <= 250
    assert not absent & sent.keys()
    lowest, highest = min(numbers), max(numbers)
    assert absent <= {number & 0xFFFF for number in range(lowest, highest)}


def test_feedback_is_due_an_interval_after_the_first_packet_or_when_a_message_is_full() -> None:
    feedback = TransportFeedback()
    assert feedback.due(1 << 60, 11, 22) == []
    feedback.add([7], 3 * MS)
    feedback.add([8], 20 * MS)
    due_ns = feedback.deadline_ns
    assert due_ns == 3 * MS + feedback.INTERVAL_NS
    assert feedback.due(due_ns - 1, 11, 22) == []
    (message,) = feedback.due(due_ns, 11, 22)
    assert decode(message).arrivals_us.keys() == {7, 8}
    assert feedback.deadline_ns is None
    for number in range(feedback.MAX_PACKETS):
        feedback.add([9 + number], 100 * MS)
    assert feedback.deadline_ns == 100 * MS


def test_messages_are_counted_and_a_late_packet_is_reported_in_the_next() -> None:
    feedback = TransportFeedback()
    counts = []
    for turn in range(300):
        feedback.add([10 * turn + 5], turn * 100 * MS)
        feedback.add([10 * turn - 3 & 0xFFFF], turn * 100 * MS + 1 * MS)
        (message,) = feedback.due(turn * 100 * MS + 50 * MS, 11, 22)
        decoded = decode(message)
        counts.append(decoded.count)
        assert {n for n, time_us in decoded.arrivals_us.items() if time_us is not None} == {
            10 * turn + 5,
            10 * turn - 3 & 0xFFFF,
        }
    assert counts == [turn % 256 for turn in range(300)]


@pytest.mark.parametrize("step", [1, 2, 4, 7, 10, 15])
@pytest.mark.parametrize("wait_ns", [50 * US, 100 * MS])
def test_a_full_message_fits_a_datagram_whatever_was_lost(step: int, wait_ns: int) -> None:
    feedback = TransportFeedback()
    for number in range(feedback.MAX_PACKETS):
        feedback.add([number * step & 0xFFFF], number * wait_ns)
    came, absent = decode_all(feedback.due(1 << 60, 11, 22))
    assert len(came) == feedback.MAX_PACKETS
    assert len(absent) >= (step - 1) * (feedback.MAX_PACKETS - 10)
