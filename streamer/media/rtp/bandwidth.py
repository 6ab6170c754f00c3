"""Estimates the bandwidth of the path at the receiver, for senders without transport-wide feedback.

    send time and arrival of packets → groups of 5 ms → trend of the delay → is a queue growing? → rate control → REMB

It follows draft-ietf-rmcat-gcc-02: groups (section 5.2), adaptive threshold (5.4), rate control (5.5). It differs in
four points:

- The gradient of the delay is the slope of a line through the latest delays, not the state of a Kalman filter. A line
  needs no model of the sender's bursts.
- Until a queue is seen for the first time, the estimate follows the throughput as fast as it can. Chromium accepts an
  estimate above its own only in its first seconds.
- No step down is by more than half. A still screen sends too little to tell what the path carries.
- A long queue is drained: a screen should be seen without delay.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from operator import mul
from typing import Final

from streamer.media.rtp.feedback import RoundTripTime
from streamer.media.wraparound import extend

MIN_BPS: Final = 50_000
START_BPS: Final = 1_000_000  # at the beginning: a common start of screen encoders
MAX_BPS: Final = 100_000_000

_MS: Final = 1_000_000
_GROUP_NS: Final = 5 * _MS
_BURST_NS: Final = 100 * _MS
_PAUSE_NS: Final = 2_000 * _MS  # after such a pause, the measurement of delays restarts; send times wrap at 64 s


class _Groups:
    """Groups packets that were sent together, or that left a queue together (section 5.2)."""

    def __init__(self) -> None:
        # When the last packet of the previous group was sent, and when it came.
        self._previous: tuple[int, int] | None = None
        self._first: tuple[int, int] | None = None  # the same two times, of the group's first packet
        self._last = (0, 0)
        self._size = 0

    def add(self, packets: Iterable[tuple[int, int]], arrival_ns: int) -> Iterator[tuple[int, int, int]]:
        """Take packets that came together, each as its send time and size.

        Yield for each completed group: how much later than the previous one it was sent, how much later it came, and
        its size in bytes.
        """
        for sent_ns, size in packets:
            if self._first is None:
                self._begin(sent_ns, arrival_ns, size)
                continue
            since_first_ns = sent_ns - self._first[0]
            if since_first_ns < 0:
                continue  # it was overtaken
            if since_first_ns <= _GROUP_NS or self._is_burst(sent_ns, arrival_ns):
                self._last = (max(sent_ns, self._last[0]), arrival_ns)
                self._size += size
                continue
            before, self._previous, whole_size = self._previous, self._last, self._size
            self._begin(sent_ns, arrival_ns, size)
            if before is not None:
                yield self._previous[0] - before[0], self._previous[1] - before[1], whole_size

    def _is_burst(self, sent_ns: int, arrival_ns: int) -> bool:
        """Whether a packet came right after the last one although it was sent later: both had waited in a queue."""
        waited_ns = arrival_ns - self._last[1]
        return (
            self._first is not None
            and waited_ns <= _GROUP_NS
            and waited_ns < sent_ns - self._last[0]
            and arrival_ns - self._first[1] < _BURST_NS
        )

    def _begin(self, sent_ns: int, arrival_ns: int, size: int) -> None:
        self._first = self._last = (sent_ns, arrival_ns)
        self._size = size


class Usage(Enum):
    """What the delay tells about the path's queue."""

    NORMAL = "it neither grows nor shrinks"
    UNDER = "it shrinks"
    OVER = "it grows"


