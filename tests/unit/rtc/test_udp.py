"""The socket that takes a frame's packets together."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator

import pytest

from streamer.rtc.udp import UdpTransport, has_address, open_udp
from tests.support.everywhere import HAS_IPV6

pytestmark = pytest.mark.edge

LIMIT_S = 20.0
STUN = b"\x00\x01" + bytes(18)
LAST, MIDDLE = b"\x80\xe0", b"\x80\x60"  # with and without the marker bit, payload type 96


class Stage(asyncio.DatagramProtocol):
    """A protocol, its transport once it is opened, and a socket that sends to it."""

    def __init__(self) -> None:
        self.others: list[bytes] = []
        self.bursts: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self.lost = asyncio.Event()

    async def open(self) -> None:
        assert await open_udp("127.0.0.1", lambda: self) is self
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = self.transport.get_extra_info("sockname")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, UdpTransport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.others.append(data)

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sender.sendto(datagram, self.address)

    async def burst(self) -> list[bytes]:
        async with asyncio.timeout(LIMIT_S):
            return await self.bursts.get()


@pytest.fixture(params=["epoll", "no epoll"])
async def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    if request.param == "no epoll":  # macOS
        monkeypatch.delattr(select, "epoll", raising=False)
    stage = Stage()
    await stage.open()
    stage.transport.on_media = stage.bursts.put_nowait
    yield stage
    stage.transport.close()
    stage.sender.close()
    await stage.lost.wait()


def frame(count: int, number: int = 0) -> list[bytes]:
    """Return a frame's packets: only the last one bears the marker bit."""
    heads = [MIDDLE] * (count - 1) + [LAST]
    return [head + bytes((number,)) + position.to_bytes(2) + bytes(1000) for position, head in enumerate(heads)]


async def test_a_whole_frame_is_handed_over_in_one_burst(stage: Stage) -> None:
    stage.send(*frame(10))
    assert await stage.burst() == frame(10)


async def test_the_beginning_of_a_frame_waits_for_its_end(stage: Stage) -> None:
    whole = frame(4)
    stage.send(*whole[:2])
    while not stage.transport.is_pausing:
        await asyncio.sleep(0)
    assert stage.bursts.empty()
    stage.send(*whole[2:])
    assert await stage.burst() == whole


async def test_a_frame_without_its_end_is_handed_over_too(stage: Stage) -> None:
    stage.send(*frame(4)[:2])
    assert await stage.burst() == frame(4)[:2]
    stage.send(*frame(2, number=1))
    assert await stage.burst() == frame(2, number=1)


async def test_an_endless_frame_is_handed_over_in_pieces_and_in_order(stage: Stage) -> None:
    whole = frame(600)
    taken: list[bytes] = []
    for start in range(0, 600, 50):
        stage.send(*whole[start : start + 50])
        await asyncio.sleep(0.001)
    while len(taken) < 600:
        taken += await stage.burst()
    assert taken == whole


async def test_audio_does_not_wait(stage: Stage) -> None:
    audio = MIDDLE + bytes(100)
    stage.send(audio)
    assert await stage.burst() == [audio]
    assert not stage.transport.is_pausing


async def test_datagrams_without_media_go_to_the_protocol_at_once(stage: Stage) -> None:
    stage.send(STUN, *frame(2), STUN)
    assert await stage.burst() == frame(2)
    assert stage.others == [STUN, STUN]


async def test_media_goes_to_the_protocol_until_a_receiver_takes_it(stage: Stage) -> None:
    stage.transport.on_media = None
    stage.send(*frame(2), STUN)
    async with asyncio.timeout(LIMIT_S):
        while STUN not in stage.others:
            await asyncio.sleep(0.001)
    assert stage.others == [*frame(2), STUN]


async def test_a_transport_closed_within_a_frame_hands_over_nothing_more(stage: Stage) -> None:
    stage.send(*frame(4)[:2])
    while not stage.transport.is_pausing:
        await asyncio.sleep(0)
    stage.transport.close()
    await stage.lost.wait()
    await asyncio.sleep(0.01)
    assert stage.bursts.empty()


class Plain(asyncio.DatagramProtocol):
    """A protocol that takes any transport."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[bytes] = asyncio.Queue()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.taken.put_nowait(data)


async def test_a_loop_that_cannot_watch_sockets_gets_asyncios_own_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' default loop."""
    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", _cannot)
    protocol = await open_udp("127.0.0.1", Plain)
    assert isinstance(protocol, Plain)
    assert not isinstance(protocol.transport, UdpTransport)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", protocol.transport.get_extra_info("sockname"))
        async with asyncio.timeout(LIMIT_S):
            assert await protocol.taken.get() == b"hello"
    protocol.transport.close()
    await protocol.lost.wait()


async def test_an_address_of_another_machine_cannot_be_opened() -> None:
    with pytest.raises(OSError, match="address"):
        await open_udp("192.0.2.1", Plain)


def _cannot(*_: object) -> None:
    raise NotImplementedError


def test_an_address_is_the_machines_own_or_not() -> None:
    assert has_address("127.0.0.1")
    assert not has_address("192.0.2.1")  # for documentation only (RFC 5737)
    assert not has_address("2001:db8::1") or not HAS_IPV6
