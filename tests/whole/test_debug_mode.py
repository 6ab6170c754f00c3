"""asyncio's debug mode, which the other tests leave off, finds nothing in a session."""

import asyncio
from pathlib import Path

from streamer import emulator
from tests.support.everywhere import Connect


async def test_a_session_streams_and_reconnects_in_asyncios_debug_mode(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    asyncio.get_running_loop().set_debug(True)
    async with (
        connect(phone) as session,
        session.record(tmp_path / "a.mp4") as recording,
        asyncio.timeout(60),
        session.frames() as frames,
    ):
        await anext(frames)
        await phone.cut_signaling()
        while not session.stats().interruptions:
            await anext(frames)
        await anext(frames)
    assert recording.frames >= 2
