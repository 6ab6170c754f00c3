"""The viewer's server and a program that speaks to it as a page does."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from streamer import Viewer, emulator
from tests.support.everywhere import Connect
from tests.support.waiting import LIMIT_S, until

pytestmark = pytest.mark.edge

VIDEO, KEYFRAME, OLD = 1, 1, 4


@contextlib.asynccontextmanager
async def page(viewer: Viewer) -> AsyncIterator[ClientConnection]:
    """Connect as a page that is visible; what it does not read waits in the system, and little of it here."""
    place, _, token = viewer.url.partition("#")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", viewer.port))
    async with connect_websocket(
        place.replace("http", "ws") + "stream",
        origin=Origin(place.rstrip("/")),
        sock=connection,
        max_queue=1,
        close_timeout=0.5,
    ) as websocket:
        await websocket.send(json.dumps({"token": token}))
        await websocket.send(json.dumps({"do": "show", "visible": True}))
        yield websocket


async def next_video(websocket: ClientConnection) -> tuple[int, int]:
    """Return the flags and the microseconds of the next frame that comes."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            message = await websocket.recv()
            if isinstance(message, bytes) and message[0] == VIDEO:
                _, flags, microseconds = struct.unpack_from("!BB6xq", message)
                return flags, microseconds


async def test_what_came_before_the_page_is_marked_and_begins_with_a_keyframe(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, session.view() as viewer:
        async for _ in session.access_units():
            if phone.frames_sent > 30:
                break
        async with page(viewer) as websocket:
            flags = [(await next_video(websocket))[0] for _ in range(phone.frames_sent + 10)]
        assert flags[0] & KEYFRAME
        old = [bool(each & OLD) for each in flags]
        assert old == sorted(old, reverse=True)
        assert old[0]
        assert not old[-1]


async def test_a_page_that_reads_nothing_is_kept_little_for_and_then_goes_on_with_a_new_keyframe(
    connect: Connect,
) -> None:
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        session.view() as viewer,
        page(viewer) as websocket,
    ):
        await next_video(websocket)

        def held() -> int:
            return max(len(each.mailbox._units) for each in session._encoded._hub._subscriptions)  # type: ignore[attr-defined]

        await until(lambda: held() > 160)  # frames and audio: its connection takes no more
        requested = phone.keyframe_requests
        flags, before = await next_video(websocket)
        while True:  # what was under way already, and then
            flags, now = await next_video(websocket)
            if now - before > 1_000_000:
                break
            before = now
        assert flags & KEYFRAME
        assert phone.keyframe_requests > requested
        await until(lambda: held() < 10)


HELLO = json.dumps({"token": "TOKEN"})
FRAME_OF_10_MB = b"\x81\xff" + (10_000_000).to_bytes(8) + bytes(4)  # its header: the server need not see more


@pytest.mark.parametrize(
    ("headers", "first", "said"),
    [
        ({"Origin": "http://evil.example"}, HELLO, "403 expected a page of this server to ask"),
        ({"Origin": "null"}, HELLO, "403 expected a page of this server to ask"),
        ({"Host": "evil.example"}, HELLO, "403 expected the address that the viewer printed"),
        ({}, "{}", "4401 expected the token of this viewer: open the address it printed"),
        ({}, FRAME_OF_10_MB, "1009 frame with 10000000 bytes exceeds limit of 16384 bytes"),
    ],
)
async def test_who_may_not_come_is_told_why(
    connect: Connect, headers: dict[str, str], first: str | bytes, said: str
) -> None:
    async with (
        emulator.serve(width=90, height=160) as phone,
        connect(phone) as session,
        session.view() as viewer,
        page(viewer) as neighbor,
    ):
        assert await answer_to(viewer, headers, first) == said
        assert viewer.pages == 1
        await next_video(neighbor)  # nobody else is disturbed


async def answer_to(viewer: Viewer, headers: dict[str, str], first: str | bytes) -> str:
    """Come as a page does, but for some headers and what is said first; return the code and the sentence."""
    place, _, token = viewer.url.partition("#")
    wanted = {"Origin": place.rstrip("/"), **headers}
    try:
        connecting = connect_websocket(place.replace("http", "ws") + "stream", additional_headers=wanted, proxy=None)
        async with asyncio.timeout(LIMIT_S), connecting as websocket:
            if isinstance(first, bytes):
                websocket.transport.write(first)
            else:
                await websocket.send(first.replace("TOKEN", token))
            await websocket.wait_closed()
            return f"{websocket.close_code} {websocket.close_reason}"
    except InvalidStatus as refused:
        return f"{refused.response.status_code} {bytes(refused.response.body or b'').decode().strip()}"
