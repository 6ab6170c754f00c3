import asyncio

import pytest

from streamer import aio
from streamer.aio import Alarm, first_event, within
from streamer.errors import SignalingTimeoutError


def _late() -> SignalingTimeoutError:
    return SignalingTimeoutError("late", step="open")


async def test_a_block_that_takes_too_long_ends_with_the_named_error() -> None:
    with pytest.raises(SignalingTimeoutError):
        async with within(0, _late):
            await asyncio.Event().wait()


async def test_a_time_out_inside_the_block_is_not_mistaken_for_the_limits() -> None:
    with pytest.raises(TimeoutError, match="another"):
        async with within(5, _late):
            raise TimeoutError("another")


async def test_without_a_limit_the_block_just_runs() -> None:
    async with within(None, _late):
        await asyncio.sleep(0)


async def test_an_alarm_rings_once_at_the_moment_set_last() -> None:
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


async def test_the_first_event_or_ended_task_ends_the_wait_and_leaves_the_others_alone() -> None:
    event, other = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(other.wait())
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(10):
        await first_event(event, other, task)
        assert not task.done()
        other.set()
        await first_event(task)
    assert task.done()


async def test_the_wait_for_the_first_event_ends_at_its_limit() -> None:
    async with asyncio.timeout(10):
        await first_event(asyncio.Event(), timeout_s=0.01)


@pytest.mark.parametrize("limit_s", [10.0, 0.0])
async def test_a_cancellation_waits_until_the_task_is_finished_or_the_limit_is_over(
    limit_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "LEAVE_LIMIT_S", limit_s)
    going_on = asyncio.Event()

    async def work() -> None:
        await going_on.wait()

    task = asyncio.create_task(work())
    waiting = asyncio.create_task(aio.finish_before_cancelling(task))
    await asyncio.sleep(0)
    waiting.cancel()
    asyncio.get_running_loop().call_later(0.01, going_on.set)
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10):
            await waiting
    assert task.done() == bool(limit_s)
    await task
