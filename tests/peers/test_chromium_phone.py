"""Chromium as the phone, behind the npm socket.io server: a WebRTC stack that shares no code with ours."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final

import av
import numpy as np
import pytest
from chromium_phone import LIMIT_S, TONE_HZ, Chromium, Page, find_chromium
from conftest import SignalingServer, require_peer

import streamer
from streamer.phone.barcode import read_barcode

DEVICE_ID: Final = "device-1"
PORTRAIT: Final = (1280, 720)


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with Chromium(require_peer("chromium", find_chromium())) as browser:
        yield browser


@contextlib.asynccontextmanager
async def auth_api(signaling_url: str) -> AsyncGenerator[str]:
    """Answer every auth call with a ticket to `signaling_url`; give the API's endpoint."""
    data = {
        "device_token": "device-token",
        "resource": {
            "device_id": DEVICE_ID,
            "rtc": {"ice_signaling": {"signaling_url": signaling_url, "expired_time": None, "ice_servers": []}},
        },
    }
    body = json.dumps({"error_code": "0", "error_msg": "", "data": data}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n")
            writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def streaming(
    browser: Chromium, signaling: SignalingServer, **options: str | int
) -> AsyncGenerator[tuple[Page, streamer.Session]]:
    """Give the phone's page and a session with it."""
    page = await browser.open_phone(signaling.url, DEVICE_ID, **options)
    async with (
        auth_api(signaling.url) as endpoint,
        streamer.connect("Q39YyZvI", endpoint=endpoint, credentials=streamer.Token("tenant-token")) as phone,
    ):
        yield page, phone


async def read_counters(phone: streamer.Session, *, shape: tuple[int, int], until: int) -> list[int]:
    """Read the counter of every picture of that shape until one reaches `until`."""
    counters = []
    async with asyncio.timeout(LIMIT_S):
        async for frame in phone.frames("every"):
            gray = frame.to_ndarray("gray")
            if gray.shape != shape:
                continue
            barcode = read_barcode(gray)
            assert barcode is not None, f"the barcode of picture {frame.sequence} cannot be read"
            counters.append(barcode[0])
            if counters[-1] >= until:
                break
    return counters


def assert_it_moves_on(counters: list[int]) -> None:
    # Chromium may send a picture twice (a keyframe of what is on the screen), but never an older one.
    assert counters == sorted(counters)
    assert len(set(counters)) > 20


async def drawn(page: Page) -> int:
    """Return the counter of the last picture that the page drew."""
    return int(await page.evaluate("phone.screen.counter - 1"))


async def test_every_picture_decodes_and_the_counter_in_it_moves_on(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        assert_it_moves_on(await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 60))


@pytest.mark.parametrize("codecs", ["H264/4d00", "VP8,H264"])
async def test_what_h264_profile_is_offered_and_beside_what_does_not_matter(
    browser: Chromium, signaling_server: SignalingServer, codecs: str
) -> None:
    async with streaming(browser, signaling_server, codecs=codecs) as (page, phone):
        assert_it_moves_on(await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 60))


async def test_the_tone_that_the_phone_plays_is_heard_in_a_recording(
    browser: Chromium, signaling_server: SignalingServer, tmp_path: Path
) -> None:
    path = tmp_path / "chromium.mp4"
    async with streaming(browser, signaling_server) as (page, phone), phone.record(path):
        await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 60)
    with av.open(path) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        rate = file.streams.audio[0].rate
    second = sound[-rate:]
    assert len(second) == rate
    assert abs(int(np.argmax(np.abs(np.fft.rfft(second)))) - TONE_HZ) <= 1


@pytest.mark.parametrize("opened_by", ["phone", "client"])
async def test_input_opens_whoever_opens_it(
    browser: Chromium, signaling_server: SignalingServer, opened_by: str
) -> None:
    async with streaming(browser, signaling_server, inputOpenedBy=opened_by) as (page, phone):
        async with asyncio.timeout(LIMIT_S):
            await phone.wait_input()
        await page.wait_for("phone.input?.readyState === 'open'")


async def test_a_phone_that_is_turned_goes_on_in_the_other_shape(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 5)
        await page.evaluate("phone.rotate()")
        assert_it_moves_on(await read_counters(phone, shape=PORTRAIT[::-1], until=await drawn(page) + 40))


async def test_the_last_picture_of_a_still_screen_is_delivered(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 30)
        await page.evaluate("phone.goStill()")
        last = await drawn(page)
        assert (await read_counters(phone, shape=PORTRAIT, until=last))[-1] == last


@pytest.mark.parametrize("ice_restart", [False, True])
async def test_a_second_offer_is_answered_and_the_pictures_go_on(
    browser: Chromium, signaling_server: SignalingServer, ice_restart: bool
) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 5)
        await page.evaluate(f"phone.offer({{ iceRestart: {json.dumps(ice_restart)} }})")
        await page.wait_for("phone.peer.connection.signalingState === 'stable'")
        assert_it_moves_on(await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 60))


async def test_a_phone_whose_candidates_are_mdns_names_is_reached(signaling_server: SignalingServer) -> None:
    async with (
        Chromium(require_peer("chromium", find_chromium()), hides_addresses=True) as browser,
        streaming(browser, signaling_server) as (page, phone),
    ):
        assert_it_moves_on(await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 60))


async def test_a_phone_that_closes_the_connection_ends_the_pictures_with_an_error(
    browser: Chromium, signaling_server: SignalingServer
) -> None:
    async with streaming(browser, signaling_server) as (page, phone):
        await read_counters(phone, shape=PORTRAIT, until=await drawn(page) + 5)
        await page.evaluate("phone.close()")
        with pytest.raises(streamer.ConnectionLostError):
            await read_counters(phone, shape=PORTRAIT, until=2**32)


async def test_the_page_of_a_client_gets_the_same_stream(browser: Chromium, signaling_server: SignalingServer) -> None:
    await browser.open_phone(signaling_server.url, DEVICE_ID)
    client = await browser.open_receiver(signaling_server.url, DEVICE_ID, "device-token")
    await client.wait_for("receiver.input?.readyState === 'open'")
    await client.wait_for(
        "receiver.status().then(({ video, audio }) => video?.framesDecoded > 30 && audio?.packetsReceived)"
    )
