"""The viewer in a real browser: it shows what is on the phone."""

import asyncio
import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Worker

import streamer
from streamer import emulator
from tests.support.everywhere import Connect
from tests.support.peers.browser import browser
from tests.support.peers.viewer_page import comes_true, opened, shown, shows
from tests.support.waiting import LIMIT_S, QUICK


@pytest.mark.parametrize("faults", [{}, {"reordering_sps": True}, {"b_frames": True}])
async def test_a_page_shows_the_newest_frame_at_once_also_of_a_still_screen(
    connect: Connect, faults: dict[str, Any]
) -> None:
    async with (
        emulator.serve(width=360, height=640, faults=emulator.Faults(**faults)) as phone,
        connect(phone, reconnect=QUICK) as session,
        session.view() as viewer,
    ):
        async for _ in session.access_units():
            if phone.frames_sent > 40:  # a page has to catch up with these
                break
        requested, sent = phone.keyframe_requests, phone.frames_sent
        async with opened(viewer) as page:
            assert viewer.url.partition("#")[2] not in page.url
            await shows(page, sent)
            await shows(page, phone.frames_sent + 10)

            phone.go_still()
            last = -1
            while last != (last := phone.frames_sent - 1):
                await asyncio.sleep(0.3)
            await shows(page, last)
            requested = phone.keyframe_requests
            await page.reload()
            await shows(page, last)
            assert phone.keyframe_requests == requested  # what the session has kept was enough


async def test_a_page_follows_a_phone_that_turns_restarts_and_is_not_reached(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone, reconnect=QUICK) as session,
        session.view() as viewer,
        opened(viewer) as page,
    ):
        assert (await shown(page)).size == (360, 640)
        phone.rotate()
        async with asyncio.timeout(LIMIT_S):
            while (await shown(page)).size != (640, 360):
                pass
        await comes_true(page, "document.getElementById('screen').style.getPropertyValue('--ratio') > 1")

        for happen in (phone.restart, phone.cut_signaling):
            interrupted = page.locator("#events li", has_text="interrupted")
            before = await interrupted.count()
            await happen()
            await comes_true(
                page,
                "[...document.querySelectorAll('#events li')].filter((each) => "
                f"each.textContent.includes('interrupted')).length > {before}",
            )
            await page.wait_for_selector("#state[data-state=streaming]")
            assert await page.text_content("#cover") == ""
            await shows(page, phone.frames_sent)


async def test_a_page_comes_back_to_a_viewer_that_is_started_again(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, browser() as running, contextlib.AsyncExitStack() as stack:
        async with session.view() as viewer:
            page = await stack.enter_async_context(opened(viewer, within=running, may_fail=True))
            await shown(page)
            port = viewer.port
        await comes_true(page, "document.getElementById('cover').textContent.includes('Trying again')")
        async with session.view(port=port, token=viewer.url.partition("#")[2]):
            await shows(page, phone.frames_sent)
            assert await page.text_content("#cover") == ""


async def test_a_screenshot_is_what_is_shown(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, session.view() as viewer, opened(viewer) as page:
        before = await shown(page)
        async with page.expect_download() as download:
            await page.keyboard.press("Alt+s")
        path = await (await download.value).path()
        with Image.open(io.BytesIO(await asyncio.to_thread(Path(path).read_bytes))) as image:
            barcode = emulator.read_barcode(np.asarray(image.convert("RGB")))
        assert barcode is not None
        assert before.counter <= barcode.counter <= (await shown(page)).counter
        assert image.size == before.size


async def test_sound_goes_on_after_a_packet_that_cannot_be_decoded(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, session.view() as viewer, opened(viewer) as page:
        await shown(page)
        (worker,) = page.workers
        await worker.evaluate("""() => {
            const { port1, port2 } = new MessageChannel();
            self.heard = 0;
            port1.onmessage = () => (self.heard += 1);
            self.onmessage({ data: { do: "sound", port: port2 } });
        }""")
        heard_before = await _heard(worker, 1)
        await worker.evaluate("""() => {
            const Chunk = self.EncodedAudioChunk;
            self.EncodedAudioChunk = class extends Chunk {
                constructor(packet) {
                    super({ ...packet, data: new Uint8Array([255, 255, 255, 255, 1, 2, 3]) });
                    self.EncodedAudioChunk = Chunk;
                }
            };
        }""")
        await _heard(worker, heard_before + 50)


async def _heard(worker: Worker, least: int) -> int:
    async with asyncio.timeout(LIMIT_S):
        while (heard := int(await worker.evaluate("self.heard"))) < least:
            await asyncio.sleep(0.1)
    return heard


async def test_a_wrong_token_is_told(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, session.view() as viewer, browser() as running:
        page = await running.new_page()
        await page.goto(f"{viewer.url[:-4]}none")
        await comes_true(page, "document.getElementById('cover').textContent.includes('token of this viewer')")


async def test_the_session_s_end_is_told(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, reconnect=None) as session, session.view() as viewer, opened(viewer) as page:
        await phone.close_clients("1402")
        await comes_true(page, "document.getElementById('cover').textContent.startsWith('The session has ended')")
        with pytest.raises(streamer.TakenOverError):
            await viewer.wait_ended()
