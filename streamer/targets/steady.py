"""When a place on the screen is steady, so that a finger meets what was found there."""

from collections.abc import Sequence
from typing import Final

from streamer.targets.matches import Match

_MS: Final = 1_000_000
QUIET_NS: Final = 100 * _MS  # six frames at 60 a second: what slides in slowly at its end has moved by then
STEADY_NS: Final = 500 * _MS  # on a screen that moves elsewhere; a transition, in which touches get lost, takes less
MOVE_LIMIT: Final = 2  # pixels by which a place may differ: what the encoder makes of a resting screen


class Steadiness:
    """Find out when places are steady: they and the whole screen have rested for QUIET_NS, or they for STEADY_NS.

    Call `change` for each frame on which anything changed, and `receive` for each that was looked at.
    """

    def __init__(self) -> None:
        self._centers: tuple[tuple[int, int], ...] = ()
        self._since_ns = 0  # when the places were there first
        self._quiet_ns = 0  # when the screen changed last

    @property
    def deadline_ns(self) -> int:
        """When the places are steady, if nothing changes before (monotonic)."""
        return min(self._since_ns + STEADY_NS, max(self._since_ns, self._quiet_ns) + QUIET_NS)

    def change(self, arrival_ns: int) -> None:
        """Take note that something changed on the frame that came at `arrival_ns` (monotonic)."""
        self._quiet_ns = max(self._quiet_ns, arrival_ns)

    def receive(self, matches: Sequence[Match], arrival_ns: int) -> None:
        """Take what was found on the frame that came at `arrival_ns` (monotonic)."""
        centers = tuple(match.center for match in matches)
        is_same = len(centers) == len(self._centers) and all(
            max(abs(x - old_x), abs(y - old_y)) <= MOVE_LIMIT
            for (x, y), (old_x, old_y) in zip(centers, self._centers, strict=True)
        )
        if not is_same:
            self._centers, self._since_ns = centers, arrival_ns

    def is_steady(self, now_ns: int) -> bool:
        """Whether there are places, and they are steady."""
        return bool(self._centers) and now_ns >= self.deadline_ns
