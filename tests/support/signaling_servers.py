"""Signaling servers that misbehave, and the request of a client of theirs."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from websockets.asyncio.server import ServerConnection, serve

from streamer.secret import Secret
from streamer.signaling.messages import SignalingRequest

TOKEN: Final = "device-token"
LIMIT_S: Final = 20.0


def request(port: int) -> SignalingRequest:
    return SignalingRequest(
        signaling_url=f"http://127.0.0.1:{port}",
        device_id="device",
        device_token=Secret(TOKEN),
        streaming_id="stream",
        client_uuid="uuid",
    )


@contextlib.asynccontextmanager
async def serving(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncGenerator[int]:
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]
