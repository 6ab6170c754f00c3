"""The viewer's server: static files and one WebSocket a page, on loopback unless told otherwise."""

import asyncio
import contextlib
import errno
import hmac
import ipaddress
import json
import logging
import os
import secrets
import socket
import webbrowser
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib import resources
from typing import Final, TypeAlias
from urllib.parse import quote

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from streamer import ConfigurationError, Session, StreamerError, Viewer
from streamer.viewer import embedding
from streamer.viewer.page import Page

PAGES_LIMIT: Final = 20  # open at once; one more is refused
CONNECTIONS_LIMIT: Final = 200  # at once, also of those who ask for files or have not said a token: one more is cut
MESSAGE_LIMIT: Final = 16 * 1024  # bytes of a page's message; a longer one ends its connection
TOKEN_WITHIN_S: Final = 5.0
RELOAD_WITHIN_S: Final = 2.0  # a page that is closed comes again by then if it was reloaded
SEND_BUFFER: Final = 256 * 1024  # bytes that the system keeps for a page: more would be seconds of delay
UNSENT: Final = 32 * 1024  # of them, those that are not under way yet; where the system knows this limit
UNAUTHORIZED, REFUSED, TRY_AGAIN = 4401, 4403, 1013  # close codes

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK: Final = {"127.0.0.1", "localhost", "[::1]"}
_THIS_MACHINE: Final = {4: "127.0.0.1", 6: "::1"}  # where a server on all addresses is opened
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# A page's token must not be logged, and websockets logs request lines and messages.
_silent = logging.getLogger("streamer.viewer.websocket")
_silent.addFilter(lambda _: False)


