"""Plain counters of a session, and the frozen snapshots that users get. Each counter has one writer."""

from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot of a session, in the order of a frame's way: what came, what was asked for, what was decoded.

    Counts and totals are since the session began, retransmissions included; rates and means are over the last second.
    What was dropped is in seven counters, one for each reason: `frames_lost`, `frames_malformed`,
    `frames_awaiting_keyframe`, `decode_errors`, `frames_too_large`, `frames_corrupt` and `decoder_overflows`;
    `frames_skipped` were decoded.
    """

    state: str  # "connecting", "streaming", "interrupted" or "closed"
    duration_s: float  # since the first packet
    interruptions: int  # how often nothing came, whatever the reason, until the stream was resumed
    interrupted_s: float  # how long they lasted, all together
    interruption_reasons: tuple[str, ...]  # why, for the last 100 of them, the newest last

    packets_received: int  # RTP packets, retransmissions included
    packets_lost: int  # given up: neither they nor a retransmission came in time
    retransmitted_packets_received: int  # packets that a retransmission replaced
    packets_malformed: int  # they could not be parsed
    packets_unknown: int  # of payload types that were not negotiated
    packets_refused: int  # not among those received: they fail authentication, and may be a stranger's
    packets_duplicated: int  # not among those received: they came before, or later than SRTP can tell
    bytes_received: int  # RTP headers included
    bitrate_bps: float  # of video and audio, without headers
    jitter_s: float  # of video (RFC 3550 section 6.4.1)
    round_trip_time_s: float | None  # smoothed; None until it could be measured, some 5 s after the start

    nack_count: int  # requests for retransmission (RTCP NACK) sent
    retransmission_requests: int  # sequence numbers in them
    pli_count: int  # requests for a keyframe (RTCP PLI) sent
    fir_count: int  # requests for a keyframe (RTCP FIR) sent

    frames_received: int  # complete access units of video that can be decoded
    frames_lost: int  # incomplete; those of which no packet came are not known of
    frames_malformed: int  # access units that made no sense
    frames_awaiting_keyframe: int  # complete, but what they build upon was lost
    frames_per_second: float  # received, over the last second
    freeze_count: int  # intervals without a new frame while some were missing (see FreezeMeter)
    total_freezes_duration_s: float  # the sum of them
    audio_packets_received: int  # RTP packets of audio

    audio_packets_decoded: int  # packets; nothing is decoded while nobody listens
    audio_errors: int  # packets that the decoder refused
    audio_overflows: int  # packets dropped because the decoder had fallen behind
    concealed_audio_s: float  # made up for packets that did not come, or were refused or dropped

    frames_decoded: int  # nothing is decoded while nobody iterates
    decode_errors: int  # frames that the decoder refused
    frames_too_large: int  # frames of more than 4096 x 4096 pixels: the decoder may not take the memory
    frames_corrupt: int  # the decoder had to make up parts of these: they are not handed out
    decoder_overflows: int  # frames thrown away because the decoder had fallen behind
    frames_skipped: int  # decoded, but a newer frame came before the consumer took them
    total_decode_time_s: float  # spent decoding, in all
    mean_decode_s: float | None  # for one frame; this and the next two are None while none is decoded
    mean_delay_s: float | None  # from a frame's last packet to its frame
    mean_latency_s: float | None  # from its capture, by the phone's clock: means something if both clocks are in step
    frame_width: int | None  # of the last decoded frame
    frame_height: int | None  # likewise


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
    """Freezes as webrtc-stats defines `freezeCount` and `totalFreezesDuration`, but where something was missing only.

    An interval between two frames is a freeze if it is at least max(3 * average, average + 150 ms), where the average
    is that of the last 30 intervals. A screen at rest sends nothing for minutes, and is not frozen: an interval counts
    only if packets were found missing in it, whether they came in the end or not, or the stream began again after it.
    """

    _AVERAGED: Final = 30
    _LEAST: Final = 5  # intervals, before one can be too long
    _PAUSE_NS: Final = 1_000_000_000  # what an interval counts for in the average at the most: a screen may rest

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self._latest_ns: int | None = None
        self._intervals: deque[int] = deque(maxlen=self._AVERAGED)

    def add(self, now_ns: int, *, has_gap: bool) -> None:
        """Take a frame that can be shown now; `has_gap` says whether something was missing since the last one."""
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
