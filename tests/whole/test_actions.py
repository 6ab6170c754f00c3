"""Acting on the phone, as a program does it, against the emulator."""

import asyncio
import time
from typing import Any

import pytest

from streamer import Action, emulator
from streamer.emulator import EmulatedPhone
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0


def motions(phone: EmulatedPhone) -> list[tuple[Any, ...]]:
    """Return the phone's DOWNs and UPs, of touches and of keys."""
    return [
        (frame["type"], frame["action"], *(frame["points"][0][:1] if frame["type"] == "touch" else [frame["key_code"]]))
        for frame in phone.inputs
        if frame["action"] != 2
    ]


async def test_a_tap_is_one_down_and_one_up_at_its_place(connect: Connect) -> None:
    async with (
        emulator.serve(width=180, height=320, fps=10, audio=False) as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
    ):
        before_ns = time.monotonic_ns()
        action = await session.tap(0.5, 0.25)
        assert isinstance(action, Action)
        assert action.sent_ns is not None
        assert before_ns <= action.sent_ns <= time.monotonic_ns()
        while len(motions(phone)) < 2:
            await asyncio.sleep(0.01)
        assert motions(phone) == [("touch", 0, 0), ("touch", 1, 0)]
        assert {point for frame in phone.inputs for point in frame["points"] if point[0] == 0} == {(0, 0.5, 0.25)}
