"""Where a fault is tried: with the emulator, here or in a process of its own, or with real peers."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from streamer import emulator
from tests.support.peers.auth_api import DEVICE_ID, auth_api
from tests.support.peers.chromium_phone import PAGES, Chromium, Page, PageError, find_chromium
from tests.support.peers.coturn import Coturn
from tests.support.peers.npm import SignalingServer, require_node, serve_signaling
from tests.support.peers.presence import require_peer
from tests.support.processes import Child

SMALL: Final[dict[str, Any]] = {"width": 180, "height": 320, "fps": 15, "bitrate_bps": 300_000}
PAGE: Final[dict[str, Any]] = {"width": 280, "height": 496, "fps": 15, "reconnects": 1}


class Peers:
    """What parallel trials share: one browser, started for the first trial that needs it."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._browser: Chromium | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def browser(self) -> Chromium:
        """Return the browser."""
        async with self._turn:
            if self._browser is None:
                self._browser = await self._stack.enter_async_context(_chromium())
            return self._browser


IceServers: TypeAlias = Sequence[Any] | Callable[[Coturn], Sequence[Any]]
Stage: TypeAlias = Callable[..., AbstractAsyncContextManager[Any]]
"""Called with the faults from the beginning on, the `Peers`, and options; gives what is like an `EmulatedPhone`."""


@contextlib.asynccontextmanager
async def here(faults: dict[str, Any], peers: Peers, **options: Any) -> AsyncIterator[emulator.EmulatedPhone]:
    """The emulator in this process; options are those of `serve`."""
    del peers
    async with emulator.serve(**{**SMALL, **options}, faults=emulator.Faults(**faults)) as phone:
        yield phone


class Elsewhere:
    """An emulator in a process of its own, always at the same place: it can be killed, and halted."""

    def __init__(self) -> None:
        self.tenant_token = secrets.token_urlsafe(24)
        self.faults = emulator.Faults()  # none of them reach it
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._port = server.getsockname()[1]
        self._options = json.dumps({**SMALL, "port": self._port, "tenant_token": self.tenant_token})
        self._start()

    def _start(self) -> None:
        self._child = Child("tests.support.phone_process", self._options)
        place = self._child.hear()
        self.endpoint, self.instance_id = place["endpoint"], place["instance"]

    async def start(self) -> None:
        """Start it, again."""
        await asyncio.to_thread(self._start)

    def kill(self) -> None:
        """Kill it at once."""
        self._child.kill()
        self.close()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._child.pid, number)

    def close(self) -> None:
        """End it."""
        self._child.__exit__(None, None, None)


@contextlib.asynccontextmanager
async def elsewhere(faults: dict[str, Any], peers: Peers) -> AsyncIterator[Elsewhere]:
    """The emulator in a process of its own."""
    del faults, peers
    phone = await asyncio.to_thread(Elsewhere)
    try:
        yield phone
    finally:
        await asyncio.to_thread(phone.close)


