import asyncio

import pytest

from streamer.aio import Alarm, within
from streamer.errors import SignalingTimeoutError


def _late() -> SignalingTimeoutError:
    return SignalingTimeoutError("late", step="open")


async def test_a_block_that_takes_too_long_ends_with_the_named_error() -> None:
    with pytest.raises(SignalingTimeoutError):
        async with within(0, _late):
            await asyncio.Event().wait()


async def test_a_time_out_from_inside_the_block_is_not_taken_for_the_limits_own() -> None:
    with pytest.raises(TimeoutError, match="another"):
        async with within(5, _late):
            raise TimeoutError("another")


async def test_without_a_limit_the_block_just_runs() -> None:
    async with within(None, _late):
        await asyncio.sleep(0)


async def test_an_alarm_rings_once_at_the_moment_that_was_set_last() -> None:
    rang: asyncio.Queue[float] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    alarm = Alarm(lambda: rang.put_nowait(loop.time()))
    alarm.set(loop.time() + 3600)
    due = loop.time() + 0.05
    alarm.set(due)
    async with asyncio.timeout(10):
        assert await rang.get() >= due - 0.02  # the resolution of the loop's clock
    alarm.set(loop.time())
    alarm.set(None)
    await asyncio.sleep(0.01)
    assert rang.empty()
