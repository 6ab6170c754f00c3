"""The API and signaling through a proxy that the environment names."""

import asyncio
import base64
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import pytest

import streamer
from streamer import phone as embedded
from tests.everywhere import Connect

LIMIT_S: Final = 40.0
USER: Final = "someone:hunter2"
BASIC: Final = base64.b64encode(USER.encode()).decode()


class Proxy:
    """A proxy on loopback that forwards requests for http: URLs and tunnels by CONNECT (RFC 9110 section 9.3.6).

    With `demands` it answers 407 to who does not bring these credentials. `asked` tells what it was asked for.
    """

    def __init__(self, *, demands: str | None = None) -> None:
        self.port = 0
        self.asked: list[tuple[str, str]] = []  # method, and host with port
        self._demands = demands
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *fields = head.rstrip().split("\r\n")
            method, target, version = line.split()
            parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
            self.asked.append((method, parts.netloc))
            credentials = [field.partition(": ")[2] for field in fields if _is_for_proxies(field)]
            if self._demands is not None and f"Basic {self._demands}" not in credentials:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            onward, server = await asyncio.open_connection(parts.hostname, parts.port)
            with contextlib.closing(server):
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = parts._replace(scheme="", netloc="").geturl()
                    kept = [field for field in fields if not _is_for_proxies(field)]
                    server.write("\r\n".join([f"{method} {path} {version}", *kept, "", ""]).encode("latin-1"))
                await _either(_copy(reader, server), _copy(onward, writer))


def _is_for_proxies(field: str) -> bool:
    return field.lower().startswith("proxy-")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def _either(*ways: object) -> None:
    tasks = [asyncio.ensure_future(way) for way in ways]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of whoever runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy", "socks_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
async def test_the_api_and_signaling_go_through_the_proxy(
    name: str, phone: embedded.EmbeddedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy().running() as proxy, asyncio.timeout(LIMIT_S):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with connect(phone) as session:
            assert (await session.screenshot()).width == 360
    assert proxy.asked == [
        ("POST", urlsplit(phone.endpoint).netloc),
        ("CONNECT", urlsplit(phone.signaling_url).netloc),
    ]


async def test_a_proxys_credentials_reach_it_and_nobody_else(
    phone: embedded.EmbeddedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # of every library
    async with Proxy(demands=BASIC).running() as proxy, asyncio.timeout(LIMIT_S):
        monkeypatch.setenv("HTTP_PROXY", f"http://{USER}@127.0.0.1:{proxy.port}")
        async with connect(phone) as session:
            await session.screenshot()
    assert len(proxy.asked) == 2
    assert "hunter2" not in caplog.text
    assert BASIC not in caplog.text


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_a_host_without_a_proxy_is_reached_directly(
    name: str, phone: embedded.EmbeddedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy().running() as proxy, asyncio.timeout(LIMIT_S):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv(name, "127.0.0.1")
        async with connect(phone) as session:
            await session.screenshot()
    assert not proxy.asked


@pytest.mark.parametrize("name", ["HTTP_PROXY", "WS_PROXY"])
@pytest.mark.parametrize(
    "proxy", ["socks5://{}@127.0.0.1:9", "ftp://{}@127.0.0.1:9", "http://{}@127.0.0.1:99999", "http://{}@[bad"]
)
async def test_a_proxy_that_cannot_be_used_is_a_configuration_error(
    proxy: str, name: str, phone: embedded.EmbeddedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy.format(USER))
    with pytest.raises(streamer.ConfigurationError, match="the proxy settings name") as caught:
        async with connect(phone):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "WS_PROXY"])
async def test_a_proxy_that_is_not_there_is_named(
    name: str, phone: embedded.EmbeddedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://{USER}@127.0.0.1:{_closed_port()}")
    with pytest.raises(streamer.StreamerError, match=r"through the proxy 127\.0\.0\.1: ") as caught:
        async with connect(phone):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "WS_PROXY"])
async def test_a_proxy_that_demands_other_credentials_is_asked_once_and_named(
    name: str, phone: embedded.EmbeddedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy(demands=BASIC).running() as proxy:
        monkeypatch.setenv(name, f"http://someone:else@127.0.0.1:{proxy.port}")
        with pytest.raises(streamer.StreamerError, match=r"the proxy 127\.0\.0\.1 refuses to connect to it"):
            async with connect(phone):
                pass
    assert len(proxy.asked) == 1


def _closed_port() -> int:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        return int(tcp.getsockname()[1])
