"""A UI test of twenty steps against the emulator's apps. `python -m tests.steps 20` takes them again and again."""

import asyncio

import pytest

from streamer import emulator
from tests.steps import with_asyncio, without_asyncio
from tests.steps.phone import OPTIONS

pytestmark = pytest.mark.edge


async def test_twenty_steps_with_asyncio_come_true() -> None:
    async with emulator.serve(**OPTIONS) as phone:
        await with_asyncio.take_steps(phone)


async def test_twenty_steps_without_asyncio_come_true() -> None:
    async with emulator.serve(**OPTIONS) as phone:
        await asyncio.to_thread(without_asyncio.take_steps, phone)


def test_there_are_twenty_steps_and_both_faces_take_the_same() -> None:
    names = [[step.__name__ for step in steps] for steps in (with_asyncio.STEPS, without_asyncio.STEPS)]
    assert names[0] == names[1]
    assert len(names[0]) == 20
