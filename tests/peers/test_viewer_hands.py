"""Hands on the viewer's page: mouse, wheel and keys in a real browser act on the phone, at the right place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from streamer import emulator
from streamer.emulator import EmulatedPhone, Key, Touch
from tests.support.everywhere import Connect
from tests.support.peers.viewer_page import comes_true, opened, shown
from tests.support.waiting import LIMIT_S, until

HOME, BACK, APP_SWITCH = 3, 4, 187
# What the keyboard reaches, and how a person sees that: the name of what has the focus, and its outline.
FOCUSED = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const name = at.id || at.dataset.key || at.getAttribute("href") || at.tagName;
  return [name, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""
CAN_BE_USED = """() => [...document.querySelectorAll("button, a[href], [tabindex='0']")]
  .filter((each) => !each.disabled && each.checkVisibility())
  .map((each) => each.id || each.dataset.key || each.getAttribute("href"))"""


@contextlib.asynccontextmanager
async def apps(connect: Connect, **options: Any) -> AsyncIterator[tuple[EmulatedPhone, Page]]:
    """Open the page of a phone whose apps answer hands."""
    async with (
        emulator.serve(width=360, height=640, screen="apps") as phone,
        connect(phone) as session,
        session.view(read_only=options.pop("read_only", False)) as viewer,
        opened(viewer, **options) as page,
    ):
        yield phone, page


def downs(phone: EmulatedPhone) -> list[tuple[float, float]]:
    """Return where fingers went down, as fractions of the screen."""
    return [
        (each.points[0].x, each.points[0].y) for each in phone.inputs if isinstance(each, Touch) and not each.action
    ]


def pressed(phone: EmulatedPhone) -> list[int]:
    return [each.code for each in phone.inputs if isinstance(each, Key) and not each.action]


async def in_front(phone: EmulatedPhone, app: str) -> None:
    """Wait until an app is in front and has come to rest: on its way, it takes no touches."""
    await until(lambda: phone.app_in_front.endswith(app))
    last = -1
    while last != (last := phone.frames_sent):
        await asyncio.sleep(0.4)


async def click_at(page: Page, x: float, y: float) -> None:
    """Click a place of the phone's screen, as fractions of it, where the page shows it."""
    box = await page.locator("#screen").bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)


async def test_a_click_opens_the_app_under_it_and_the_buttons_leave_it(connect: Connect) -> None:
    async with apps(connect) as (phone, page):
        await click_at(page, 0.12, 0.22)
        await in_front(phone, "settings")
        await page.click("[data-key=HOME]")
        await in_front(phone, "launcher3")
        await click_at(page, 0.38, 0.22)
        await in_front(phone, "signin")
        await page.keyboard.press("Alt+b")
        await in_front(phone, "launcher3")
        await page.click("#screen", button="right")
        await until(lambda: pressed(phone)[-1:] == [BACK])
        await page.click("#screen", button="middle")
        await until(lambda: pressed(phone)[-1:] == [HOME])


@pytest.mark.parametrize(
    ("width", "height", "zoom"), [(1280, 720, 1.0), (1280, 720, 2.0), (853, 480, 1.5), (360, 700, 3.0)]
)
async def test_a_click_is_where_it_is_seen_however_large_the_screen_and_turned_the_phone(
    connect: Connect, width: int, height: int, zoom: float
) -> None:
    # A browser that zooms has fewer and larger CSS pixels: that, and a fine screen, is a device pixel ratio.
    options: dict[str, Any] = {"viewport": {"width": width, "height": height}, "device_scale_factor": zoom}
    async with (
        emulator.serve(width=360, height=640, fps=15) as phone,
        connect(phone) as session,
        session.view() as viewer,
        opened(viewer, **options) as page,
    ):
        for size in ((360, 640), (640, 360)):
            async with asyncio.timeout(LIMIT_S):
                while (await shown(page)).size != size:
                    await asyncio.sleep(0.05)
            await comes_true(
                page, f"document.getElementById('screen').style.getPropertyValue('--ratio') == {size[0] / size[1]}"
            )
            box = await page.locator("#screen").bounding_box()
            assert box is not None
            assert box["width"] / box["height"] == pytest.approx(size[0] / size[1], rel=0.02)
            for place in ((0.02, 0.03), (0.25, 0.75), (0.97, 0.98)):
                phone.inputs.clear()
                await click_at(page, *place)
                await until(lambda: downs(phone))
                assert downs(phone)[0] == pytest.approx(place, abs=1.5 / min(box["width"], box["height"]))
            phone.rotate()


