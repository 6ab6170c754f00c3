"""Our client and an npm socket.io server that cannot be reached, or refuses it."""

import asyncio
import contextlib

import pytest

from streamer.errors import ConfigurationError, DeviceTokenError, SignalingRefusedError, SignalingUnreachableError
from streamer.signaling import client
from streamer.signaling.client import SignalingClient
from tests.support.peers.npm import StartServer
from tests.support.peers.socketio_stage import TOKEN, error_of, request


@pytest.mark.parametrize(("codes", "code"), [({}, -1), ({TOKEN: -2}, -2)])
async def test_a_rejected_token_raises_its_code(
    start_signaling_server: StartServer, codes: dict[str, int], code: int
) -> None:
    async with start_signaling_server(codes=codes) as server, SignalingClient(request(server.url)) as signaling:
        error = await error_of(signaling)
    assert isinstance(error, DeviceTokenError)
    assert error.code == code


async def test_a_refused_start_raises_its_code_and_its_text(start_signaling_server: StartServer) -> None:
    async with start_signaling_server() as server, SignalingClient(request(server.url)) as signaling:
        with pytest.raises(SignalingRefusedError, match="the phone is not here") as caught:
            raise await error_of(signaling)
    assert caught.value.code == 404


async def test_a_refusal_by_middleware_raises_its_text(start_signaling_server: StartServer) -> None:
    async with (
        start_signaling_server(refuse="no such box") as server,
        SignalingClient(request(server.url)) as signaling,
    ):
        with pytest.raises(SignalingRefusedError, match="no such box"):
            raise await error_of(signaling)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_an_upgrade_refused_by_http_is_not_tried_again(start_signaling_server: StartServer, status: int) -> None:
    async with start_signaling_server(status=status) as server:
        with pytest.raises(SignalingUnreachableError, match=f"HTTP {status}") as caught:
            await SignalingClient(request(server.url)).__aenter__()
        assert caught.value.status == status
        await server.wait_for("upgrade")
        assert server.waiting_events() == []


async def test_an_upgrade_that_fails_by_http_is_tried_again_and_then_raises(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_ATTEMPT_PAUSE_S", 0.01)
    async with start_signaling_server(status=503) as server:
        with pytest.raises(SignalingUnreachableError, match="HTTP 503") as caught:
            await SignalingClient(request(server.url)).__aenter__()
        assert caught.value.status == 503
        for _ in range(3):
            await server.wait_for("upgrade")
        assert server.waiting_events() == []


async def test_a_server_that_hangs_up_during_the_handshake_is_unreachable(start_signaling_server: StartServer) -> None:
    async with start_signaling_server() as server:
        # engine.io hangs up on an upgrade that is not for its path, without a status.
        with pytest.raises(SignalingUnreachableError, match="broke off"):
            await SignalingClient(request(f"{server.url}/elsewhere"), open_attempts=1).__aenter__()


async def test_a_port_without_a_listener_is_unreachable(
    start_signaling_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_ATTEMPT_PAUSE_S", 0.01)
    async with start_signaling_server() as server:
        url = server.url
    with pytest.raises(SignalingUnreachableError):
        await SignalingClient(request(url)).__aenter__()


@pytest.mark.parametrize("url", [f"http://{'a' * 70}.example", "http://a..b", "http://host:99999", "http://host:0"])
def test_an_impossible_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a signaling URL"):
        SignalingClient(request(url))


async def test_a_server_that_accepts_and_never_answers_the_upgrade_is_unreachable() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        signaling = SignalingClient(request(f"http://{host}:{port}"), open_timeout_s=0.1, open_attempts=1)
        with pytest.raises(SignalingUnreachableError, match="no answer within"):
            await signaling.__aenter__()