class _DelayTrend:
    """Whether the delay grows: compares the slope of a line through the latest delays with an adaptive threshold.

    Times are in milliseconds. The constants are those of WebRTC's senders for transport-wide feedback.
    """

    _WINDOW: Final = 20  # groups
    _SMOOTHING: Final = 0.9
    _GAIN: Final = 4.0
    _MAX_COUNT: Final = 60
    _K_UP, _K_DOWN = 0.0087, 0.039  # section 5.4
    _OUTLIER_MS: Final = 15.0
    _DRIFT: Final = 0.001  # how much faster than ours the sender's clock may seem to run

    def __init__(self) -> None:
        self.usage = Usage.NORMAL
        self._threshold_ms = 12.5
        self.reset()

    def reset(self) -> None:
        """Forget the delays, but not the threshold, which reflects the path's noise."""
        self.usage = Usage.NORMAL
        self._times: deque[float] = deque(maxlen=self._WINDOW)
        self._delays: deque[float] = deque(maxlen=self._WINDOW)  # smoothed, at these times
        self._sizes: deque[int] = deque(maxlen=self._WINDOW)
        self._count = 0
        self._now_ms = self._delay_ms = self._smoothed_ms = self._least_ms = 0.0
        self._slope = 0.0
        self._over_ms = 0.0
        self._over_count = 0

    @property
    def queue_ms(self) -> float:
        """How long packets wait in the queue: the delay beyond the least one."""
        return self._smoothed_ms - self._least_ms

    @property
    def throughput_bps(self) -> float | None:
        """The throughput while the latest delays were measured. While a queue grows, it is the path's capacity."""
        span_ms = self._times[-1] - self._times[0] if self._times else 0.0
        return (sum(self._sizes) - self._sizes[0]) * 8000 / span_ms if span_ms > 0 else None

    def add(self, sent_ms: float, came_ms: float, size: int) -> None:
        """Add a group, by how much later than the previous one it was sent and came."""
        self._count = min(self._count + 1, self._MAX_COUNT)
        self._now_ms += came_ms
        self._delay_ms += came_ms - sent_ms
        self._smoothed_ms += (1 - self._SMOOTHING) * (self._delay_ms - self._smoothed_ms)
        self._least_ms = min(self._least_ms + self._DRIFT * came_ms, self._smoothed_ms)
        self._times.append(self._now_ms)
        self._delays.append(self._smoothed_ms)
        self._sizes.append(size)
        is_full = len(self._times) == self._WINDOW
        slope, self._slope = self._slope, _slope(self._times, self._delays) if is_full else 0.0
        trend_ms = self._slope * self._count * self._GAIN
        self._judge(trend_ms, sent_ms, is_rising=self._slope >= slope)
        self._adapt(abs(trend_ms), came_ms)

    def _judge(self, trend_ms: float, sent_ms: float, *, is_rising: bool) -> None:
        if abs(trend_ms) <= self._threshold_ms or trend_ms < 0:
            self._over_ms, self._over_count = 0.0, 0
            self.usage = Usage.UNDER if trend_ms < -self._threshold_ms else Usage.NORMAL
            return
        self._over_ms += sent_ms if self._over_count else sent_ms / 2
        self._over_count += 1
        if self._over_ms > 10 and self._over_count > 1 and is_rising:
            self._over_ms, self._over_count = 0.0, 0
            self.usage = Usage.OVER

    def _adapt(self, trend_ms: float, came_ms: float) -> None:
        if trend_ms > self._threshold_ms + self._OUTLIER_MS:
            return
        k = self._K_DOWN if trend_ms < self._threshold_ms else self._K_UP
        self._threshold_ms += k * (trend_ms - self._threshold_ms) * min(came_ms, 100.0)
        self._threshold_ms = min(max(self._threshold_ms, 6.0), 600.0)


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the least-squares line through the points."""
    mean_x = sum(xs) / len(xs)
    from_mean = [x - mean_x for x in xs]
    squares = sum(map(mul, from_mean, from_mean))
    return sum(map(mul, from_mean, ys)) / squares if squares else 0.0


class _Throughput:
    """The throughput of the last half second, in sums over 10 ms."""

    _WINDOW_NS: Final = 500 * _MS
    _STEP_NS: Final = 10 * _MS
    _LEAST_NS: Final = 150 * _MS  # of arrivals, before there is a rate

    def __init__(self) -> None:
        self._sums: deque[list[int]] = deque()  # [step, bytes], at most one for each step of the window
        self._total = 0
        self._since_ns: int | None = None

    def add(self, size: int, now_ns: int) -> None:
        if self._since_ns is None:
            self._since_ns = now_ns
        step = now_ns // self._STEP_NS
        if self._sums and self._sums[-1][0] >= step:
            self._sums[-1][1] += size
        else:
            self._sums.append([step, size])
            self._forget(now_ns)
        self._total += size

    def bps(self, now_ns: int) -> float | None:
        """Return bits per second; None before enough has arrived."""
        if self._since_ns is None or now_ns - self._since_ns < self._LEAST_NS:
            return None
        self._forget(now_ns)
        return self._total * 8e9 / min(now_ns - self._since_ns, self._WINDOW_NS)

    def _forget(self, now_ns: int) -> None:
        oldest = (now_ns - self._WINDOW_NS) // self._STEP_NS
        while self._sums and self._sums[0][0] <= oldest:
            self._total -= self._sums.popleft()[1]


class _RateControl:
    """The estimate: rises while no queue grows, falls when one does (section 5.5), stays while a long one drains."""

    _DECREASE: Final = 0.85  # of the throughput while the path was full
    _DRAIN: Final = 0.5  # the same, to drain a long queue
    _LONG_QUEUE_MS: Final = 200.0  # more than a keyframe causes
    _DRAIN_NS: Final = 5_000 * _MS  # at most
    _INCREASE_PER_S: Final = 1.08
    _NEAR: Final = 1.1
    _PACKET_BITS: Final = 1200 * 8

    def __init__(self, round_trip: RoundTripTime) -> None:
        self.bps = float(START_BPS)
        self._round_trip = round_trip
        self._is_starting = True  # until a queue grows for the first time
        self._full_bps: float | None = None  # the recent throughput of the full path
        self._changed_ns = 0
        self._decreased_ns = 0

    def increase(self, throughput_bps: float, queue_ms: float, now_ns: int) -> None:
        """Rise by what is due since the last change, but never far above the throughput."""
        elapsed_s = min(max(now_ns - self._changed_ns, 0) / 1e9, 1.0)
        self._changed_ns = now_ns
        if self._full_bps is not None and throughput_bps > self._NEAR * self._full_bps:
            self._full_bps = None  # the path carries more than it did
        if self._is_starting:
            wanted = 1.5 * throughput_bps
        elif queue_ms > self._LONG_QUEUE_MS and now_ns - self._decreased_ns < self._DRAIN_NS:
            return
        elif self._full_bps is not None:
            response_s = (self._round_trip.smoothed_ns + 100 * _MS) / 1e9
            wanted = self.bps + elapsed_s * max(self._PACKET_BITS / response_s, 4000)
            wanted = max(wanted, self._DECREASE * self._full_bps)
        else:
            wanted = self.bps * self._INCREASE_PER_S**elapsed_s
        self.bps = min(max(self.bps, min(wanted, 1.5 * throughput_bps + 10_000)), MAX_BPS)

    def decrease(self, throughput_bps: float | None, queue_ms: float, now_ns: int) -> None:
        """Fall, at most once per round trip."""
        wait_ns = min(max(self._round_trip.smoothed_ns, 10 * _MS), 200 * _MS)
        if not self._is_starting and now_ns - self._decreased_ns < wait_ns:
            return
        self._is_starting = False
        self._changed_ns = self._decreased_ns = now_ns
        wanted = self.bps / 2
        if throughput_bps is not None:
            share = self._DECREASE if queue_ms < self._LONG_QUEUE_MS else self._DRAIN
            wanted = max(wanted, share * throughput_bps)
            self._full_bps = self._smoothed_full(throughput_bps)
        self.bps = max(min(self.bps, wanted), MIN_BPS)

    def _smoothed_full(self, throughput_bps: float) -> float:
        if self._full_bps is None or throughput_bps * self._NEAR < self._full_bps:
            return throughput_bps
        return 0.95 * self._full_bps + 0.05 * throughput_bps


class BandwidthEstimator:
    """Estimates the bandwidth, and decides when to report it: `add` each packet, and call `due` at the deadline."""

    INTERVAL_NS: Final = 200 * _MS

    def __init__(self, round_trip: RoundTripTime) -> None:
        self.deadline_ns: int | None = None  # None while nothing arrives
        self._groups = _Groups()
        self._trend = _DelayTrend()
        self._throughput = _Throughput()
        self._control = _RateControl(round_trip)
        self._sent = -1  # the latest send time, extended
        self._latest_ns = 0  # the latest arrival
        self._told_bps = 0.0
        self._next_ns = 0  # when to report next, unless the estimate falls before

    def add(self, packets: list[tuple[int, int]], arrival_ns: int) -> bool:
        """Take packets that came together, each as its 24-bit send time (in 2**-18 s) and size.

        Return whether `deadline_ns` changed.
        """
        if self._sent < 0 or arrival_ns - self._latest_ns > _PAUSE_NS:
            self._begin(packets[0][0])
            self._next_ns = arrival_ns + self.INTERVAL_NS
        self._latest_ns = arrival_ns
        self._throughput.add(sum(size for _, size in packets), arrival_ns)
        for group in self._groups.add(self._extended(packets), arrival_ns):
            self._judge(*group, arrival_ns)
        deadline_ns = arrival_ns if self._control.bps < 0.97 * self._told_bps else self._next_ns
        if self.deadline_ns is not None and self.deadline_ns <= deadline_ns:
            return False
        self.deadline_ns = deadline_ns
        return True

    def _extended(self, packets: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield each packet's send time, in ns and without the wrap, and its size."""
        for send_time, size in packets:
            sent = extend(self._sent, send_time, 24)
            self._sent = max(self._sent, sent)
            yield sent * 1_000_000_000 >> 18, size

    def due(self, now_ns: int) -> int | None:
        """Return the estimate in bits per second if it is time to report it."""
        if self.deadline_ns is None or now_ns < self.deadline_ns:
            return None
        self.deadline_ns, self._next_ns = None, now_ns + self.INTERVAL_NS
        throughput_bps = self._throughput.bps(now_ns)
        if throughput_bps is not None and self._trend.usage is Usage.NORMAL:
            self._control.increase(throughput_bps, self._trend.queue_ms, now_ns)
        self._told_bps = self._control.bps
        return int(self._told_bps)

    def _begin(self, send_time: int) -> None:
        self._sent = send_time + (1 << 24)
        self._groups = _Groups()
        self._trend.reset()

    def _judge(self, sent_ns: int, came_ns: int, size: int, now_ns: int) -> None:
        if abs(came_ns - sent_ns) > _PAUSE_NS:
            self._begin(self._sent & 0xFFFFFF)  # one of the clocks was set
            return
        self._trend.add(sent_ns / _MS, came_ns / _MS, size)
        if self._trend.usage is Usage.OVER:
            self._control.decrease(self._trend.throughput_bps, self._trend.queue_ms, now_ns)
