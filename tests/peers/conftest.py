"""The npm peers as fixtures: a test without node is skipped."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from tests.support.peers.chromium_phone import PAGES
from tests.support.peers.npm import SignalingServer, StartClient, StartServer, require_node, run_script, serve_signaling
from tests.support.peers.socketio_stage import PING_INTERVAL_MS, PING_TIMEOUT_MS, TOKEN, Stage, staged


@pytest.fixture(scope="session")
def node() -> str:
    """The path of node; the packages that the scripts need are installed."""
    return require_node()


@pytest.fixture
def start_signaling_server(node: str) -> StartServer:
    """Give a function that runs signaling_server.js with options, which are named there."""
    del node
    return serve_signaling


@pytest.fixture
def start_socketio_client(node: str) -> StartClient:
    """Give a function that runs client.js: a socket.io-client at a URL, with a query."""
    del node
    return lambda url, query: run_script("client.js", url, json.dumps(query))


@pytest.fixture
async def signaling_server(start_signaling_server: StartServer) -> AsyncIterator[SignalingServer]:
    """A signaling server without faults; it serves the pages of chromium/."""
    async with start_signaling_server(files=str(PAGES)) as server:
        yield server


@pytest.fixture
async def stage(start_signaling_server: StartServer, start_socketio_client: StartClient) -> AsyncGenerator[Stage]:
    async with staged(start_signaling_server, start_socketio_client, codes={TOKEN: 0}) as stage:
        yield stage


@pytest.fixture
async def pinging_stage(
    start_signaling_server: StartServer, start_socketio_client: StartClient
) -> AsyncGenerator[Stage]:
    """A stage whose server expects frequent pings and soon drops a client without them: not for a busy test."""
    options: dict[str, Any] = {"pingInterval": PING_INTERVAL_MS, "pingTimeout": PING_TIMEOUT_MS}
    async with staged(start_signaling_server, start_socketio_client, codes={TOKEN: 0}, **options) as stage:
        yield stage
