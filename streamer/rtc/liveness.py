"""Decides whether a path is alive. Any packet is a sign of life; missing frames prove nothing.

    datagrams ── silence ── probes ──────── "interrupted" ────────────────── "dead"
    0 s                     from 1 s on     2.5 s (as libwebrtc, M152)       10 s

A still screen may send no frames for minutes, and without audio the phone sends little else. So after a second of
silence, and every second from then on, the phone is asked for consent (RFC 7675). Any authenticated packet and any
answer is a sign of life. aioice's own checks, one in 5 s and six in a row, need half a minute to notice.

    refused packets ────────── "dead"
    0 s                        2 s

A path on which SRTP refuses all the phone's packets is dead sooner, even if other packets arrive: it will bring no
frame. `refusals` decides that; a stranger's packets do not count.

Left out: a phone that answers checks while its media goes elsewhere. Only its sender reports could show that. They come
every 2.5 to 7.5 s (RFC 3550 section 6.2, for the minimum interval of 5 s), may be lost, and may stop for a paused
track. Judged by them within DEAD_AFTER_NS, a good path would sometimes be dead.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

PathState: TypeAlias = Literal["alive", "interrupted", "dead"]

_MS: Final = 1_000_000
PROBE_AFTER_NS: Final = 1_000 * _MS
PROBE_EVERY_NS: Final = 1_000 * _MS
INTERRUPTED_AFTER_NS: Final = 2_500 * _MS
DEAD_AFTER_NS: Final = 10_000 * _MS
REFUSED_AFTER_NS: Final = 2_000 * _MS
_STALL_NS: Final = 500 * _MS


class Verdict(NamedTuple):
    """The result of `Liveness.poll`: the path's state, and whether to probe it now."""

    state: PathState
    probe: bool


class Liveness:
    """Watches a path that came up at `now_ns` (monotonic). Call `poll` no later than `deadline_ns`. "dead" is final."""

    def __init__(self, now_ns: int) -> None:
        self.deadline_ns = now_ns + PROBE_AFTER_NS
        self._state: PathState = "alive"
        self._alive_ns = now_ns
        self._probe_ns = now_ns + PROBE_AFTER_NS

    def poll(self, now_ns: int, alive_ns: int, refused_ns: int | None = None) -> Verdict:
        """Return the state of the path.

        `alive_ns` is the time of its latest sign of life. `refused_ns` is the time since which all the phone's packets
        are refused; None if they are not. Time in which the event loop was held up does not count as silence.
        """
        late_ns = now_ns - self.deadline_ns
        if late_ns > _STALL_NS:
            self._alive_ns += late_ns
        if alive_ns > self._alive_ns:
            self._alive_ns = alive_ns
            self._probe_ns = alive_ns + PROBE_AFTER_NS
        silence_ns = now_ns - self._alive_ns
        is_refused = refused_ns is not None and now_ns - refused_ns >= REFUSED_AFTER_NS
        if self._state == "dead" or silence_ns >= DEAD_AFTER_NS or is_refused:
            self._state = "dead"
        else:
            self._state = "interrupted" if silence_ns >= INTERRUPTED_AFTER_NS else "alive"
        probe = self._state != "dead" and now_ns >= self._probe_ns
        if probe:
            self._probe_ns = now_ns + PROBE_EVERY_NS
        change_ns = self._alive_ns + (DEAD_AFTER_NS if self._state == "interrupted" else INTERRUPTED_AFTER_NS)
        if refused_ns is not None:
            change_ns = min(change_ns, refused_ns + REFUSED_AFTER_NS)
        self.deadline_ns = min(self._probe_ns, change_ns)
        return Verdict(self._state, probe)
