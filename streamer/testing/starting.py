"""Starts the app of a test, and waits until it is there."""

import asyncio
import contextlib
from typing import Final

import streamer

THERE_S: Final = 10.0  # how long an app may take until something of it is on the screen
IN_FRONT_S: Final = 1.0  # after that it was in front already, and nothing changes
REST_S: Final = 10.0  # how long the screen may take to rest; some never do


async def start_app(session: streamer.Session, app: str, *, clears: bool) -> None:
    """Start an app, and wait until the screen has changed and rested.

    A test would else find, and touch, what was on the screen before: the API's answer comes earlier than the app.
    """
    if clears:
        await session.apps.clear(app)
        await _rest(session)
    await session.screenshot()  # what the change is a change of
    changing = asyncio.create_task(session.wait_for_change(timeout_s=THERE_S if clears else IN_FRONT_S))
    try:
        await asyncio.sleep(0)  # it watches from now on
        await session.apps.start(app)
        with contextlib.suppress(streamer.WaitTimeoutError):
            await changing
    finally:
        changing.cancel()
    await _rest(session)


async def _rest(session: streamer.Session) -> None:
    with contextlib.suppress(streamer.WaitTimeoutError):
        await session.wait_until_still(timeout_s=REST_S)
