"""A recording's time: every access unit's place on it, picture and sound on one clock.

1. A picture is where its RTP timestamp says, from the moment on which the first of its stream came. So the steps
   between pictures are the phone's own, whatever the network did to them.
2. Sound likewise, from the moment on which the first picture would have come, had it been as quick as the quickest so
   far: a packet of it may have been sent again. And once the phone's sender reports (RFC 3550 section 6.4.1) tell when
   both were captured, sound is laid beside the picture by that. If it lay elsewhere until then, it is moved there by at
   most a hundredth of its own time: nobody hears it, and no step is negative.
3. A stream that begins anew (another SSRC, a timestamp that jumps) is laid where it arrived.
"""

from dataclasses import dataclass
from typing import Final

from streamer.media.units import AccessUnit
from streamer.tracks import Kind

_MS: Final = 1_000_000
_S: Final = 1_000_000_000
JUMP_NS: Final = 5 * _S  # an RTP timestamp that leaves the time of arrival by so much from one unit to the next
BELIEVED_NS: Final = 5 * _S  # sender reports that put sound further away from where it arrived are not about one clock
# Within it sound keeps its even steps: libwebrtc's reports on sound, which it captures by 10 ms, are no more exact.
TOLERANCE_NS: Final = 10 * _MS
_THERE_NS: Final = _MS  # sound that is moved at all is moved until it is so near
_SLOWEST: Final = 100  # the part of its own time by which sound is moved


@dataclass(slots=True)
class _Stream:
    ssrc: int
    clock_rate: int
    rtp_time: int
    arrival_ns: int
    offset: int  # ticks from the RTP timestamp to the recording's time
    is_moving: bool = False

    def goes_on_with(self, unit: AccessUnit) -> bool:
        if unit.ssrc != self.ssrc or unit.codec.clock_rate != self.clock_rate:
            return False
        step_ns = (unit.rtp_time - self.rtp_time) * _S // self.clock_rate
        return abs(step_ns - (unit.arrival_ns - self.arrival_ns)) < JUMP_NS


class Timeline:
    """Lay access units on a time that begins at `start_ns`, a moment of arrival."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._streams: dict[Kind, _Stream] = {}
        self._late_ns = 0  # how much longer the picture at the recording's zero was under way than the quickest
        self._captured_ns: int | None = None  # the moment of capture that is the recording's zero, by the pictures

    def place(self, unit: AccessUnit) -> int:
        """Return when a unit is, in ticks of its codec's clock; negative before the start."""
        stream = self._streams.get(unit.kind)
        is_new = stream is None or not stream.goes_on_with(unit)
        if stream is None or is_new:
            since_ns = unit.arrival_ns - self._start_ns + (self._late_ns if unit.kind == "audio" else 0)
            arrived = since_ns * unit.codec.clock_rate // _S
            stream = _Stream(unit.ssrc, unit.codec.clock_rate, unit.rtp_time, unit.arrival_ns, arrived - unit.rtp_time)
            self._streams[unit.kind] = stream
        if unit.kind == "video":
            due_ns = self._start_ns + (unit.rtp_time + stream.offset) * _S // stream.clock_rate
            self._late_ns = max(0 if is_new else self._late_ns, due_ns - unit.arrival_ns)
        if unit.captured_ns is not None:
            if unit.kind == "video":
                self._captured_ns = unit.captured_ns - (unit.rtp_time + stream.offset) * _S // stream.clock_rate
            elif self._captured_ns is not None:
                self._approach(stream, unit, unit.captured_ns - self._captured_ns, at_once=is_new)
        elif unit.kind == "video":
            self._captured_ns = None
        stream.rtp_time, stream.arrival_ns = unit.rtp_time, unit.arrival_ns
        return unit.rtp_time + stream.offset

    def _approach(self, stream: _Stream, unit: AccessUnit, wanted_ns: int, *, at_once: bool) -> None:
        """Move a stream towards where the sender reports put this unit."""
        error_ns = wanted_ns - (unit.rtp_time + stream.offset) * _S // stream.clock_rate
        stream.is_moving = (_THERE_NS if stream.is_moving else TOLERANCE_NS) < abs(error_ns) <= BELIEVED_NS
        if not stream.is_moving:
            return
        if not at_once:
            most_ns = max(unit.rtp_time - stream.rtp_time, 0) * _S // stream.clock_rate // _SLOWEST
            error_ns = max(-most_ns, min(error_ns, most_ns))
        stream.offset += error_ns * stream.clock_rate // _S
