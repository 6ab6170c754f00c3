"""An instance is prepared before the stream and released after it, on every way out."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

import streamer
from streamer import emulator, reconnector
from streamer.cloud import provisioning
from streamer.emulator import Faults
from streamer.protocol_constants import PREPARE_PATH, PROGRESS_PATH, RELEASE_PATH, STOP_PATH
from tests.support.everywhere import Connect

LIMIT_S = 30.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "PROGRESS_EVERY_S", 0.2)


@pytest.fixture
async def taken_phone() -> AsyncIterator[emulator.EmulatedPhone]:
    """A phone that stays taken after a stream, until it is released."""
    async with emulator.serve(width=360, height=640, session_lingers_s=600) as phone:
        yield phone


async def test_an_instance_is_prepared_and_the_progress_is_reported(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, prepare_s=1.5) as phone, asyncio.timeout(LIMIT_S):
        with pytest.raises(streamer.CloudRefusalError, match="being restored"):
            async with connect(phone):
                pass
        connecting = connect(phone, prepare_for="somebody")
        events = connecting.events()
        async with connecting as session:
            await anext(aiter(session))
        told = [event async for event in events]
        async with connect(phone, prepare_for="somebody"):
            pass
    reasons = [event.reason for event in told if event.kind == "preparing"]
    assert reasons[0] is None
    assert reasons[1] == "queuing, waiting count 1"
    assert reasons[-1] == "being restored, or offline, waiting count 0"
    kinds = [event.kind for event in told if event.kind != "preparing"]
    assert kinds == ["connecting", "authorized", "negotiating", "streaming", "closed"]
    calls = list(phone.lifecycle.calls)
    assert calls[0] == PREPARE_PATH
    assert set(calls[1:-1]) == {PROGRESS_PATH}
    assert calls[-1] == PREPARE_PATH  # and it was ready


async def test_an_instance_that_does_not_become_ready_is_an_error_and_is_released(connect: Connect) -> None:
    faults = Faults(prepare_fails=True)
    async with emulator.serve(width=360, height=640, prepare_s=60, faults=faults) as phone, asyncio.timeout(LIMIT_S):
        with pytest.raises(streamer.CloudRefusalError, match="the cloud could not prepare demo-phone: ") as caught:
            async with connect(phone, prepare_for="somebody", release=True):
                pass
        assert not caught.value.retryable
        phone.faults.prepare_fails = False
        with pytest.raises(
            streamer.CloudRefusalError, match=r"timed out after 0\.5 s waiting for demo-phone to get ready: queuing"
        ) as caught:
            async with connect(phone, prepare_for="somebody", prepare_timeout_s=0.5, release=True):
                pass
        assert caught.value.retryable
    assert [call for call in phone.lifecycle.calls if call not in {PREPARE_PATH, PROGRESS_PATH}] == [
        STOP_PATH,
        RELEASE_PATH,
    ] * 2


async def test_an_instance_that_is_no_longer_ready_is_prepared_again_when_the_session_reconnects(
    connect: Connect,
) -> None:
    quick = streamer.Reconnect(max_delay_s=0.2)
    async with (
        emulator.serve(width=360, height=640, prepare_s=1.5) as phone,
        connect(phone, prepare_for="somebody", reconnect=quick) as session,
        asyncio.timeout(LIMIT_S),
    ):
        frames, events = session.frames(), session.events()
        await anext(frames)
        calls = len(phone.lifecycle.calls)
        phone.lifecycle.put_away()
        await phone.cut_signaling()
        kinds = []
        async for event in events:
            kinds.append(event.kind)
            if event.kind == "resumed":
                break
        await anext(frames)
        again = list(phone.lifecycle.calls)[calls:]
    assert list(dict.fromkeys(kinds)) == [
        *("streaming", "interrupted", "connecting", "preparing", "authorized", "negotiating", "resumed")
    ]
    assert again[0] == PREPARE_PATH
    assert set(again[1:]) == {PROGRESS_PATH}


async def test_preparing_again_ends_with_the_limits_of_the_attempts(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnector, "LAST_ATTEMPT_S", 0.5)
    brief = streamer.Reconnect(max_delay_s=0.2, give_up_after_s=3)
    async with (
        emulator.serve(width=360, height=640, prepare_s=0.3) as phone,
        connect(phone, prepare_for="somebody", reconnect=brief) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await anext(aiter(session))
        phone.lifecycle._prepare_s = 600
        phone.lifecycle.put_away()
        await phone.cut_signaling()
        with pytest.raises(streamer.SignalingClosedError):  # what it was that ended the stream
            await session.wait_ended()
        assert session.status.kind == "closed"
    assert PROGRESS_PATH in phone.lifecycle.calls


async def test_a_session_that_is_not_released_leaves_the_instance_taken(
    taken_phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with asyncio.timeout(LIMIT_S):
        async with connect(taken_phone) as session:
            await anext(aiter(session))
        while taken_phone.clients:
            await asyncio.sleep(0.02)
        with pytest.raises(streamer.CloudRefusalError) as caught:
            async with connect(taken_phone, timeout_s=60):
                pass
    assert caught.value.error_code == "KOOPHONE.API.2003"
    assert not taken_phone.lifecycle.calls


async def test_an_instance_is_released_when_the_block_ends(
    taken_phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with asyncio.timeout(LIMIT_S):
        for _ in range(2):  # the second one finds it free
            async with connect(taken_phone, release=True) as session:
                await anext(aiter(session))
    assert list(taken_phone.lifecycle.calls) == [STOP_PATH, RELEASE_PATH] * 2


async def test_an_instance_is_released_after_an_error(taken_phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(ZeroDivisionError):
            async with connect(taken_phone, release=True):
                raise ZeroDivisionError
        taken_phone.faults.refuse = "go away"
        with pytest.raises(streamer.SignalingRefusedError):
            async with connect(taken_phone, release=True):
                pass
    assert list(taken_phone.lifecycle.calls) == [STOP_PATH, RELEASE_PATH] * 2


async def test_an_instance_is_released_however_often_the_block_is_cancelled(
    taken_phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    entered = asyncio.Event()

    async def session() -> None:
        async with connect(taken_phone, release=True):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(session())
    async with asyncio.timeout(LIMIT_S):
        await entered.wait()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0.001)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert list(taken_phone.lifecycle.calls) == [STOP_PATH, RELEASE_PATH]


async def test_an_instance_that_was_refused_or_taken_over_is_left_alone(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with asyncio.timeout(LIMIT_S):
        phone.faults.auth_code = "KOOPHONE.API.1001"
        with pytest.raises(streamer.CloudRefusalError):
            async with connect(phone, release=True):
                pass
        phone.faults.auth_code = ""
        with contextlib.suppress(streamer.TakenOverError):
            async with connect(phone, release=True) as session:
                await phone.close_clients("1402")
                await session.wait_ended()
    assert not phone.lifecycle.calls


async def test_releasing_is_bounded_and_hides_no_error(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(provisioning, "RELEASE_LIMIT_S", 0.3)
    async with asyncio.timeout(LIMIT_S), await asyncio.start_server(_hang, "127.0.0.1", 0) as silent:
        with pytest.raises(ZeroDivisionError):
            async with connect(phone, release=True) as session:
                session._reconnector._instance._cloud._endpoint = (
                    f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
                )
                left_at = time.monotonic()
                raise ZeroDivisionError
    assert time.monotonic() - left_at < 10
    assert "cannot release demo-phone, which may stay taken for a while" in caplog.text


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(1000):
            pass
    writer.close()


async def test_an_invalid_user_id_is_refused_before_anything_is_sent(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    for user_id in ("", "x" * 33):
        with pytest.raises(streamer.ConfigurationError, match="user id of 1 to 32"):
            connect(phone, prepare_for=user_id)
