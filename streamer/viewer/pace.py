"""`Pace`: which frames a page is sent. It gets the newest ones, however slow it is."""

from dataclasses import dataclass
from typing import Final

from streamer import AccessUnit

BEHIND_NS: Final = 700_000_000  # a page that gets frames this late goes on with the next keyframe
ASK_EVERY_NS: Final = 1_000_000_000


@dataclass(slots=True)
class Pace:
    """Follows the units of one page in their order. Times are monotonic nanoseconds.

    What the page is sent first may be old: the screen stood still, or the page has just come. Only units that came
    after `began_ns` can be late.
    """

    began_ns: int
    skipped: int = 0  # frames
    _is_skipping: bool = False
    _asked_ns: int | None = None

    def sends(self, unit: AccessUnit, now_ns: int) -> bool:
        """Whether to send the unit. If not, and `asks_keyframe`, one has to be requested."""
        is_late = unit.arrival_ns > self.began_ns and now_ns - unit.arrival_ns > BEHIND_NS
        if unit.kind == "audio":
            return not is_late
        if self._is_skipping and unit.is_keyframe and not is_late:
            self._is_skipping, self._asked_ns = False, None
        elif is_late:
            self._is_skipping = True
        self.skipped += self._is_skipping
        return not self._is_skipping

    def asks_keyframe(self, now_ns: int) -> bool:
        """Whether to request a keyframe now."""
        if not self._is_skipping or (self._asked_ns is not None and now_ns - self._asked_ns < ASK_EVERY_NS):
            return False
        self._asked_ns = now_ns
        return True
