"""`python -m tests.support.peers.viewer_pictures FOLDER`: pictures of the viewer's pages, to look at.

Each page is shown light and dark at three widths: one phone, its statistics and events, a grid. With `--docs` instead
of a folder it makes the picture of the documentation anew, `docs/images/viewer.png`.
"""

import asyncio
import contextlib
import io
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.async_api import Page

import streamer
from streamer import Session, emulator
from streamer.viewer import view
from tests.support.peers.browser import browser
from tests.support.peers.viewer_page import comes_true, opened

THEMES: Final = ("light", "dark")
WIDTHS: Final = {360: 740, 820: 900, 1280: 800}  # pixels, each with a height
DOCS: Final = Path(__file__).parents[3] / "docs" / "images" / "viewer.png"
DOCS_SIZE: Final = {"width": 1120, "height": 660}
SECONDS: Final = 4  # until there is something to show
HOME_S: Final = 37  # after the phone was switched on its launcher is shown, and the sparklines have their half


async def _one(page: Page) -> None:
    await comes_true(page, "document.getElementById('state').dataset.state === 'streaming'")


async def _panel(page: Page) -> None:
    await page.keyboard.press("Alt+i")
    await page.wait_for_selector("#stats dd")


async def _grid(page: Page) -> None:
    await page.wait_for_selector("#grid a:nth-child(3) canvas[data-drawn]")


PAGES: Final[dict[str, tuple[bool, Callable[[Page], Awaitable[None]]]]] = {
    "one": (False, _one),
    "panel": (False, _panel),
    "grid": (True, _grid),
}


@contextlib.asynccontextmanager
async def _sessions(*names: str) -> AsyncIterator[list[Session]]:
    """Connect to phones."""
    async with contextlib.AsyncExitStack() as stack:
        sessions: list[Session] = []
        for name in names:
            screen: Any = "apps" if name == "lab-2" else "showcase"
            size: dict[str, Any] = {"width": 720, "height": 1280} if name != "lab-3" else {"width": 1280, "height": 720}
            phone = await stack.enter_async_context(emulator.serve(instance_id=name, screen=screen, fps=30, **size))
            token = streamer.Token(phone.tenant_token)
            connecting = streamer.connect(name, endpoint=phone.endpoint, credentials=token, preroll_s=30)
            sessions.append(await stack.enter_async_context(connecting))
        yield sessions


async def make(folder: Path) -> None:
    """Make a picture of each page."""
    phones = "demo-phone", "lab-2", "lab-3"
    async with _sessions(*phones) as sessions, sessions[0].view() as one, view(*sessions) as grid, browser() as running:
        for name, (is_grid, prepare) in PAGES.items():
            for theme in THEMES:
                options: dict[str, Any] = {"color_scheme": theme, "reduced_motion": "reduce"}
                async with opened(grid if is_grid else one, within=running, **options) as page:
                    await prepare(page)
                    await asyncio.sleep(SECONDS)
                    for width, height in WIDTHS.items():
                        await page.set_viewport_size({"width": width, "height": height})
                        await asyncio.sleep(0.5)
                        await page.screenshot(path=folder / f"{name}-{theme}-{width}.png")


async def make_docs() -> None:
    """Take the screenshot that the documentation shows."""
    switched_on = time.monotonic()
    async with (
        _sessions("demo-phone") as (session,),
        session.view() as viewer,
        opened(viewer, color_scheme="light", viewport=DOCS_SIZE) as page,
    ):
        await _panel(page)
        await asyncio.sleep(switched_on + HOME_S - time.monotonic())
        taken = await page.screenshot()
    with Image.open(io.BytesIO(taken)) as image:
        image.convert("RGB").save(DOCS, optimize=True)


if __name__ == "__main__":
    asyncio.run(make_docs() if sys.argv[1] == "--docs" else make(Path(sys.argv[1])))
