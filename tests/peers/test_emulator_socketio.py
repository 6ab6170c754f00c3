"""The npm socket.io-client against the emulator's server."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx
import pytest
from websockets.asyncio.client import connect

from streamer.emulator import EmulatedPhone, serve
from tests.support.peers.npm import Script, StartClient
from tests.support.peers.presence import LIMIT_S

PING_INTERVAL_S: Final = 0.3
PING_TIMEOUT_S: Final = 0.6
INIT: Final = {"sole": True, "mode": "app", "role": "master", "vcodec": "h264"}


async def fetch_ticket(phone: EmulatedPhone) -> dict[str, Any]:
    """Return the `data` of the auth API's reply."""
    headers = {"x-auth-token": phone.tenant_token, "x-request-id": "1"}
    async with httpx.AsyncClient(base_url=phone.endpoint, headers=headers, timeout=LIMIT_S, verify=False) as api:
        reply = await api.post(f"/v1/instances/{phone.instance_id}/auth")
    data: dict[str, Any] = reply.json()["data"]
    return data


@contextlib.asynccontextmanager
async def connected(
    phone: EmulatedPhone, start_client: StartClient, token: str | None = None
) -> AsyncGenerator[Script]:
    """Give the npm client, connected with a ticket, or with another token instead of the ticket's."""
    ticket = await fetch_ticket(phone)
    token = token or ticket["device_token"]
    query = {"authtype": "token", "boxid": ticket["resource"]["device_id"], "token": token, "sessionid": token}
    signaling_url = ticket["resource"]["rtc"]["ice_signaling"]["signaling_url"]
    async with start_client(signaling_url, query) as client:
        await client.wait_for("connect")
        yield client


async def come_to_offer(phone: EmulatedPhone, client: Script) -> dict[str, Any]:
    """Go through the conversation; return the message that carries the phone's offer."""
    assert await client.wait_for("authorize") == {"authorized": True, "code": 0}
    await client.tell("emit", "start", {"room": phone.device_id, "times": 0})
    stream_id = (await client.wait_for("start"))["streamId"]
    data = base64.b64encode(json.dumps(INIT).encode()).decode()
    await client.tell("emit", "message", {"to": stream_id, "type": "init", "data": data})
    message: dict[str, Any] = await client.wait_for("message", lambda message: message["type"] == "offer")
    assert message["from"] == stream_id
    return message


async def test_the_conversation_leads_to_the_phones_offer(start_socketio_client: StartClient) -> None:
    async with serve() as phone, connected(phone, start_socketio_client) as client:
        offer = (await come_to_offer(phone, client))["payload"]
    assert offer["type"] == "offer"
    assert [line.split()[0] for line in offer["sdp"].splitlines() if line.startswith("m=")].count("m=video") == 1


async def test_a_client_that_pings_stays_connected_for_three_times_the_ping_time(
    start_socketio_client: StartClient,
) -> None:
    pings = round(3 * (PING_INTERVAL_S + PING_TIMEOUT_S) / PING_INTERVAL_S) + 1
    async with (
        serve(ping_interval_s=PING_INTERVAL_S, ping_timeout_s=PING_TIMEOUT_S) as phone,
        connected(phone, start_socketio_client) as client,
    ):
        await come_to_offer(phone, client)
        for _ in range(pings):
            await client.wait_for("pong")
        await phone.push_offer()
        await client.wait_for("message", lambda message: message["type"] == "offer")


async def test_a_client_that_sends_no_pings_is_dropped() -> None:
    async with serve(ping_interval_s=PING_INTERVAL_S, ping_timeout_s=PING_TIMEOUT_S) as phone:
        url = phone.signaling_url.replace("http", "ws") + "/socket.io/?EIO=3&transport=websocket"
        async with asyncio.timeout(LIMIT_S), connect(url) as websocket:
            async for _ in websocket:  # ends when the server closes
                pass


async def test_the_npm_client_notices_unanswered_pings(start_socketio_client: StartClient) -> None:
    async with serve(ping_interval_s=PING_INTERVAL_S, ping_timeout_s=PING_TIMEOUT_S) as phone:
        phone.faults.no_pong = True
        async with connected(phone, start_socketio_client) as client:
            assert await client.wait_for("disconnect") == "ping timeout"


async def test_a_wrong_token_gets_code_minus_one(start_socketio_client: StartClient) -> None:
    async with serve() as phone, connected(phone, start_socketio_client, token="wrong") as client:
        assert await client.wait_for("authorize") == {"authorized": False, "code": -1}


async def test_an_expired_token_gets_code_minus_two(start_socketio_client: StartClient) -> None:
    async with serve(token_lifetime_s=0) as phone, connected(phone, start_socketio_client) as client:
        assert await client.wait_for("authorize") == {"authorized": False, "code": -2}


async def test_a_refused_start_has_a_code_and_a_text(start_socketio_client: StartClient) -> None:
    async with serve() as phone:
        phone.faults.refuse_start = 7
        async with connected(phone, start_socketio_client) as client:
            await client.wait_for("authorize")
            await client.tell("emit", "start", {"room": phone.device_id, "times": 2})
            refusal = await client.wait_for("start")
    assert (refusal["code"], refusal["times"]) == (7, 2)
    assert refusal["message"]


async def test_a_refusal_by_middleware_is_the_npm_clients_error(start_socketio_client: StartClient) -> None:
    async with serve() as phone:
        phone.faults.refuse = "no such box"
        async with start_socketio_client(phone.signaling_url, {"boxid": phone.device_id}) as client:
            assert "no such box" in await client.wait_for("error")


@pytest.mark.parametrize("reason", ["1402", "1403"])
async def test_the_reason_of_a_close_reaches_the_client(start_socketio_client: StartClient, reason: str) -> None:
    async with serve() as phone, connected(phone, start_socketio_client) as client:
        await come_to_offer(phone, client)
        await phone.close_clients(reason)
        assert await client.wait_for("close") == {"reason": reason}
