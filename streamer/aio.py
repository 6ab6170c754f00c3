"""What every `await` on a peer goes through: a time limit with an error of its own. And a clock that never stops."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

# Linux has the first; macOS and others have the second, which goes on during sleep there. Windows has neither.
_BOOT_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


@contextlib.asynccontextmanager
async def within(seconds: float | None, error: Callable[[], BaseException]) -> AsyncIterator[None]:
    """Cancel the block after `seconds` and raise `error()`; None sets no limit.

    Only the limit's own expiry raises `error()`. A TimeoutError from inside the block passes through unchanged.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise error() from None


def boot_time() -> float:
    """Return the seconds since some moment in the past, those in which the machine slept among them.

    `time.monotonic` and the event loop's timers stand still during sleep on Linux and macOS. What a server limits does
    not.
    """
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


class Alarm:
    """One timer of the running event loop: it calls `wake` once the loop's clock has come to the moment that is set."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float | None) -> None:
        """Set the moment, in seconds of the loop's clock, in place of the one before; None sets no alarm."""
        if at == self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._at = self._timer = None
        self._wake()
