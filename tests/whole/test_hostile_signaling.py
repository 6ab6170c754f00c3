"""Signaling servers that flood, read nothing or lead elsewhere: every time limit still holds."""

import asyncio
import base64
import contextlib
import hashlib
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import pytest
from websockets.asyncio.server import ServerConnection

import streamer
from streamer import emulator
from streamer.errors import SignalingProtocolError, SignalingTimeoutError
from streamer.signaling import client, conversation
from streamer.signaling.client import SignalingClient
from streamer.signaling.conversation import EVENTS_LIMIT
from streamer.signaling.messages import RemoteCandidate
from tests.support.everywhere import Connect
from tests.support.signaling_servers import LIMIT_S, request, serving
from tests.support.waiting import hear

GREETING: Final = '0{"sid":"x","pingInterval":3000,"pingTimeout":2000}'
ACCEPT: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(text: str) -> bytes:
    """Return a WebSocket text frame, written apart from websockets."""
    data = text.encode()
    size = len(data)
    if size < 126:
        return bytes([0x81, size]) + data
    return (
        bytes([0x81, *((126,) if size < 65536 else (127,))]) + struct.pack("!H" if size < 65536 else "!Q", size) + data
    )


def serve_flood(listening: socket.socket, frames: bytes, is_over: threading.Event) -> None:
    """Greet each client, send it frames as fast as it takes them, and read nothing. Blocks until `is_over`."""
    with contextlib.ExitStack() as stack:
        while not is_over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                stack.callback(connection.close)
                connection.settimeout(0.2)
                asked = connection.recv(65536).decode()
                key = next(
                    (line[18:] for line in asked.split("\r\n") if line.lower().startswith("sec-websocket-key")), ""
                )
                accept = base64.b64encode(hashlib.sha1((key.strip() + ACCEPT).encode()).digest()).decode()
                head = "HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                connection.sendall(f"{head}sec-websocket-accept: {accept}\r\n\r\n".encode())
                connection.sendall(frame(GREETING) + frame("40"))
                while not is_over.is_set():
                    connection.sendall(frames)


