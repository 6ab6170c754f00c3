"""An instance: it is prepared before the stream, gives the tickets for it, and is released after it [doc].

This is the only place of a session that gets a ticket.
"""

import asyncio
import contextlib
import logging
from typing import Final

from streamer.aio import finish_before_cancelling
from streamer.cloud.client import CloudClient
from streamer.cloud.models import Progress, Ticket
from streamer.cloud.phone import PhoneCalls
from streamer.errors import CloudError, CloudRefusalError
from streamer.events import EventHub
from streamer.own_loop import OwnLoop
from streamer.retry_policy import is_not_ready

_logger = logging.getLogger("streamer.session")

PROGRESS_EVERY_S: Final = 2.0  # the vendor says "in a loop" [doc], and no pace
RELEASE_LIMIT_S: Final = 5.0


class Instance:
    """One instance of the API.

    `prepare_for` is the user id that it is prepared for; with None `prepare` does nothing. `prepare_timeout_s` limits
    each `prepare`. The progress goes to `events`.
    """

    def __init__(
        self,
        cloud: CloudClient,
        instance_id: str,
        *,
        prepare_for: str | None,
        prepare_timeout_s: float,
        events: EventHub,
    ) -> None:
        self.may_be_taken = False  # the cloud was asked for the instance, and did not refuse
        self._cloud = cloud
        self._id = instance_id
        self._prepare_for = prepare_for
        self._prepare_timeout_s = prepare_timeout_s
        self._events = events

    @property
    def credentials_last_s(self) -> float | None:
        """How long the credentials are good for at most; None if they renew themselves."""
        return self._cloud.credentials_last_s

    def calls(self, loop: OwnLoop) -> PhoneCalls:
        """Return the calls for this phone that need no stream, for a session that belongs to `loop`."""
        return PhoneCalls(self._cloud, self._id, loop)

    async def prepare(self) -> None:
        """Prepare the instance, and wait until it can stream.

        Raises CloudRefusalError if that fails or takes longer than `prepare_timeout_s`, else what the calls raise.
        """
        if self._prepare_for is None:
            return
        self.may_be_taken = True
        progress: Progress | None = None
        try:
            async with asyncio.timeout(self._prepare_timeout_s):
                self._events.emit("preparing")
                if await self._cloud.prepare(self._id, self._prepare_for):
                    return
                while not (progress := await self._cloud.prepare_progress(self._id, self._prepare_for)).is_ready:
                    if progress.has_failed:
                        raise CloudRefusalError(
                            f"the cloud could not prepare {self._id}: {progress}",
                            status=200,
                            error_code=None,
                            meaning=str(progress),
                        )
                    self._events.emit("preparing", str(progress))
                    await asyncio.sleep(PROGRESS_EVERY_S)
        except TimeoutError as error:
            raise CloudRefusalError(
                f"timed out after {self._prepare_timeout_s:g} s waiting for {self._id} to get ready: "
                f"{progress or 'no answer'}",
                status=200,
                error_code=None,
                meaning=None if progress is None else str(progress),
                retryable=True,
            ) from error

    async def fetch_ticket(self) -> Ticket:
        """Return a fresh ticket. Raises as `CloudClient.fetch_ticket`."""
        was_taken, self.may_be_taken = self.may_be_taken, True
        try:
            return await self._cloud.fetch_ticket(self._id)
        except CloudError:
            self.may_be_taken = was_taken
            raise

    async def fetch_ticket_when_ready(self) -> Ticket:
        """Return a fresh ticket; prepare the instance first if the API says that it is not ready."""
        try:
            return await self.fetch_ticket()
        except CloudRefusalError as error:
            if self._prepare_for is None or not is_not_ready(error):
                raise
        await self.prepare()
        return await self.fetch_ticket()

    async def release(self) -> None:
        """End the instance's stream and session, within RELEASE_LIMIT_S; errors are logged.

        A cancellation waits until it is done. Otherwise a program that leaves in a hurry would leave the instance
        taken.
        """
        task = asyncio.create_task(self._release(), name="release")
        await finish_before_cancelling(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.result()

    async def _release(self) -> None:
        for call in (self._cloud.stop_streaming, self._cloud.release_session):
            try:
                async with asyncio.timeout(RELEASE_LIMIT_S / 2):
                    await call(self._id)
            except (CloudError, TimeoutError) as error:
                _logger.warning(
                    "= cannot release %s, which may stay taken for a while: %s", self._id, str(error) or "timed out"
                )
