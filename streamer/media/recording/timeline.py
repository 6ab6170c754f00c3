"""A recording's clock: it gives each access unit its place in the recording's time, video and audio on one clock.

The recording's time runs at the speed of this machine's monotonic clock, which stamps arrivals. Within a stream, the
steps between units are the phone's own: those of its RTP timestamps. Each stream has one offset from its RTP timestamps
to the recording's time. The *lateness* of a unit is the time of its arrival minus its place. The rules:

1. The first frame is placed at its arrival. If a frame of the next LEARN_NS was quicker on its way, the recording's
   zero moves back to the moment at which the first frame would have arrived at that speed. Audio that was placed before
   follows: at 1/SLEW of its own time, or at once if it is more than ASIDE_NS away.
2. The network only ever adds delay. So the least lateness in a window tells how the phone's clock drifts against ours.
   If it exceeds TOLERANCE_NS, the offset follows at 1/SLEW of the phone's own time at most, which nobody sees or hears.
   A window spans WINDOW_NS by both clocks. A path that stalls and then delivers everything at once is therefore no
   drift: WINDOW_NS of the phone's time arrive within a moment of ours.
3. After a pause of PAUSE_NS or more, a single unit may correct the offset by what two ordinary oscillators drift apart
   in that time.
4. Nothing arrives before it was captured. If a unit's place is more than TRUSTED_NS after its arrival, the phone's
   timestamps ran ahead: the unit is placed at its arrival.
5. A unit that is late by more than TRUSTED_NS was held back on its way, and keeps its place: the lateness of the next
   units decreases. If it does not decrease for STEP_NS, the phone's timestamps fell behind (they stood still, or count
   frames), and the next unit is placed at its arrival.
6. A stream begins again with another SSRC, or when its timestamps go back by TRUSTED_NS or more. Its next unit is
   placed at its arrival. Timestamps that go back by less belong to a frame that is shown before frames that were sent
   earlier: it keeps its step to them.
7. The phone's sender reports (RFC 3550 section 6.4.1) tell when audio and video were captured. From then on they place
   the audio beside the video, and move it at a hundredth of its own time at most. While no video arrives, audio follows
   its own arrival, as video does.

If the phone's clock runs evenly and is wrong by at most 1/SLEW, a frame stays near the place that its arrival gives:
within TOLERANCE_NS plus what the clock gains in two windows. Precedents: GStreamer takes the least delay of a window of
two seconds and has a limit of one second (rtpjitterbuffer, `calculate_skew`); NTP slews small errors, ignores large
ones, and steps when they last (RFC 5905 section 11.3).
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
TOLERANCE_NS: Final = 15 * _MS  # arrivals are no more exact
SLEW: Final = 200  # a stream moves by at most 1/SLEW of the phone's own time
PAUSE_NS: Final = 60 * _S
PAUSE_DRIFT: Final = 10_000  # 1/PAUSE_DRIFT of a pause may be drift: 100 ppm
TRUSTED_NS: Final = _S
STEP_NS: Final = 5 * _S
STEP_UNITS: Final = 8
_WANES_NS: Final = 100 * _MS  # lateness that a draining queue loses within STEP_NS
MAX_PLAUSIBLE_SKEW_NS: Final = 5 * _S  # reports that place audio further from its arrival are wrong
BESIDE_NS: Final = 30 * _S  # a report about an older video frame says nothing about the audio of now
# Audio that is so near keeps its even steps: libwebrtc captures it in pieces of 10 ms, and reports no more exactly.
REPORT_TOLERANCE_NS: Final = 10 * _MS
ASIDE_NS: Final = 20 * _MS  # nobody notices audio that is so much too early (ITU-R BT.1359-1: 45 ms)
_CONVERGED_NS: Final = _MS  # a stream that moves stops when it is so near
_REPORT_SLEW: Final = 100


@dataclass(slots=True)
class _Window:
    """The least lateness of some units, in ticks. `rtp_time` and `arrival_ns` are those of the unit that began it."""

    rtp_time: int
    arrival_ns: int
    units: int = 0
    least: int = 0

    def add(self, late: int) -> None:
        self.least = late if not self.units else min(self.least, late)
        self.units += 1


class _Stream:
    """One stream on the recording's clock. Times are in ticks of its own clock, unless their names end in `_ns`."""

    def __init__(self, unit: AccessUnit, place: int) -> None:
        self.ssrc = unit.ssrc
        self.clock_rate = unit.codec.clock_rate
        self.rtp_time = unit.rtp_time  # the highest so far
        self.arrival_ns = unit.arrival_ns
        self.offset = place - unit.rtp_time
        self.usual = 0  # the lateness of its quickest units that the sender reports explain
        self.is_reported = False  # whether the sender reports place it
        self.is_moving = False  # towards the place that the reports give
        self._owed = 0  # how far it has still to move
        self._is_drifting = False  # whether it moves until it is within _CONVERGED_NS
        self._window = _Window(unit.rtp_time, unit.arrival_ns)
        self._held: _Window | None = None  # begins with the first unit of those that are held back on their way

    def ticks(self, ns: int) -> int:
        return ns * self.clock_rate // _S

    def ns(self, ticks: int) -> int:
        return ticks * _S // self.clock_rate

    def goes_on_with(self, unit: AccessUnit) -> bool:
        if unit.ssrc != self.ssrc or unit.codec.clock_rate != self.clock_rate:
            return False
        return unit.rtp_time - self.rtp_time > -self.ticks(TRUSTED_NS)

    def follow(self, unit: AccessUnit, arrived: int) -> None:
        """Move the stream by what its next unit, which arrived at `arrived`, tells about the clocks."""
        step = max(unit.rtp_time - self.rtp_time, 0)
        moved = _within(self._owed, step // SLEW)
        self._owed -= moved
        self.offset += moved
        late = arrived - unit.rtp_time - self.offset - self.usual
        trusted = self.ticks(TRUSTED_NS)
        if late < -trusted or self._has_fallen_behind(unit, late):
            self._move_at_once(unit, max(late, -step - moved))  # no unit is placed before the previous one
        elif step > self.ticks(PAUSE_NS) and abs(late) > self.ticks(TOLERANCE_NS):
            self._move_at_once(unit, _within(late, step // PAUSE_DRIFT))
        else:
            self._look_at(unit, late)

    def _has_fallen_behind(self, unit: AccessUnit, late: int) -> bool:
        """Whether units have been too late for so long that their timestamps must be wrong (rule 5)."""
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
        """Add a unit to the window. When the window ends, decide how far the stream moves (rule 2)."""
        window = self._window
        window.add(late - self._owed)
        is_early = window.least < -self.ticks(TOLERANCE_NS)  # no network makes a unit early: the window can end now
        if not is_early and (
            window.units < WINDOW_UNITS
            or unit.arrival_ns - window.arrival_ns < WINDOW_NS
            or unit.rtp_time - window.rtp_time < self.ticks(WINDOW_NS)
        ):
            return
        self._window = _Window(unit.rtp_time, unit.arrival_ns)
        error = window.least + self._owed
        if self.is_reported:  # `approach` moves it
            self._owed = 0
            self.usual += _within(error, 2 * (unit.rtp_time - window.rtp_time) // _REPORT_SLEW)
            return
        tolerance = self.ticks(_CONVERGED_NS if self._is_drifting else TOLERANCE_NS)
        self._is_drifting = tolerance < abs(error) <= self.ticks(TRUSTED_NS)
        self._owed = error if self._is_drifting else 0

    def learn(self, quicker_ns: int) -> None:
        """Follow the recording's zero, which moved back (rule 1), unless the sender reports place the stream."""
        ticks = self.ticks(quicker_ns)
        if self.is_reported:
            self.usual += ticks
            return
        self._owed += ticks
        if self._owed > self.ticks(ASIDE_NS):
            self.offset += self._owed
            self._owed = 0

    def approach(self, unit: AccessUnit, wanted_ns: int, *, at_once: bool) -> None:
        """Move the stream towards the place that the sender reports give its newest unit, if plausible (rule 7)."""
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
    """Places access units on the recording's time. The recording starts at `start_ns`, by the clock of arrivals."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._zero_ns = start_ns  # the arrival of a unit at the recording's zero that was as quick as the quickest
        self._streams: dict[Kind, _Stream] = {}
        self._captured_ns: int | None = None  # by the video's reports: the capture time of the recording's zero

    def time_of(self, arrival_ns: int) -> int:
        """Return the recording's time in nanoseconds for a time of arrival."""
        return arrival_ns - self._zero_ns

    def arrival_of(self, time_ns: int) -> int:
        """Return the time of arrival for a time of the recording."""
        return time_ns + self._zero_ns

    def place(self, unit: AccessUnit) -> int:
        """Return the unit's place in the recording, in ticks of its codec's clock; negative before the start."""
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
        """Move the recording's zero back if a frame was quicker than all before it. Return how far it moved."""
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
