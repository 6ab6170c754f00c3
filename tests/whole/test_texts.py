"""Texts on the emulator's screens, over a real connection."""

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

import streamer
from streamer import emulator
from tests.steps import phone as at
from tests.support.everywhere import Connect
from tests.support.waiting import until

pytestmark = pytest.mark.edge
LIMIT_S = 60.0


@pytest.fixture
async def phone() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**at.OPTIONS) as running:
        yield running


async def test_a_text_is_found_tapped_and_missed(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        notices = session.get_by_text("Notices")
        assert (await notices.wait(timeout_s=LIMIT_S)).text == "Notices"
        await notices.tap(timeout_s=LIMIT_S).settled(timeout_s=LIMIT_S)
        await session.get_by_text("delete a").tap(timeout_s=LIMIT_S)
        button = session.get_by_text("Delete", exact=True)
        assert (await button.wait(timeout_s=LIMIT_S)).center == pytest.approx((253, 354), abs=4)
        with pytest.raises(streamer.SeveralMatchesError):
            await session.get_by_text("Delete").wait(timeout_s=LIMIT_S)
        with pytest.raises(
            streamer.WaitTimeoutError,
            match=r'"Cancle" was not on the screen; nearest: "Cancel" at \(\d+, \d+\), 0\.83$',
        ) as raised:
            await session.get_by_text("Cancle").wait(timeout_s=2)
        assert "Delete this note?" in raised.value.nearby


async def test_a_function_of_the_program_reads_the_screen(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    def read_text(pixels: np.ndarray) -> list[streamer.TextLine]:
        return [streamer.TextLine(f"{pixels.shape}", streamer.Region(10, 20, 100, 40))]

    async with connect(phone, read_text=read_text) as session, asyncio.timeout(LIMIT_S):
        assert (await session.get_by_text("(640, 360, 3)", exact=True).wait(timeout_s=LIMIT_S)).center == (60, 40)


async def test_what_came_in_time_is_found_however_long_a_look_takes(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    looks, go_on = [0], threading.Event()

    def read_text(pixels: np.ndarray) -> list[streamer.TextLine]:
        looks[0] += 1
        assert go_on.wait(LIMIT_S)
        is_there = (pixels[at.BAR[1], at.BAR[0]] > 240).all()
        return [streamer.TextLine("there", streamer.Region(10, 20, 100, 40))] if is_there else []

    async with connect(phone, read_text=read_text) as session, asyncio.timeout(LIMIT_S):
        await session.wait_until_still(timeout_s=LIMIT_S)
        began = asyncio.get_running_loop().time()
        finding = asyncio.create_task(session.get_by_text("there").wait(timeout_s=5))
        await until(lambda: looks[0] == 1)
        await session.start_app(at.NOTICES)
        await session.wait_for_color(*at.BAR, "#ffffff", timeout_s=LIMIT_S)
        is_in_time = asyncio.get_running_loop().time() - began < 5
        await asyncio.sleep(began + 5.1 - asyncio.get_running_loop().time())
        go_on.set()
        if not is_in_time:
            pytest.skip("the machine was too busy to show anything within 5 s")
        assert (await finding).text == "there"
        with pytest.raises(streamer.WaitTimeoutError):
            await session.get_by_text("elsewhere").wait(timeout_s=1)