class Abroad:
    """A page of Chromium as the phone, behind the npm socket.io 2 server.

    `signaling` are options of signaling_server.js, `page` of phone.js. The API names `ice_servers`; if they are made of
    a coturn, that is started beside the others. Without a browser to share, the phone has one of its own, which can be
    killed and stopped.
    """

    instance_id: Final = "Q39YyZvI"

    def __init__(self, browser: Chromium | None, page: dict[str, Any], signaling: dict[str, Any]) -> None:
        self.tenant_token = secrets.token_urlsafe(24)
        self.endpoint = ""
        self.server: SignalingServer
        self.coturn: Coturn
        self.page: Page
        self._browser = browser
        self._has_own_browser = browser is None
        self._page_options = {"boxid": DEVICE_ID, **PAGE, **page}
        self._signaling_options = {"files": str(PAGES), "waits": True, **signaling}
        self._server_process, self._browser_process = AsyncExitStack(), AsyncExitStack()

    @property
    def faults(self) -> "_ServerFaults":
        """The faults of the signaling server."""
        return _ServerFaults(self.server)

    @contextlib.asynccontextmanager
    async def run(self, ice_servers: IceServers) -> AsyncIterator[None]:
        """Run all of it."""
        async with AsyncExitStack() as stack:
            if callable(ice_servers):
                self.coturn = await stack.enter_async_context(_coturn())
                ice_servers = ice_servers(self.coturn)
            stack.push_async_callback(self.kill_server)
            await self.start_server()
            self.endpoint = await stack.enter_async_context(auth_api(self.server.url, ice_servers))
            if self._browser is None:
                stack.push_async_callback(self.kill_browser)
            await self.open_page()
            if not self._has_own_browser:
                stack.push_async_callback(self._close_page_if_open)
            yield

    async def start_server(self) -> None:
        """Start the signaling server, again at the same place."""
        self.server = await self._server_process.enter_async_context(serve_signaling(**self._signaling_options))
        self._signaling_options["port"] = self.server.port

    async def kill_server(self) -> None:
        """Kill the signaling server, if it runs; return when it is gone."""
        await self._server_process.aclose()

    async def open_page(self) -> None:
        """Open the phone's page, in a browser that is started for it if need be."""
        if self._browser is None:
            self._browser = await self._browser_process.enter_async_context(_chromium())
        self.page = await self._browser.open_phone(self.server.url, **self._page_options)

    async def close_page(self) -> None:
        """Close the phone's page."""
        await self.page.close()

    async def _close_page_if_open(self) -> None:
        with contextlib.suppress(PageError):
            await self.close_page()

    async def kill_browser(self) -> None:
        """Kill the browser, which is the phone's own, if it runs; return when all of it is gone."""
        self.signal_browser(signal.SIGKILL)
        self._browser = None
        await self._browser_process.aclose()

    def signal_browser(self, number: int) -> None:
        """Send all processes of the browser a signal."""
        if self._browser is not None:
            self._browser.signal(number)

    async def reset_signaling(self) -> None:
        """Reset the client's WebSocket; the phone goes on sending."""
        await self.server.tell("drop")

    async def cut_signaling(self) -> None:
        """Reset the client's WebSocket, and have the stream end with it, as the emulator's does."""
        await self.reset_signaling()
        await self.page.evaluate("phone.close()")

    async def close_clients(self, reason: str) -> None:
        """End the client's stream for a reason, such as "1402"."""
        await self.server.tell("emit", "close", {"reason": reason})


class _ServerFaults:
    """The signaling server's faults: setting one sends it to the server."""

    def __init__(self, server: SignalingServer) -> None:
        object.__setattr__(self, "_server", server)

    def __setattr__(self, name: str, value: object) -> None:
        self._server.give("fault", name, value)

    _server: SignalingServer


@contextlib.asynccontextmanager
async def abroad(
    faults: dict[str, Any],
    peers: Peers,
    *,
    own_browser: bool = False,
    page: dict[str, Any] | None = None,
    signaling: dict[str, Any] | None = None,
    ice_servers: IceServers = (),
) -> AsyncIterator[Abroad]:
    """Real peers only."""
    phone = Abroad(None if own_browser else await peers.browser(), page or {}, {**(signaling or {}), **faults})
    async with phone.run(ice_servers):
        yield phone


def _chromium() -> Chromium:
    return Chromium(require_peer("chromium", find_chromium()))


@contextlib.asynccontextmanager
async def _coturn() -> AsyncIterator[Coturn]:
    with tempfile.TemporaryDirectory(prefix="coturn-") as folder:
        coturn = Coturn(require_peer("turnserver", shutil.which("turnserver")), Path(folder))
        try:
            await coturn.start()
            yield coturn
        finally:
            await coturn.kill()


def require_all() -> None:
    """Skip, or in CI fail, unless every peer is there; the npm packages are installed then."""
    require_node()
    require_peer("chromium", find_chromium())
    require_peer("turnserver", shutil.which("turnserver"))
