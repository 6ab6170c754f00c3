"""Many pages of one viewer: none slows another down, or the session, and none leaves anything behind."""

import asyncio
import contextlib
import gc

import pytest
from playwright.async_api import Browser, Page

from streamer import Session, Viewer, emulator
from streamer.viewer import messages, view
from tests.support.everywhere import Connect
from tests.support.open_sockets import open_sockets
from tests.support.peers.browser import browser
from tests.support.peers.viewer_page import opened, shown, shows
from tests.support.processes import usage
from tests.support.waiting import LIMIT_S, until

CYCLES, TABS = 100, 4
HELD_UNITS = 100  # a second of frames and audio, and some: what a page that cannot follow may leave in the session
# The worker sleeps after each frame that it draws: it draws five a second at the most, and reads nothing meanwhile.
DRAW_SLOWLY = """() => {
  const cell = new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);
  const draw = self.requestAnimationFrame.bind(self);
  self.requestAnimationFrame = (work) => draw((at) => { work(at); Atomics.wait(cell, 0, 0, 200); });
}"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def next_frames(session: Session, count: int) -> list[int]:
    """Return the numbers of the next frames that another consumer of the session gets."""
    numbers: list[int] = []
    async with asyncio.timeout(LIMIT_S):
        async for frame in session.frames("every"):
            barcode = emulator.read_barcode(frame.to_ndarray("gray"))
            assert barcode is not None
            numbers.append(barcode.counter)
            if len(numbers) == count:
                break
    return numbers


def held_units(session: Session) -> list[int]:
    """Return how many units the session holds for each page."""
    subscriptions = session._encoded._hub._subscriptions
    return [len(each.mailbox._units) for each in subscriptions]  # type: ignore[attr-defined]


async def drawn(page: Page) -> int:
    return int(await page.evaluate("+document.getElementById('screen').dataset.drawn"))


async def test_a_tab_that_draws_five_frames_a_second_slows_nobody_down(connect: Connect) -> None:
    async with (
        emulator.serve(width=360, height=640) as phone,
        connect(phone) as session,
        session.view() as viewer,
        browser() as running,
        opened(viewer, within=running) as quick,
        opened(viewer, within=running) as slow,
    ):
        (worker,) = slow.workers
        await worker.evaluate(DRAW_SLOWLY)
        before, held = [await drawn(quick), await drawn(slow)], [0]

        async def watch() -> None:
            while True:
                held.extend(held_units(session))
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        numbers = await next_frames(session, 120)
        watching.cancel()
        assert numbers == [*range(numbers[0], numbers[0] + 120)]  # another consumer misses none
        assert max(held) <= HELD_UNITS
        await shows(quick, numbers[-1])
        await shows(slow, numbers[-1])  # it shows fewer, and none of long ago
        quickly, slowly = await drawn(quick) - before[0], await drawn(slow) - before[1]
        assert 0 < slowly < quickly


async def test_a_page_that_closes_leaves_the_others_their_frames(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with (
        connect(phone) as session,
        session.view() as viewer,
        browser() as running,
        opened(viewer, within=running) as page,
    ):
        async with opened(viewer, within=running) as other:
            await shown(other)
            assert viewer.pages == 2
            taking = asyncio.create_task(next_frames(session, 30))
        await until(lambda: viewer.pages == 1)
        numbers = await taking
        assert numbers == [*range(numbers[0], numbers[0] + 30)]
        await shows(page, numbers[-1])
        assert len(held_units(session)) == 1


async def test_a_hidden_page_is_sent_nothing_and_shows_the_newest_frame_when_it_is_seen_again(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    make = messages.media_message

    def make_and_count(*arguments: object, **options: object) -> bytes:
        nonlocal sent
        sent += 1
        return make(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(messages, "media_message", make_and_count)
    async with connect(phone) as session, session.view() as viewer, opened(viewer) as page:
        await shown(page)
        await page.evaluate(HIDE, True)
        await until(lambda: not held_units(session))  # the session makes nothing for it
        sent_before, drawn_before = sent, await drawn(page)
        numbers = await next_frames(session, 30)
        assert sent == sent_before
        assert await drawn(page) <= drawn_before + 1  # one was under way
        await page.evaluate(HIDE, False)
        await shows(page, numbers[-1])


async def test_a_hundred_pages_that_come_and_go_leave_nothing(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, session.view() as viewer, browser() as running:
        before = left(viewer, session)
        await come_and_go(viewer, running, CYCLES)
        await until(lambda: all(now <= was for now, was in zip(left(viewer, session), before, strict=True)))
        await next_frames(session, 5)


async def come_and_go(viewer: Viewer, running: Browser, times: int) -> None:
    """Open the page and leave it, so often, in several tabs; every other one before it is there as a whole."""

    async def cycle(tab: int) -> None:
        context = await running.new_context()
        page = await context.new_page()
        for number in range(times // TABS):
            is_patient = number % 2 == tab % 2
            await page.goto(viewer.url, wait_until="load" if is_patient else "commit")
            if is_patient:
                await page.wait_for_selector("canvas[data-drawn]", timeout=LIMIT_S * 1000)
            await page.goto("about:blank")
        await context.close()

    await asyncio.gather(*map(cycle, range(TABS)))


def left(viewer: Viewer, session: Session) -> list[int]:
    """Return how many pages, subscriptions, tasks, sockets and files there are."""
    gc.collect()
    subscriptions = len(held_units(session)), len(session._events._subscriptions)
    return [viewer.pages, *subscriptions, len(asyncio.all_tasks()), len(open_sockets()), usage().files]


async def test_phones_side_by_side_are_shown_and_one_of_them_opens(connect: Connect) -> None:
    async with contextlib.AsyncExitStack() as stack:
        names = ("left", "right")
        phones = [
            await stack.enter_async_context(emulator.serve(width=180, height=320, instance_id=name)) for name in names
        ]
        sessions = [await stack.enter_async_context(connect(each)) for each in phones]
        viewer = await stack.enter_async_context(view(*sessions))
        page = await stack.enter_async_context(opened(viewer))
        for number, phone in enumerate(phones, start=1):
            await shows(page, phone.frames_sent, f"#grid a:nth-child({number}) canvas")
        await page.keyboard.press("Alt+s")  # means nothing here, and no error either
        await page.focus("#grid a")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/?phone=left")
        await page.wait_for_selector("#screen[data-drawn]")
        assert await page.title() == "left"
        await shows(page, phones[0].frames_sent)
        await page.click("#all")
        await page.wait_for_selector("#grid a:nth-child(2) canvas[data-drawn]")
