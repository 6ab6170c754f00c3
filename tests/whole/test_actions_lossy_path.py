"""Taps over a path that loses what data channels send."""

import asyncio

import pytest

from streamer import emulator
from streamer.emulator import Faults, Touch
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
TAPS = 100


def downs_and_ups(phone: emulator.EmulatedPhone) -> list[tuple[int, int]]:
    """Return each DOWN and UP, and the number of the tap, which is in its place."""
    return [
        (read.action, round(read.points[0].x * TAPS))
        for read in phone.inputs
        if isinstance(read, Touch) and read.action != 2
    ]


@pytest.mark.parametrize("loss", [0.03, 0.1])
async def test_no_tap_is_lost_or_doubled_or_overtaken(connect: Connect, loss: float) -> None:
    faults = Faults(delay_s=0.02)
    async with (
        emulator.serve(width=180, height=320, fps=10, audio=False, faults=faults) as phone,
        connect(phone) as session,
    ):
        await session.wait_input()
        faults.lose_data = loss
        for number in range(TAPS):
            await session.tap(number / TAPS, 0.5)
        taps = [(action, number) for number in range(TAPS) for action in (0, 1)]
        async with asyncio.timeout(60):
            while len(got := downs_and_ups(phone)) < len(taps):
                await asyncio.sleep(0.05)
        assert got == taps
