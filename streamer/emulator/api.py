"""The emulator's auth API: a small HTTP/1.1 server over h11, with the documented replies and errors."""

import asyncio
import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from streamer.errors import ConfigurationError
from streamer.untrusted_text import UntrustedText

_logger = logging.getLogger("streamer.emulator.api")

BODY_LIMIT: Final = 64 * 1024
CONNECTIONS_LIMIT: Final = 64  # at once; one more is closed
REQUEST_S: Final = 30.0  # a connection on which no whole request comes for so long is closed
REPLY_S: Final = 10.0  # a client that does not take its reply for so long is dropped


class Request(NamedTuple):
    """A client's request."""

    method: str
    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes = b""
    query: dict[str, str] = {}  # noqa: RUF012 - nobody writes into it


class Reply(NamedTuple):
    """The reply. A body other than bytes is sent as JSON."""

    status: int
    body: Any
    content_type: str = "application/json"
    truncated: bool = False  # break off in the middle of the body
    is_silent: bool = False  # say nothing, until the client goes away
    is_lost: bool = False  # close the connection without it


@contextlib.contextmanager
def named(host: str, port: int) -> Iterator[None]:
    """Turn an OSError of listening into a ConfigurationError."""
    try:
        yield
    except OSError as error:
        is_of_system = error.errno in errno.errorcode  # around which asyncio puts a sentence of its own
        why = os.strerror(error.errno or 0) if is_of_system else error.strerror
        where, what = (f"{host}, port {port}", "another, or 0 for a free one") if port else (host, "another address")
        raise ConfigurationError(f"cannot listen on {where}: {why}: choose {what}") from error


class ApiServer:
    """Answers HTTP requests with `answer`. `close` ends every connection."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises ConfigurationError if that is not possible."""
        with named(host, port):
            self._server = await asyncio.start_server(self._accept, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end the connections."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        if len(self._connections) >= CONNECTIONS_LIMIT:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, asyncio.CancelledError):
                await self._converse(h11.Connection(h11.SERVER), reader, writer)
        finally:
            self._connections.discard(task)
            await _close(writer)

    async def _converse(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(REQUEST_S):
                    request = await _read_request(connection, reader)
            except h11.RemoteProtocolError as error:
                if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    reply = Reply(error.error_status_hint, {"error_code": "APIGW.0101", "error_msg": "bad request"})
                    await _write_reply(connection, writer, reply)
                return
            if request is None:
                return
            reply = self._answer(request)
            if reply.is_silent:
                while await reader.read(4096):
                    pass
                return
            if reply.is_lost:
                return
            _logger.debug("%s %s: HTTP %d", request.method, UntrustedText(request.path), reply.status)
            await _write_reply(connection, writer, reply._replace(body=b"") if request.method == "HEAD" else reply)
            if reply.truncated or connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()
            await asyncio.sleep(0)  # of many requests in one piece, others are served in between


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """Return the next request; None at the end of the connection."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(4096))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT:
                raise h11.RemoteProtocolError("the body is too long", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
            path, query = _parts(head.target)
            return Request(head.method.decode("ascii"), path, headers, bytes(body), query)
        else:
            return None


def _parts(target: bytes) -> tuple[str, dict[str, str]]:
    """Return the path of a target, and its query's parameters."""
    try:
        url = urlsplit(target.decode("latin-1"))
        return unquote(url.path), dict(parse_qsl(url.query, max_num_fields=100))
    except ValueError as error:
        raise h11.RemoteProtocolError("the target is not a URL") from error


async def _write_reply(connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = [("content-type", reply.content_type), ("content-length", str(len(body)))]
    writer.write(connection.send(h11.Response(status_code=reply.status, headers=headers)) or b"")
    if reply.truncated:
        writer.write(body[: len(body) // 2])
    else:
        writer.write(connection.send(h11.Data(data=body)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
    async with asyncio.timeout(REPLY_S):
        await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and drop what the client does not read in time."""
    writer.close()
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        try:
            async with asyncio.timeout(REPLY_S):
                await writer.wait_closed()
        except TimeoutError:
            writer.transport.abort()
