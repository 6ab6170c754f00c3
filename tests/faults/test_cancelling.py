"""A program that is cancelled, wherever it waits, leaves nothing behind, and its recording is whole."""

from collections.abc import AsyncIterator

import pytest

from streamer import emulator
from tests.faults.cancelling import sweep
from tests.faults.stages import SMALL


@pytest.fixture
async def small() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**SMALL) as phone:
        yield phone


@pytest.mark.parametrize("release", [False, True])
async def test_a_program_cancelled_at_any_of_its_own_waits_leaves_nothing(
    small: emulator.EmulatedPhone, release: bool
) -> None:
    swept = await sweep(small, is_whole=False, release=release)
    assert not swept.faults
    assert swept.points >= swept.waits > 10


async def test_a_program_cancelled_while_any_part_of_the_session_waits_leaves_nothing(
    small: emulator.EmulatedPhone,
) -> None:
    swept = await sweep(small, is_whole=True, release=True, every=3)  # python -m tests.faults tries them all
    assert not swept.faults
    assert swept.points > 20


async def test_a_program_cancelled_while_it_reconnects_leaves_nothing(small: emulator.EmulatedPhone) -> None:
    swept = await sweep(small, is_whole=True, release=True, reconnects=True, every=9)
    assert not swept.faults
    assert swept.points > 10
