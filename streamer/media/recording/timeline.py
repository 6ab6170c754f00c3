"""A recording's clock: the place of every access unit in the recording's time, video and audio on one clock.

The recording's time runs as ours does: by the monotonic clock that stamps arrivals. Within it every unit keeps the
phone's own steps, which its RTP timestamps tell. Each stream has an offset from the one to the other; a unit is *late*
by the time of its arrival less its place. So the law is about lateness:

1. The first frame lies at its arrival. If those of the next LEARN_NS were quicker on their way, the recording's zero is
   the moment at which the first would have come had it been as quick. Audio that was laid before follows it: at 1/SLEW
   of its own time, and at once if the two are further apart than ASIDE_NS.
2. Delay only ever adds: the least lateness of a window is what tells how the phone's clock runs against ours. If it
   leaves the tolerance, the offset follows by at most 1/SLEW of the phone's own time, which nobody sees or hears. A
   window spans WINDOW_NS by both clocks, so a path that is held back and then delivers everything at once (WINDOW_NS of
   the phone's time within a moment of ours) is no drift.
3. After a pause of PAUSE_NS or more, a single unit may correct what two ordinary oscillators drift apart meanwhile.
4. Nothing arrives before it was captured. A unit that lies more than TRUSTED_NS after its arrival is laid where it
   arrived: the phone's timestamps ran ahead.
5. A unit that is late by more than TRUSTED_NS was held back, and keeps its place: the lateness of those behind it
   wanes. If it does not wane for STEP_NS, the phone's timestamps fell behind (they stood still, or count frames), and
   the next unit is laid where it arrived.
6. A stream that begins again (another SSRC, timestamps that go back by TRUSTED_NS) is laid where it arrived. A frame
   that goes back by less, as one does that is shown before others that came first, keeps its step to them.
7. Once the phone's sender reports (RFC 3550 section 6.4.1) tell when audio and video were captured, audio is laid
   beside the video by that, and moved there by at most a hundredth of its own time. While no video comes, audio follows
   its arrival, as video does.

For a phone whose clock runs evenly, at most 1/SLEW wrong, a frame so lies within TOLERANCE_NS and what the clock gains
in two windows of where its arrival puts it, for ever. Precedents: the least delay of a window of two seconds, and a
limit of one second, are GStreamer's (rtpjitterbuffer, `calculate_skew`); to slew what is small, to pass over what is
large, and to step once it lasts, is NTP's (RFC 5905 section 11.3).
"""

from dataclasses import dataclass
from typing import Final

from streamer.media.access_unit import AccessUnit
from streamer.tracks import Kind

_MS: Final = 1_000_000
_S: Final = 1_000_000_000
LEARN_NS: Final = 3 * _S
WINDOW_NS: Final = 2 * _S
WINDOW_UNITS: Final = 4
TOLERANCE_NS: Final = 15 * _MS  # arrivals tell no better
SLEW: Final = 200  # the part of the phone's own time by which a stream is moved
PAUSE_NS: Final = 60 * _S
PAUSE_DRIFT: Final = 10_000  # the part of a pause that may be drift: 100 ppm
TRUSTED_NS: Final = _S
STEP_NS: Final = 5 * _S
STEP_UNITS: Final = 8
_WANES_NS: Final = 100 * _MS  # within STEP_NS, where a queue drains
MAX_PLAUSIBLE_SKEW_NS: Final = 5 * _S  # reports that put audio further from its arrival are not about one clock
BESIDE_NS: Final = 30 * _S  # reports about a video frame that is older say nothing of the audio that comes now
# Within it audio keeps its even steps: libwebrtc's reports on audio, which it captures by 10 ms, are no more exact.
REPORT_TOLERANCE_NS: Final = 10 * _MS
ASIDE_NS: Final = 20 * _MS  # nobody hears audio that is so early (ITU-R BT.1359-1: 45 ms)
_CONVERGED_NS: Final = _MS  # what is moved at all is moved until it is so near
_REPORT_SLEW: Final = 100


