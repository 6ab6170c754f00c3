"""What a client can do to the emulator: every store has a bound, every wait an end, every text is escaped."""

import asyncio
import base64
import contextlib
import itertools
import logging
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from streamer import emulator
from streamer.emulator import EmulatedPhone, Faults, api, json_text, socketio
from streamer.emulator import client as client_module
from streamer.emulator.fleet import Fleet, serve_fleet
from streamer.protocol_constants import PREPARE_PATH, REQUEST_ID_HEADER, TENANT_TOKEN_HEADER
from tests.support.phone_client import LIMIT_S, call_auth, fetch_token, signaling

DEEP = "[" * 9_000  # JSON that is nested deeper than any parser follows
MANY = "[{}" + ",{}" * json_text.CONTAINERS_LIMIT + "]"


@contextlib.asynccontextmanager
async def connected(
    url: str, *, receive_buffer: int = 0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a TCP connection to the host and port of a URL; with a receive buffer that the kernel keeps small."""
    address = urlsplit(url)
    tcp = socket.socket()
    if receive_buffer:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    tcp.setblocking(False)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.get_running_loop().sock_connect(tcp, (address.hostname, address.port))
        reader, writer = await asyncio.open_connection(sock=tcp, limit=1024)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(phone: EmulatedPhone | Fleet, request: bytes) -> bytes:
    """Send a request; return the first line of what comes."""
    async with connected(phone.endpoint) as (reader, writer), asyncio.timeout(LIMIT_S):
        writer.write(request)
        return await reader.readline()


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait until the phone ends the connection."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(LIMIT_S):
            while await reader.read(4096):
                pass


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("HEAD /x HTTP/1.1", 404),
        ("POST http://[ HTTP/1.1", 400),
        ("POST * HTTP/1.1", 404),
        ("CONNECT a:1 HTTP/1.1", 404),
    ],
)
async def test_an_odd_request_gets_an_answer(request_line: str, status: int) -> None:
    async with emulator.serve() as phone:
        assert (await ask(phone, f"{request_line}\r\nHost: x\r\n\r\n".encode())).startswith(b"HTTP/1.1 %d" % status)


async def test_an_invalid_host_header_gets_the_usual_signaling_url() -> None:
    async with emulator.serve(host="0.0.0.0", tenant_token="at-least-sixteen-characters") as phone:
        reply = await call_auth(phone, host="[")
        assert reply.json()["data"]["resource"]["rtc"]["ice_signaling"]["signaling_url"] == phone.signaling_url


async def test_a_body_that_is_nested_too_deeply_or_has_too_many_parts_is_refused() -> None:
    async with emulator.serve(prepare_s=1) as phone, serve_fleet(1) as fleet:
        served: list[EmulatedPhone | Fleet] = [phone, fleet]
        for server_of_it, body in itertools.product(served, (DEEP, MANY)):
            head = (
                f"POST {PREPARE_PATH} HTTP/1.1\r\nHost: x\r\n{TENANT_TOKEN_HEADER}: {server_of_it.tenant_token}\r\n"
                f"{REQUEST_ID_HEADER}: 1\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            assert (await ask(server_of_it, (head + body).encode())).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_text_with_too_many_lists_and_objects_is_not_parsed(as_bytes: bool) -> None:
    few = "[{}" + ",{}" * (json_text.CONTAINERS_LIMIT - 2) + "]"
    texts = [text.encode() if as_bytes else text for text in (few, MANY, DEEP)]
    assert [json_text.parse_json(text) is not None for text in texts] == [True, False, False]


async def test_what_a_client_says_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "streamer.emulator")
    async with emulator.serve() as phone, signaling(phone) as client:
        await ask(phone, b"GET /a%0aforged%1b[31m HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.event("authorize")
        await client.websocket.send('42["b\\nforged\\u001b[31m"]')
        await client.websocket.send("2")
        assert await client.frame() == "3"
    messages = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert len(messages) == 2
    assert all(message.isprintable() for message in messages)


async def test_a_slowly_dripping_request_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "REQUEST_S", 0.5)

    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)

    async with emulator.serve() as phone, connected(phone.endpoint) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: ")
        dripping = asyncio.create_task(drip(writer))
        await ended(reader)
        dripping.cancel()


async def test_a_client_that_reads_no_replies_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "REPLY_S", 0.5)
    reply = api.Reply(200, bytes(1_000_000))
    phone_api = api.ApiServer(lambda _: reply)
    port = await phone_api.start("127.0.0.1", 0)
    try:
        async with connected(f"http://127.0.0.1:{port}", receive_buffer=2048) as (_, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20)  # more than all buffers on the way hold
            async with asyncio.timeout(LIMIT_S):
                while not writer.transport.is_closing():  # found out by who goes on to write
                    writer.write(b" ")
                    await asyncio.sleep(0.02)
    finally:
        await phone_api.close()


async def test_a_connection_beyond_the_limit_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "CONNECTIONS_LIMIT", 1)
    async with emulator.serve() as phone, connected(phone.endpoint) as (_, first):
        first.write(b"POST / HTTP/1.1\r\n")
        async with connected(phone.endpoint) as (second, _):
            await ended(second)
        first.transport.abort()
        async with asyncio.timeout(LIMIT_S):
            while not await ask_again(phone):
                await asyncio.sleep(0.02)


async def ask_again(phone: EmulatedPhone) -> bool:
    """Whether the phone answers a request."""
    with contextlib.suppress(ConnectionError):
        return (await ask(phone, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 404")
    return False


async def test_a_silent_reply_keeps_nothing_of_what_the_client_goes_on_to_send() -> None:
    """The law: whatever comes after a request that gets no reply is read and dropped."""
    async with (
        emulator.serve(faults=Faults(auth_body="silence")) as phone,
        connected(phone.endpoint) as (reader, writer),
    ):
        token = phone.tenant_token
        writer.write(
            f"POST /v1/instances/{phone.instance_id}/auth HTTP/1.1\r\nHost: x\r\n{TENANT_TOKEN_HEADER}: {token}\r\n"
            f"{REQUEST_ID_HEADER}: 1\r\n\r\n".encode()
        )
        async with asyncio.timeout(LIMIT_S):
            for _ in range(64):
                writer.write(bytes(65_536))
                await writer.drain()
        assert not reader.at_eof()


async def test_a_client_that_reads_no_pongs_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio, "SEND_S", 0.5)
    async with emulator.serve() as phone:
        query = f"EIO=3&transport=websocket&boxid={phone.device_id}&token={await fetch_token(phone)}"
        async with connected(phone.signaling_url, receive_buffer=2048) as (reader, writer):
            head = f"GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            key = base64.b64encode(bytes(16)).decode()
            writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
            assert b"101" in await reader.readline()
            ping = b"\x81\xfe\x10\x00" + bytes(4) + b"2" + b"x" * 4095  # masked by zeros
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(LIMIT_S):
                    while True:
                        writer.write(ping)
                        await writer.drain()
        async with asyncio.timeout(LIMIT_S):
            while phone.clients:
                await asyncio.sleep(0.02)


async def test_an_unauthorized_client_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "UNAUTHORIZED_S", 0.2)
    async with emulator.serve() as phone, signaling(phone, "never-given-out") as client:
        assert not (await client.event("authorize"))["authorized"]
        with pytest.raises(ConnectionClosed):
            await client.frame()


@pytest.mark.parametrize(
    "frame",
    [
        f'42["start",{DEEP}',
        f'42["start",{MANY}]',
        '42["message",{"type":"init","data":"' + base64.b64encode(DEEP.encode()).decode() + '"}]',
        '42["message",{"type":"candidate","payload":{"candidate":[],"label":{}}}]',
    ],
    ids=["nested deeply", "with many parts", "nested deeply in base64", "of other types"],
)
async def test_an_unreadable_event_is_ignored(frame: str) -> None:
    async with emulator.serve() as phone, signaling(phone) as client:
        await client.event("authorize")
        await client.websocket.send(frame)
        await client.websocket.send("2")
        while await client.frame() != "3":
            pass


@pytest.mark.parametrize(
    "sdp",
    ["", "v=0", "v=0\r\nm=", "v=0\r\nm=video 9 X 96\r\na=setup:nobody\r\n", "a=ssrc:1 x\r\n" * 9000],
    ids=["nothing", "no section", "cut off", "an unknown role", "too long"],
)
async def test_a_good_answer_is_taken_after_an_unusable_one(sdp: str) -> None:
    async with emulator.serve() as phone, signaling(phone) as client:
        await client.start()
        await client.send("answer", {"type": "answer", "sdp": sdp})
        await client.send("candidate", {"candidate": "candidate:1 1 udp 1 a-name.local 9 typ host", "id": "0"})
        await client.websocket.send("2")
        while await client.frame() != "3":
            pass
