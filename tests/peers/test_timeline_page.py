"""The page of a timeline in Chromium: it plays, seeks, answers keys, fits a narrow screen, and loads nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamer.replay import compare_replays, read_replay, write_comparison, write_page
from tests.support.peers.chromium_phone import Chromium, Page, find_chromium
from tests.support.runs import write_run

pytestmark = pytest.mark.edge
READY = "players.every((player) => player.video && player.video.readyState >= 2)"
SOUGHT = "players.every((player) => !player.video.seeking)"
PRESS = "document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: {!r}, bubbles: true, cancelable: true}}))"


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium on this machine")
    async with Chromium(executable) as browser:
        yield browser


async def opened(browser: Chromium, path: Path, *, width: int = 1000) -> Page:
    page = await browser.open(path.as_uri())
    await page.resize(width, 800)
    await page.wait_for(READY)
    return page


async def test_a_run_can_be_watched_by_mouse_and_keyboard(browser: Chromium, tmp_path: Path) -> None:
    write_page(read_replay(write_run(tmp_path / "run")), tmp_path / "page.html")
    page = await opened(browser, tmp_path / "page.html")
    assert await page.evaluate("document.title") == "tests/test_shop.py::test_pay"
    assert (
        await page.evaluate(
            "performance.getEntriesByType('resource').filter((r) => !/^(data|blob):/.test(r.name)).length"
        )
        == 0
    )
    # The list: a step is a button that seeks, and the touch of that moment is drawn over the video.
    names = await page.evaluate("[...document.querySelectorAll('.entry.is-step .what')].map((e) => e.textContent)")
    assert names == ["open </script>the shop", "find the shoes", "pay"]
    await page.evaluate("document.querySelectorAll('.entry.is-step')[1].click()")
    await page.wait_for(SOUGHT)
    assert await page.evaluate("players[0].video.currentTime") == pytest.approx(1.5, abs=0.02)
    assert await page.evaluate("players[0].drawn") == 0
    await page.evaluate("players[0].seek(1.07)")
    await page.wait_for(SOUGHT)
    assert await page.evaluate("players[0].drawn") == 1
    x, y, alpha = await page.evaluate(
        "(() => { const c = players[0].canvas, x = Math.round(c.width / 2), y = Math.round(c.height / 2); "
        "return [x, y, c.getContext('2d').getImageData(x, y, 1, 1).data[3]]; })()"
    )
    assert alpha > 0, (x, y)
    assert await page.evaluate(
        "document.querySelector('[aria-current]').textContent.includes('first change after 0.10 s')"
    )
    # Keys, wherever the focus is.
    for key, expected in (("ArrowDown", 2.0), ("ArrowUp", 1.0), ("ArrowRight", 2.0), ("Home", -0.5), ("End", 3.5)):
        await page.evaluate(PRESS.format(key))
        assert await page.evaluate("players[0].now") == pytest.approx(expected, abs=0.02), key
    await page.evaluate(PRESS.format("Home"))
    await page.evaluate(PRESS.format(" "))
    assert await page.evaluate("players[0].button.textContent") == "Pause"
    await page.wait_for("players[0].now > 0.2 && !players[0].video.paused")
    await page.evaluate(PRESS.format(" "))
    assert await page.evaluate("players[0].video.paused")
    # Everything that can be used has a name, and what is drawn has one, too.
    unnamed = await page.evaluate(
        "[...document.querySelectorAll('button, input, select, video, [role=img], section')]"
        ".filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim())).map((e) => e.outerHTML)"
    )
    assert unnamed == []
    labels = await page.evaluate("[...document.querySelectorAll('.label > :first-child')].map((e) => e.textContent)")
    assert labels == [
        *(
            "Steps",
            "Actions",
            "Waits",
            "Screen changes",
            "Interruptions",
            "Frames a second",
            "Longest gap between frames",
        )
    ]
    assert await page.evaluate("document.querySelectorAll('.row i.bad').length") == 1  # the interruption


async def test_a_video_that_begins_later_joins_in(browser: Chromium, tmp_path: Path) -> None:
    write_page(read_replay(write_run(tmp_path / "run", before_s=-0.3)), tmp_path / "page.html")
    page = await opened(browser, tmp_path / "page.html")
    await page.evaluate(PRESS.format(" "))
    await page.wait_for("players[0].video.currentTime > 0.2 && players[0].now > 0.5")


async def test_two_runs_are_side_by_side_at_the_first_difference(browser: Chromium, tmp_path: Path) -> None:
    good, bad = (read_replay(write_run(tmp_path / name, marked=mark)) for name, mark in (("good", None), ("bad", 1)))
    pairs = compare_replays(good, bad, ignore=(), least_s=0.3, share=0.3)
    write_comparison(good, bad, pairs, tmp_path / "page.html", ignore=(), embed_limit=0)  # the videos stay beside it
    page = await opened(browser, tmp_path / "page.html", width=360)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (await page.evaluate("document.querySelector('.verdict').textContent")).startswith('after "find the shoes" ')
    await page.wait_for(f"Math.abs(players[1].now - 1.98) < 0.01 && {SOUGHT}")
    rows = await page.evaluate("[...document.querySelectorAll('tbody tr')].map((row) => row.className)")
    assert rows == ["", "differs", ""]
    assert await page.evaluate("document.querySelectorAll('.pictures img').length") == 3
    assert await page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth === 96)")
    await page.evaluate("document.querySelectorAll('tbody button')[2].click()")
    assert await page.evaluate("players.map((player) => player.now)") == pytest.approx([2.0, 2.0])
    dark = "getComputedStyle(document.body).backgroundColor"
    before = await page.evaluate(dark)
    await page.prefer("dark")
    assert await page.evaluate(dark) != before
