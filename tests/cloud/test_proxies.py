"""A proxy of the environment that refuses: it is asked, and named without its credentials."""

import asyncio

import pytest

import streamer
from streamer import emulator, proxies
from tests.support.everywhere import Connect


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT ")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("of", ["the API", "signaling"])
async def test_a_proxy_that_refuses_is_named_without_its_credentials(
    of: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await asyncio.start_server(_refuse, "127.0.0.1", 0) as proxy, emulator.serve() as emulated:
        url = f"http://someone:hunter2@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", url)
        monkeypatch.setenv("ws_proxy", url)
        monkeypatch.setattr(proxies, "is_loopback", lambda _: False)
        if of == "the API":
            emulated.endpoint = "https://api.invalid"
        with pytest.raises(streamer.StreamerError, match=r"the proxy 127\.0\.0\.1 refuses to connect to it") as caught:
            async with connect(emulated, timeout_s=20, reconnect=None):
                pass
        assert "hunter2" not in str(caught.value)
