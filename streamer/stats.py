"""Plain counters of a session, and the frozen snapshots that users get. Each counter has one writer."""

from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot of a session's counters, all since the session began; rates are over the last second or so."""

    state: str  # "connecting", "streaming" or "closed"
    duration_s: float  # since the first packet
    packets_received: int
    packets_lost: int  # given up: neither they nor a retransmission came in time
    packets_recovered: int  # by retransmission
    packets_malformed: int
    bytes_received: int
    bitrate_bps: float
    keyframe_requests: int  # PLI or FIR sent
    retransmission_requests: int  # sequence numbers asked for by NACK
    pictures_received: int  # complete access units of video
    pictures_dropped: int  # incomplete, or not decodable without what was lost
    picture_rate_hz: float
    frames_decoded: int
    decode_errors: int
    frames_skipped: int  # decoded, but a newer frame came before the consumer took them
    audio_packets: int
    jitter_s: float  # of video (RFC 3550 section 6.4.1)
    round_trip_s: float | None  # None until it could be measured
    width: int | None  # of the last decoded picture
    height: int | None


class RateMeter:
    """Events per second, and their weight, over the last second or so. At most `_LIMIT` events are remembered."""

    _LIMIT: Final = 4096

    def __init__(self, window_ns: int = 1_000_000_000) -> None:
        self._window_ns = window_ns
        self._events: deque[tuple[int, int]] = deque(maxlen=self._LIMIT)

    def add(self, now_ns: int, weight: int = 1) -> None:
        """Count an event."""
        self._events.append((now_ns, weight))

    def per_second(self, now_ns: int) -> float:
        """Return the weight per second over the window that ends now."""
        while self._events and self._events[0][0] < now_ns - self._window_ns:
            self._events.popleft()
        return sum(weight for _, weight in self._events) * 1e9 / self._window_ns
