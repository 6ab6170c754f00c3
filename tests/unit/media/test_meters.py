"""What is measured of a stream: the receiver's access units in virtual time, as the session hands them on."""

from dataclasses import replace

import pytest

from streamer.media.access_unit import AccessUnit
from streamer.media.meters import DecodingMeter, StreamMeter
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.source import VIDEO_HOLD_NS, Counters
from tests.support.senders import AUDIO, MS, OPUS, VIDEO, access_unit, encoded, packets_by_aiortc

STREAM = encoded(90, keyframe_every=30, noise=True)  # some ten packets a frame
PACKETS = list(packets_by_aiortc(STREAM))
INTERVAL_NS = 33 * MS


class Watcher:
    """A receiver and a meter behind it, driven in virtual time."""

    def __init__(self, *, has_rtx: bool = False) -> None:
        track = VIDEO if has_rtx else replace(VIDEO, rtx={})
        self.receiver = Receiver([track, AUDIO], own_ssrc=9, cname="name")
        self.meter = StreamMeter(lambda: self.now_ns, lambda: self.receiver.counters.video_gaps)
        self.now_ns = 0

    def wait(self, wait_ns: int) -> None:
        """Let time pass, and the receiver do what is due."""
        until_ns = self.now_ns + wait_ns
        while (due_ns := self.receiver.deadline_ns) is not None and due_ns <= until_ns:
            self.now_ns = max(due_ns, self.now_ns)
            self._put(self.receiver.poll(self.now_ns))
        self.now_ns = until_ns

    def receive(self, *packets: bytes) -> None:
        """Receive packets now."""
        self._put(self.receiver.receive(packets, self.now_ns))

    def play(self, first: int, end: int, *, without: bytes = b"") -> None:
        """Receive frames, one each interval, but for one packet."""
        for packets in PACKETS[first:end]:
            self.receive(*(packet for packet in packets if packet != without))
            self.wait(INTERVAL_NS)

    @property
    def freezes(self) -> tuple[int, float]:
        """How many there were, and their sum in ms."""
        return self.meter.freezes.count, self.meter.freezes.total_ns / MS

    def _put(self, units: list[AccessUnit]) -> None:
        for unit in units:
            self.meter.put(unit)


def test_a_stream_that_flows_and_rests_is_never_frozen() -> None:
    watcher = Watcher()
    watcher.play(0, 40)
    watcher.wait(300_000 * MS)
    watcher.play(40, 90)
    assert watcher.meter.frames.per_second(watcher.now_ns) == pytest.approx(30, abs=1)
    assert watcher.freezes == (0, 0)


@pytest.mark.parametrize("place", [0, -1])
def test_a_long_wait_for_a_packet_is_a_freeze_even_if_it_arrives(place: int) -> None:
    watcher, missing = Watcher(), PACKETS[40][place]
    watcher.play(0, 50, without=missing)
    watcher.receive(missing)
    watcher.play(50, 90)
    assert watcher.receiver.counters.frames == 90
    assert watcher.freezes == (1, 11 * 33)


def test_a_short_wait_is_no_freeze() -> None:
    watcher, missing = Watcher(), PACKETS[40][0]
    watcher.play(0, 44, without=missing)
    watcher.receive(missing)
    watcher.play(44, 90)
    assert watcher.receiver.counters.video_gaps == 1
    assert watcher.freezes == (0, 0)


def test_lost_frames_are_a_freeze_up_to_the_keyframe() -> None:
    watcher, missing = Watcher(), PACKETS[40][0]
    watcher.play(0, 90, without=missing)
    counters = watcher.receiver.counters
    assert (counters.frames, counters.frames_lost + counters.frames_awaiting_keyframe) == (70, 20)
    # The gap shows where the next packet comes, and is given up a while later.
    given_up = VIDEO_HOLD_NS / MS
    (count, frozen_ms) = watcher.freezes
    assert count == 1
    assert frozen_ms == pytest.approx(21 * 33, abs=33)
    assert given_up < frozen_ms


def test_after_a_loss_on_a_screen_at_rest_the_rest_is_no_freeze() -> None:
    watcher, missing = Watcher(), PACKETS[40][0]
    watcher.play(0, 43, without=missing)
    watcher.receive(missing)
    watcher.wait(300_000 * MS)
    watcher.play(43, 90)
    assert watcher.freezes == (0, 0)


def test_audio_is_measured_by_its_bytes_alone() -> None:
    watcher = Watcher()
    for number in range(50):
        watcher.meter.put(access_unit(bytes(100), 960 * number, codec=OPUS))
    assert watcher.meter.bytes.per_second(980 * MS) == 5000
    assert watcher.meter.frames.per_second(980 * MS) == 0


def test_a_session_has_lasted_since_its_first_packet() -> None:
    watcher = Watcher()
    watcher.wait(5_000 * MS)
    assert watcher.meter.duration_s() == 0
    watcher.play(0, 2)
    watcher.wait(934 * MS)
    assert watcher.meter.duration_s() == 1


def test_delay_counts_from_the_last_packet_and_latency_from_the_capture() -> None:
    meter = DecodingMeter()
    unit = access_unit(STREAM[0], 0, arrival_ns=500 * MS)
    meter.add(504 * MS, 10**18 + 80 * MS, unit, 3 * MS)
    assert meter.latency.mean(504 * MS) is None
    meter.add(508 * MS, 10**18 + 80 * MS, replace(unit, captured_ns=10**18), 1 * MS)
    assert meter.decoding.mean(508 * MS) == 2 * MS
    assert meter.delay.mean(508 * MS) == 6 * MS
    assert meter.latency.mean(508 * MS) == 80 * MS


def test_counters_of_several_receivers_are_added_up() -> None:
    assert Counters.total([]) == Counters()
    one, two = Counters(packets=3, plis=1), Counters(packets=4, firs=2)
    assert Counters.total([one, two]) == Counters(packets=7, plis=1, firs=2)