@dataclass(slots=True)
class _Window:
    """The least lateness of some units. Times are in ticks, but for the arrivals."""

    rtp_time: int
    arrival_ns: int
    units: int = 0
    least: int = 0

    def add(self, late: int) -> None:
        self.least = late if not self.units else min(self.least, late)
        self.units += 1


class _Stream:
    """One stream on the recording's clock. Times are in ticks of its own, but for those in nanoseconds."""

    def __init__(self, unit: AccessUnit, place: int) -> None:
        self.ssrc = unit.ssrc
        self.clock_rate = unit.codec.clock_rate
        self.rtp_time = unit.rtp_time  # the highest
        self.arrival_ns = unit.arrival_ns
        self.offset = place - unit.rtp_time
        self.usual = 0  # the lateness of its quickest units, where the sender reports explain it
        self.is_reported = False  # whether the sender reports have laid it
        self.is_moving = False  # towards where the reports put it
        self._owed = 0  # by how much it is still to be moved
        self._is_drifting = False  # whether it is moved until nothing is left to move
        self._window = _Window(unit.rtp_time, unit.arrival_ns)
        self._held: _Window | None = None  # since units are held back, and the lateness of its first one

    def ticks(self, ns: int) -> int:
        return ns * self.clock_rate // _S

    def ns(self, ticks: int) -> int:
        return ticks * _S // self.clock_rate

    def goes_on_with(self, unit: AccessUnit) -> bool:
        if unit.ssrc != self.ssrc or unit.codec.clock_rate != self.clock_rate:
            return False
        return unit.rtp_time - self.rtp_time > -self.ticks(TRUSTED_NS)

    def follow(self, unit: AccessUnit, arrived: int) -> None:
        """Move the stream by what its next unit, which arrived at a moment of the recording, tells of the clocks."""
        step = max(unit.rtp_time - self.rtp_time, 0)
        moved = _within(self._owed, step // SLEW)
        self._owed -= moved
        self.offset += moved
        late = arrived - unit.rtp_time - self.offset - self.usual
        trusted = self.ticks(TRUSTED_NS)
        if late < -trusted or self._has_fallen_behind(unit, late):
            self._move_at_once(unit, max(late, -step - moved))  # nothing lies before the unit before it
        elif step > self.ticks(PAUSE_NS) and abs(late) > self.ticks(TOLERANCE_NS):
            self._move_at_once(unit, _within(late, step // PAUSE_DRIFT))
        else:
            self._look_at(unit, late)

    def _has_fallen_behind(self, unit: AccessUnit, late: int) -> bool:
        """Whether units have been far too late for so long that their timestamps must be wrong."""
        if late <= self.ticks(TRUSTED_NS):
            self._held = None
            return False
        if self._held is None or late < self._held.least - self.ticks(_WANES_NS):
            self._held = _Window(unit.rtp_time, unit.arrival_ns, least=late)
        self._held.units += 1
        return self._held.units >= STEP_UNITS and unit.arrival_ns - self._held.arrival_ns >= STEP_NS

    def _move_at_once(self, unit: AccessUnit, ticks: int) -> None:
        self.offset += ticks
        self._owed, self._held = 0, None
        self._window = _Window(unit.rtp_time, unit.arrival_ns)

    def _look_at(self, unit: AccessUnit, late: int) -> None:
        """Add a unit to the window; at its end, settle by how much the stream is to be moved."""
        window = self._window
        window.add(late - self._owed)
        is_early = window.least < -self.ticks(TOLERANCE_NS)  # no path makes a unit so: there is nothing to wait for
        if not is_early and (
            window.units < WINDOW_UNITS
            or unit.arrival_ns - window.arrival_ns < WINDOW_NS
            or unit.rtp_time - window.rtp_time < self.ticks(WINDOW_NS)
        ):
            return
        self._window = _Window(unit.rtp_time, unit.arrival_ns)
        error = window.least + self._owed
        if self.is_reported:  # who moves it is `approach`
            self._owed = 0
            self.usual += _within(error, 2 * (unit.rtp_time - window.rtp_time) // _REPORT_SLEW)
            return
        tolerance = self.ticks(_CONVERGED_NS if self._is_drifting else TOLERANCE_NS)
        self._is_drifting = tolerance < abs(error) <= self.ticks(TRUSTED_NS)
        self._owed = error if self._is_drifting else 0

    def learn(self, quicker_ns: int) -> None:
        """Go with a zero that has become earlier, unless the sender reports have laid the stream."""
        ticks = self.ticks(quicker_ns)
        if self.is_reported:
            self.usual += ticks
            return
        self._owed += ticks
        if self._owed > self.ticks(ASIDE_NS):
            self.offset += self._owed
            self._owed = 0

    def approach(self, unit: AccessUnit, wanted_ns: int, *, at_once: bool) -> None:
        """Move the stream towards where the sender reports put its newest unit, if they are to be believed."""
        error_ns = wanted_ns - self.ns(unit.rtp_time + self.offset)
        self.is_reported = abs(error_ns) <= MAX_PLAUSIBLE_SKEW_NS
        self.is_moving = self.is_reported and abs(error_ns) > (_CONVERGED_NS if self.is_moving else REPORT_TOLERANCE_NS)
        if not self.is_moving:
            return
        error = self.ticks(error_ns)
        if at_once:
            self.usual -= error
        else:
            error = _within(error, max(unit.rtp_time - self.rtp_time, 0) // _REPORT_SLEW)
        self.offset += error


class Timeline:
    """Lay access units on a time that begins at `start_ns`, a moment of arrival."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._zero_ns = start_ns  # the moment of the recording's zero, for units that are quick on their way
        self._streams: dict[Kind, _Stream] = {}
        self._captured_ns: int | None = None  # the moment of capture that is the recording's zero, by the video

    def time_of(self, arrival_ns: int) -> int:
        """Return the recording's time, in nanoseconds, at a moment of arrival."""
        return arrival_ns - self._zero_ns

    def arrival_of(self, time_ns: int) -> int:
        """Return the moment of arrival of a time of the recording."""
        return time_ns + self._zero_ns

    def place(self, unit: AccessUnit) -> int:
        """Return when a unit is, in ticks of its codec's clock; negative before the start."""
        arrived = self.time_of(unit.arrival_ns) * unit.codec.clock_rate // _S
        stream = self._streams.get(unit.kind)
        is_new = stream is None or not stream.goes_on_with(unit)
        if stream is None or is_new:
            stream = self._streams[unit.kind] = _Stream(unit, arrived)
        else:
            if unit.kind == "video" and unit.arrival_ns - self._start_ns < LEARN_NS:
                arrived += stream.ticks(self._learn(stream.ns(arrived - unit.rtp_time - stream.offset)))
            stream.follow(unit, arrived)
        self._heed_reports(stream, unit, is_new=is_new)
        stream.rtp_time, stream.arrival_ns = max(stream.rtp_time, unit.rtp_time), unit.arrival_ns
        return unit.rtp_time + stream.offset

    def _learn(self, late_ns: int) -> int:
        """Take a frame that was quicker on its way than the first for the measure; return by how much."""
        quicker_ns = min(-late_ns, TRUSTED_NS - (self._start_ns - self._zero_ns))
        if quicker_ns < _CONVERGED_NS or -late_ns > TRUSTED_NS:
            return 0
        self._zero_ns -= quicker_ns
        if (audio := self._streams.get("audio")) is not None:
            audio.learn(quicker_ns)
        return quicker_ns

    def _heed_reports(self, stream: _Stream, unit: AccessUnit, *, is_new: bool) -> None:
        if unit.kind == "video":
            place_ns = stream.ns(unit.rtp_time + stream.offset)
            self._captured_ns = None if unit.captured_ns is None else unit.captured_ns - place_ns
            return
        video = self._streams.get("video")
        is_beside = video is not None and unit.arrival_ns - video.arrival_ns <= BESIDE_NS
        if unit.captured_ns is None or self._captured_ns is None or not is_beside:
            stream.is_reported = False
        else:
            stream.approach(unit, unit.captured_ns - self._captured_ns, at_once=is_new)


def _within(value: int, limit: int) -> int:
    return max(-limit, min(value, limit))
