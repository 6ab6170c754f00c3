"""Headless Chromium as a peer: it opens pages and answers questions about them over its DevTools protocol.

The pages are in `chromium/`: `phone.html` is the phone (offerer, H.264 and Opus, `input`), `receiver.html` a client of
the same signaling, so that what streamer gets from a phone can be set against what Chromium itself gets.
"""

import asyncio
import collections
import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PAGES: Final = Path(__file__).parent / "chromium"
LIMIT_S: Final = 30.0
TONE_HZ: Final = 440  # what phone.js plays

_EXECUTABLES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Two pages of one browser play phone and receiver: neither may be slowed down as the one "in the background".
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--autoplay-policy=no-user-gesture-required",
    # 127.0.0.1 is no candidate by default, and the only one on a machine without a network.
    "--allow-loopback-in-peer-connection",
    "--remote-debugging-port=0",
)
_DEVTOOLS: Final = b"DevTools listening on "


def find_chromium() -> str | None:
    """Return the browser's path, or None where there is none."""
    return next(filter(None, map(shutil.which, _EXECUTABLES)), None)


class PageError(Exception):
    """A script in the page threw, or the browser refused a command or went away."""


class Page:
    """One open page."""

    def __init__(self, browser: "Chromium", target_id: str, session_id: str) -> None:
        self._browser = browser
        self._target_id = target_id
        self._session_id = session_id

    async def close(self) -> None:
        """Close it, as its tab's cross does."""
        await self._browser.command("Target.closeTarget", {"targetId": self._target_id})

    async def resize(self, width: int, height: int) -> None:
        """Give the page's window a size in pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self._browser.command("Emulation.setDeviceMetricsOverride", metrics, session_id=self._session_id)

    async def prefer(self, scheme: str) -> None:
        """Let the user of the page prefer "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self._browser.command("Emulation.setEmulatedMedia", {"features": features}, session_id=self._session_id)

    async def evaluate(self, expression: str, limit_s: float = LIMIT_S) -> Any:
        """Run JavaScript in the page and return its value, a promise's once it is settled."""
        reply = await self._browser.command(
            "Runtime.evaluate",
            {"expression": expression, "awaitPromise": True, "returnByValue": True},
            session_id=self._session_id,
            limit_s=limit_s,
        )
        if "exceptionDetails" in reply:
            details = reply["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return reply["result"].get("value")

    async def wait_for(self, expression: str, limit_s: float = LIMIT_S) -> Any:
        """Return the value of `expression` as soon as it is true in JavaScript's sense.

        Raises PageError once the page has met a fault (signaling.js), TimeoutError after `limit_s`.
        """
        polling = f"""new Promise((resolve, reject) => {{
            const look = async () => {{
                if (typeof fault !== "undefined" && fault) throw fault;
                const value = await ({expression});
                value ? resolve(value) : setTimeout(() => look().catch(reject), 20);
            }};
            look().catch(reject);
        }})"""
        try:
            return await self.evaluate(polling, limit_s)
        except TimeoutError:
            raise TimeoutError(f"expected {expression} to become true within {limit_s:g} s in the page") from None


class Chromium:
    """One running browser with an empty profile; `async with` ends all its processes."""

    def __init__(self, executable: str, *, hides_addresses: bool = False) -> None:
        """`hides_addresses` leaves Chromium's default: host candidates are mDNS names."""
        self._executable = executable
        self._hides_addresses = hides_addresses
        self._stack = contextlib.AsyncExitStack()
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids: Iterator[int] = itertools.count(1)
        self._errors: collections.deque[str] = collections.deque(maxlen=20)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            address = await stack.enter_async_context(self._process())
            # Chromium's own limit on a DevTools message is far above websockets' 1 MB.
            self._socket = await stack.enter_async_context(connect(address, max_size=None, compression=None))
            reader = asyncio.create_task(self._read(self._socket), name="chromium devtools")
            stack.push_async_callback(_cancel, reader)
            if not self._hides_addresses:
                # A page that may use camera and microphone gathers every address, 127.0.0.1 and TCP included.
                await self.command("Browser.grantPermissions", {"permissions": ["audioCapture", "videoCapture"]})
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, url: str) -> Page:
        """Open `url` in a window of its own and return the page once its scripts have run."""
        target = await self.command("Target.createTarget", {"url": "about:blank", "newWindow": True})
        attached = await self.command("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        page = Page(self, target["targetId"], attached["sessionId"])
        await self.command("Page.navigate", {"url": url}, session_id=attached["sessionId"])
        await page.wait_for(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")
        return page

    async def open_phone(self, origin: str, boxid: str, **options: str | int) -> Page:
        """Open the phone's page from the signaling server at `origin`; `options` are named in phone.js."""
        page = await self.open(f"{origin}/phone.html?{urlencode({'boxid': boxid, **options})}")
        await page.wait_for("phone.socket.connected")
        return page

    async def open_receiver(self, origin: str, boxid: str, token: str) -> Page:
        """Open the page of a client; it connects at once to the phone that is at the server under `boxid`."""
        return await self.open(f"{origin}/receiver.html?{urlencode({'boxid': boxid, 'token': token})}")

    async def command(
        self, method: str, parameters: dict[str, Any], *, session_id: str | None = None, limit_s: float = LIMIT_S
    ) -> dict[str, Any]:
        """Send one DevTools command and return its result."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session_id is not None:
            message["sessionId"] = session_id
        self._replies[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(limit_s):
                await self._socket.send(json.dumps(message))
                reply = await self._replies[number]
        finally:
            del self._replies[number]
        if "error" in reply:
            raise PageError(f"{method}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                message = json.loads(text)
                waiting = self._replies.get(message.get("id", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(PageError(f"Chromium went away; its last words: {''.join(self._errors)}"))

    def signal(self, number: int) -> None:
        """Send all its processes a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, number)

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncGenerator[str]:
        with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as directory:
            process = await asyncio.create_subprocess_exec(
                self._executable,
                *_FLAGS,
                f"--user-data-dir={directory}/profile",
                "about:blank",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "TMPDIR": directory},
                start_new_session=True,  # a process group of its own, so that all of it can be ended
            )
            self._group = process.pid
            assert process.stderr is not None
            listening = asyncio.get_running_loop().create_future()
            reading = asyncio.create_task(self._read_stderr(process.stderr, listening), name="chromium stderr")
            try:
                async with asyncio.timeout(LIMIT_S):
                    address = await listening
                yield address
            finally:
                self.signal(signal.SIGKILL)
                await reading  # every process of the group holds this pipe: at its end the last of them is gone
                await process.wait()

    async def _read_stderr(self, stderr: asyncio.StreamReader, listening: asyncio.Future[str]) -> None:
        async for line in stderr:
            if line.startswith(_DEVTOOLS) and not listening.done():
                listening.set_result(line.removeprefix(_DEVTOOLS).decode().strip())
            self._note(line)
        if not listening.done():
            listening.set_exception(PageError(f"Chromium ended before it listened: {''.join(self._errors)}"))

    def _note(self, line: bytes) -> None:
        if b"ERROR:dbus/" not in line:  # a container has no D-Bus, and Chromium says so again and again
            self._errors.append(line.decode(errors="replace"))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