class Server(Viewer):
    """A running viewer: it answers requests for files, and has the pages."""

    def __init__(
        self,
        sessions: Mapping[str, Session],
        *,
        address: Address,
        token: str,
        read_only: bool,
        embed_from: tuple[str, ...],
    ) -> None:
        self._sessions = dict(sessions)
        self._address = address
        self._token = token
        self._read_only = read_only
        self._pages: set[Page] = set()
        self._page_is_open = asyncio.Event()
        self._all_are_closed = asyncio.Event()  # not before one was open
        self._port = 0
        self._files = {f.name: f.read_bytes() for f in resources.files("streamer.viewer").joinpath("static").iterdir()}
        self._files["index.html"] = embedding.page_for(embed_from, self._files["index.html"])
        self._policy = embedding.policy(embed_from)

    def __repr__(self) -> str:
        return f"<Viewer of {', '.join(self._sessions)}: {len(self._pages)} pages>"

    @property
    def url(self) -> str:
        """See `Viewer.url`. Browsers send the token, which is in the fragment, to nobody."""
        address = _THIS_MACHINE[self._address.version] if self._address.is_unspecified else str(self._address)
        return f"http://{_in_url(address)}:{self._port}/#{quote(self._token, safe='')}"

    @property
    def port(self) -> int:
        """See `Viewer.port`."""
        return self._port

    @property
    def pages(self) -> int:
        """See `Viewer.pages`."""
        return len(self._pages)

    async def wait_closed(self) -> None:
        """See `Viewer.wait_closed`."""
        closed, ended = asyncio.create_task(self._wait_pages_closed()), asyncio.create_task(self.wait_ended())
        try:
            await asyncio.wait({closed, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
        finally:
            for task in (closed, ended):
                task.cancel()
            await asyncio.wait({closed, ended})

    async def _wait_pages_closed(self) -> None:
        while True:
            await self._all_are_closed.wait()
            try:
                async with asyncio.timeout(RELOAD_WITHIN_S):
                    await self._page_is_open.wait()
            except TimeoutError:
                return

    async def wait_ended(self) -> None:
        """See `Viewer.wait_ended`."""
        last: StreamerError | None = None

        async def wait_for(session: Session) -> None:
            nonlocal last
            try:
                await session.wait_ended()
                last = None
            except StreamerError as error:
                last = error

        async with asyncio.TaskGroup() as tasks:
            for session in self._sessions.values():
                tasks.create_task(wait_for(session))
        if last is not None:
            raise last

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request for a file; None lets a WebSocket open."""
        if not all(map(self._is_ours, request.headers.get_all("Host"))):
            return connection.respond(HTTPStatus.FORBIDDEN, "expected the address that the viewer printed\n")
        path = request.path.partition("?")[0]
        if path == "/stream":
            origins = request.headers.get_all("Origin")
            if [f"http://{host}" for host in request.headers.get_all("Host")] != origins:
                return connection.respond(HTTPStatus.FORBIDDEN, "expected a page of this server to ask\n")
            if len(self._pages) >= PAGES_LIMIT:
                return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{PAGES_LIMIT} pages are open already\n")
            return None
        name = path.removeprefix("/") or "index.html"
        if (body := self._files.get(name)) is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "there is no such file\n")
        headers = Headers(
            {
                "Content-Type": f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8",
                "Content-Length": str(len(body)),
                "Content-Security-Policy": self._policy,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cache-Control": "no-cache",
                "Connection": "close",
            }
        )
        return Response(HTTPStatus.OK.value, HTTPStatus.OK.phrase, headers, body)

    async def accept(self, connection: ServerConnection) -> None:
        """Serve a page until it is closed."""
        with contextlib.suppress(ConnectionClosed):
            try:
                async with asyncio.timeout(TOKEN_WITHIN_S):
                    said = json.loads(await connection.recv())
                token, name = said["token"], said.get("phone")
                is_known = hmac.compare_digest(str(token).encode(), self._token.encode())
            except (TimeoutError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                is_known, name = False, None
            if not is_known:
                await connection.close(UNAUTHORIZED, "expected the token of this viewer: open the address it printed")
                return
            name = next(iter(self._sessions)) if name is None else name
            if (session := self._sessions.get(str(name))) is None:
                await connection.close(REFUSED, "expected a phone that this viewer shows")
                return
            if len(self._pages) >= PAGES_LIMIT:  # others may have opened since it was let in
                await connection.close(TRY_AGAIN, f"{PAGES_LIMIT} pages are open already")
                return
            page = Page(connection, session, read_only=self._read_only, phones=list(self._sessions))
            try:
                with self._opened(page):
                    await page.run()
            except* ConnectionClosed:  # each task of the page learns it
                pass

    @contextlib.contextmanager
    def _opened(self, page: Page) -> Iterator[None]:
        self._pages.add(page)
        self._page_is_open.set()
        self._all_are_closed.clear()
        try:
            yield
        finally:
            self._pages.remove(page)
            if not self._pages:
                self._page_is_open.clear()
                self._all_are_closed.set()

    def _is_ours(self, host: str) -> bool:
        """Whether a page of this host is ours: a stranger's name may lead here, too (DNS rebinding)."""
        name, _, port = host.rpartition(":")
        if port != str(self._port):
            return False
        if self._address.is_unspecified:
            return name == "localhost" or _is_address(name)
        return name in (_LOOPBACK if self._address.is_loopback else {_in_url(str(self._address))})

    @contextlib.asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer who comes to a listening socket, within the block."""
        self._port = listener.getsockname()[1]
        async with serve(
            self.accept,
            sock=listener,
            process_request=self.answer,
            create_connection=_bounded_connection(),
            compression=None,
            logger=_silent,
            max_size=MESSAGE_LIMIT,
            max_queue=64,
            server_header=None,
        ):
            yield


@contextlib.asynccontextmanager
async def view(
    *sessions: Session,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    read_only: bool = False,
    open_browser: bool = False,
    embed_from: Sequence[str] = (),
) -> AsyncIterator[Viewer]:
    """Show several phones in the browser while the block runs, as a grid. For one phone there is `Session.view`.

    Args:
        sessions: The phones.
        host: See `Session.view`, also for the other arguments.
        port: The port.
        token: What a page has to know.
        read_only: The page shows, and cannot touch.
        open_browser: Open the page in the browser.
        embed_from: The origins whose pages may have the viewer in a frame.

    Raises:
        ConfigurationError: There is no session, or one of the other arguments is wrong, as for `Session.view`.
    """
    if not sessions:
        raise ConfigurationError("expected a session to show, got none")
    token = secrets.token_urlsafe() if token is None else token
    if len(token) < 16:
        raise ConfigurationError(f"expected a token of at least 16 characters, got {len(token)}")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ConfigurationError(f"expected an IP address to listen on, got {host!r}") from None
    phones = {session.instance_id: session for session in sessions}
    server = Server(
        phones,
        address=address,
        token=token,
        read_only=read_only,
        embed_from=embedding.read_origins(embed_from),
    )
    async with server.serving(_listen(str(address), port)):
        if open_browser:
            await asyncio.to_thread(webbrowser.open, server.url)
        yield server


def _bounded_connection() -> type[ServerConnection]:
    """Return the class of one server's connections. Each takes a file of the process, so one too many is cut."""
    open_now: set[ServerConnection] = set()

    class Connection(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            open_now.add(self)
            if len(open_now) > CONNECTIONS_LIMIT:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            open_now.discard(self)
            super().connection_lost(exc)

    return Connection


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"expected a port from 0 to 65535, got {port}")
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        is_of_system = error.errno in errno.errorcode  # around which Python puts the address
        why = os.strerror(error.errno or 0) if is_of_system else error.strerror
        what = "another port, or 0 for a free one" if error.errno == errno.EADDRINUSE else "another host or port"
        raise ConfigurationError(f"cannot listen on port {port} of {host}: {why}: choose {what}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    return listener
