"""An HTTP/1.1 server that answers as a test's script says: every byte of an answer, or none at all."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

_HEAD_LIMIT: Final = 64 * 1024  # bytes of a request before its body
_TLS_HANDSHAKE: Final = b"\x16"  # the record type that a ClientHello begins with, RFC 8446 section 5.1


class TlsTowardsPlainServer(Exception):  # noqa: N818 - an event of the conversation
    """The client speaks TLS, and the server does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request as it came: the target is not decoded, header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True, strict_parsing="?" in self.target)


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
Script = Callable[[SeenRequest], Answer]


class ScriptedServer:
    """What the tests see of a running server."""

    def __init__(self, script: Script, scheme: str) -> None:
        self.requests: list[SeenRequest] = []  # in the order of their arrival; a test sends few
        self.port = 0
        self._script = script
        self._scheme = scheme
        self._arrival = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def seen(self, path_end: str) -> list[SeenRequest]:
        return [request for request in self.requests if request.path.endswith(path_end)]

    async def wait_for_requests(self, path_end: str, count: int) -> None:
        """Return when so many requests to such a path have arrived."""
        async with asyncio.timeout(30), self._arrival:
            await self._arrival.wait_for(lambda: len(self.seen(path_end)) >= count)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side ends it."""
        try:
            while not writer.is_closing():
                request = await _read_request(reader)
                async with self._arrival:
                    self.requests.append(request)
                    self._arrival.notify_all()
                await self._script(request)(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except TlsTowardsPlainServer:  # what servers do
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def serve(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Run a server on a free port of 127.0.0.1; its connections end with the block."""
    server = ScriptedServer(script, "http" if tls is None else "https")
    conversations: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.create_task(server.converse(reader, writer), name="scripted HTTP conversation"))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, limit=_HEAD_LIMIT, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for conversation in conversations:
            conversation.cancel()
        ends = await asyncio.gather(*conversations, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):  # a fault of the script's own
            raise end


def in_turn(*answers: Answer) -> Script:
    """Give each answer once, in this order; the last one to every request after that."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def by_path(**scripts: Script) -> Script:
    """Choose the script by the last part of the path."""
    return lambda request: scripts[request.path.rpartition("/")[2]](request)


def raw(content: bytes, *, end: bool = False) -> Answer:
    """Send these bytes; `end` closes the connection after them."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        if end:
            await writer.drain()
            writer.close()

    return answer


def reply(status: int, body: bytes | object = b"", **headers: str) -> Answer:
    """Send a whole reply; what is no bytes is sent as JSON. An underscore in a header's name stands for a hyphen."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join([*lines, "", ""]).encode() + content)


def after(event: asyncio.Event, answer: Answer) -> Answer:
    """Hold an answer back until the event."""

    async def held(writer: asyncio.StreamWriter) -> None:
        await event.wait()
        await answer(writer)

    return held


def silence(content: bytes = b"") -> Answer:
    """Send these bytes, then nothing more, and keep the connection open."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        await asyncio.Event().wait()

    return answer


async def reset(writer: asyncio.StreamWriter) -> None:
    """An answer: end the connection by a TCP reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> SeenRequest:
    first = await reader.readexactly(1)
    if first == _TLS_HANDSHAKE:
        raise TlsTowardsPlainServer
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    request_line, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = request_line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return SeenRequest(method=method, target=target, headers=headers, body=body)
