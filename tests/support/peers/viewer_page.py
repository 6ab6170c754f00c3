"""The viewer's page in a browser: opened, read, and waited for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from playwright.async_api import Browser, Page

from streamer import Viewer
from tests.support.peers.browser import browser, watch_errors
from tests.support.peers.chromium_phone import PAGES
from tests.support.waiting import LIMIT_S

READ_SHOWN: Final = (PAGES / "shown.js").read_text(encoding="utf-8")


class Shown(NamedTuple):
    """What a page shows of the phone's screen."""

    counter: int
    size: tuple[int, int]  # pixels of the frame


@contextlib.asynccontextmanager
async def opened(
    viewer: Viewer, *, within: Browser | None = None, may_fail: bool = False, script: str = "", **options: Any
) -> AsyncIterator[Page]:
    """Open the viewer's page, in a new browser unless there is one; its scripts make no error unless they may.

    `script` runs in the page before its own.
    """
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(browser()) if within is None else within
        context = await running.new_context(**options)
        stack.push_async_callback(context.close)
        page = await context.new_page()
        page.set_default_timeout(LIMIT_S * 1000)
        errors = watch_errors(page)
        await page.add_init_script(script)
        await page.goto(viewer.url)
        await page.wait_for_selector("canvas[data-drawn]")
        yield page
        assert may_fail or not errors, errors


async def shown(page: Page, selector: str = "#screen") -> Shown:
    """Return what the page shows, once the emulator's counter can be read there."""
    async with asyncio.timeout(LIMIT_S):
        while (found := await page.evaluate(READ_SHOWN, selector))["counter"] is None:
            await asyncio.sleep(0.05)
    return Shown(found["counter"], (found["width"], found["height"]))


async def comes_true(page: Page, expression: str) -> None:
    """Wait until an expression of the page is true; the page's own policy forbids it to evaluate text."""
    async with asyncio.timeout(LIMIT_S):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)


async def shows(page: Page, counter: int, selector: str = "#screen") -> None:
    """Wait until the page shows this frame of the emulator, or a later one."""
    async with asyncio.timeout(LIMIT_S):
        while (await shown(page, selector)).counter < counter:
            await asyncio.sleep(0.05)
