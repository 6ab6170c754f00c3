"""How a thread waits for the loop: within the limits that `timeout` sets, and so that Ctrl-C ends it at once."""

import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SLICE_S: Final = 0.1 if sys.platform == "win32" else None  # there, Ctrl-C comes between two waits, and into none


@dataclass(slots=True)
class _Limit:
    """The time limit of one `timeout` block."""

    seconds: float
    ends_at: float
    has_expired: bool = False


_limits: contextvars.ContextVar[tuple[_Limit, ...]] = contextvars.ContextVar("limits", default=())


@contextlib.contextmanager
def timeout(seconds: float | None) -> Iterator[None]:
    """Limit how long a block waits for phones: what `asyncio.timeout` is for the async face.

    The call of `streamer.sync` that waits when the time is up is cancelled and raises TimeoutError. Later calls in the
    block, such as those that close the phone, are not limited any more. Blocks may be nested.

    Args:
        seconds: How long the block may last; None sets no limit.

    Raises:
        TimeoutError: The time was up.
    """
    limit = () if seconds is None else (_Limit(seconds, time.monotonic() + seconds),)
    token = _limits.set((*_limits.get(), *limit))
    try:
        yield
    finally:
        _limits.reset(token)


def wait_limited(event: threading.Event) -> None:
    """Wait for an event within the `timeout` blocks around it. Raises TimeoutError in the first that expires, once."""
    limit = min((each for each in _limits.get() if not each.has_expired), key=lambda each: each.ends_at, default=None)
    if limit is None:
        wait_for(event)
    elif not wait_for(event, until=limit.ends_at):
        limit.has_expired = True
        raise TimeoutError(f"timed out after {limit.seconds:g} s, the limit of the block around this call")


def wait_for(event: threading.Event, *, until: float | None = None) -> bool:
    """Wait for an event, to a moment at the most; return whether it is set. Ctrl-C interrupts this at once."""
    while not event.is_set():
        left_s = None if until is None else max(until - time.monotonic(), 0.0)
        if left_s == 0.0:
            return event.is_set()
        event.wait(min((each for each in (left_s, _SLICE_S) if each is not None), default=None))
    return True
