"""The emulator's apps over a real connection."""

import asyncio

import numpy as np
import pytest

from streamer import emulator
from streamer.emulator import EmulatedPhone
from streamer.emulator.api import Request
from streamer.protocol_constants import REQUEST_ID_HEADER, SYNC_COMMAND_PATH
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0


async def until_in_front(phone: EmulatedPhone, package: str) -> None:
    while phone.app_in_front != package:
        await asyncio.sleep(0.01)


async def test_a_tap_opens_an_app_and_the_screen_rests_before_and_after(connect: Connect) -> None:
    async with (
        emulator.serve(width=180, height=320, fps=20, audio=False, screen="apps") as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
    ):
        launcher = await session.screenshot()
        sent = phone.frames_sent
        await asyncio.sleep(0.5)
        assert phone.frames_sent == sent
        await session.tap(0.125, 0.2)
        await until_in_front(phone, "com.android.settings")
        while np.abs(np.asarray(await session.screenshot(), dtype=int) - np.asarray(launcher, dtype=int)).mean() < 20:
            await asyncio.sleep(0.05)
        await session.press("HOME")
        await until_in_front(phone, "com.android.launcher3")


async def test_a_command_opens_an_app_and_turning_changes_the_frames_size(connect: Connect) -> None:
    async with (
        emulator.serve(width=180, height=320, fps=20, audio=False, screen="apps") as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await session.screenshot()
        request = Request(
            "POST",
            SYNC_COMMAND_PATH,
            {"x-auth-token": phone.tenant_token, REQUEST_ID_HEADER: "1"},
            b'{"command": "am start -n com.example.canvas/.Main", "instance_ids": ["demo-phone"]}',
        )
        assert phone.answer(request).body["error_code"] == "0"
        await until_in_front(phone, "com.example.canvas")
        phone.rotate()
        async for frame in session.frames():
            if (frame.width, frame.height) == (320, 180):
                break
