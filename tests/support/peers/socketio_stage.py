"""A socket.io server of npm, its client as the phone's side, and our client."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest

from streamer.errors import SignalingError
from streamer.secret import Secret
from streamer.signaling.client import SignalingClient
from streamer.signaling.messages import Authorized, Event, Offer, SignalingRequest, Started
from tests.support.peers.npm import Script, SignalingServer, StartClient, StartServer
from tests.support.peers.presence import LIMIT_S

DEVICE_ID: Final = "device 1/ä"
TOKEN: Final = "device-token+/=&%"
PING_INTERVAL_MS: Final = 300
PING_TIMEOUT_MS: Final = 600
SDP: Final = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
CANDIDATE: Final = "1 1 udp 2130706431 192.0.2.1 40000 typ host"
BARE_CANDIDATE: Final = {"type": "candidate", "payload": {"candidate": CANDIDATE}}


def request(url: str, **changes: Any) -> SignalingRequest:
    facts: dict[str, Any] = {
        "signaling_url": url,
        "device_id": DEVICE_ID,
        "device_token": Secret(TOKEN),
        "streaming_id": "3d0e5d0c-7a38-4c86-a9e8-9d8f6ad2ef3e",
        "client_uuid": str(uuid.uuid4()),
    }
    return SignalingRequest(**facts | changes)


async def next_event(signaling: SignalingClient) -> Event:
    async with asyncio.timeout(LIMIT_S):
        return await anext(signaling)


async def error_of(signaling: SignalingClient) -> SignalingError:
    """Return the error that ends the conversation, whatever events come before."""
    async with asyncio.timeout(LIMIT_S):
        try:
            async for _ in signaling:
                pass
        except SignalingError as error:
            return error
    pytest.fail("expected an error, but the conversation just ended")


def is_ours(connection: dict[str, str]) -> bool:
    """Whether what the server says of a connection is about ours, not the phone's."""
    return connection["role"] == "client"


class Phone:
    """The phone's side: what a test has it say, it says through the npm client."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._client = ""

    async def receive(self, kind: str) -> dict[str, Any]:
        """Return the next message, which has to be of that type."""
        message: dict[str, Any] = await self._script.wait_for("message")
        assert message["type"] == kind
        self._client = message["from"]
        return message

    async def send(self, kind: str, **content: Any) -> None:
        await self._script.tell("emit", "message", {"to": self._client, "type": kind, **content})


class Stage:
    """A server, a phone that is connected to it, and our client."""

    def __init__(self, server: SignalingServer, phone: Phone, signaling: SignalingClient) -> None:
        self.server = server
        self.phone = phone
        self.signaling = signaling

    async def come_to_init(self) -> dict[str, Any]:
        """Go through the conversation until the phone has the client's init; return that message."""
        assert await next_event(self.signaling) == Authorized()
        assert isinstance(await next_event(self.signaling), Started)
        return await self.phone.receive("init")

    async def come_to_offer(self) -> None:
        """Go through the conversation until the client has the phone's offer."""
        await self.come_to_init()
        await self.phone.send("offer", payload={"type": "offer", "sdp": SDP})
        assert await next_event(self.signaling) == Offer(SDP)


@contextlib.asynccontextmanager
async def staged(
    start_server: StartServer, start_client: StartClient, changes: dict[str, Any] | None = None, **options: Any
) -> AsyncGenerator[Stage]:
    async with (
        start_server(**options) as server,
        start_client(server.url, {"role": "phone", "boxid": DEVICE_ID}) as phone,
    ):
        await phone.wait_for("connect")
        async with SignalingClient(request(server.url, **changes or {})) as signaling:
            yield Stage(server, Phone(phone), signaling)
