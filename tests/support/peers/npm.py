"""The npm peers of node/: installed once, each run in a process group of its own."""

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from tests.support.peers.presence import LIMIT_S, find_executable, require_peer

EVENTS_LIMIT: Final = 10_000  # events of a script that nobody has waited for yet; at the limit the script is held up

_NODE: Final = Path(__file__).parent / "node"
_INSTALL_LIMIT_S: Final = 60.0


@functools.cache
def require_node() -> str:
    """Return the path of node, once the packages that the scripts need are installed."""
    node = require_peer("node", find_executable("node"))
    npm = require_peer("npm", find_executable("npm"))
    with (_NODE / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the test workers installs, the others wait for it
        wanted = lock.read()
        installed = _NODE / "node_modules" / ".installed-lock.json"
        if not installed.exists() or installed.read_bytes() != wanted:
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            process = subprocess.run(
                command, cwd=_NODE, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S, check=False
            )
            require_peer(f"npm's packages ({process.stderr.strip()})", process.returncode == 0 or None)
            installed.write_bytes(wanted)
    return node


def require_axe() -> Path:
    """Return the script that looks for what keeps people from using a page, once npm's packages are installed."""
    require_node()
    return _NODE / "node_modules" / "axe-core" / "axe.min.js"


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

    def give(self, command: str, *arguments: Any) -> None:
        """Give the script a command, without waiting until it is on its way."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *arguments]).encode() + b"\n")

    async def tell(self, command: str, *arguments: Any) -> None:
        """Give the script a command."""
        assert self._process.stdin is not None
        self.give(command, *arguments)
        await self._process.stdin.drain()

    def signal(self, number: int) -> None:
        """Send its processes a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    async def read_events(self) -> None:
        """Take the events in, until the script ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            await self._events.put(json.loads(line))
        await self._events.put(None)


@contextlib.asynccontextmanager
async def run_script(script: str, *arguments: str) -> AsyncGenerator[Script]:
    """Run a script of node/; its processes are killed at the end."""
    process = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(require_node),
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
        running.signal(signal.SIGKILL)
        await process.wait()
        reader.cancel()
        await asyncio.wait({reader})


class SignalingServer:
    """A running signaling_server.js; `url` is its HTTP origin."""

    def __init__(self, script: Script, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.wait_for = script.wait_for
        self.tell = script.tell
        self.give = script.give
        self.signal = script.signal
        self.waiting_events = script.waiting_events


StartServer: TypeAlias = Callable[..., AbstractAsyncContextManager[SignalingServer]]
StartClient: TypeAlias = Callable[[str, dict[str, str]], AbstractAsyncContextManager[Script]]


@contextlib.asynccontextmanager
async def serve_signaling(**options: Any) -> AsyncIterator[SignalingServer]:
    """Run signaling_server.js with options, which are named there."""
    async with run_script("signaling_server.js", json.dumps(options)) as script:
        yield SignalingServer(script, await script.wait_for("listening"))
