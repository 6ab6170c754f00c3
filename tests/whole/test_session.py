"""A session with the emulator, over real sockets: how it begins, how it ends, and that nothing is left of it."""

import asyncio
import gc
import itertools
import random
import socket
from pathlib import Path
from typing import Any

import pytest

import streamer
from streamer import emulator
from streamer.emulator import Faults
from tests.support.emulated import recorded_counters, take
from tests.support.everywhere import Connect
from tests.support.open_sockets import open_sockets
from tests.support.waiting import LIMIT_S


@pytest.mark.parametrize("announce", [False, True])
async def test_the_input_channel_opens_from_either_side(connect: Connect, announce: bool) -> None:
    async with emulator.serve(width=360, height=640, announce_input=announce) as phone, connect(phone) as session:
        async with asyncio.timeout(LIMIT_S):
            await session.wait_input()


async def test_a_second_device_takes_the_phone_over(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as first:
        frames = first.frames()
        await take(frames, 1)
        async with connect(phone) as second:
            with pytest.raises(streamer.TakenOverError):
                async with asyncio.timeout(LIMIT_S):
                    async for _ in frames:
                        pass
            await take(second.frames(), 1)


async def test_an_error_in_the_block_passes_through_and_leaves_nothing(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connect(phone) as session:
            assert repr(session) == f"<Session {phone.instance_id}: streaming>"
            await take(session.frames(), 1)
            raise ZeroDivisionError
    assert session.state == "closed"
    assert repr(session) == f"<Session {phone.instance_id}: closed>"


async def test_connecting_may_be_cancelled_at_every_step(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    """At each turn of the loop on the way to a session, cancelled there: nothing may be left (`nothing_is_left`)."""

    async def session() -> None:
        async with connect(phone):
            pass

    for turns in itertools.chain(range(0, 60, 6), range(60, 400, 48)):
        task = asyncio.create_task(session())
        for _ in range(turns):
            await asyncio.sleep(0.001 if turns > 60 else 0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def test_an_ice_server_that_never_answers_does_not_delay_the_stream(connect: Connect) -> None:
    unreachable: list[Any] = ["stun:127.0.0.1:9", {"uri": "turn:127.0.0.1:9?transport=udp", "usr": "u", "pwd": "p"}]
    async with emulator.serve(width=360, height=640, ice_servers=unreachable) as phone, connect(phone) as session:
        await take(session.frames(), 1)
        assert session.state == "streaming"  # and the servers are still being asked


async def test_an_unused_connect_needs_no_closing(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    connecting = connect(phone)
    assert not phone.device_tokens
    del connecting
    gc.collect()  # a warning would be an error


async def test_one_time_limit_covers_all_steps_of_connecting(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, faults=Faults(silent_at="offer")) as phone:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(streamer.ConnectionFailedError, match=r"after 0\.5 s waiting for the phone") as caught:
                async with connect(phone, timeout_s=0.5):
                    pass
    assert caught.value.stage == "media"
    assert caught.value.retryable


async def test_a_silent_api_is_named_when_the_time_is_up() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(streamer.ConnectionFailedError, match="the API"):
                async with streamer.connect(
                    "phone",
                    endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
                    credentials=streamer.Token("token"),
                    timeout_s=0.5,
                ):
                    pass


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts sockets as Linux shows them")
async def test_sessions_leave_no_socket_open(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    before = open_sockets()
    for _ in range(3):
        async with connect(phone) as session:
            await take(session.frames(), 1)
    async with asyncio.timeout(LIMIT_S):
        while open_sockets() - before:  # the phone's ends close when it has noticed
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(4))
async def test_a_session_may_be_cancelled_at_any_moment_while_it_is_used(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, seed: int
) -> None:
    """Readers, a recording and the wait for input under way: nothing may be left (`nothing_is_left`)."""
    recordings: list[streamer.Recording] = []

    async def use() -> None:
        async with connect(phone) as session, asyncio.TaskGroup() as tasks:
            recordings.append(session.record(tmp_path / "a.mp4"))
            tasks.create_task(session.wait_input())
            tasks.create_task(session.wait_ended())
            async for frame in session.frames("every"):
                await asyncio.to_thread(frame.to_ndarray)

    task = asyncio.create_task(use())
    until_s = random.Random(seed).uniform(0.3, 1.5)
    await asyncio.wait({task}, timeout=until_s)
    task.cancel()
    async with asyncio.timeout(LIMIT_S):
        await asyncio.wait({task})
    assert task.cancelled()
    for recording in recordings:
        assert recording.error is None
        assert len(recorded_counters(recording.path) if recording.frames else []) == recording.frames
