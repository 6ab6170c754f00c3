"""The bandwidth estimated from send times: over model paths, and for anything else that might be fed to it."""

import pickle
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.rtp.bandwidth import MAX_BPS, MIN_BPS, START_BPS, BandwidthEstimator
from streamer.media.rtp.feedback import RoundTripTime
from tests.support.examples import examples
from tests.support.senders import MS

FPS = 30
DELAY_NS = 20 * MS
PACING = 2.5  # as Chromium does: a frame's packets leave so much faster than the bitrate


class Path:
    """A bottleneck with a queue before it, and a sender that sends as much as the estimate allows. Virtual time.

    The sender's clock begins at `clock_start`, in 2**-18 s; arrivals are `jitter_ns` late, and seen to the millisecond.
    """

    def __init__(
        self, capacity_bps: float, *, jitter_ns: int = MS, clock_start: int = 0, most_bps: float = 2e7
    ) -> None:
        self.capacity_bps = capacity_bps
        self.most_bps = most_bps
        self.estimates: list[tuple[int, int]] = []  # when, and what
        self.queue_ms: list[float] = []  # for each packet
        self.arrived_bytes = 0
        self._estimator = BandwidthEstimator(RoundTripTime(2 * DELAY_NS))
        self._chance = random.Random(1)
        self._jitter_ns = jitter_ns
        self._clock_start = clock_start
        self._now_ns = self._free_ns = self._last_ns = 0
        self._flying: deque[tuple[int, int, int]] = deque()

    @property
    def allowed_bps(self) -> float:
        """The sender's rate: the last estimate that has reached it."""
        known = [bps for at_ns, bps in self.estimates[-20:] if at_ns + DELAY_NS <= self._now_ns]
        return min(known[-1] if known else 300_000, self.most_bps)

    def run(self, seconds: float) -> None:
        """Send for so long."""
        for _ in range(round(seconds * FPS)):
            bps = self.allowed_bps
            size = max(bps / FPS / 8 * self._chance.uniform(0.6, 1.4), 200)
            sent_ns = self._now_ns
            while size > 0:
                self._send(sent_ns, int(min(size, 1200)) + 12)
                size -= 1200
                sent_ns += int(1212 * 8e9 / (PACING * bps))
            self.wait(1 / FPS)

    def wait(self, seconds: float) -> None:
        """Let time pass: what is on the way arrives."""
        self._now_ns += int(seconds * 1e9)
        while self._flying and self._flying[0][0] <= self._now_ns:
            arrival_ns, send_time, size = self._flying.popleft()
            self._poll(arrival_ns)
            self._estimator.add([(send_time, size)], arrival_ns)
            self.arrived_bytes += size
        self._poll(self._now_ns)

    def _send(self, sent_ns: int, size: int) -> None:
        begin_ns = max(self._free_ns, sent_ns)
        self._free_ns = begin_ns + int(size * 8e9 / self.capacity_bps)
        self.queue_ms.append((self._free_ns - sent_ns) / MS)
        arrival_ns = self._free_ns + DELAY_NS + self._chance.randint(0, self._jitter_ns)
        self._last_ns = max(self._last_ns, arrival_ns - arrival_ns % MS + MS)
        send_time = self._clock_start + (sent_ns << 18) // 1_000_000_000
        self._flying.append((self._last_ns, send_time & 0xFFFFFF, size))

    def _poll(self, now_ns: int) -> None:
        while (due_ns := self._estimator.deadline_ns) is not None and due_ns <= now_ns:
            bps = self._estimator.due(due_ns)
            assert bps is not None
            self.estimates.append((due_ns, bps))


# Paths


