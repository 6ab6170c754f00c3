"""A session that is used outside the event loop that opened it."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import streamer
from streamer import emulator
from streamer.streams import Streams
from tests.support.everywhere import Connect

LIMIT_S = 30.0
BRIDGE = r"use asyncio\.run_coroutine_threadsafe\(\.\.\., loop\)"


def calls(connecting: streamer.Connecting, session: streamer.Session, path: Path) -> dict[str, Callable[[], Any]]:
    """Return a call of every public method."""
    return {
        "__aiter__": lambda: aiter(session),
        "__aexit__": lambda: session.__aexit__(None, None, None),
        "access_units": session.access_units,
        "aclose": session.aclose,
        "audio": session.audio,
        "events": session.events,
        "frames": session.frames,
        "record": lambda: session.record(path),
        "request_keyframe": session.request_keyframe,
        "screenshot": session.screenshot,
        "stats": session.stats,
        "view": lambda: session.view().__aenter__(),
        "wait_connected": session.wait_connected,
        "wait_ended": session.wait_ended,
        "wait_input": session.wait_input,
        "leaving": lambda: connecting.__aexit__(None, None, None),
    }


def public_methods() -> set[str]:
    return {
        name
        for name, value in (vars(Streams) | vars(streamer.Session)).items()
        if inspect.isfunction(value) and (not name.startswith("_") or name in {"__aiter__", "__aexit__"})
    }


def in_another_loop(call: Callable[[], Any]) -> None:
    async def run() -> None:
        made = call()
        if inspect.isawaitable(made):
            await made

    asyncio.run(run())


def without_a_loop(call: Callable[[], Any]) -> None:
    made = call()
    if inspect.iscoroutine(made):
        made.send(None)  # as trio would


@pytest.mark.parametrize("elsewhere", [in_another_loop, without_a_loop])
async def test_every_call_outside_the_sessions_loop_names_the_bridge_and_changes_nothing(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, elsewhere: Callable[[Callable[[], Any]], None]
) -> None:
    async with asyncio.timeout(LIMIT_S), connect(phone) as session:
        pass_through = connect(phone)
        possible = calls(pass_through, session, tmp_path / "a.mp4")
        assert set(possible) == public_methods() | {"leaving"}
        pass_through._loop.check()
        for call in possible.values():
            with pytest.raises(streamer.ConfigurationError, match=BRIDGE):
                await asyncio.to_thread(elsewhere, call)
        async with session.record(tmp_path / "b.mp4") as recording:
            for stop in (recording.stop, recording.closed, lambda: recording.end(None)):
                with pytest.raises(streamer.ConfigurationError, match=BRIDGE):
                    await asyncio.to_thread(elsewhere, stop)
            while recording.frames < 5:
                await asyncio.sleep(0.02)
        assert not (tmp_path / "a.mp4").exists()
        assert session.state == "streaming"


@pytest.mark.parametrize("make", ["frames", "audio", "access_units", "events"])
async def test_an_iterator_that_is_read_outside_the_sessions_loop_names_the_bridge(
    phone: emulator.EmulatedPhone, connect: Connect, make: str
) -> None:
    async with asyncio.timeout(LIMIT_S), connect(phone) as session:
        iterator = getattr(session, make)()
        for elsewhere in (in_another_loop, without_a_loop):
            with pytest.raises(streamer.ConfigurationError, match=BRIDGE):
                await asyncio.to_thread(elsewhere, lambda: anext(iterator))


async def test_the_named_bridge_works(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LIMIT_S), connect(phone) as session:

        def shoot() -> streamer.VideoFrame:
            return asyncio.run_coroutine_threadsafe(session.screenshot(), loop).result(LIMIT_S)

        assert (await asyncio.to_thread(shoot)).shape == (640, 360, 3)


async def test_entering_without_asyncio_says_what_is_needed(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    entering = connect(phone).__aenter__
    with pytest.raises(streamer.ConfigurationError, match="expected a running asyncio event loop, got none"):
        await asyncio.to_thread(without_a_loop, entering)
