"""Waits: with a time limit, for the first of several events, for a task to finish. And clocks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

LEAVE_LIMIT_S: Final = 10.0  # how long a cancellation waits for a task: only a hanging disk takes longer

# Linux has the first. macOS and others have the second, which runs during sleep there. Windows has neither.
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


async def first_event(*events: asyncio.Event | asyncio.Task[Any], timeout_s: float | None = None) -> None:
    """Return when one of the events is set, one of the tasks has ended, or `timeout_s` has passed."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events if isinstance(event, asyncio.Event)]
    try:
        tasks = [task for task in events if isinstance(task, asyncio.Task)]
        await asyncio.wait([*waiting, *tasks], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def finish_before_cancelling(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended. If cancelled, go on waiting for up to LEAVE_LIMIT_S."""
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    until = 0.0
    while not task.done() and (cancelled is None or loop.time() < until):
        try:
            await asyncio.wait({task}, timeout=None if cancelled is None else until - loop.time())
        except asyncio.CancelledError as error:
            if cancelled is None:
                until = loop.time() + LEAVE_LIMIT_S
            cancelled = error
    if cancelled is not None:
        raise cancelled


def boot_time() -> float:
    """Return the seconds since some moment in the past, including those in which the machine slept.

    On Linux and macOS, `time.monotonic` and the event loop's timers stand still during sleep. A server's time limits do
    not.
    """
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


class Alarm:
    """One timer of the running event loop: it calls `wake` when the loop's clock reaches the time that is set."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float | None) -> None:
        """Set the time, in seconds of the loop's clock, instead of the previous one; None cancels the alarm."""
        if at == self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._at = self._timer = None
        self._wake()
