"""How far a list is scrolled: it follows a finger, goes on by inertia, and bounces at its ends.

The machine is a formula of the time for each of its phases, so that it does not matter how often it is asked.
"""

import math
from collections import deque
from typing import Final, Literal

FRICTION: Final = 2.6  # a second: after so much of one, the speed is down to 1/e
SPRING: Final = 14.0  # a second, of the bounce; it does not swing (critical damping)
RESISTANCE: Final = 0.4  # of a finger's way, beyond the ends
SLOWEST: Final = 12.0  # dp a second: then a list rests
FASTEST: Final = 5000.0  # dp a second
_REST: Final = 0.4  # dp beyond the end: then a bounce rests
_HELD_S: Final = 0.06  # a finger that has not moved for so long throws nothing
_WINDOW_S: Final = 0.1  # of the last movements that the speed is taken from


class Scroller:
    """The offset of one list, in dp: 0 shows its beginning. Times are in seconds."""

    def __init__(self) -> None:
        self.end = 0.0  # the largest offset at rest
        self._phase: Literal["rest", "drag", "fling", "bounce"] = "rest"
        self._began = 0.0
        self._from = 0.0  # where the phase began
        self._speed = 0.0  # with which it began
        self._finger = 0.0  # how far the finger went
        self._moves: deque[tuple[float, float]] = deque(maxlen=20)

    def set_end(self, end: float) -> None:
        """Set how far the list can be scrolled."""
        self.end = max(end, 0.0)
        if self._phase == "rest":
            self._from = min(self._from, self.end)

    def offset(self, now: float) -> float:
        """Return how far the list is scrolled."""
        self._go_on(now)
        passed = max(now - self._began, 0.0)
        match self._phase:
            case "drag":
                return _with_resistance(self._from + self._finger, self.end)
            case "fling":
                return self._from + self._speed / FRICTION * (1 - math.exp(-FRICTION * passed))
            case "bounce":
                edge = self._edge()
                beyond = self._from - edge
                return edge + (beyond + (self._speed + SPRING * beyond) * passed) * math.exp(-SPRING * passed)
        return self._from

    def is_moving(self, now: float) -> bool:
        """Whether it moves by itself."""
        self._go_on(now)
        return self._phase in {"fling", "bounce"}

    def follow(self, phase: str, distance: float, now: float) -> None:
        """Follow a finger: phases "begin", "move" and "end"; `distance` is its way since it took hold."""
        if phase == "begin":
            self.grab(now)
        if phase == "end":
            self.let_go(now)
        else:
            self.drag(distance, now)

    def grab(self, now: float) -> None:
        """A finger takes hold of the list."""
        self._from = self.offset(now)
        if not 0 <= self._from <= self.end:  # the finger's way that leads there
            self._from = self._edge() + (self._from - self._edge()) / RESISTANCE
        self._phase, self._began, self._finger = "drag", now, 0.0
        self._moves.clear()
        self._moves.append((now, 0.0))

    def drag(self, distance: float, now: float) -> None:
        """The finger has moved the list so far towards its end, since it took hold."""
        if self._phase == "drag":
            self._finger = distance
            self._moves.append((now, distance))

    def let_go(self, now: float) -> None:
        """The finger leaves the list."""
        if self._phase != "drag":
            return
        offset, speed = self.offset(now), self._thrown(now)
        self._from, self._began, self._speed = offset, now, speed
        if not 0 <= offset <= self.end:
            self._phase = "bounce"
        elif abs(speed) > SLOWEST:
            self._phase = "fling"
        else:
            self._phase = "rest"

    def _thrown(self, now: float) -> float:
        moves = [(at, way) for at, way in self._moves if at >= now - _WINDOW_S]
        if len(moves) < 2 or moves[-1][0] < now - _HELD_S or moves[-1][0] - moves[0][0] < 0.005:
            return 0.0
        speed = (moves[-1][1] - moves[0][1]) / (moves[-1][0] - moves[0][0])
        return max(-FASTEST, min(speed, FASTEST))

    def _edge(self) -> float:
        return min(max(self._from, 0.0), self.end)

    def _go_on(self, now: float) -> None:
        """Enter the phases whose time has come."""
        if self._phase == "fling":
            edge = self.end if self._speed > 0 else 0.0
            left = 1 - (edge - self._from) * FRICTION / self._speed  # of the speed, at the edge
            hit = self._began - math.log(left) / FRICTION if left > 0 else math.inf
            rest = self._began + math.log(abs(self._speed) / SLOWEST) / FRICTION
            if now >= min(hit, rest):
                if hit < rest:
                    self._phase, self._began, self._from, self._speed = "bounce", hit, edge, self._speed * left
                else:
                    share = 1 - SLOWEST / abs(self._speed)
                    self._phase, self._from = "rest", self._from + self._speed / FRICTION * share
        if self._phase == "bounce" and now - self._began > self._bounce_s():
            self._phase, self._from = "rest", self._edge()

    def _bounce_s(self) -> float:
        """Return how long a bounce lasts: until what is left of it can never be seen again."""
        beyond = self._from - self._edge()
        most = abs(beyond) + abs(self._speed + SPRING * beyond) / SPRING
        return 0.0 if most <= _REST / 4 else 2 * math.log(4 * most / _REST) / SPRING


def _with_resistance(offset: float, end: float) -> float:
    if offset < 0:
        return offset * RESISTANCE
    return end + (offset - end) * RESISTANCE if offset > end else offset
