"""Each fault of the embedded phone, and what the user gets: a named error with its facts, or a stream all the same."""

import asyncio
from typing import Any

import pytest
import stamina

import streamer
from streamer import link
from streamer import phone as embedded
from streamer.phone import Faults
from streamer.signaling import conversation
from tests.everywhere import Connect

LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same time-outs, shorter."""
    for name in ("HANDSHAKE_TIMEOUT_S", "START_TIMEOUT_S", "OFFER_TIMEOUT_S"):
        monkeypatch.setattr(conversation, name, 0.5)
    monkeypatch.setattr(link, "CONNECT_TIMEOUT_S", 1.0)


async def fail(connect: Connect, faults: Faults, **options: Any) -> streamer.StreamerError:
    """Return the error that connecting to a phone with these faults ends in, or that its stream ends in."""
    async with embedded.serve(width=360, height=640, faults=faults, **options) as phone, asyncio.timeout(LIMIT_S):
        with pytest.raises(streamer.StreamerError) as caught, stamina.set_testing(True, attempts=3):
            async with connect(phone, reconnect=None) as session:
                async for _ in session:
                    pass
    return caught.value


@pytest.mark.parametrize(
    ("faults", "error", "facts"),
    [
        (Faults(auth_code="KOOPHONE.API.1001", auth_status=400), streamer.CloudRefusalError, {"status": 400}),
        (Faults(auth_code="KOOPHONE.API.1012"), streamer.CloudRefusalError, {"error_code": "KOOPHONE.API.1012"}),
        (Faults(auth_code="KooPhone.API.2005"), streamer.CloudRefusalError, {"retryable": True}),
        (Faults(auth_code="APIGW.0301", auth_status=401), streamer.CredentialsError, {"status": 401}),
        (Faults(auth_body="html", auth_status=502), streamer.CloudReplyError, {"status": 502, "retryable": True}),
        (Faults(auth_body="empty"), streamer.CloudReplyError, {"status": 200}),
        (Faults(auth_body="truncated"), streamer.CloudUnreachableError, {}),
        (Faults(token="invalid"), streamer.DeviceTokenError, {"code": -1}),
        (Faults(token="expired"), streamer.DeviceTokenError, {"code": -2}),
        (Faults(refuse="go away"), streamer.SignalingRefusedError, {}),
        (Faults(refuse_start=1003), streamer.SignalingRefusedError, {"code": 1003}),
        (Faults(silent_at="open"), streamer.SignalingTimeoutError, {"step": "open"}),
        (Faults(silent_at="connect"), streamer.SignalingTimeoutError, {"step": "connect"}),
        (Faults(silent_at="authorize"), streamer.SignalingTimeoutError, {"step": "authorize"}),
        (Faults(silent_at="start"), streamer.SignalingTimeoutError, {"step": "start"}),
        (Faults(silent_at="offer"), streamer.SignalingTimeoutError, {"step": "offer"}),
        (Faults(drop_at="open"), streamer.SignalingClosedError, {}),
        (Faults(drop_at="authorize"), streamer.SignalingClosedError, {}),
        (Faults(drop_at="start"), streamer.SignalingClosedError, {}),
        (Faults(drop_at="offer"), streamer.SignalingClosedError, {}),
        (Faults(drop_at="answer"), streamer.SignalingClosedError, {}),
        (Faults(bad_offer=True), streamer.ConnectionFailedError, {"stage": "negotiation"}),
        (Faults(no_media=True), streamer.ConnectionFailedError, {"stage": "ice"}),
        (Faults(close_after_s=0.3, close_reason="1400,over"), streamer.SignalingClosedError, {"code": 1400}),
        (Faults(close_after_s=0.3, close_reason="1402"), streamer.TakenOverError, {"retryable": False}),
        (Faults(close_after_s=0.3, close_reason="1415"), streamer.DeviceTokenError, {"code": 1415}),
        (Faults(disconnect_after_s=0.3), streamer.SignalingClosedError, {}),
    ],
    ids=str,
)
async def test_a_fault_gets_its_named_error(
    connect: Connect, faults: Faults, error: type[streamer.StreamerError], facts: dict[str, Any]
) -> None:
    caught = await fail(connect, faults)
    assert type(caught) is error, caught
    assert {name: getattr(caught, name) for name in facts} == facts


async def test_a_server_that_answers_no_pings_is_noticed(connect: Connect) -> None:
    caught = await fail(connect, Faults(no_pong=True), ping_interval_s=0.3, ping_timeout_s=0.3)
    assert isinstance(caught, streamer.SignalingTimeoutError)
    assert caught.step == "pong"


async def test_a_device_token_that_expired_before_it_was_used_is_a_device_token_error(connect: Connect) -> None:
    caught = await fail(connect, Faults(), token_lifetime_s=0.0)
    assert isinstance(caught, streamer.DeviceTokenError)
    assert caught.code == -2


async def test_servers_that_did_not_help_are_named_in_the_error(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = await fail(connect, Faults(no_media=True), ice_servers=["stun:nobody.invalid:3478", "carrier-pigeon:x"])
    assert "stun:nobody.invalid:3478" in str(caught)
    assert "carrier-pigeon:x" in str(caught)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(early_candidates=True),
        Faults(data_payload=True),
        Faults(auth_body="flat"),
        Faults(auth_body="nulls"),
        Faults(auth_code="KOOPHONE.API.9999", auth_status=500, auth_times=2),
    ],
    ids=str,
)
async def test_what_is_only_unusual_streams_all_the_same(connect: Connect, faults: Faults) -> None:
    async with embedded.serve(width=360, height=640, faults=faults) as phone, asyncio.timeout(LIMIT_S):
        with stamina.set_testing(True, attempts=3):
            async with connect(phone) as session:
                async for frame in session:
                    assert frame.width == 360
                    break


async def test_a_phone_that_dies_ends_the_stream_with_an_error(connect: Connect) -> None:
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises((streamer.ConnectionLostError, streamer.SignalingClosedError)):
            async with embedded.serve(width=360, height=640) as phone:
                connecting = connect(phone, reconnect=None)
                session = await connecting.__aenter__()
                await anext(aiter(session))
            try:
                async for _ in session:
                    pass
            finally:
                await connecting.__aexit__(None, None, None)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(cut_after_s=0.5),
        Faults(restart_after_s=0.5),
        Faults(disconnect_after_s=0.5),
        Faults(close_after_s=0.5, close_reason="3000"),
        Faults(lose_path_after_s=0.5, lose_path_for_s=3.5),
        Faults(restart_ice_after_s=0.5),
    ],
    ids=str,
)
async def test_a_fault_that_another_connection_mends_leaves_the_pictures_going(
    connect: Connect, faults: Faults
) -> None:
    async with (
        embedded.serve(width=360, height=640, faults=faults) as phone,
        connect(phone, reconnect=streamer.Reconnect(max_delay_s=0.2)) as session,
        asyncio.timeout(LIMIT_S),
    ):
        frames = session.frames("every", limit=1000)
        await anext(frames)
        while not (await anext(frames)).discontinuity:  # the stream has begun anew
            pass
        for _ in range(5):
            await anext(frames)
