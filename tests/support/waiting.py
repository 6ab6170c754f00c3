"""Waits with a limit that leaves a busy machine its time."""

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

import streamer

QUICK = streamer.Reconnect(max_delay_s=0.2, give_up_after_s=30)

LIMIT_S: Final = 40.0


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.02)


async def hear(events: streamer.EventIterator, *kinds: str) -> list[streamer.Event]:
    """Read events up to the last of these kinds, which come in this order; return those that were read."""
    heard = []
    async with asyncio.timeout(LIMIT_S):
        for kind in kinds:
            async for event in events:
                heard.append(event)
                if event.kind == kind:
                    break
            else:
                pytest.fail(f"no {kind!r} among {[event.kind for event in heard]}")
    return heard
