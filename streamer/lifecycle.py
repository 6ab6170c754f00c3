"""Before the stream and after it: an instance is brought up, and given back [doc]."""

import asyncio
import contextlib
import logging
from typing import Final

from streamer.cloud.client import CloudClient
from streamer.cloud.models import Progress
from streamer.errors import CloudError, CloudRefusalError
from streamer.events import EventHub

_logger = logging.getLogger("streamer.session")

PROGRESS_EVERY_S: Final = 2.0  # the vendor says "in a loop" [doc], and no pace
RELEASE_LIMIT_S: Final = 5.0  # what giving back may take, on whatever way out
LEAVE_LIMIT_S: Final = 10.0  # how long who is cancelled on the way out is held up: only a disk that hangs takes longer


async def prepare(cloud: CloudClient, instance_id: str, user_id: str, *, timeout_s: float, events: EventHub) -> None:
    """Have an instance brought up, and wait until it can stream; tell `events` how far it is.

    Raises CloudRefusalError if it fails or is not ready in time, else what the calls raise.
    """
    progress: Progress | None = None
    try:
        async with asyncio.timeout(timeout_s):
            events.tell("preparing")
            if await cloud.prepare(instance_id, user_id):
                return
            while not (progress := await cloud.prepare_progress(instance_id, user_id)).is_ready:
                if progress.has_failed:
                    raise CloudRefusalError(
                        f"the cloud could not bring {instance_id} up",
                        status=200,
                        error_code=None,
                        meaning=str(progress),
                    )
                events.tell("preparing", str(progress))
                await asyncio.sleep(PROGRESS_EVERY_S)
    except TimeoutError as error:
        raise CloudRefusalError(
            f"{instance_id} was not ready within {timeout_s:g} s: {progress or 'no answer'}",
            status=200,
            error_code=None,
            meaning=None if progress is None else str(progress),
            retryable=True,
        ) from error


async def give_back(cloud: CloudClient, instance_id: str) -> None:
    """End an instance's stream and session; what goes wrong is logged. Takes RELEASE_LIMIT_S at the most.

    A cancellation waits until it is done: who leaves in a hurry would otherwise leave the instance taken.
    """
    task = asyncio.create_task(_give_back(cloud, instance_id), name="give back")
    await to_the_end(task)
    with contextlib.suppress(asyncio.CancelledError):
        task.result()


async def _give_back(cloud: CloudClient, instance_id: str) -> None:
    for call in (cloud.stop_streaming, cloud.release_session):
        try:
            async with asyncio.timeout(RELEASE_LIMIT_S / 2):
                await call(instance_id)
        except (CloudError, TimeoutError) as error:
            _logger.warning("= %s may stay taken for a while: %s", instance_id, str(error) or "no answer in time")


async def to_the_end(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended, also if this is cancelled meanwhile: that goes on then, or after LEAVE_LIMIT_S."""
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
