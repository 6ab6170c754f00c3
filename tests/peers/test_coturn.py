"""A real coturn: relays over UDP, TCP and TLS, and the problems with one that refuses, is untrusted or is silent."""

import asyncio
import contextlib
import shutil
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

import streamer
from streamer import emulator
from streamer.errors import ConnectionFailedError
from streamer.rtc import liveness
from streamer.rtc._aiortc.path import local_address
from streamer.rtc.ice import parse_ice_servers
from streamer.rtc.peer import Peer
from streamer.rtc.udp import widen
from streamer.tls import context_from
from tests.support.everywhere import HAS_IPV6, Connect
from tests.support.peers.coturn import PASSWORD, USER, Coturn
from tests.support.peers.presence import LIMIT_S, require_peer

Asked: TypeAlias = "asyncio.Queue[str]"


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    """A turnserver on loopback, with long-term credentials and a certificate that only its own file vouches for."""
    server = Coturn(require_peer("turnserver", shutil.which("turnserver")), tmp_path)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


@pytest.fixture
async def coturn6(tmp_path: Path) -> AsyncIterator[Coturn]:
    """The same on loopback by IPv6."""
    if not HAS_IPV6:
        pytest.skip("this machine has no loopback by IPv6 (::1)")
    server = Coturn(require_peer("turnserver", shutil.which("turnserver")), tmp_path, "::1")
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


@contextlib.asynccontextmanager
async def _asking(*urls: str, tls: ssl.SSLContext | None = None, password: str = PASSWORD) -> AsyncIterator[Asked]:
    """Answer an offer with these servers alone; give the relay candidates, and the problems, as they come."""
    told: Asked = asyncio.Queue()
    servers, problems = parse_ice_servers([{"urls": list(urls), "username": USER, "credential": password}])
    assert not problems
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    sender.addTransceiver("video", direction="sendonly")
    peer = Peer(
        ice_servers=servers,
        loopback=["127.0.0.1"],
        make_input=lambda _: pytest.fail("nothing connects"),
        on_candidate=lambda line, *_: told.put_nowait(line),
        on_problem=told.put_nowait,
        tls=tls,
    )
    try:
        await sender.setLocalDescription(await sender.createOffer())
        await peer.answer(sender.localDescription.sdp)
        yield told
    finally:
        await peer.aclose()
        await sender.close()


async def _ask(url: str, *, tls: ssl.SSLContext | None = None, password: str = PASSWORD) -> str:
    """Return the first relay candidate of a server, or the first problem."""
    async with _asking(url, tls=tls, password=password) as told, asyncio.timeout(LIMIT_S):
        return await told.get()


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_a_relay_candidate_is_gathered_over_each_transport(coturn: Coturn, way: str) -> None:
    tls = ssl.create_default_context(cafile=str(coturn.certificate))
    line = await _ask(coturn.url(way), tls=tls)
    assert line.split()[4] == "127.0.0.1"
    assert line.split()[6:8] == ["typ", "relay"]


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_a_relay_candidate_is_gathered_over_each_transport_by_ipv6(coturn6: Coturn, way: str) -> None:
    tls = ssl.create_default_context(cafile=str(coturn6.certificate))
    line = await _ask(coturn6.url(way), tls=tls)
    assert line.split()[4] == "::1"
    assert line.split()[6:8] == ["typ", "relay"]


async def test_any_certificate_is_accepted_without_verification(coturn: Coturn) -> None:
    assert " typ relay" in await _ask(coturn.url("tls"), tls=await context_from(False))


