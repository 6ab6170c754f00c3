"""The tools as an MCP server, over the standard streams or over HTTP on loopback."""

import asyncio
import base64
import contextlib
import functools
import hmac
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final, TypeAlias, cast

from streamer.agent.arguments import READ_ONLY, TOOLS, description_of, schema_of
from streamer.agent.tools import Answer, Tools
from streamer.aio import finish_before_cancelling, first_event
from streamer.errors import MissingExtraError
from streamer.threads import Threads

try:
    import uvicorn
    from mcp import types
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
except ImportError as error:
    raise MissingExtraError("streamer mcp", "mcp") from error

PATH: Final = "/mcp"
MESSAGE_LIMIT: Final = 1024 * 1024  # bytes of one message to the server
READ_LIMIT: Final = 64 * 1024  # bytes of one read
CLOSE_LIMIT_S: Final = 2  # for the answers under way over HTTP
INSTRUCTIONS: Final = (
    "These tools see and touch one Android phone. Places are fractions of the screen from 0.0 to 1.0, from the upper "
    "left corner: never pixels of the picture. A tool that acts answers once the screen has settled, with a picture, "
    "and says whether anything changed: do not look, wait or sleep after it. A screen that loads may be still, too: "
    "then use wait_for. If an answer says that it is not known whether something was done, look before you repeat it."
)

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]


def server_of(tools: Tools, version: str) -> Server[Any]:
    """Return an MCP server that offers the tools."""
    listed = types.ListToolsResult(
        tools=[
            types.Tool(
                name=name,
                description=description_of(name),
                input_schema=schema_of(name),
                annotations=types.ToolAnnotations(read_only_hint=name in READ_ONLY, open_world_hint=True),
            )
            for name in TOOLS
        ]
    )

    async def list_tools(_context: object, _parameters: object) -> types.ListToolsResult:
        return listed

    async def call_tool(_context: object, asked: types.CallToolRequestParams) -> types.CallToolResult:
        return _result(await tools.call(asked.name, asked.arguments or {}))

    return Server(
        "streamer",
        title="KooPhone cloud phone",
        version=version,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _result(answer: Answer) -> types.CallToolResult:
    """Return an answer as text and picture. Several clients show a model no picture beside structured content."""
    content: list[types.ContentBlock] = [types.TextContent(type="text", text=answer.text)]
    if answer.picture is not None:
        data = base64.b64encode(answer.picture).decode("ascii")
        content.append(types.ImageContent(type="image", data=data, mime_type="image/jpeg"))
    return types.CallToolResult(content=content, is_error=answer.is_error)


async def serve_stdio(server: Server[Any], stopped: asyncio.Event) -> None:
    """Serve one client over the standard streams, until its end closes them or `stopped` is set.

    Meanwhile what anything else prints goes to the standard error output.
    """
    with _wire() as (reading, writing):
        lines, answers = _Lines(reading, stopped), _Answers(writing, stopped)
        async with stdio_server(cast("Any", lines), cast("Any", answers)) as streams:
            await server.run(streams[0], streams[1], server.create_initialization_options())


@contextlib.contextmanager
def _wire() -> Iterator[tuple[int, int]]:
    """Yield the file descriptors of the client's streams; the standard output is another one within the block."""
    writing = os.dup(1)
    os.dup2(2, 1)
    try:
        yield 0, writing
    finally:
        os.dup2(writing, 1)
        os.close(writing)


class _Lines:
    """The client's lines, read by threads that hold up no end: a read cannot be cancelled."""

    def __init__(self, descriptor: int, stopped: asyncio.Event) -> None:
        self._descriptor = descriptor
        self._stopped = stopped
        self._threads = Threads("mcp reader", limit=1)
        self._held = bytearray()

    async def __aiter__(self) -> AsyncIterator[str]:
        while (line := await self._line()) is not None:
            yield line

    async def _line(self) -> str | None:
        searched = 0
        while (end := self._held.find(b"\n", searched)) < 0:
            searched = len(self._held)
            read = await self._read()
            if not read or searched + len(read) > MESSAGE_LIMIT:
                return None
            self._held += read
        line = bytes(self._held[: end + 1])
        del self._held[: end + 1]
        return line.decode("utf-8", "replace")

    async def _read(self) -> bytes:
        """Return some bytes; none at the end."""
        reading = asyncio.create_task(self._read_in_thread())
        try:
            await first_event(self._stopped, reading)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()

    async def _read_in_thread(self) -> bytes:
        try:
            return await asyncio.wrap_future(self._threads.start(lambda: os.read(self._descriptor, READ_LIMIT)))
        except OSError:
            return b""


class _Answers:
    """The server's lines to the client. A client that reads no more ends the server."""

    def __init__(self, descriptor: int, stopped: asyncio.Event) -> None:
        self._descriptor = descriptor
        self._stopped = stopped
        self._threads = Threads("mcp writer", limit=1)

    async def write(self, text: str) -> None:
        """Write a line."""
        left = memoryview(text.encode("utf-8"))
        try:
            while left:
                write = functools.partial(os.write, self._descriptor, left)
                left = left[await asyncio.wrap_future(self._threads.start(write)) :]
        except OSError:
            self._stopped.set()

    async def flush(self) -> None:
        """Do nothing: nothing is held back."""


async def serve_http(server: Server[Any], listening: socket.socket, token: str, stopped: asyncio.Event) -> None:
    """Serve clients over HTTP on a loopback socket until `stopped` is set; close the socket.

    A request needs `Authorization: Bearer` with the token, a loopback name as its Host, and no Origin but loopback, as
    the SDK checks against DNS rebinding.
    """
    app = server.streamable_http_app(streamable_http_path=PATH, max_request_body_size=MESSAGE_LIMIT, host="127.0.0.1")
    config = uvicorn.Config(
        _Guarded(cast("_App", app), token),
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=CLOSE_LIMIT_S,
    )
    running = _WithoutSignals(config)
    serving = asyncio.create_task(running.serve(sockets=[listening]), name="mcp over http")
    try:
        await first_event(stopped, serving)
    finally:
        running.should_exit = True
        await finish_before_cancelling(serving)
    serving.result()


class _WithoutSignals(uvicorn.Server):
    """Leaves signals to the command, which closes more than this server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Guarded:
    """Passes on requests that have the token."""

    def __init__(self, app: _App, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "lifespan":
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            if len(given) != 1 or not hmac.compare_digest(given[0], self._expected):
                headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain; charset=utf-8")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send(
                    {"type": "http.response.body", "body": b"expected the token that streamer mcp has printed\n"}
                )
                return
        await self._app(scope, receive, send)
