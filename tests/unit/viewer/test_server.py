"""Who may look: the viewer's server answers its own pages only."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

import streamer
from streamer import emulator
from streamer.viewer import Viewer, server, view
from tests.support.everywhere import Connect
from tests.support.waiting import until

pytestmark = pytest.mark.edge


@pytest.fixture
async def viewer(connect: Connect) -> AsyncIterator[Viewer]:
    async with emulator.serve(width=90, height=160) as phone, connect(phone) as session, session.view() as running:
        yield running


def place(viewer: Viewer) -> str:
    return viewer.url.partition("#")[0]


def token(viewer: Viewer) -> str:
    """Return the token as the page reads it from the address (`URLSearchParams` of what is behind `#`)."""
    return parse_qs("token=" + viewer.url.partition("#")[2])["token"][0]


def page(viewer: Viewer) -> connect_websocket:
    """Open the WebSocket of a page, which has still to say its token."""
    address = place(viewer).replace("http", "ws") + "stream"
    return connect_websocket(address, origin=Origin(place(viewer).rstrip("/")), proxy=None)


async def said_to(viewer: Viewer, *messages: Any, origin: str | None = None, host: str | None = None) -> str:
    """Open the WebSocket, say something, and return the reason for which it is closed."""
    address = place(viewer).replace("http", "ws") + "stream"
    headers = {"Host": host} if host else {}
    async with connect_websocket(
        address,
        origin=Origin(origin or place(viewer).rstrip("/")),
        additional_headers=headers,
        proxy=None,
    ) as websocket:
        for message in messages:
            await websocket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))
        try:
            async with asyncio.timeout(20):
                async for _ in websocket:
                    pass
        except ConnectionClosed as closed:
            return f"{closed.rcvd.code if closed.rcvd else 0} {closed.rcvd.reason if closed.rcvd else ''}"
        return f"{websocket.close_code} {websocket.close_reason}"


async def test_files_come_with_a_strict_policy_and_no_token(viewer: Viewer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for name, kind in {"": "text/html", "viewer.js": "text/javascript", "icons.svg": "image/svg+xml"}.items():
            answer = await client.get(place(viewer) + name)
            assert (answer.status_code, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
            assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
            assert token(viewer) not in answer.text
        assert (await client.get(place(viewer) + "../server.py")).status_code == 404
        assert (await client.get(place(viewer), headers={"Host": "evil.example"})).status_code == 403


async def test_on_every_address_a_name_is_a_stranger_s(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, session.view(host="0.0.0.0") as viewer, httpx.AsyncClient() as client:
        assert viewer.url.startswith(f"http://127.0.0.1:{viewer.port}/#")
        for host, status in {"127.0.0.1": 200, "192.0.2.7": 200, "evil.example": 403}.items():
            address = f"http://127.0.0.1:{viewer.port}/"
            assert (await client.get(address, headers={"Host": f"{host}:{viewer.port}"})).status_code == status


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"host": "evil.example:80"}])
async def test_a_stranger_s_page_gets_no_websocket(viewer: Viewer, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await said_to(viewer, {"token": token(viewer)}, **headers)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("first", [{"token": "wrong"}, {}, [], "no JSON", b"\xff", {"token": None}, "[" * 16_000])
async def test_a_page_without_the_token_is_told_so(viewer: Viewer, first: Any) -> None:
    assert (await said_to(viewer, first)).startswith("4401 expected the token of this viewer")


async def test_a_token_of_any_characters_reaches_the_page_whole(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    given = "aGVsbG8+d29ybGQ/IQ== &#%41 ü"
    async with connect(phone) as session, session.view(token=given) as viewer:
        assert "=" not in viewer.url.partition("#")[2]  # by which a page knows that several things are named there
        assert token(viewer) == given


async def test_pages_that_open_at_once_are_no_more_than_the_limit(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PAGES_LIMIT", 1)
    async with page(viewer) as first, page(viewer) as second:
        await first.send(json.dumps({"token": token(viewer)}))
        await until(lambda: viewer.pages == 1)
        await second.send(json.dumps({"token": token(viewer)}))
        with pytest.raises(ConnectionClosed) as refused:
            await second.recv()
    assert refused.value.rcvd is not None
    assert (refused.value.rcvd.code, refused.value.rcvd.reason) == (1013, "1 pages are open already")


async def test_connections_beyond_the_limit_are_cut_and_the_others_go_on(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_LIMIT", 3)
    async with asyncio.timeout(20), page(viewer) as first:
        await first.send(json.dumps({"token": token(viewer)}))
        await until(lambda: viewer.pages == 1)
        silent = [await asyncio.open_connection("127.0.0.1", viewer.port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", viewer.port)
        writer.write(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{viewer.port}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionResetError):  # or it ends
            assert await reader.read() == b""
        for _, each in [*silent, (reader, writer)]:
            each.close()
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):  # until the server knows that these are closed
                    assert (await client.get(place(viewer))).status_code == 200
                    break
        assert viewer.pages == 1


async def test_an_image_has_the_time_of_its_frame_in_microseconds(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, session.view() as viewer:
        await session.screenshot()
        phone.go_still()
        async with page(viewer) as websocket:
            await websocket.send(json.dumps({"token": token(viewer)}))
            await websocket.send(json.dumps({"do": "show", "visible": True, "form": "jpeg"}))
            expected, got = -1, 0
            while got != expected:  # up to the last frame that was under way when the screen became still
                async with asyncio.timeout(20):
                    while isinstance(message := await websocket.recv(), str):
                        pass
                    got = int.from_bytes(message[8:16])
                    expected = (await session.screenshot()).rtp_time * 1_000_000 // 90_000


async def test_a_recording_that_failed_is_told_to_have_ended_and_why(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with connect(phone) as session, session.view() as viewer, page(viewer) as websocket:
        phone.go_still()
        for said in ({"token": token(viewer)}, {"do": "record", "on": True}, {"do": "record", "on": False}):
            await websocket.send(json.dumps(said))
        heard: list[Any] = []
        async with asyncio.timeout(20):
            while not heard or heard[-1]["say"] != "error":
                heard.append(json.loads(await websocket.recv()))
    told = [said for said in heard if said["say"] in {"recording", "error"}]
    assert [said.get("on") for said in told] == [True, False, None]
    assert told[1]["path"] is None
    assert told[2]["text"].startswith("no frame came: ")


@pytest.mark.parametrize("name", ["other", []])
async def test_an_unknown_phone_is_refused(viewer: Viewer, name: object) -> None:
    said = await said_to(viewer, {"token": token(viewer), "phone": name})
    assert said == "4403 expected a phone that this viewer shows"


async def test_a_message_that_is_too_long_ends_the_page_and_nothing_else(viewer: Viewer) -> None:
    assert (await said_to(viewer, {"token": token(viewer)}, "x" * 100_000)).startswith("1009")
    await until(lambda: viewer.pages == 0)


async def test_bad_options_are_told(phone: emulator.EmulatedPhone, connect: Connect, viewer: Viewer) -> None:
    for options, sentence in (
        ({"token": "short"}, "expected a token of at least 16 characters, got 5"),
        ({"port": viewer.port}, f"cannot listen on port {viewer.port} of 127.0.0.1: "),
        ({"port": 70_000}, "expected a port from 0 to 65535, got 70000"),
        ({"host": "phones.example"}, "expected an IP address to listen on, got 'phones.example'"),
    ):
        async with connect(phone) as session:
            with pytest.raises(streamer.ConfigurationError) as refused:
                async with session.view(**options):
                    pass
        assert str(refused.value).startswith(sentence)
    with pytest.raises(streamer.ConfigurationError, match="expected a session to show, got none"):
        async with view():
            pass


async def test_the_program_goes_on_when_all_pages_are_closed_and_not_when_one_is_reloaded(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RELOAD_WITHIN_S", 5.0)
    closed = asyncio.create_task(viewer.wait_closed())
    for is_first in (True, False):
        async with page(viewer) as websocket:
            await websocket.send(json.dumps({"token": token(viewer)}))
            await until(lambda: viewer.pages == 1)
            if not is_first:
                monkeypatch.setattr(server, "RELOAD_WITHIN_S", 0.01)
        await until(lambda: viewer.pages == 0)
        assert not (is_first and closed.done())
    await closed


async def test_the_program_may_close_the_phone_inside_the_block_of_its_viewer(connect: Connect) -> None:
    async with emulator.serve(width=90, height=160) as phone, connect(phone) as session:
        async with session.view() as viewer:
            await session.aclose()
            await viewer.wait_ended()
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(place(viewer))


async def test_a_session_that_ends_ends_the_wait_for_its_pages(connect: Connect) -> None:
    async with (
        emulator.serve(width=90, height=160) as phone,
        connect(phone, reconnect=None) as session,
        session.view() as viewer,
    ):
        await phone.close_clients("1402")
        with pytest.raises(streamer.TakenOverError):
            await viewer.wait_closed()
    assert f"{phone.instance_id}: 0 pages" in repr(viewer)


async def test_a_viewer_of_several_phones_ends_with_the_last_one(connect: Connect) -> None:
    async with (
        emulator.serve(width=90, height=160) as phone,
        emulator.serve(width=90, height=160, instance_id="other-phone") as other,
        connect(phone, reconnect=None) as session,
        connect(other, reconnect=None) as other_session,
        view(session, other_session) as viewer,
    ):
        ended = asyncio.create_task(viewer.wait_ended())
        await phone.close_clients("1402")
        with pytest.raises(streamer.TakenOverError):
            await session.wait_ended()
        await until(lambda: session.state == "closed")
        await asyncio.sleep(0)
        assert not ended.done()
        await other_session.aclose()
        await ended