async def test_wheel_drag_and_pinch_are_fingers_that_move(connect: Connect) -> None:
    async with apps(connect) as (phone, page):
        box = await page.locator("#screen").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def touches(action: int) -> list[Touch]:
            return [each for each in phone.inputs if isinstance(each, Touch) and each.action == action]

        await page.mouse.move(x, y)
        await page.mouse.wheel(0, 100)
        await until(lambda: touches(1))
        assert touches(1)[-1].points[0].y == pytest.approx(0.5 - 100 / box["height"], abs=0.02)

        phone.inputs.clear()
        await page.mouse.down()
        await page.mouse.move(x, y - 100, steps=5)
        await page.mouse.up()
        await until(lambda: touches(1))
        assert touches(1)[-1].points[0].y == pytest.approx(0.5 - 100 / box["height"], abs=0.02)

        phone.inputs.clear()
        await page.keyboard.down("Control")
        await page.mouse.move(x + 50, y)
        await page.mouse.down()
        await page.mouse.move(x + 90, y, steps=5)
        await page.mouse.up()
        await page.keyboard.up("Control")
        await until(lambda: len(touches(1)) == 2)
        lifted = sorted(each.points[0].x for each in touches(1))
        assert lifted == pytest.approx([0.5 - 90 / box["width"], 0.5 + 90 / box["width"]], abs=0.02)


async def test_everything_can_be_reached_seen_and_used_by_the_keyboard_alone(connect: Connect) -> None:
    async with apps(connect) as (phone, page):
        await page.keyboard.press("Alt+i")  # with statistics and events beside the phone
        await page.wait_for_selector("#panel:not([hidden])")
        wanted = await page.evaluate(CAN_BE_USED)
        assert {"screen", "HOME", "BACK", "APP_SWITCH", "screenshot", "record", "theme", "full", "events"} <= {*wanted}
        reached: list[str] = []
        for _ in range(len(wanted) + 1):
            await page.keyboard.press("Tab")
            name, is_seen = await page.evaluate(FOCUSED)
            assert is_seen or name == "BODY", name
            reached.append(name)
        assert {*wanted} <= {*reached}  # the phone among them, which Tab leaves

        while (await page.evaluate(FOCUSED))[0] != "screen":
            await page.keyboard.press("Tab")
        await page.keyboard.press("ArrowDown")
        await until(lambda: pressed(phone) == [20])  # DPAD_DOWN
        await page.keyboard.press("Escape")
        await until(lambda: pressed(phone)[-1] == BACK)
        await page.keyboard.press("Shift+Tab")
        while (await page.evaluate(FOCUSED))[0] != "APP_SWITCH":
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await until(lambda: pressed(phone)[-1] == APP_SWITCH)
        for shortcut, is_open in (("Alt+i", True), ("Alt+i", False)):
            await comes_true(page, f"document.getElementById('panel').hidden !== {str(is_open).lower()}")
            await page.keyboard.press(shortcut)


async def test_a_page_that_only_shows_touches_nothing(connect: Connect) -> None:
    async with apps(connect, read_only=True) as (phone, page):
        await click_at(page, 0.12, 0.22)
        await page.keyboard.press("Alt+h")
        await page.keyboard.type("a")
        assert await page.locator("#keys button:disabled, #record:disabled").count() == 4
        async with page.expect_download():
            await page.click("#screenshot")  # it is done: what was done before it would have come
        assert not phone.inputs


async def test_recordings_are_made_where_the_viewer_runs(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone, preroll_s=5) as session,
        session.view() as viewer,
        opened(viewer) as page,
    ):
        await page.click("#record")
        await page.wait_for_selector("#record[aria-pressed=true]")
        await until(lambda: any(b"moof" in path.read_bytes() for path in tmp_path.glob("*.mp4")))  # a frame is in it
        await page.click("#save")
        await comes_true(page, "document.getElementById('said').textContent.startsWith('Saved')")
        await page.click("#record")
        await page.wait_for_selector("#record[aria-pressed=false]")
        assert len([*tmp_path.glob("*.mp4")]) == 2


async def test_a_long_text_is_pasted_whole(connect: Connect) -> None:
    async with apps(connect) as (phone, page):
        await page.evaluate("""() => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", "a".repeat(1000) + "bcd");
            document.getElementById("screen").dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }""")
        a = 29
        await until(lambda: pressed(phone)[-3:] == [a + 1, a + 2, a + 3])
        assert set(pressed(phone)[:-3]) == {a}
