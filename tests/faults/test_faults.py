"""Faults that need more than a row of the matrix."""

import asyncio
from typing import Any

import pytest

import streamer
from streamer import connection, emulator
from streamer.emulator import Faults
from tests.support.everywhere import Connect

LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same time-outs, shorter."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 1.0)


async def fail(connect: Connect, faults: Faults, **options: Any) -> streamer.StreamerError:
    """Return the error that connecting to a phone with these faults ends in, or that its stream ends in."""
    async with emulator.serve(width=360, height=640, faults=faults, **options) as phone, asyncio.timeout(LIMIT_S):
        with pytest.raises(streamer.StreamerError) as caught:
            async with connect(phone, reconnect=None) as session:
                async for _ in session:
                    pass
    return caught.value


async def test_a_server_that_answers_no_pings_is_noticed(connect: Connect) -> None:
    caught = await fail(connect, Faults(no_pong=True), ping_interval_s=0.3, ping_timeout_s=0.3)
    assert isinstance(caught, streamer.SignalingTimeoutError)
    assert caught.step == "pong"


async def test_a_device_token_that_expired_before_it_was_used_is_a_device_token_error(connect: Connect) -> None:
    caught = await fail(connect, Faults(), token_lifetime_s=0.0)
    assert isinstance(caught, streamer.DeviceTokenError)
    assert caught.code == -2


async def test_the_error_names_the_ice_servers_that_did_not_help(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = await fail(connect, Faults(no_media=True), ice_servers=["stun:nobody.invalid:3478", "carrier-pigeon:x"])
    assert "stun:nobody.invalid:3478" in str(caught)
    assert "carrier-pigeon:x" in str(caught)


async def test_a_phone_that_dies_ends_the_stream_with_an_error(connect: Connect) -> None:
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises((streamer.ConnectionLostError, streamer.SignalingClosedError)):
            async with emulator.serve(width=360, height=640) as phone:
                session = await connect(phone, reconnect=None)
                await anext(aiter(session))
            try:
                async for _ in session:
                    pass
            finally:
                await session.aclose()


@pytest.mark.parametrize(
    "faults",
    [
        Faults(restart_after_s=0.5),
        Faults(close_after_s=0.5, close_reason="3000"),
        Faults(lose_path_after_s=0.5, lose_path_for_s=3.5),
        Faults(restart_ice_after_s=0.5),
    ],
    ids=str,
)
async def test_frames_go_on_after_a_fault_that_a_new_connection_heals(connect: Connect, faults: Faults) -> None:
    async with (
        emulator.serve(width=360, height=640, faults=faults) as phone,
        connect(phone, reconnect=streamer.Reconnect(max_delay_s=0.2)) as session,
        asyncio.timeout(LIMIT_S),
    ):
        frames = session.frames("every", limit=1000)
        await anext(frames)
        while not (await anext(frames)).discontinuity:  # the stream has begun anew
            pass
        for _ in range(5):
            await anext(frames)
