"""A real coturn: relays over UDP, TCP and TLS, and what is told of one that refuses, is not trusted or is silent."""

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from conftest import LIMIT_S, require_peer

import streamer
from streamer import phone
from streamer.cloud.http import tls_context
from streamer.errors import ConnectionFailedError
from streamer.rtc.ice import parse_ice_servers
from streamer.rtc.peer import Peer
from tests.everywhere import HAS_IPV6, Connect
from tests.tls import make_certificate

_USER: Final = "viewer"
_PASSWORD: Final = "correct-horse"


class Coturn:
    """A turnserver on a loopback address, which can be killed and started again."""

    def __init__(self, program: str, directory: Path, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port, self.tls_port = _free_port(host), _free_port(host)
        self.certificate, key = make_certificate(directory, host)
        config = directory / "turnserver.conf"
        config.write_text(
            f"listening-ip={host}\nrelay-ip={host}\nlistening-port={self.port}\n"
            f"tls-listening-port={self.tls_port}\ncert={self.certificate}\npkey={key}\n"
            f"lt-cred-mech\nuser={_USER}:{_PASSWORD}\nrealm=example.test\nallow-loopback-peers\nno-cli\n"
            f"userdb={directory / 'turndb'}\npidfile={directory / 'turnserver.pid'}\nlog-file=stdout\n"
        )
        if host == "::1":  # who asks for a relay does not say of which family it is to be
            config.write_text(f"{config.read_text()}allocation-default-address-family=keep\n")
        self._command = (program, "-c", str(config))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; return when it listens."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await _wait_listening(self.host, self.port, self._process)
        await _wait_listening(self.host, self.tls_port, self._process)

    async def kill(self) -> None:
        """Kill it, if it runs; return when it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def url(self, way: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if way == "tls":
            return f"turns:{host}:{self.tls_port}?transport=tcp"
        return f"turn:{host}:{self.port}?transport={way}"


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tcp:
        tcp.bind((host, 0))
        return int(tcp.getsockname()[1])


async def _wait_listening(host: str, port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            assert process.returncode is None, "turnserver has ended"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)  # it tells nobody when it listens


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


async def _ask(url: str, *, tls: ssl.SSLContext | None = None, password: str = _PASSWORD) -> str:
    """Answer an offer with this server alone; return the first relay candidate, or the first problem."""
    told: asyncio.Queue[str] = asyncio.Queue()
    servers, problems = parse_ice_servers([{"urls": url, "username": _USER, "credential": password}])
    assert not problems
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    sender.addTransceiver("video", direction="sendonly")
    peer = Peer(
        ice_servers=servers,
        loopback=["127.0.0.1"],
        make_input=lambda _: pytest.fail("nothing connects"),
        on_candidate=lambda line, *_: told.put_nowait(line),
        input_opened=asyncio.Event(),
        on_problem=told.put_nowait,
        tls=tls,
    )
    try:
        await sender.setLocalDescription(await sender.createOffer())
        await peer.answer(sender.localDescription.sdp)
        async with asyncio.timeout(LIMIT_S):
            return await told.get()
    finally:
        await peer.aclose()
        await sender.close()


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_a_relay_candidate_comes_over_each_way(coturn: Coturn, way: str) -> None:
    tls = ssl.create_default_context(cafile=str(coturn.certificate))
    line = await _ask(coturn.url(way), tls=tls)
    assert line.split()[4] == "127.0.0.1"
    assert line.split()[6:8] == ["typ", "relay"]


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_a_relay_candidate_comes_by_ipv6_over_each_way(coturn6: Coturn, way: str) -> None:
    tls = ssl.create_default_context(cafile=str(coturn6.certificate))
    line = await _ask(coturn6.url(way), tls=tls)
    assert line.split()[4] == "::1"
    assert line.split()[6:8] == ["typ", "relay"]


async def test_any_certificate_will_do_where_verification_is_off(coturn: Coturn) -> None:
    assert " typ relay" in await _ask(coturn.url("tls"), tls=tls_context(False))


@pytest.mark.parametrize("tls", [None, tls_context(True)])
async def test_a_certificate_that_is_not_trusted_is_refused_and_named(
    coturn: Coturn, tls: ssl.SSLContext | None
) -> None:
    problem = await _ask(coturn.url("tls"), tls=tls)
    assert problem.startswith(f"{coturn.url('tls')}: its TLS certificate is not trusted (")


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_a_wrong_password_is_named_and_not_told(coturn: Coturn, way: str) -> None:
    problem = await _ask(coturn.url(way), password="wrong-horse")
    assert problem.startswith(f"{coturn.url(way)}: refused: ")
    assert "401" in problem
    assert "horse" not in problem


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
        {"urls": coturn.url("tls"), "username": _USER, "credential": _PASSWORD},
        {"urls": coturn.url("udp"), "username": _USER, "credential": "wrong-horse"},
    ]
    problems: list[str] = []
    async with phone.serve(ice_servers=entries) as embedded, asyncio.timeout(LIMIT_S):
        connecting = connect(embedded, verify=verify)
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
async def test_media_comes_through_the_relay_alone(coturn: Coturn, connect: Connect, way: str) -> None:
    entry = {"urls": coturn.url(way), "username": _USER, "credential": _PASSWORD}
    trust = ssl.create_default_context(cafile=str(coturn.certificate))
    async with contextlib.AsyncExitStack() as stack:
        embedded = await stack.enter_async_context(phone.serve(ice_servers=[entry]))
        session = await stack.enter_async_context(connect(embedded, verify=trust, relay_only=True))
        async with asyncio.timeout(LIMIT_S):
            assert (await session.screenshot()).width == 720
            assert session._link.peer is not None
            (dtls,) = session._link.peer._gatherings
            ice = dtls.transport._connection
            assert {candidate.type for candidate in ice._local_candidates} == {"relay"}
            assert {pair.protocol.local_candidate.type for pair in ice._check_list} == {"relay"}
            assert session._link.peer._connection.localDescription.sdp.count(" typ host") == 0


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_media_comes_by_ipv6_through_the_relay_alone(coturn6: Coturn, connect: Connect, way: str) -> None:
    entry = {"urls": coturn6.url(way), "username": _USER, "credential": _PASSWORD}
    trust = ssl.create_default_context(cafile=str(coturn6.certificate))
    async with contextlib.AsyncExitStack() as stack:
        embedded = await stack.enter_async_context(phone.serve(host="::1", ice_servers=[entry]))
        session = await stack.enter_async_context(connect(embedded, verify=trust, relay_only=True))
        async with asyncio.timeout(LIMIT_S):
            assert (await session.screenshot()).width == 720
            assert session._link.peer is not None
            (dtls,) = session._link.peer._gatherings
            (pair,) = dtls.transport._connection._nominated.values()
            assert (pair.local_candidate.type, pair.local_candidate.host) == ("relay", "::1")
            assert pair.remote_candidate.host == "::1"


async def test_relays_alone_without_a_turn_server_is_one_clear_sentence(connect: Connect) -> None:
    async with phone.serve(ice_servers=["stun:127.0.0.1:9"]) as embedded:
        with pytest.raises(ConnectionFailedError, match="expected a TURN server, as relay_only asks for"):
            async with connect(embedded, relay_only=True):
                pass


async def test_relays_alone_that_refuse_are_told_at_once(coturn: Coturn, connect: Connect) -> None:
    entry = {"urls": coturn.url("udp"), "username": _USER, "credential": "wrong-horse"}
    async with phone.serve(ice_servers=[entry]) as embedded:
        with pytest.raises(ConnectionFailedError, match=r"no TURN server gave a relay candidate: turn:.* refused"):
            async with connect(embedded, relay_only=True):
                pass


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_a_stream_goes_on_after_its_relay_was_killed_and_started_again(
    coturn: Coturn, connect: Connect, way: str
) -> None:
    entry = {"urls": coturn.url(way), "username": _USER, "credential": _PASSWORD}
    quick = streamer.Reconnect(max_delay_s=0.5, give_up_after_s=None)
    heard: list[streamer.Event] = []

    async def hear(kind: str) -> streamer.Event:
        while True:
            heard.append(await anext(events))
            if heard[-1].kind == kind:
                return heard[-1]

    async with contextlib.AsyncExitStack() as stack:
        embedded = await stack.enter_async_context(phone.serve(ice_servers=[entry], width=360, height=640))
        session = await stack.enter_async_context(connect(embedded, relay_only=True, reconnect=quick))
        await stack.enter_async_context(asyncio.timeout(4 * LIMIT_S))
        events = session.events()
        pictures = session.frames()
        await anext(pictures)
        await coturn.kill()
        assert (await hear("interrupted")).reason
        problem = str((await hear("problem")).reason)  # of the next connection
        assert problem.startswith(f"{coturn.url(way)}: ")
        await coturn.start()
        await hear("resumed")
        while not (await anext(pictures)).discontinuity:
            pass
    assert not any(event.kind == "closed" for event in heard)
    assert "horse" not in str(heard)
