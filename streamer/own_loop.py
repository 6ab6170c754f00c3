"""The event loop that an object belongs to."""

import asyncio
import contextlib
from collections.abc import Callable

from streamer.errors import ConfigurationError


class OwnLoop:
    """One event loop: the one that runs at the first `check`.

    asyncio objects of one loop fail silently in another: a future set from there wakes nobody. Every public call that
    needs the loop therefore begins with `check`.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> asyncio.AbstractEventLoop:
        """Return the loop. Raises ConfigurationError in another loop, and in a thread that runs none."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is None and self._loop is None:
            raise ConfigurationError(
                "expected a running asyncio event loop, got none: call this inside asyncio.run(...), "
                "or under trio through trio-asyncio"
            )
        self._loop = self._loop or running
        if running is None or running is not self._loop:
            found = "a thread without one" if running is None else "another event loop"
            raise ConfigurationError(
                f"expected a call in the event loop that opened the session, got one in {found}: "
                "use asyncio.run_coroutine_threadsafe(..., loop) with the loop that opened it"
            )
        return running

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call back in the loop, from any thread: at once if there is no loop yet, never after it is closed."""
        if self._loop is None:
            callback(*arguments)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(callback, *arguments)
