"""When a place on the screen is steady: what is found there has not moved for a while."""

from collections.abc import Sequence
from typing import Final

from streamer.targets.matches import Match

STEADY_NS: Final = 100_000_000  # six frames at 60 a second: what slides in slowly at its end has moved by then
MOVE_LIMIT: Final = 2  # pixels by which a place may differ: what the encoder makes of a resting screen


class Steadiness:
    """Find out since when the same places are found. Call `receive` for each frame that was looked at."""

    def __init__(self) -> None:
        self._centers: tuple[tuple[int, int], ...] = ()
        self._since_ns = 0

    @property
    def deadline_ns(self) -> int:
        """When the places are steady, if nothing changes before (monotonic)."""
        return self._since_ns + STEADY_NS

    def receive(self, matches: Sequence[Match], arrival_ns: int) -> None:
        """Take what was found on a frame that came at `arrival_ns` (monotonic)."""
        centers = tuple(match.center for match in matches)
        is_same = len(centers) == len(self._centers) and all(
            max(abs(x - old_x), abs(y - old_y)) <= MOVE_LIMIT
            for (x, y), (old_x, old_y) in zip(centers, self._centers, strict=True)
        )
        if not is_same:
            self._centers, self._since_ns = centers, arrival_ns

    def is_steady(self, now_ns: int) -> bool:
        """Whether there are places, and all have been the same for STEADY_NS."""
        return bool(self._centers) and now_ns >= self.deadline_ns
