"""The queue of a tenant's commands: each waits until the API's limit allows it."""

import asyncio
import logging
import time

from streamer.cloud.call_rate import CallRate

_logger = logging.getLogger("streamer.cloud")


class Turns:
    """One queue for the commands of everything that uses the same credentials, first come, first served."""

    def __init__(self) -> None:
        self.rate = CallRate()
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until a command may be sent, and count it. Whoever is cancelled meanwhile takes no turn."""
        async with self._lock:
            while delay_s := self.rate.delay(time.monotonic()):
                _logger.debug(
                    "= waiting %.1f s: the API takes %d commands a minute [assumed]", delay_s, self.rate.per_minute
                )
                await asyncio.sleep(delay_s)
            self.rate.begin(time.monotonic())

    def hold(self, seconds: float) -> None:
        """Let no command begin for so long: the API has answered that there were too many."""
        self.rate.hold(time.monotonic() + seconds)
