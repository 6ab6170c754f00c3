"""The server's side of Engine.IO 3 and Socket.IO 2 on one WebSocket: written apart from the client's, on purpose."""

import asyncio
import contextlib
import json
import logging
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from streamer.emulator.json_text import parse_json
from streamer.untrusted_text import UntrustedText

_logger = logging.getLogger("streamer.emulator.signaling")

SEND_S: Final = 10.0  # a client that does not take a frame for so long is dropped
_LINGER_NO_TIME: Final = struct.pack("ii", 1, 0)

Handler = Callable[[str, Any], Awaitable[None]]


class ServerSocket:
    """One client's socket: `greet` it, then `serve` until it leaves; `emit` events at any time."""

    def __init__(self, websocket: ServerConnection, *, ping_interval_s: float, ping_timeout_s: float) -> None:
        self.answers_pings = True
        self._websocket = websocket
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s

    async def open(self) -> None:
        """Send the Engine.IO handshake."""
        handshake = {
            "sid": secrets.token_urlsafe(15),
            "upgrades": [],
            "pingInterval": round(self._ping_interval_s * 1000),
            "pingTimeout": round(self._ping_timeout_s * 1000),
        }
        await self._send("0" + json.dumps(handshake))

    async def connect(self) -> None:
        """Connect the client to the default namespace."""
        await self._send("40")

    async def refuse(self, reason: str) -> None:
        """Refuse the client, and leave the WebSocket open, as the real server does."""
        await self._send("44" + json.dumps(reason))

    async def disconnect(self) -> None:
        """End the Socket.IO connection, and leave the WebSocket open, as the real server does."""
        await self._send("41")

    async def emit(self, event: str, payload: Any) -> None:
        """Send an event."""
        _logger.debug("> %s", event)
        await self._send("42" + json.dumps([event, payload]))

    async def cut(self) -> None:
        """Reset the connection without a word, by TCP's RST: with nothing unread, aborting alone sends FIN."""
        transport = self._websocket.transport
        if not transport.is_closing():
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NO_TIME)
        transport.abort()
        async with _or_dropped(self._websocket):
            await self._websocket.wait_closed()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the WebSocket; a client that does not take that is dropped."""
        async with _or_dropped(self._websocket):
            await self._websocket.close(code, reason)

    async def serve(self, handle: Handler) -> None:
        """Hand each of the client's events to `handle` until the client leaves.

        Returns then, or when nothing has come for the ping interval and time-out: the client is dropped.
        """
        try:
            while True:
                async with asyncio.timeout(self._ping_interval_s + self._ping_timeout_s):
                    frame = await self._websocket.recv()
                if isinstance(frame, str) and not await self._take(frame, handle):
                    return
        except TimeoutError:
            _logger.debug("= no sign of life: dropped")
            await self.close()
        except ConnectionClosed:
            pass

    async def _take(self, frame: str, handle: Handler) -> bool:
        """Deal with one frame; false if the client has said goodbye."""
        kind, rest = frame[:1], frame[1:]
        if kind == "2":
            if self.answers_pings:
                await self._send("3" + rest)
        elif kind == "1" or frame.startswith("41"):
            return False
        elif frame.startswith("42"):
            start = rest.find("[")
            event = parse_json(rest[start:]) if start >= 0 else None
            if isinstance(event, list) and event and isinstance(event[0], str):
                _logger.debug("< %s", UntrustedText(event[0]))
                await handle(event[0], event[1] if len(event) > 1 else None)
        return True

    async def _send(self, frame: str) -> None:
        with contextlib.suppress(ConnectionClosed):  # `serve` finds out
            async with _or_dropped(self._websocket):
                await self._websocket.send(frame)


@contextlib.asynccontextmanager
async def _or_dropped(websocket: ServerConnection) -> AsyncIterator[None]:
    """Drop a client that does not take what the block sends within SEND_S."""
    try:
        async with asyncio.timeout(SEND_S):
            yield
    except TimeoutError:
        _logger.debug("= the client takes nothing: dropped")
        websocket.transport.abort()