@pytest.mark.parametrize("capacity_bps", [500_000, 2_000_000, 8_000_000])
@pytest.mark.parametrize("jitter_ns", [0, 10 * MS])
def test_a_bottleneck_is_used_and_its_queue_stays_short(capacity_bps: float, jitter_ns: int) -> None:
    path = Path(capacity_bps, jitter_ns=jitter_ns)
    path.run(10)
    before, path.queue_ms = path.arrived_bytes, []
    path.run(20)
    assert 0.6 <= (path.arrived_bytes - before) * 8 / 20 / capacity_bps <= 1
    assert sorted(path.queue_ms)[len(path.queue_ms) * 95 // 100] < 100
    assert max(path.queue_ms) < 500


def test_the_estimate_on_a_free_path_soon_allows_all_that_the_sender_has() -> None:
    path = Path(1e9, most_bps=10e6)
    path.run(4)
    assert path.allowed_bps == 10e6  # from 300 kbit/s
    bitrates = [bps for _, bps in path.estimates]
    assert bitrates == sorted(bitrates)


@pytest.mark.parametrize("jitter_ns", [10 * MS, 30 * MS])
def test_jitter_alone_does_not_keep_the_estimate_down(jitter_ns: int) -> None:
    path = Path(1e9, jitter_ns=jitter_ns, most_bps=5e6)
    path.run(30)
    before = path.arrived_bytes
    path.run(10)
    assert (path.arrived_bytes - before) * 8 / 10 > 0.8 * 5e6


def test_the_estimate_follows_a_narrowing_path_and_its_queue_drains() -> None:
    path = Path(4e6)
    path.run(10)
    path.capacity_bps = 1e6
    path.run(4)
    path.queue_ms = []
    path.run(10)
    assert max(path.queue_ms) < 200
    path.capacity_bps = 4e6
    path.run(30)
    assert path.allowed_bps > 2e6


def test_a_screen_at_rest_does_not_lower_the_estimate() -> None:
    path = Path(1e9, most_bps=5e6)
    path.run(5)
    before = path.estimates[-1][1]
    path.wait(200)  # send times wrap at 64 s
    count = len(path.estimates)
    assert path.estimates[-1][0] < 6_000 * MS
    path.most_bps = 50_000
    path.run(20)
    path.most_bps = 5e6
    path.run(1)
    assert min(bps for _, bps in path.estimates[count:]) >= before


def test_the_offset_of_the_senders_clock_does_not_matter() -> None:
    paths = [Path(3e6, clock_start=start) for start in (0, 0xFFFFFF - (7 << 18), 123_456_789)]
    for path in paths:
        path.run(15)
    one, *others = [[bps for _, bps in path.estimates] for path in paths]
    for other in others:
        assert other == pytest.approx(one, rel=0.001)


def test_a_sender_that_bursts_its_frames_is_estimated_too() -> None:
    estimator, now_ns = BandwidthEstimator(RoundTripTime()), 0
    for number in range(300):  # a frame of 50 kbit each 33 ms, over 10 Mbit/s
        for place in range(5):
            now_ns = number * 33 * MS + place * MS
            estimator.add([((number * 33 << 18) // 1000 & 0xFFFFFF, 1250)], now_ns)
        if estimator.deadline_ns is not None and estimator.deadline_ns <= now_ns:
            assert (estimator.due(now_ns) or 0) >= START_BPS
    bitrate_bps = 5 * 1250 * 8 / 0.033
    assert bitrate_bps < (estimator.due(now_ns + 1000 * MS) or 0) < 2 * bitrate_bps


# When it is sent


def test_an_estimate_is_sent_at_intervals_and_a_lower_one_at_once() -> None:
    path = Path(2e6)
    path.run(20)
    falls = 0
    for (before_ns, before), (at_ns, bps) in zip(path.estimates, path.estimates[1:], strict=False):
        falls += bps < before
        assert bps < before or at_ns - before_ns >= BandwidthEstimator.INTERVAL_NS
        assert at_ns - before_ns < 2 * BandwidthEstimator.INTERVAL_NS
    assert falls


def test_nothing_is_due_before_the_first_packet() -> None:
    estimator = BandwidthEstimator(RoundTripTime())
    assert (estimator.deadline_ns, estimator.due(1 << 60)) == (None, None)
    assert estimator.add([(5, 100)], 7 * MS)
    assert estimator.deadline_ns == 7 * MS + estimator.INTERVAL_NS
    assert estimator.due(estimator.deadline_ns - 1) is None
    assert estimator.due(estimator.deadline_ns) == START_BPS


# Anything else


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFFFF) | st.integers(0, 2000),  # a send time, or how much later than the last one
            st.integers(0, 65_535),
            st.integers(0, 30 * MS) | st.sampled_from([0, 2_001 * MS, 70_000 * MS]),
        ),
        max_size=300,
    ),
    st.booleans(),
)
@examples(200)
def test_the_estimate_stays_within_its_bounds_for_any_send_times(
    packets: list[tuple[int, int, int]], relative: bool
) -> None:
    """The law: for any send times, sizes and pauses the estimate is within its bounds, and polling at the deadline
    moves it away."""
    estimator, now_ns, send_time = BandwidthEstimator(RoundTripTime()), 0, 0
    for value, size, wait_ns in packets:
        now_ns += wait_ns
        send_time = send_time + value & 0xFFFFFF if relative else value
        before_ns = estimator.deadline_ns
        assert estimator.add([(send_time, size)], now_ns) == (estimator.deadline_ns != before_ns)
        assert estimator.deadline_ns is not None
        if estimator.deadline_ns <= now_ns:
            assert MIN_BPS <= (estimator.due(now_ns) or 0) <= MAX_BPS
            assert estimator.due(1 << 70) is None


def test_the_memory_of_the_estimate_does_not_grow() -> None:
    estimator, sizes = BandwidthEstimator(RoundTripTime()), []
    chance = random.Random(1)
    for number in range(60_000):
        estimator.add([(chance.randrange(number, number + 100) & 0xFFFFFF, 1200)], number * 100_000)
        if number % 20_000 == 19_999:
            sizes.append(len(pickle.dumps(estimator)))
    assert max(sizes) < 4_000
