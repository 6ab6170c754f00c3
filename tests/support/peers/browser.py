"""Headless Chromium as a person's browser: it opens pages, and its mouse and keys act on them."""

import contextlib
from collections.abc import AsyncIterator

from playwright.async_api import Browser, Page, async_playwright

from tests.support.peers.chromium_phone import find_chromium
from tests.support.peers.presence import require_peer


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Run a browser within the block."""
    path = require_peer("Chromium", find_chromium())
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield running
        finally:
            await running.close()


def watch_errors(page: Page) -> list[str]:
    """Return a list that gets the errors of a page's scripts, and what it logs as errors."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors
