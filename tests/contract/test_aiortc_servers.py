"""What STUN and TURN servers say to aioice, and how our peer gathers from them."""

import asyncio
import socket

import aioice
import pytest

from streamer.rtc._aiortc import gathering
from streamer.rtc.ice import parse_ice_servers
from tests.support.everywhere import HAS_IPV6
from tests.support.stun_servers import LOOPBACKS, attribute, both_families_of, message, stun_server, tell_address
from tests.support.webrtc_pair import LIMIT_S, Pair

needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no loopback by IPv6 (::1)")


@pytest.mark.parametrize(
    ("host", "seen"), [("127.0.0.1", "198.51.100.7"), pytest.param("::1", "2001:db8::7", marks=needs_ipv6)]
)
async def test_a_candidate_from_a_stun_server_is_trickled(host: str, seen: str) -> None:
    async with stun_server(tell_address, host) as address, asyncio.timeout(LIMIT_S):
        servers, _ = parse_ice_servers([f"stun:{address}"])
        async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
            answer = await pair.peer.answer(await pair.offer())
            assert seen not in answer
            line, mid, index = await pair.candidates.get()
            assert line.split()[4:8] == [seen, "4242", "typ", "srflx"]
            assert (mid, index) == ("0", 0)


@needs_ipv6
async def test_a_stun_server_with_addresses_of_both_families_is_asked_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both_families_of("stun.example", monkeypatch)
    async with stun_server(tell_address) as address, asyncio.timeout(LIMIT_S):
        port = int(address.rpartition(":")[2])
        async with stun_server(tell_address, "::1", port):
            servers, _ = parse_ice_servers([f"stun:stun.example:{port}"])
            async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
                await pair.peer.answer(await pair.offer())
                seen = {(await pair.candidates.get())[0].split()[4] for _ in range(2)}
                assert seen == {"198.51.100.7", "2001:db8::7"}
                assert not pair.peer.ice_problems


@needs_ipv6
async def test_a_stun_server_that_answers_over_one_family_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 0.5)
    both_families_of("stun.example", monkeypatch)
    async with stun_server(tell_address) as address, asyncio.timeout(LIMIT_S):
        servers, _ = parse_ice_servers([f"stun:stun.example:{address.rpartition(':')[2]}"])
        async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
            await pair.peer.answer(await pair.offer())
            (made,) = pair.peer._gatherings.values()
            await asyncio.wait([task for task in made._tasks if task.get_name().startswith("ask ")])
            assert (await pair.candidates.get())[0].split()[4] == "198.51.100.7"
            assert not pair.peer.ice_problems


async def test_a_server_of_a_family_that_this_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    servers, _ = parse_ice_servers(["stun:[2001:db8::1]:3478"])
    async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair, asyncio.timeout(LIMIT_S):
        await pair.peer.answer(await pair.offer())
        while not pair.peer.ice_problems:
            await asyncio.sleep(0.01)
        assert pair.peer.ice_problems == [
            "stun:[2001:db8::1]:3478?transport=udp: this machine has no address that could reach 2001:db8::1"
        ]


@needs_ipv6
async def test_a_server_that_refuses_over_one_family_and_is_silent_over_the_other_has_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 1.0)
    both_families_of("turn.example", monkeypatch)

    def refuse(request: bytes, _: tuple[str, int]) -> bytes:
        return message(0x0113, request, attribute(0x0009, b"\x00\x00\x04\x03Forbidden"))

    async with stun_server(refuse) as address, asyncio.timeout(LIMIT_S):
        port = int(address.rpartition(":")[2])
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
            silent.bind(("::1", port))
            servers, _ = parse_ice_servers([f"turn:turn.example:{port}"])
            async with Pair(servers=servers, loopback=LOOPBACKS) as pair:
                await pair.peer.answer(await pair.offer())
                assert (await pair.problems.get()).endswith(": refused: STUN transaction failed (403 - Forbidden)")


@pytest.mark.parametrize("url", ["stun:{}", "turn:{}"])
async def test_a_refusing_server_is_reported_without_its_password(url: str) -> None:
    def refuse(request: bytes, _: tuple[str, int]) -> bytes:
        kind = 0x0110 | int.from_bytes(request[:2])
        code = attribute(0x0009, b"\x00\x00\x04\x01Unauthorized")
        return message(kind, request, code, attribute(0x0014, b"realm"), attribute(0x0015, b"nonce"))

    async with stun_server(refuse) as address, asyncio.timeout(LIMIT_S):
        for credentials in ({}, {"username": "u", "credential": "hunter2"}):
            servers, _ = parse_ice_servers([{"urls": url.format(address)} | credentials])
            async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair:
                await pair.peer.answer(await pair.offer())
                while not pair.peer.ice_problems:
                    await asyncio.sleep(0.01)
                (problem,) = pair.peer.ice_problems
                assert problem.startswith(f"{url.format(address)}?transport=udp: ")
                assert "hunter2" not in problem


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_nonsense_from_a_turn_server_is_ignored(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    def say(request: bytes, _: tuple[str, int]) -> bytes:
        return message(0x0113, request, attribute(0x0024, b"\x01"))  # a number of one byte

    async def say_over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(1000):
            writer.write(2 * say(request, ("", 0)))
        writer.close()

    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 0.7)
    async with (
        asyncio.timeout(LIMIT_S),
        stun_server(say) as by_udp,
        await asyncio.start_server(say_over_tcp, "127.0.0.1", 0) as server,
    ):
        by_tcp = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        url = f"turn:{by_udp if transport == 'udp' else by_tcp}?transport={transport}"
        servers, _ = parse_ice_servers([{"urls": url, "username": "u", "credential": "p"}])
        async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair:
            await pair.peer.answer(await pair.offer())
            assert await pair.problems.get() == f"{url}: no answer"


async def test_a_server_that_never_answers_is_reported_after_the_sdp_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "SERVER_TIMEOUT_S", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        servers, _ = parse_ice_servers([f"stun:127.0.0.1:{silent.getsockname()[1]}"])
        async with Pair(servers=servers, loopback=["127.0.0.1"]) as pair, asyncio.timeout(LIMIT_S):
            await pair.peer.answer(await pair.offer())
            assert not pair.peer.ice_problems
            while not pair.peer.ice_problems:
                await asyncio.sleep(0.01)
            assert "no answer" in pair.peer.ice_problems[0]
