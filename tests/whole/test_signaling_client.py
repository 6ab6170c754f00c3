"""The driver over real sockets, against servers that misbehave below Socket.IO."""

import asyncio
import contextlib
import io
import json
import logging
import logging.config
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

import pytest
from websockets.asyncio.server import ServerConnection

from streamer.errors import ConfigurationError, SignalingClosedError, SignalingProtocolError
from streamer.signaling.client import SignalingClient
from streamer.signaling.messages import RemoteCandidate
from tests.support.signaling_servers import LIMIT_S, TOKEN, request, serving

PING_TIMEOUT_S: Final = 0.2


async def greet(websocket: ServerConnection) -> None:
    opened = {"sid": "x", "pingInterval": 100, "pingTimeout": PING_TIMEOUT_S * 1000}
    await websocket.send("0" + json.dumps(opened))
    await websocket.send("40")


def stall(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_pong_that_arrived_while_the_event_loop_was_blocked_counts() -> None:
    async def handle(websocket: ServerConnection) -> None:
        await greet(websocket)
        assert await websocket.recv() == "2"
        await websocket.send("3")
        stall(2 * PING_TIMEOUT_S)  # the pong is in the client's socket, and nobody may read it
        await websocket.send('42["message",{"type":"candidate","payload":{"candidate":"x"}}]')
        await websocket.wait_closed()

    async with serving(handle) as port, SignalingClient(request(port)) as signaling, asyncio.timeout(LIMIT_S):
        assert await anext(signaling) == RemoteCandidate("x", None, None)


async def test_logging_that_is_configured_after_the_import_does_not_show_the_token() -> None:
    async def handle(websocket: ServerConnection) -> None:
        await greet(websocket)
        await websocket.send('42["message",{"type":"candidate","payload":{"candidate":"x"}}]')
        await websocket.wait_closed()

    log = io.StringIO()
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"log": {"class": "logging.StreamHandler", "stream": log}},
            "root": {"level": "DEBUG", "handlers": ["log"]},
        }
    )
    # websockets' own server logs what it receives, too: it is not what is tested.
    logging.getLogger("websockets.server").setLevel(logging.INFO)
    try:
        async with serving(handle) as port, SignalingClient(request(port)) as signaling, asyncio.timeout(LIMIT_S):
            await anext(signaling)
    finally:
        logging.getLogger("websockets.server").setLevel(logging.NOTSET)
        root.setLevel(level)
        root.handlers = handlers
    assert "< message" in log.getvalue()
    assert TOKEN not in log.getvalue()


def end_without_a_word(websocket: ServerConnection) -> None:
    websocket.transport.write_eof()


def reset(websocket: ServerConnection) -> None:
    linger = struct.pack("ii", 1, 0)  # no time: TCP's RST
    websocket.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    websocket.transport.abort()


@pytest.mark.parametrize(
    ("end", "said"), [(end_without_a_word, r"closed the connection \(without a close code\)"), (reset, "was reset")]
)
async def test_a_reset_connection_is_distinguished_from_a_closed_one(
    end: Callable[[ServerConnection], None], said: str
) -> None:
    async def handle(websocket: ServerConnection) -> None:
        await greet(websocket)
        end(websocket)
        await websocket.wait_closed()

    async with serving(handle) as port, SignalingClient(request(port)) as signaling, asyncio.timeout(LIMIT_S):
        with pytest.raises(SignalingClosedError, match=said) as caught:
            await anext(signaling)
    assert caught.value.retryable
    assert caught.value.code is None


async def test_closing_that_is_cancelled_still_closes_the_socket() -> None:
    closed = asyncio.Event()

    async def handle(websocket: ServerConnection) -> None:
        await greet(websocket)
        websocket.transport.pause_reading()  # the closing handshake gets no answer
        await let_go.wait()
        websocket.transport.resume_reading()
        await websocket.wait_closed()
        closed.set()

    let_go = asyncio.Event()
    async with serving(handle) as port, asyncio.timeout(LIMIT_S):
        signaling = await SignalingClient(request(port)).__aenter__()
        closing = asyncio.create_task(signaling.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        let_go.set()
        await closed.wait()
        assert signaling._websocket is not None
        assert signaling._websocket.transport.is_closing()


@pytest.mark.parametrize("places", [["/a", "/b"], ["ws://127.0.0.1:{port}/"], ["http://127.0.0.1:{port}/"], ["/a"], []])
async def test_a_redirect_is_not_followed(places: list[str]) -> None:
    """The URL carries the device token: nobody but the server that the API named gets it."""
    async with serving(greet) as port:
        asked = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            with contextlib.closing(writer):
                await reader.readuntil(b"\r\n\r\n")
                locations = "".join(f"Location: {place.format(port=port)}\r\n" for place in places)
                writer.write(f"HTTP/1.1 302 Found\r\n{locations}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            with pytest.raises(SignalingProtocolError, match="redirects elsewhere"):
                await SignalingClient(request(server.sockets[0].getsockname()[1])).__aenter__()
    assert asked == 1


async def test_a_socks_proxy_without_its_library_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.proxies.is_loopback", lambda _: False)
    monkeypatch.setenv("socks_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ConfigurationError, match="python-socks"):
        await SignalingClient(request(9)).__aenter__()