@pytest.mark.parametrize("has_context", [False, True])
async def test_an_untrusted_certificate_is_refused_and_named(coturn: Coturn, has_context: bool) -> None:
    problem = await _ask(coturn.url("tls"), tls=await context_from(True) if has_context else None)
    assert problem.startswith(f"{coturn.url('tls')}: its TLS certificate is not trusted (")


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_a_wrong_password_is_reported_and_not_shown(coturn: Coturn, way: str) -> None:
    problem = await _ask(coturn.url(way), password="wrong-horse")
    assert problem.startswith(f"{coturn.url(way)}: refused: ")
    assert "401" in problem
    assert "horse" not in problem


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_unreachable_servers_do_not_delay_closing(
    coturn: Coturn, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    url, spellings = coturn.url(way), ("127.0.0.1", "127.0.1", "127.1", "2130706433", "0x7f.1", "0177.1")
    urls = [url.replace(coturn.host, host) for host in spellings]
    try:
        async with _asking(*urls, tls=await context_from(False)) as told:
            async with asyncio.timeout(LIMIT_S):
                for _ in urls:
                    assert " typ relay" in await told.get()
            coturn.signal(signal.SIGSTOP)
    finally:
        coturn.signal(signal.SIGCONT)
    assert "did not close" not in caplog.text


async def test_a_server_that_does_not_answer_is_named() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"turn:127.0.0.1:{silent.getsockname()[1]}?transport=tcp"
        assert await _ask(url) == f"{url}: no answer"


@pytest.mark.parametrize(("verify", "refused"), [(True, True), (False, False)])
async def test_a_session_trusts_a_turn_server_as_it_trusts_the_api(
    coturn: Coturn, connect: Connect, verify: bool, refused: bool
) -> None:
    entries = [
        {"urls": coturn.url("tls"), "username": USER, "credential": PASSWORD},
        {"urls": coturn.url("udp"), "username": USER, "credential": "wrong-horse"},
    ]
    problems: list[str] = []
    async with emulator.serve(ice_servers=entries) as emulated, asyncio.timeout(LIMIT_S):
        connecting = connect(emulated, verify=verify)
        events = connecting.events()
        async with connecting as session:
            await session.screenshot()
            while not any("refused" in problem for problem in problems) or (refused and len(problems) < 2):
                event = await anext(events)
                if event.kind == "problem":
                    problems.append(str(event.reason))
    assert any("not trusted" in problem for problem in problems) is refused
    assert "horse" not in "".join(problems)


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_media_flows_through_the_relay_alone(coturn: Coturn, connect: Connect, way: str) -> None:
    entry = {"urls": coturn.url(way), "username": USER, "credential": PASSWORD}
    trust = ssl.create_default_context(cafile=str(coturn.certificate))
    async with contextlib.AsyncExitStack() as stack:
        emulated = await stack.enter_async_context(emulator.serve(ice_servers=[entry]))
        session = await stack.enter_async_context(connect(emulated, verify=trust, relay_only=True))
        async with asyncio.timeout(LIMIT_S):
            assert (await session.screenshot()).width == 720
            assert session._connection.peer is not None
            (dtls,) = session._connection.peer._gatherings
            ice = dtls.transport._connection
            assert {candidate.type for candidate in ice._local_candidates} == {"relay"}
            assert {pair.protocol.local_candidate.type for pair in ice._check_list} == {"relay"}
            assert session._connection.peer._connection.localDescription.sdp.count(" typ host") == 0
            assert local_address(dtls) == "127.0.0.1"
            assert session._connection.peer.lost_address is None
            if way == "udp":  # a keyframe comes as a burst, from a relay too
                transport: Any = ice._protocols[0].transport
                udp = transport._TurnTransport__inner_protocol.transport.get_extra_info("socket")
                with socket.socket(type=socket.SOCK_DGRAM) as other:
                    widen(other)
                    wide = other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
                assert udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == wide


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_media_flows_by_ipv6_through_the_relay_alone(coturn6: Coturn, connect: Connect, way: str) -> None:
    entry = {"urls": coturn6.url(way), "username": USER, "credential": PASSWORD}
    trust = ssl.create_default_context(cafile=str(coturn6.certificate))
    async with contextlib.AsyncExitStack() as stack:
        emulated = await stack.enter_async_context(emulator.serve(host="::1", ice_servers=[entry]))
        session = await stack.enter_async_context(connect(emulated, verify=trust, relay_only=True))
        async with asyncio.timeout(LIMIT_S):
            assert (await session.screenshot()).width == 720
            assert session._connection.peer is not None
            (dtls,) = session._connection.peer._gatherings
            (pair,) = dtls.transport._connection._nominated.values()
            assert (pair.local_candidate.type, pair.local_candidate.host) == ("relay", "::1")
            assert pair.remote_candidate.host == "::1"


async def test_relay_only_without_a_turn_server_raises_one_clear_sentence(connect: Connect) -> None:
    async with emulator.serve(ice_servers=["stun:127.0.0.1:9"]) as emulated:
        with pytest.raises(ConnectionFailedError, match="expected a TURN server for relay_only"):
            async with connect(emulated, relay_only=True):
                pass


async def test_relay_only_fails_at_once_if_the_relays_refuse(coturn: Coturn, connect: Connect) -> None:
    entry = {"urls": coturn.url("udp"), "username": USER, "credential": "wrong-horse"}
    async with emulator.serve(ice_servers=[entry]) as emulated:
        with pytest.raises(ConnectionFailedError, match=r"no TURN server gave a relay candidate: turn:.* refused"):
            async with connect(emulated, relay_only=True):
                pass


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_a_stream_goes_on_after_its_relay_was_restarted(
    coturn: Coturn, connect: Connect, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(liveness, "DEAD_AFTER_NS", 4_000_000_000)
    entry = {"urls": coturn.url(way), "username": USER, "credential": PASSWORD}
    quick = streamer.Reconnect(max_delay_s=0.5, give_up_after_s=None)
    heard: list[streamer.Event] = []

    async def hear(kind: str) -> streamer.Event:
        while True:
            heard.append(await anext(events))
            if heard[-1].kind == kind:
                return heard[-1]

    async with contextlib.AsyncExitStack() as stack:
        emulated = await stack.enter_async_context(emulator.serve(ice_servers=[entry], width=360, height=640))
        session = await stack.enter_async_context(connect(emulated, relay_only=True, reconnect=quick))
        await stack.enter_async_context(asyncio.timeout(4 * LIMIT_S))
        events = session.events()
        frames = session.frames()
        await anext(frames)
        await coturn.kill()
        assert (await hear("interrupted")).reason
        problem = str((await hear("problem")).reason)  # of the next connection
        assert problem.startswith(f"{coturn.url(way)}: ")
        await coturn.start()
        await hear("resumed")
        while not (await anext(frames)).discontinuity:
            pass
    assert not any(event.kind == "closed" for event in heard)
    assert "horse" not in str(heard)
