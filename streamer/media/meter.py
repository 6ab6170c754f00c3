"""What is measured of the media on its way to the user: rates, freezes, and how long decoding takes."""

from collections.abc import Callable

from streamer.media.access_unit import AccessUnit
from streamer.stats import FreezeMeter, RateMeter


class StreamMeter:
    """A sink that measures what comes. `clock` gives monotonic ns, `video_gaps` how many gaps there were so far."""

    def __init__(self, clock: Callable[[], int], video_gaps: Callable[[], int]) -> None:
        self.bytes = RateMeter()
        self.frames = RateMeter()
        self.freezes = FreezeMeter()
        self._clock = clock
        self._video_gaps = video_gaps
        self._gaps_seen = 0
        self._first_ns: int | None = None

    def put(self, unit: AccessUnit) -> None:
        """Take note of an access unit."""
        if self._first_ns is None:
            self._first_ns = unit.arrival_ns
        self.bytes.add(unit.arrival_ns, len(unit.data))
        if unit.kind == "video":
            self.frames.add(unit.arrival_ns)
            # By the clock: a frame that was held back for what was missing before it came long ago.
            gaps = self._video_gaps()
            self.freezes.add(self._clock(), has_gap=unit.discontinuity or gaps != self._gaps_seen)
            self._gaps_seen = gaps

    def duration_s(self) -> float:
        """Return how long ago the first packet came; 0 before."""
        return 0.0 if self._first_ns is None else (self._clock() - self._first_ns) / 1e9


class DecodingMeter:
    """How long frames took: to be decoded, from their last packet on, and from their capture on. In ns."""

    def __init__(self) -> None:
        self.decoding = RateMeter()
        self.delay = RateMeter()
        self.latency = RateMeter()

    def add(self, now_ns: int, wall_ns: int, unit: AccessUnit, decode_ns: int) -> None:
        """Take note of a frame that was decoded just now; `wall_ns` is Unix time."""
        self.decoding.add(now_ns, decode_ns)
        self.delay.add(now_ns, now_ns - unit.arrival_ns)
        if unit.captured_ns is not None:
            self.latency.add(now_ns, wall_ns - unit.captured_ns)
