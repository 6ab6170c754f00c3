"""The API and signaling through a proxy that the environment names."""

import asyncio
import base64
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

import streamer
from streamer import emulator, proxies, tls
from tests.support.everywhere import Connect
from tests.support.tls import behind_tls, join, make_certificate, server_context, serving

LIMIT_S: Final = 40.0
USER: Final = "someone:hunter2"
BASIC: Final = base64.b64encode(USER.encode()).decode()


class Proxy:
    """A proxy on loopback that forwards requests for http: URLs and tunnels by CONNECT (RFC 9110 section 9.3.6).

    With `demands` it answers 407 unless it gets these credentials; with `tls` it is an https: proxy. `asked`
    tells what it was asked for, and `seen` every byte that went through it, either way.
    """

    def __init__(self, *, demands: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.asked: list[tuple[str, str]] = []  # method, and host with port
        self.seen = bytearray()
        self._demands = demands
        self._tls = tls

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        async with serving(self._serve, tls=self._tls) as self.port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.readuntil(b"\r\n\r\n")
        self.seen += received
        line, *fields = received.decode("latin-1").rstrip().split("\r\n")
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
            await join((reader, writer), (onward, server), self.seen.extend)


def _is_for_proxies(field: str) -> bool:
    return field.lower().startswith("proxy-")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of the environment, and treat loopback like any other host."""
    monkeypatch.setattr(proxies, "is_loopback", lambda _: False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy", "socks_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
async def test_the_api_and_signaling_go_through_the_proxy(
    name: str, phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy().running() as proxy, asyncio.timeout(LIMIT_S):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with connect(phone) as session:
            assert (await session.screenshot()).width == 360
    assert proxy.asked == [
        ("POST", urlsplit(phone.endpoint).netloc),
        ("CONNECT", urlsplit(phone.signaling_url).netloc),
    ]


async def test_loopback_does_not_go_through_the_proxy(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    async with Proxy().running() as proxy, asyncio.timeout(LIMIT_S):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with connect(phone) as session:
            await session.screenshot()
    assert not proxy.asked


async def test_only_the_proxy_gets_its_credentials(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    name: str, phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
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
async def test_an_unusable_proxy_is_a_configuration_error(
    proxy: str, name: str, phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy.format(USER))
    with pytest.raises(streamer.ConfigurationError, match="the proxy settings") as caught:
        async with connect(phone):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "WS_PROXY"])
async def test_an_unreachable_proxy_is_named(
    name: str, phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://{USER}@127.0.0.1:{_closed_port()}")
    with pytest.raises(streamer.StreamerError, match=r"through the proxy 127\.0\.0\.1: ") as caught:
        async with connect(phone):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "WS_PROXY"])
async def test_a_proxy_that_rejects_the_credentials_is_asked_once_and_named(
    name: str, phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy(demands=BASIC).running() as proxy:
        monkeypatch.setenv(name, f"http://someone:else@127.0.0.1:{proxy.port}")
        with pytest.raises(streamer.StreamerError, match=r"the proxy 127\.0\.0\.1 refuses to connect to it"):
            async with connect(phone):
                pass
    assert len(proxy.asked) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for loopback that only its own file vouches for, beside its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))[0]


@pytest.fixture
async def secure(phone: emulator.EmulatedPhone, certificate: Path) -> AsyncIterator[emulator.EmulatedPhone]:
    """A phone whose API and signaling speak TLS."""
    async with behind_tls(phone, certificate, certificate):
        yield phone


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_in_front_of_tls_sees_only_the_destination(
    scheme: str,
    secure: emulator.EmulatedPhone,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
) -> None:
    proxy = Proxy(demands=BASIC, tls=server_context(certificate) if scheme == "https" else None)
    async with proxy.running(), asyncio.timeout(LIMIT_S):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # for the proxy: `verify` does not hold for it
        monkeypatch.setattr(tls, "_default_context", functools.cache(tls._default_context.__wrapped__))
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{USER}@127.0.0.1:{proxy.port}")
        async with connect(secure, verify=certificate) as session:
            assert (await session.screenshot()).width == 360
    places = [urlsplit(url).netloc for url in (secure.endpoint, secure.signaling_url)]
    assert proxy.asked == [("CONNECT", place) for place in places]
    assert len(proxy.seen) > 5000
    for secret in (secure.tenant_token, *secure.device_tokens, secure.device_id, "candidate", "socket.io"):
        assert secret.encode() not in proxy.seen


@pytest.mark.parametrize("of", ["the API", "signaling"])
async def test_an_untrusted_certificate_behind_a_proxy_is_named(
    of: str, phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    certificate, other = make_certificate(tmp_path)[0], make_certificate(tmp_path / "other")[0]
    shown = (other, certificate) if of == "the API" else (certificate, other)
    async with behind_tls(phone, *shown), Proxy().running() as proxy, asyncio.timeout(LIMIT_S):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(streamer.StreamerError, match=r"proxy 127\.0\.0\.1: its TLS certificate is not trusted \("):
            async with connect(phone, verify=certificate):
                pass
        assert proxy.asked[-1][1] == urlsplit(phone.endpoint if of == "the API" else phone.signaling_url).netloc


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "WSS_PROXY"])
async def test_an_untrusted_https_proxy_is_named_and_gets_nothing(
    name: str,
    secure: emulator.EmulatedPhone,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
) -> None:
    async with Proxy(tls=server_context(certificate)).running() as proxy, asyncio.timeout(LIMIT_S):
        monkeypatch.setenv(name, f"https://{USER}@127.0.0.1:{proxy.port}")
        with pytest.raises(streamer.StreamerError, match=r"proxy 127\.0\.0\.1: its TLS certificate is not trusted \("):
            async with connect(secure, verify=certificate):
                pass
    assert not proxy.seen


async def test_a_host_behind_tls_without_a_proxy_is_reached_directly(
    secure: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    async with Proxy().running() as proxy, asyncio.timeout(LIMIT_S):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with connect(secure, verify=certificate) as session:
            await session.screenshot()
    assert not proxy.asked


def _closed_port() -> int:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        return int(tcp.getsockname()[1])
