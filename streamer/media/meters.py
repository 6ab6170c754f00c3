"""Meters of the media on its way to the user: rates, freezes, and how long decoding takes."""

from collections import deque
from collections.abc import Callable
from typing import Final

from streamer.media.access_unit import AccessUnit


class RateMeter:
    """Events and their weights over the last second or so. It remembers at most `_LIMIT` events."""

    _LIMIT: Final = 4096

    def __init__(self, window_ns: int = 1_000_000_000) -> None:
        self._window_ns = window_ns
        self._events: deque[tuple[int, int]] = deque(maxlen=self._LIMIT)

    def add(self, now_ns: int, weight: int = 1) -> None:
        """Count an event."""
        self._events.append((now_ns, weight))

    def per_second(self, now_ns: int) -> float:
        """Return the weight per second over the window that ends now."""
        self._forget(now_ns)
        return sum(weight for _, weight in self._events) * 1e9 / self._window_ns

    def mean(self, now_ns: int) -> float | None:
        """Return the mean weight of the events in the window that ends now; None if there are none."""
        self._forget(now_ns)
        return sum(weight for _, weight in self._events) / len(self._events) if self._events else None

    def _forget(self, now_ns: int) -> None:
        while self._events and self._events[0][0] < now_ns - self._window_ns:
            self._events.popleft()


class FreezeMeter:
    """Freezes as webrtc-stats defines `freezeCount` and `totalFreezesDuration`, but only where packets were missing.

    An interval between two frames is a freeze if it is at least max(3 * average, average + 150 ms), where the average
    is that of the last 30 intervals. A still screen sends nothing for minutes, and is not frozen. So an interval counts
    only if packets were missing in it, even if they came later, or if the stream restarted after it.
    """

    _AVERAGED: Final = 30
    _LEAST: Final = 5  # intervals, before one can be a freeze
    _PAUSE_NS: Final = 1_000_000_000  # the most that an interval adds to the average: the screen may be still

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self._latest_ns: int | None = None
        self._intervals: deque[int] = deque(maxlen=self._AVERAGED)

    def add(self, now_ns: int, *, has_gap: bool) -> None:
        """Count a frame that can be shown now. `has_gap` says whether packets were missing since the last one."""
        if self._latest_ns is not None:
            interval_ns = now_ns - self._latest_ns
            if has_gap and len(self._intervals) >= self._LEAST and interval_ns >= self._limit_ns():
                self.count += 1
                self.total_ns += interval_ns
            self._intervals.append(min(interval_ns, self._PAUSE_NS))
        self._latest_ns = now_ns

    def _limit_ns(self) -> float:
        average_ns = sum(self._intervals) / len(self._intervals)
        return max(3 * average_ns, average_ns + 150_000_000)


class StreamMeter:
    """A sink that measures the stream. `clock` returns monotonic ns, `video_gaps` the number of gaps so far."""

    def __init__(self, clock: Callable[[], int], video_gaps: Callable[[], int]) -> None:
        self.bytes = RateMeter()
        self.frames = RateMeter()
        self.freezes = FreezeMeter()
        self._clock = clock
        self._video_gaps = video_gaps
        self._gaps_seen = 0
        self._first_ns: int | None = None

    def put(self, unit: AccessUnit) -> None:
        """Measure an access unit."""
        if self._first_ns is None:
            self._first_ns = unit.arrival_ns
        self.bytes.add(unit.arrival_ns, len(unit.data))
        if unit.kind == "video":
            self.frames.add(unit.arrival_ns)
            # By the clock: a frame that waited for missing packets arrived long before it can be shown.
            gaps = self._video_gaps()
            self.freezes.add(self._clock(), has_gap=unit.discontinuity or gaps != self._gaps_seen)
            self._gaps_seen = gaps

    def duration_s(self) -> float:
        """Return how long ago the first packet came; 0 before."""
        return 0.0 if self._first_ns is None else (self._clock() - self._first_ns) / 1e9


class DecodingMeter:
    """How long frames took, in ns: to decode, since their last packet, and since their capture."""

    def __init__(self) -> None:
        self.decoding = RateMeter()
        self.delay = RateMeter()
        self.latency = RateMeter()

    def add(self, now_ns: int, wall_ns: int, unit: AccessUnit, decode_ns: int) -> None:
        """Measure a frame that was decoded just now; `wall_ns` is Unix time."""
        self.decoding.add(now_ns, decode_ns)
        self.delay.add(now_ns, now_ns - unit.arrival_ns)
        if unit.captured_ns is not None:
            self.latency.add(now_ns, wall_ns - unit.captured_ns)
