"""When the next call may be made, from the times of those before; and when to ask again how far a job is."""

from collections import deque
from typing import Final

from streamer.errors import ConfigurationError

# KooPhone's pages name no rate. The sister product CPH allows this many sync-commands a minute and user [assumed].
CALLS_PER_MINUTE: Final = 6
RATE_LIMIT: Final = 6000  # calls a minute, at most
_WINDOW_S: Final = 60.0
_FIRST_POLL_S: Final = 0.5
_LONGEST_POLL_S: Final = 5.0


class CallRate:
    """At most `per_minute` calls in any 60 seconds. Times are monotonic seconds.

    Ask `delay` until it gives 0, and then report the call with `begin`.
    """

    def __init__(self) -> None:
        self._begun: deque[float] = deque(maxlen=CALLS_PER_MINUTE)
        self._per_minute = CALLS_PER_MINUTE
        self._held_until = 0.0

    @property
    def per_minute(self) -> int:
        """How many calls there may be in 60 seconds."""
        return self._per_minute

    @per_minute.setter
    def per_minute(self, count: int) -> None:
        if not 1 <= count <= RATE_LIMIT:
            raise ConfigurationError(f"expected calls_per_minute from 1 to {RATE_LIMIT}, got {count}")
        self._per_minute = int(count)
        self._begun = deque(self._begun, maxlen=self._per_minute)

    def delay(self, now: float) -> float:
        """Return in how many seconds the next call may begin; 0 means now."""
        is_full = len(self._begun) == self._per_minute
        free_at = self._begun[0] + _WINDOW_S if is_full else now
        return max(free_at - now, self._held_until - now, 0.0)

    def begin(self, now: float) -> None:
        """Count a call that begins now."""
        self._begun.append(now)

    def hold(self, until: float) -> None:
        """Allow no call before `until`: the API has said that there were too many."""
        self._held_until = max(self._held_until, until)


class Polling:
    """When to ask how far a job is: often at first, at least every 5 s, the last time when `limit_s` have passed."""

    def __init__(self, now: float, limit_s: float) -> None:
        self._deadline = now + limit_s
        self._next_s = _FIRST_POLL_S
        self._is_over = False

    def next_delay(self, now: float) -> float | None:
        """Return in how many seconds to ask; None if it was asked for the last time."""
        if self._is_over:
            return None
        delay_s = min(self._next_s, max(self._deadline - now, 0.0))
        self._is_over = now + delay_s >= self._deadline
        self._next_s = min(2 * self._next_s, _LONGEST_POLL_S)
        return delay_s
