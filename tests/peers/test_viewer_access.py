"""What axe-core finds in each view of the viewer, light and dark, wide and narrow."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page

from streamer import Session, Viewer, emulator
from streamer.viewer import view
from tests.support.everywhere import Connect
from tests.support.peers.browser import browser
from tests.support.peers.npm import require_axe
from tests.support.peers.viewer_page import comes_true, opened, shown

SEVERE: Final = ("serious", "critical")
WIDTHS: Final = (360, 1280)


async def findings(page: Page) -> list[str]:
    """Return the serious and critical findings: which rule, and where."""
    report = await page.evaluate("axe.run(document)")
    return [
        f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}"
        for each in report["violations"]
        if each["impact"] in SEVERE
    ]


async def open_panel(page: Page) -> None:
    await page.keyboard.press("Alt+i")
    await page.wait_for_selector("#stats dd")
    await page.wait_for_selector("#events li")


async def say_something(page: Page) -> None:
    await page.keyboard.press("Alt+r")
    await page.wait_for_selector("#record[aria-pressed=true]")
    await comes_true(page, "document.getElementById('said').textContent !== ''")


async def lose_the_connection(page: Page) -> None:
    await page.evaluate("document.getElementById('cover').textContent = 'Interrupted: the phone is silent.'")


async def nothing(page: Page) -> None:
    await shown(page)


VIEWS: Final[dict[str, Callable[[Page], Awaitable[None]]]] = {
    "one phone": nothing,
    "statistics and events": open_panel,
    "a recording that has begun": say_something,
    "a phone that is interrupted": lose_the_connection,
}


async def judge(page: Page, name: str, found: dict[str, list[str]]) -> None:
    """Note what is found in this view, at each width."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 720})
        found[f"{name}, {width} pixels"] = await findings(page)


@contextlib.asynccontextmanager
async def judged(viewer: Viewer, running: Browser, *, theme: str) -> AsyncIterator[Page]:
    """Open a page that axe-core can look at; what it shows changes at once."""
    options: dict[str, Any] = {"color_scheme": theme, "reduced_motion": "reduce", "bypass_csp": True}
    async with opened(viewer, within=running, **options) as page:
        await page.add_script_tag(path=require_axe())
        yield page


@pytest.fixture
async def phones(connect: Connect) -> AsyncIterator[list[Session]]:
    """Two connected phones."""
    async with (
        emulator.serve(width=180, height=320, instance_id="left") as left,
        emulator.serve(width=320, height=180, instance_id="right") as right,
        connect(left) as first,
        connect(right) as second,
    ):
        yield [first, second]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious(
    phones: list[Session], theme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, list[str]] = {}
    async with phones[0].view() as viewer, view(*phones) as grid, browser() as running:
        async with judged(viewer, running, theme=theme) as page:
            for name, prepare in VIEWS.items():
                await prepare(page)
                await judge(page, name, found)
        async with judged(grid, running, theme=theme) as page:
            await page.wait_for_selector("#grid a:nth-child(2) canvas[data-drawn]")
            await judge(page, "a grid", found)
    assert {where: what for where, what in found.items() if what} == {}


async def test_axe_sees_what_it_is_to_see(phones: list[Session]) -> None:
    async with (
        phones[0].view() as viewer,
        browser() as running,
        judged(viewer, running, theme="light") as page,
    ):
        await page.evaluate("document.getElementById('state').style.color = 'light-dark(#ddd, #ddd)'")
        await page.evaluate("document.querySelector('#full span').remove()")
        await page.evaluate("document.getElementById('full').removeAttribute('title')")
        assert [each.partition(":")[0] for each in await findings(page)] == ["button-name", "color-contrast"]
