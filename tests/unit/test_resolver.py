"""Names resolve without the event loop's pool."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from streamer import resolver

IPV6 = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("2001:db8::1", 0, 0, 0))
IPV4 = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (address, 0)) for address in ("192.0.2.1", "192.0.2.2")]


@pytest.fixture
def tarpit(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let no name resolve before the event is set."""
    released = threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        assert released.wait(20)
        return [IPV6, *IPV4]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield released
    released.set()
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("resolve ")]:
        thread.join()


async def test_the_first_address_of_each_family_is_returned(tarpit: threading.Event) -> None:
    tarpit.set()
    assert await resolver.resolve("phone.example") == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
async def test_an_address_needs_no_thread(address: str, tarpit: threading.Event) -> None:
    assert await resolver.resolve(address) == [address]


@pytest.mark.parametrize("fault", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("no name")])
async def test_a_name_that_does_not_resolve_is_an_os_error(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(OSError, match=r"unknown|no name"):
        await resolver.resolve("phone.example")


async def test_a_thread_that_cannot_start_is_an_os_error_and_takes_no_place(
    tarpit: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(resolver.THREADS_LIMIT + 1):
            with pytest.raises(OSError, match="can't start"):
                await resolver.resolve("phone.example")
    tarpit.set()
    assert await resolver.resolve("phone.example") == ["192.0.2.1", "2001:db8::1"]


async def test_a_slow_name_blocks_neither_the_pool_nor_more_than_its_threads(tarpit: threading.Event) -> None:
    waiting = [asyncio.ensure_future(resolver.resolve("slow.example")) for _ in range(resolver.THREADS_LIMIT)]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lambda: 1) == 1
    with pytest.raises(OSError, match="all 16 threads named 'resolve' are busy"):
        await resolver.resolve("slow.example")
    tarpit.set()
    assert await asyncio.gather(*waiting) == [["192.0.2.1", "2001:db8::1"]] * resolver.THREADS_LIMIT
    assert await resolver.resolve("slow.example") == ["192.0.2.1", "2001:db8::1"]


def test_a_program_ends_without_its_slow_names(tarpit: threading.Event) -> None:
    async def program() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve("slow.example"), 0.01)

    asyncio.run(program())
    assert not tarpit.is_set()
    tarpit.set()  # now the answer comes, to a loop that is closed


class Host:
    """A host whose addresses connect as a test's script says; it knows which connections are closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        found = [(*IPV6[:4], (a, 0, 0, 0)) if ":" in a else (*IPV4[0][:4], (a, 0)) for a in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        monkeypatch.setattr(resolver, "STAGGER_S", 0.001)
        self.answers = {address: asyncio.get_running_loop().create_future() for address in addresses}
        self.tried: list[str] = []
        self.closed: list[str] = []

    def connect(self) -> asyncio.Task[str]:
        async def try_one(address: str) -> str:
            self.tried.append(address)
            await self.answers[address]
            return address

        async def close(address: str) -> None:
            self.closed.append(address)

        return asyncio.create_task(resolver.connect_first("phone.example", try_one, close))


async def test_the_addresses_of_both_families_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, "2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.1")
    assert await resolver.addresses_of("phone.example") == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]
    for address, answer in host.answers.items():
        answer.set_exception(ConnectionRefusedError(address))
    with pytest.raises(ConnectionRefusedError, match=r"192\.0\.2\.2"):
        await host.connect()
    assert host.tried == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]


async def test_an_address_that_does_not_answer_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, "2001:db8::1", "192.0.2.1", "192.0.2.2")
    host.answers["192.0.2.1"].set_result(None)
    assert await host.connect() == "192.0.2.1"
    assert (host.tried, host.closed) == (["2001:db8::1", "192.0.2.1"], [])
    assert host.answers["2001:db8::1"].cancelled()


async def test_of_two_connections_at_once_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, "2001:db8::1", "192.0.2.1")
    connecting = host.connect()
    while len(host.tried) < 2:
        await asyncio.sleep(0)
    for answer in host.answers.values():
        answer.set_result(None)
    assert {await connecting, *host.closed} == set(host.tried)


async def test_a_cancelled_connect_leaves_no_attempt_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, "2001:db8::1", "192.0.2.1")
    connecting = host.connect()
    while len(host.tried) < 2:
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait({connecting})
    assert all(answer.cancelled() for answer in host.answers.values())


async def test_a_connect_cancelled_while_the_others_close_leaves_no_connection_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host(monkeypatch, "2001:db8::1", "192.0.2.1")
    connecting = host.connect()
    while len(host.tried) < 2:
        await asyncio.sleep(0)
    host.answers["192.0.2.1"].set_result(None)
    while not host.answers["2001:db8::1"].cancelled():
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait({connecting})
    assert connecting.cancelled()
    assert host.closed == ["192.0.2.1"]


@pytest.mark.edge
async def test_a_tcp_socket_connects_to_the_address_that_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        Host(monkeypatch, "::1", "127.0.0.1")
        with await resolver.connect_tcp("phone.example", port) as connected:
            assert connected.getpeername() == ("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            await resolver.connect_tcp("127.0.0.1", 1)
