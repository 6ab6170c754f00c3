import asyncio

import pytest

from streamer.aio import within
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
