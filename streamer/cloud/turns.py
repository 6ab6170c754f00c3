"""The queue of a tenant's commands: each waits until the API's limit allows it."""

import asyncio
import logging
import time

from streamer.cloud.call_rate import CallRate

_logger = logging.getLogger("streamer.cloud")


class Turns:
    """One queue for the commands of everything that uses the same credentials, first come, first served.

    It serves one event loop at a time.
    """

    def __init__(self) -> None:
        self.rate = CallRate()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._has_warned = False  # of commands that wait

    async def wait(self) -> None:
        """Wait until a command may be sent, and count it. Whoever is cancelled meanwhile takes no turn."""
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._loop, self._lock = loop, asyncio.Lock()  # of another loop, which nobody waits in any more
        async with self._lock:
            while delay_s := self.rate.delay(time.monotonic()):
                self._tell(delay_s)
                await asyncio.sleep(delay_s)
            self.rate.begin(time.monotonic())

    def hold(self, seconds: float) -> None:
        """Let no command begin for so long: the API has answered that there were too many."""
        self.rate.hold(time.monotonic() + seconds)

    def _tell(self, delay_s: float) -> None:
        _logger.debug("= a command waits %.1f s for its turn", delay_s)
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "= commands wait for their turn: at most %d are sent a minute; calls_per_minute allows more",
                self.rate.per_minute,
            )
