"""The viewer in a real browser: it shows what is on the phone, and its hands act on the phone."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page

import streamer
from streamer import Viewer, emulator
from streamer.emulator.barcode import read_barcode
from tests.support.everywhere import Connect
from tests.support.peers.browser import browser, watch_errors
from tests.support.waiting import LIMIT_S, QUICK, until

LIMIT_MS = LIMIT_S * 1000
DRAWN = "+document.getElementById('screen').dataset.drawn"


@contextlib.asynccontextmanager
async def opened(viewer: Viewer, **options: object) -> AsyncIterator[Page]:
    """Open the viewer's page in a new browser; its scripts may make no error."""
    async with browser() as running:
        page = await running.new_page(**options)  # type: ignore[arg-type]
        page.set_default_timeout(LIMIT_MS)
        errors = watch_errors(page)
        await page.goto(viewer.url)
        await page.wait_for_selector("#screen[data-drawn]")
        yield page
        assert errors == []


async def shown(page: Page) -> int:
    """Return the counter that the page's canvas shows."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            async with page.expect_download() as download:
                await page.click("#screenshot")
            path = await (await download.value).path()
            with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
                if (barcode := read_barcode(np.asarray(image.convert("RGB")))) is not None:
                    return barcode.counter


async def comes_true(page: Page, expression: str) -> None:
    """Wait until an expression of the page is true; the page's own policy forbids it to evaluate text."""
    async with asyncio.timeout(LIMIT_S):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)


async def drawn_after(page: Page, before: float) -> None:
    await comes_true(page, f"{DRAWN} > {before}")


async def test_the_page_shows_the_phone_and_what_happens_to_it(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640, faults=emulator.Faults(reordering_sps=True)) as phone,
        connect(phone, reconnect=QUICK) as session,
        session.view() as viewer,
        opened(viewer) as page,
    ):
        assert viewer.url.partition("#")[2] not in page.url
        first = await shown(page)
        await drawn_after(page, await page.evaluate(DRAWN) + 10)
        assert await shown(page) > first

        phone.go_still()
        before = -1
        while before != (before := phone.frames_sent):
            await asyncio.sleep(0.3)
        last = await shown(page)
        await page.reload()  # joins at once, also on a still screen
        await page.wait_for_selector("#screen[data-drawn]")
        assert await shown(page) == last
        phone.wake()

        phone.rotate()
        await comes_true(page, "document.getElementById('screen').style.getPropertyValue('--ratio') > 1")

        await phone.restart()
        await page.wait_for_selector("#state[data-state=interrupted]")
        await page.wait_for_selector("#state[data-state=streaming]")
        assert await page.text_content("#cover") == ""
        await drawn_after(page, await page.evaluate(DRAWN) + 10)
        assert await page.locator("#events li").count() >= 3


async def test_hands_act_on_the_phone(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with (
        emulator.serve(width=360, height=640, screen="apps") as phone,
        connect(phone, preroll_s=5) as session,
        session.view() as viewer,
        opened(viewer, viewport={"width": 1000, "height": 800}) as page,
    ):
        box = await page.locator("#screen").bounding_box()
        assert box is not None

        async def in_front(app: str) -> None:
            await until(lambda: phone.app_in_front.endswith(app))

        await page.mouse.click(box["x"] + box["width"] * 0.12, box["y"] + box["height"] * 0.22)
        await in_front("settings")
        await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.6)
        await session.wait_until_still()
        changing = asyncio.create_task(session.wait_for_change(timeout_s=LIMIT_S))
        await asyncio.sleep(0)
        await page.mouse.wheel(0, 200)
        await changing
        await page.click("[data-key=HOME]")
        await in_front("launcher3")
        await session.wait_until_still()
        await page.mouse.click(box["x"] + box["width"] * 0.38, box["y"] + box["height"] * 0.22)
        await in_front("signin")
        await page.keyboard.press("Alt+b")
        await in_front("launcher3")
        await page.click("#record")
        await page.wait_for_selector("#record[aria-pressed=true]")
        await page.click("#save")
        await comes_true(page, "document.getElementById('said').textContent.startsWith('Saved')")
        await page.click("#record")
        await page.wait_for_selector("#record[aria-pressed=false]")
        assert len([*tmp_path.glob("*.mp4")]) == 2


async def test_two_pages_share_a_session_and_a_hidden_one_is_sent_nothing(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, session.view() as viewer, opened(viewer) as page:
        other = await page.context.browser.new_page() if page.context.browser else page
        await other.goto(viewer.url)
        await other.wait_for_selector("#screen[data-drawn]")
        await until(lambda: viewer.pages == 2)
        await other.close()
        await until(lambda: viewer.pages == 1)
        await drawn_after(page, await page.evaluate(DRAWN) + 5)


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