@contextlib.contextmanager
def flooding(frames: bytes) -> Iterator[int]:
    """Run such a server; give its port."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LIMIT_S)
        thread = threading.Thread(target=serve_flood, args=(listening, frames, is_over))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            is_over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.asynccontextmanager
async def meter() -> AsyncIterator[Callable[[], float]]:
    """Give a function that returns the longest time in seconds for which the event loop was blocked."""
    worst = 0.0

    async def measure() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            worst = max(worst, time.perf_counter() - before - 0.01)

    task = asyncio.create_task(measure())
    yield lambda: worst
    task.cancel()


FLOODS: Final = {
    "noops": frame("6") * 20_000,
    "pings": frame("2") * 20_000,
    "pings of a megabyte": frame("2" + "p" * 1_000_000),
    "pings of WebSocket": b"\x89\x00" * 30_000,
    "pieces of one message": b"\x01\x00" + b"\x00\x00" * 30_000,
    "messages that mean nothing": frame('42["message",1]') * 4000,
    "large messages that mean nothing": frame('42["message",[' + ",".join(["[]"] * 300_000) + "]]"),
    "notices": frame('42["x"]') * 6000,
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_the_conversation_and_blocks_nobody(flood: str) -> None:
    with flooding(FLOODS[flood]) as port:
        async with asyncio.timeout(LIMIT_S), meter() as held_s:
            async with SignalingClient(request(port)) as signaling:
                with pytest.raises(SignalingProtocolError, match=r"expected .* got more") as caught:
                    async for _ in signaling:
                        pass
            assert held_s() < 1.0  # it was 2.5 s with a flood of noops; now 0.04 s
    assert caught.value.retryable


async def test_as_many_frames_as_a_phone_may_send_are_no_flood() -> None:
    async def handle(websocket: ServerConnection) -> None:
        await websocket.send(GREETING)
        await websocket.send("40")
        for _ in range(3):
            for _ in range(EVENTS_LIMIT):
                await websocket.send('42["message",{"type":"candidate","payload":{"candidate":"x"}}]')
            await websocket.send("2")
            assert await websocket.recv() == "3"
        await websocket.wait_closed()

    async with serving(handle) as port, SignalingClient(request(port)) as signaling, asyncio.timeout(LIMIT_S):
        for _ in range(3 * EVENTS_LIMIT):
            assert await anext(signaling) == RemoteCandidate("x", None, None)


@contextlib.asynccontextmanager
async def at_a_server_that_reads_nothing(ping: asyncio.Event | None = None) -> AsyncIterator[SignalingClient]:
    """Give a client with full TCP windows on the way to its server, which sends a WebSocket ping on command."""
    let_go = asyncio.Event()

    async def handle(websocket: ServerConnection) -> None:
        websocket.transport.pause_reading()
        await websocket.send(GREETING.replace("3000", "60000"))
        await websocket.send("40")
        if ping is not None:
            await ping.wait()
            await websocket.ping()
        await let_go.wait()
        websocket.transport.abort()

    async with serving(handle) as port, asyncio.timeout(LIMIT_S):
        signaling = SignalingClient(request(port))
        await signaling.__aenter__()
        try:
            assert signaling._websocket is not None
            sending = signaling._websocket.transport.get_extra_info("socket")
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            signaling.send_answer("x" * 3_000_000)  # more than the server's window holds
            while not signaling._websocket.paused:
                await asyncio.sleep(0)
            yield signaling
        finally:
            let_go.set()
            await signaling.aclose()


async def test_a_server_that_does_not_read_ends_the_conversation_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SEND_TIMEOUT_S", 0.2)
    async with at_a_server_that_reads_nothing() as signaling:
        with pytest.raises(SignalingTimeoutError) as caught:
            await anext(signaling)
        assert caught.value.step == "send"


async def test_a_step_times_out_even_if_the_server_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SEND_TIMEOUT_S", 60)
    monkeypatch.setattr(conversation, "HANDSHAKE_TIMEOUT_S", 0.3)
    async with at_a_server_that_reads_nothing() as signaling:
        with pytest.raises(SignalingTimeoutError) as caught:
            await anext(signaling)
        assert caught.value.step == "authorize"


async def test_unread_output_to_a_server_is_bounded() -> None:
    async with at_a_server_that_reads_nothing() as signaling:
        with pytest.raises(SignalingTimeoutError) as caught:
            while True:
                signaling.send_candidate("x", "0", 0)
        assert caught.value.step == "send"
        assert len(signaling._outgoing) <= client.OUTGOING_LIMIT


async def test_closing_takes_a_second_if_the_server_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SEND_TIMEOUT_S", 60)
    async with at_a_server_that_reads_nothing() as signaling:
        began = time.monotonic()
        await signaling.aclose()
        assert time.monotonic() - began < client._CLOSE_TIMEOUT_S + 1


async def test_unread_websocket_pongs_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ping = asyncio.Event()
    async with at_a_server_that_reads_nothing(ping) as signaling:
        monkeypatch.setattr(client, "OUTGOING_BYTES", 1000)
        ping.set()
        with pytest.raises(SignalingTimeoutError) as caught:
            await anext(signaling)
    assert caught.value.step == "send"


# A whole session against such a server.

PINGS: Final = frame("2" + "p" * 100_000)


@pytest.fixture
def reads_nothing() -> Iterator[str]:
    """Return the URL of a signaling server that sends pings and reads nothing."""
    with flooding(PINGS) as port:
        yield f"http://127.0.0.1:{port}"


async def test_connecting_keeps_its_time_out(connect: Connect, reads_nothing: str) -> None:
    async with emulator.serve(fps=5, width=180, height=320, audio=False) as phone:
        phone.signaling_url = reads_nothing
        began = time.monotonic()
        with pytest.raises(streamer.StreamerError):
            async with connect(phone, timeout_s=3):
                pass
        assert time.monotonic() - began < 3 + 1


async def test_giving_up_and_closing_keep_their_time_limits(connect: Connect, reads_nothing: str) -> None:
    policy = streamer.Reconnect(max_delay_s=0.2, give_up_after_s=3)
    async with emulator.serve(fps=5, width=180, height=320, audio=False) as phone:
        async with connect(phone, reconnect=policy) as session, asyncio.timeout(LIMIT_S):
            events = session.events()
            phone.signaling_url = reads_nothing
            await phone.cut_signaling()
            await hear(events, "interrupted")
            began = time.monotonic()
            with pytest.raises(streamer.StreamerError):
                await session.wait_ended()
            assert time.monotonic() - began < 3 + 5 + 1  # the last attempt may take 5 s
            began = time.monotonic()
        assert time.monotonic() - began < 2


async def test_closing_during_a_renewal_there_keeps_its_time_limit(connect: Connect, reads_nothing: str) -> None:
    async with emulator.serve(fps=5, width=180, height=320, audio=False, expires_in_s=4, allow_many=True) as phone:
        async with connect(phone) as session, asyncio.timeout(LIMIT_S):
            phone.signaling_url = reads_nothing
            await asyncio.sleep(0)
            while session._reconnector._handover.candidate is None:
                await asyncio.sleep(0.01)
            began = time.monotonic()
        assert time.monotonic() - began < 3
