"""A session that the caller closes: `await connect(...)` connects and leaves the rest to `aclose`."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

import streamer
from streamer import emulator
from streamer.emulator import Faults
from streamer.protocol_constants import RELEASE_PATH, STOP_PATH
from tests.faults.stages import SMALL
from tests.support.commands import environment
from tests.support.everywhere import Connect
from tests.support.prepared import PYTHON

LIMIT_S = 40.0

_NEVER_CLOSED = """
import asyncio, os
import streamer

async def main():
    phone = await streamer.connect("demo-phone", endpoint=os.environ["STREAMER_ENDPOINT"], credentials=streamer.Token())
    await phone.screenshot()

asyncio.run(main())
"""


@pytest.fixture
async def small() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**SMALL) as phone:
        yield phone


async def test_an_awaited_session_closes_everything_with_aclose_and_once(
    small: emulator.EmulatedPhone, connect: Connect
) -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(LIMIT_S):
        session = await connect(small, release=True)
        assert (await session.screenshot()).width == small.media.width
        assert list(small.lifecycle.calls) == []
        await session.aclose()
        await session.aclose()
    assert session.state == "closed"
    assert session.status.error is None
    assert list(small.lifecycle.calls) == [STOP_PATH, RELEASE_PATH]
    assert session._reconnector._instance._cloud._http.is_closed
    assert {task for task in asyncio.all_tasks() - before if task.get_name().startswith("session ")} == set()


async def test_an_awaited_session_is_closed_by_its_own_block(small: emulator.EmulatedPhone, connect: Connect) -> None:
    async with asyncio.timeout(LIMIT_S), await connect(small) as session:
        await session.screenshot()
    assert session.state == "closed"


async def test_closing_inside_the_block_of_connect_closes_everything_then(
    small: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with asyncio.timeout(LIMIT_S), connect(small, release=True) as session:
        await session.aclose()
        assert list(small.lifecycle.calls) == [STOP_PATH, RELEASE_PATH]
    assert list(small.lifecycle.calls) == [STOP_PATH, RELEASE_PATH]


async def test_connecting_is_used_once_whichever_way(small: emulator.EmulatedPhone, connect: Connect) -> None:
    connecting = connect(small)
    async with asyncio.timeout(LIMIT_S), connecting:
        with pytest.raises(streamer.ConfigurationError, match="expected one use of each connect"):
            await connecting


async def test_an_awaited_connect_that_is_cancelled_leaves_nothing(
    small: emulator.EmulatedPhone, connect: Connect
) -> None:
    small.faults = Faults(silent_at="offer")
    connecting = connect(small, release=True)
    events = connecting.events()
    task = asyncio.ensure_future(connecting)
    async with asyncio.timeout(LIMIT_S):
        async for event in events:
            if event.kind == "authorized":
                task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(small.lifecycle.calls) == [STOP_PATH, RELEASE_PATH]
    del task, connecting, events
    gc.collect()  # a session that was left open would warn


async def test_a_session_that_nobody_closes_warns_when_its_loop_has_ended(small: emulator.EmulatedPhone) -> None:
    async with asyncio.timeout(LIMIT_S):
        process = await asyncio.create_subprocess_exec(
            *(*PYTHON, "-W", "always::ResourceWarning", "-c", _NEVER_CLOSED),
            env=environment(small),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode == 0
    assert "ResourceWarning: the session with demo-phone was never closed: use `async with`" in said.decode()
    assert "Traceback" not in said.decode()
