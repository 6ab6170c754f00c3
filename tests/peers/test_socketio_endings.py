"""How a conversation with the npm socket.io server ends: close reasons, silence and limits."""

import asyncio
import logging
import traceback
from typing import Any

import pytest
from websockets.asyncio.client import connect

from streamer.errors import (
    DeviceTokenError,
    SignalingClosedError,
    SignalingError,
    SignalingProtocolError,
    SignalingTimeoutError,
    TakenOverError,
)
from streamer.signaling import client, conversation
from streamer.signaling.client import SignalingClient
from streamer.signaling.conversation import EVENTS_LIMIT, MESSAGE_LIMIT
from streamer.signaling.messages import Authorized, Offer, websocket_url
from tests.support.peers.npm import StartClient, StartServer
from tests.support.peers.socketio_stage import (
    BARE_CANDIDATE,
    PING_INTERVAL_MS,
    PING_TIMEOUT_MS,
    TOKEN,
    Stage,
    error_of,
    is_ours,
    next_event,
    request,
    staged,
)


@pytest.mark.parametrize(
    ("reason", "kind", "code", "retryable"),
    [
        ("1402|another device", TakenOverError, 1402, False),
        ("1415,token", DeviceTokenError, 1415, True),
        ("1406", SignalingClosedError, 1406, True),
        (1403, SignalingClosedError, 1403, False),
        ("7777 never heard of", SignalingClosedError, 7777, True),
        ("going away", SignalingClosedError, None, True),
    ],
)
async def test_every_kind_of_close_reason_has_its_error(
    stage: Stage, reason: str | int, kind: type[SignalingError], code: int | None, retryable: bool
) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emit", "close", {"reason": reason})
    error = await error_of(stage.signaling)
    assert type(error) is kind
    assert isinstance(error, SignalingClosedError | DeviceTokenError)
    assert (error.code, error.retryable) == (code, retryable)


@pytest.mark.parametrize("ending", ["disconnect", "close", "drop"])
async def test_a_conversation_that_the_server_ends_without_a_reason_is_closed(stage: Stage, ending: str) -> None:
    await stage.come_to_offer()
    await stage.server.tell(ending)
    error = await error_of(stage.signaling)
    assert type(error) is SignalingClosedError
    assert (error.code, error.retryable) == (None, True)


async def test_a_server_that_is_killed_is_a_closed_conversation(
    start_signaling_server: StartServer,
) -> None:
    async with start_signaling_server(silent_at="start") as server:
        signaling = await SignalingClient(request(server.url)).__aenter__()
        assert await next_event(signaling) == Authorized()
    try:
        assert type(await error_of(signaling)) is SignalingClosedError
    finally:
        await signaling.aclose()


@pytest.mark.parametrize("step", ["open", "connect", "authorize"])
async def test_silence_before_the_verdict_on_the_token_times_out_in_that_step(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(conversation, "HANDSHAKE_TIMEOUT_S", 1.0)
    async with start_signaling_server(silent_at=step) as server, SignalingClient(request(server.url)) as signaling:
        error = await error_of(signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert (error.step, error.retryable) == (step, True)


async def test_silence_after_start_times_out_in_that_step(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "START_TIMEOUT_S", 0.2)
    async with start_signaling_server(silent_at="start") as server, SignalingClient(request(server.url)) as signaling:
        error = await error_of(signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert error.step == "start"


async def test_a_silent_phone_times_out_before_the_offer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "OFFER_TIMEOUT_S", 0.2)
    error = await error_of(stage.signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert error.step == "offer"


async def test_a_server_that_stops_answering_pings_is_noticed(pinging_stage: Stage) -> None:
    await pinging_stage.come_to_offer()
    await pinging_stage.server.wait_for("ping", is_ours)
    await pinging_stage.server.tell("fault", "silent_at", "pong")
    error = await error_of(pinging_stage.signaling)
    assert isinstance(error, SignalingTimeoutError)
    assert error.step == "pong"


async def test_a_client_that_stays_silent_is_still_connected_after_three_times_the_ping_time(
    pinging_stage: Stage,
) -> None:
    await pinging_stage.come_to_offer()
    for _ in range(3 * (PING_INTERVAL_MS + PING_TIMEOUT_MS) // PING_INTERVAL_MS + 1):
        await pinging_stage.server.wait_for("ping", is_ours)
    await pinging_stage.phone.send("offer", payload={"type": "offer", "sdp": "still here"})
    assert await next_event(pinging_stage.signaling) == Offer("still here")


async def test_a_client_that_sends_no_pings_is_dropped_by_this_server(start_signaling_server: StartServer) -> None:
    # What makes the test before this one mean something.
    async with (
        start_signaling_server(pingInterval=PING_INTERVAL_MS, pingTimeout=PING_TIMEOUT_MS) as server,
        connect(websocket_url(request(server.url)).reveal()),
    ):
        assert (await server.wait_for("gone"))["reason"] == "ping timeout"


async def test_a_message_over_the_limit_ends_the_conversation(stage: Stage) -> None:
    await stage.come_to_offer()
    await stage.server.tell("emit", "providerUpdate", "x" * (MESSAGE_LIMIT + 1))
    assert type(await error_of(stage.signaling)) is SignalingProtocolError


async def test_too_many_unread_events_end_the_conversation_after_those_that_fit(
    start_signaling_server: StartServer, start_socketio_client: StartClient
) -> None:
    soon: dict[str, Any] = {
        "pingInterval": PING_INTERVAL_MS,
        "pingTimeout": 10 * PING_TIMEOUT_MS,
    }  # after that the client is gone
    async with staged(start_signaling_server, start_socketio_client, codes={TOKEN: 0}, **soon) as stage:
        for _ in range(EVENTS_LIMIT + 1):
            await stage.server.tell("emit", "message", BARE_CANDIDATE)
        await stage.server.wait_for("gone", is_ours)
        for _ in range(EVENTS_LIMIT):
            await next_event(stage.signaling)
        with pytest.raises(SignalingProtocolError, match=str(EVENTS_LIMIT)):
            raise await error_of(stage.signaling)


async def test_closing_the_client_ends_the_iteration_and_the_connection(stage: Stage) -> None:
    await stage.come_to_offer()
    waiting = asyncio.ensure_future(anext(stage.signaling))
    await asyncio.sleep(0)
    await stage.signaling.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await stage.server.wait_for("disconnect")


async def test_the_token_is_in_no_log_and_in_no_error(
    start_signaling_server: StartServer,
    start_socketio_client: StartClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_ATTEMPT_PAUSE_S", 0.01)
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    async with staged(start_signaling_server, start_socketio_client) as stage:
        await stage.come_to_offer()
        stage.signaling.send_answer("answer")
        await stage.server.tell("emit", "close", {"reason": "1402"})
        errors.append(await error_of(stage.signaling))
        assert TOKEN not in repr(vars(stage.signaling))
        url = stage.server.url
    options: tuple[dict[str, Any], ...] = ({"status": 403}, {"status": 503}, {"codes": {}}, {"refuse": "no"})
    for option in options:
        async with start_signaling_server(**option) as server:
            with pytest.raises(SignalingError) as caught:
                async with SignalingClient(request(server.url)) as signaling:
                    raise await error_of(signaling)
            errors.append(caught.value)
    with pytest.raises(SignalingError) as caught:
        await SignalingClient(request(url)).__aenter__()
    errors.append(caught.value)

    texts = [caplog.text, *(line for error in errors for line in traceback.format_exception(error)), *map(repr, errors)]
    for form in (TOKEN, "device-token"):  # as it is, and what percent-encoding leaves of it
        assert not [text for text in texts if form in text]
