"""The viewer in a browser that lacks WebCodecs, and in one that lacks Media Source Extensions, too."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page

from streamer import Session, emulator
from streamer.viewer import view
from tests.support.everywhere import Connect
from tests.support.peers import viewer_page
from tests.support.peers.browser import browser
from tests.support.peers.viewer_page import Shown
from tests.support.waiting import LIMIT_S, QUICK, until

LACKS = {"mp4": "delete window.VideoDecoder", "jpeg": "delete window.VideoDecoder; delete window.MediaSource"}
FILM = ".film"
SHOWN = f"#screen:not(:has(+ {FILM})), {FILM}"  # the canvas, or the film over it
HAS_FILM = f"document.querySelector('{FILM}') !== null"
RATIO = "+document.getElementById('screen').style.getPropertyValue('--ratio')"


@contextlib.asynccontextmanager
async def opened(
    session: Session, lacks: str, *, others: tuple[Session, ...] = (), changes: tuple[tuple[str, str], ...] = ()
) -> AsyncIterator[Page]:
    """Open the viewer's page in a browser that lacks something; its scripts may make no error.

    `changes` are made to the worker's text: no other script gets into a worker.
    """
    async with view(session, *others) as viewer, browser() as running:
        files = vars(viewer)["_files"]
        for before, after in changes:
            assert before.encode() in files["player.js"]
            files["player.js"] = files["player.js"].replace(before.encode(), after.encode())
        size = {"width": 1000, "height": 800}
        async with viewer_page.opened(viewer, within=running, script=lacks, viewport=size) as page:
            yield page


async def shown(page: Page) -> Shown:
    return await viewer_page.shown(page, SHOWN)


async def shows(page: Page, counter: int) -> None:
    await viewer_page.shows(page, counter, SHOWN)


async def last_frame(phone: emulator.EmulatedPhone) -> int:
    """Return the counter of the frame with which a phone has become still."""
    last = -1
    while last != (last := phone.frames_sent - 1):
        await asyncio.sleep(0.3)
    return last


@pytest.mark.parametrize("form", list(LACKS))
@pytest.mark.parametrize("reorders", [False, True])
async def test_without_webcodecs_the_page_shows_moving_and_still_screens(
    connect: Connect, form: str, reorders: bool
) -> None:
    async with (
        emulator.serve(width=360, height=640, faults=emulator.Faults(reordering_sps=reorders)) as phone,
        connect(phone, reconnect=QUICK) as session,
        opened(session, LACKS[form]) as page,
    ):
        assert await page.evaluate(HAS_FILM) == (form == "mp4")
        await shows(page, phone.frames_sent)
        await shows(page, phone.frames_sent + 30)

        phone.go_still()
        await shows(page, last := await last_frame(phone))
        await page.reload()  # joins at once, also on a still screen
        await page.wait_for_selector("#screen[data-drawn]")
        await shows(page, last)
        phone.wake()
        await shows(page, last + 10)


@pytest.mark.parametrize("form", list(LACKS))
async def test_without_webcodecs_the_page_follows_a_phone_that_turns_and_restarts(connect: Connect, form: str) -> None:
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone, reconnect=QUICK) as session,
        opened(session, LACKS[form]) as page,
    ):
        before = await shown(page)
        async with page.expect_download() as download:
            await page.click("#screenshot")
        with Image.open(io.BytesIO((await (await download.value).path()).read_bytes())) as image:
            barcode = emulator.read_barcode(np.asarray(image.convert("RGB")))
        assert barcode is not None
        assert barcode.counter >= before.counter
        assert image.size == before.size == (360, 640)
        phone.rotate()
        async with asyncio.timeout(LIMIT_S):
            while (await shown(page)).size != (640, 360):
                pass
        assert await page.evaluate(RATIO) > 1
        await phone.restart()
        await viewer_page.comes_true(page, "document.getElementById('events').textContent.includes('interrupted')")
        await page.wait_for_selector("#state[data-state=streaming]")
        await shows(page, phone.frames_sent)


@pytest.mark.parametrize("form", list(LACKS))
async def test_without_webcodecs_a_click_acts_where_it_is(connect: Connect, form: str) -> None:
    async with (
        emulator.serve(width=360, height=640, screen="apps") as phone,
        connect(phone) as session,
        opened(session, LACKS[form]) as page,
    ):
        box = await page.locator("#screen").bounding_box()
        assert box is not None
        await page.mouse.click(box["x"] + box["width"] * 0.12, box["y"] + box["height"] * 0.22)
        await until(lambda: phone.app_in_front.endswith("settings"))


async def test_the_film_lies_exactly_over_the_screen(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        opened(session, LACKS["mp4"]) as page,
    ):
        for turn in range(2):
            if turn:
                phone.rotate()
                async with asyncio.timeout(LIMIT_S):
                    while await page.evaluate(RATIO) < 1:
                        await asyncio.sleep(0.05)
            async with asyncio.timeout(LIMIT_S):  # a film that fell behind begins again
                while (film := await page.locator(".film").bounding_box()) is None:
                    await asyncio.sleep(0.05)
            assert film == await page.locator("#screen").bounding_box()


async def test_a_grid_shows_films_and_a_click_opens_one(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640, instance_id="left") as left,
        emulator.serve(width=360, height=640, instance_id="right") as right,
        connect(left) as one,
        connect(right) as other,
        opened(one, LACKS["mp4"], others=(other,)) as page,
    ):
        for number in (1, 2):
            await page.wait_for_selector(f"#grid a:nth-child({number}) canvas[data-drawn]")
            await viewer_page.shown(page, f"#grid a:nth-child({number}) {FILM}")
        await page.click("a[href='?phone=right']")
        await page.wait_for_selector("#screen[data-drawn]")
        await shows(page, right.frames_sent)


async def test_a_film_that_falls_behind_begins_again_with_a_keyframe(connect: Connect) -> None:
    slow = """;
      const real = HTMLVideoElement.prototype.requestVideoFrameCallback;
      HTMLVideoElement.prototype.requestVideoFrameCallback = function (call) {
        real.call(this, (...facts) => setTimeout(() => call(...facts), document.body.dataset.late ?? 0));
      };"""
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        opened(session, LACKS["mp4"] + slow) as page,
    ):
        await page.evaluate(f"document.querySelector('{FILM}').dataset.isFirst = true")
        await page.evaluate("document.body.dataset.late = 1000")
        await viewer_page.comes_true(page, f"document.querySelector('{FILM}').dataset.isFirst === undefined")
        await page.evaluate("delete document.body.dataset.late")
        await shows(page, phone.frames_sent)


async def test_a_film_keeps_nothing_from_before_its_last_keyframe(connect: Connect) -> None:
    begins = f"document.querySelector('{FILM}').buffered.start(0)"
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        opened(session, LACKS["mp4"]) as page,
    ):
        for _ in range(3):
            before = await page.evaluate(begins)
            session.request_keyframe()
            await viewer_page.comes_true(page, f"{begins} > {before}")
            await shows(page, phone.frames_sent + 10)


async def test_a_film_begins_again_after_what_the_browser_cannot_read(connect: Connect) -> None:
    first = "if (channel === VIDEO"
    spoilt = """
        self.spoil ??= Object.assign(new BroadcastChannel("spoil"), { onmessage: () => (self.isDue = true) });
        if (channel === FRAGMENT && self.isDue) {
            self.isDue = false;
            body.fill(255, 0, 8);
        }
    """
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        opened(session, LACKS["mp4"], changes=((first, spoilt + first),)) as page,
    ):
        await page.evaluate(f"document.querySelector('{FILM}').dataset.isFirst = true")
        await page.evaluate("new BroadcastChannel('spoil').postMessage(null)")
        await viewer_page.comes_true(page, f"document.querySelector('{FILM}')?.dataset.isFirst === undefined")
        await shows(page, phone.frames_sent)
        assert await page.evaluate(HAS_FILM)


async def test_a_codec_that_media_source_refuses_comes_as_images(connect: Connect) -> None:
    refuses = f"{LACKS['mp4']}; MediaSource.isTypeSupported = () => false"
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        opened(session, refuses) as page,
    ):
        await shows(page, phone.frames_sent)
        assert not await page.evaluate(HAS_FILM)


async def test_a_codec_that_webcodecs_refuse_comes_as_mp4(connect: Connect) -> None:
    unknown = "codec: 'hev1.1.6.L120.B0'"  # Debian's Chromium has no decoder for H.265
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        opened(session, "", changes=(("optimizeForLatency", f"{unknown}, optimizeForLatency"),)) as page,
    ):
        await shows(page, phone.frames_sent)
        assert await page.evaluate(HAS_FILM)
