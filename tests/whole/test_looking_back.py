"""Looking back through the frames that were kept: what has gone is found."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

import streamer
import streamer.sync
from streamer import emulator
from streamer.emulator.apps import desktop
from streamer.emulator.device import Animations
from tests.steps import phone as at
from tests.support.everywhere import Connect
from tests.support.toasts import PACKAGE, SHORT, NotedNotices

pytestmark = pytest.mark.edge
LIMIT_S = 60.0
SHORT_TOAST = (180, 172)  # the button for a toast of 0.2 s


@pytest.fixture
async def phone() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**at.OPTIONS) as running:
        running.device.emit(Animations(are_on=False))
        yield running


async def open_notices(session: streamer.Session) -> None:
    await session.apps.start(at.NOTICES)
    await session.get_by_text("Notices").within(streamer.Region(0, 0, 1.0, 0.2)).wait(timeout_s=LIMIT_S)
    await session.wait_until_still(timeout_s=LIMIT_S)


async def test_a_toast_of_200_ms_is_found_after_it_has_gone(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(desktop._APPS, PACKAGE, NotedNotices)
    async with connect(phone, preroll_s=60) as session, asyncio.timeout(LIMIT_S):
        await open_notices(session)
        drawn = NotedNotices.last.drawn
        while True:
            drawn.clear()
            action = await session.tap(*SHORT_TOAST)
            await session.wait_until_still(quiet_s=0.5, timeout_s=LIMIT_S)
            if SHORT in drawn and not drawn[-1]:
                break
        assert not await session.get_by_text(SHORT).is_visible()
        toast = await session.get_by_text(SHORT).seen(since=action, timeout_s=LIMIT_S)
        assert toast.is_gone
        assert 0 < toast.first_s < toast.last_s
        assert toast.match.text == SHORT
        assert toast.match.center == pytest.approx((180, 548), abs=12)
        assert action.sent_ns is not None
        assert toast.match.frame.arrival_ns == pytest.approx(action.sent_ns + toast.first_s * 1e9, abs=1000)


async def test_what_is_still_there_or_was_there_before_is_seen_too(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone, preroll_s=60) as session, asyncio.timeout(LIMIT_S):
        await open_notices(session)
        began = time.monotonic()
        title = session.get_by_text("3 notes")
        seen = await title.seen(since=0.001, timeout_s=0)
        assert seen.first_s == 0
        assert not seen.is_gone
        assert 0 < seen.last_s <= time.monotonic() - began + 0.001
        await session.press("HOME")
        await title.wait_gone(timeout_s=LIMIT_S)
        gone = await title.seen(since=time.monotonic() - began, timeout_s=0)
        assert gone.first_s == 0
        assert gone.is_gone


async def test_it_is_waited_for_and_its_absence_is_evidence(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, preroll_s=60) as session, asyncio.timeout(LIMIT_S):
        await open_notices(session)
        delete = session.get_by_text("Delete this note?")
        with pytest.raises(
            streamer.WaitTimeoutError,
            match=r'^"Delete this note\?" was not on the screen within 0\.5 s from then on, in \d+ different frames',
        ) as raised:
            await delete.seen(since=0.5, timeout_s=0)
        assert raised.value.best is not None
        assert "Delete a note" in raised.value.nearby
        assert raised.value.frame is not None
        waiting = asyncio.create_task(delete.seen(since=await session.tap(*at.TOAST_BUTTON), timeout_s=LIMIT_S))
        await asyncio.sleep(0.1)
        await session.tap(*at.DIALOG_BUTTON)
        seen = await waiting
        assert not seen.is_gone
        assert seen.first_s > 0


async def test_what_was_not_kept_is_an_error_that_says_what_to_do(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        target = session.get_by_text("Settings")
        with pytest.raises(
            streamer.ConfigurationError, match=r"^expected connect\(preroll_s=\.\.\.\) to look back, got none"
        ):
            await target.seen(since=1.0)
    async with connect(phone, preroll_s=0.1) as session, asyncio.timeout(LIMIT_S):
        target = session.get_by_text("Settings")
        early_ns = time.monotonic_ns()
        await session.screenshot()
        while session._history.covers(early_ns):
            session.request_keyframe()
            await asyncio.sleep(0.1)
        with pytest.raises(
            streamer.ConfigurationError, match=r"^expected to look back 0\.1 s at most, got \d+\.\d s: give"
        ):
            await target.seen(since=(time.monotonic_ns() - early_ns) / 1e9)
        for since in (0, -1.0, float("nan"), session.tap(0.5, 0.5)):
            with pytest.raises(streamer.ConfigurationError, match=r"^expected an action"):
                await target.seen(since=since)
            if isinstance(since, streamer.Action):
                await since
        with pytest.raises(streamer.ConfigurationError, match=r"^expected timeout_s from 0 on"):
            await target.seen(since=0.1, timeout_s=-1)


async def test_it_ends_with_the_session(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone, preroll_s=60) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        waiting = asyncio.create_task(session.get_by_text("Nowhere").seen(since=0.1, timeout_s=LIMIT_S))
        await asyncio.sleep(0.5)
        await session.aclose()
        with pytest.raises(streamer.ConnectionLostError, match="the session is closed"):
            await waiting


async def test_without_asyncio_it_looks_back_too(phone: emulator.EmulatedPhone) -> None:
    def look_back() -> streamer.Seen:
        with streamer.sync.connect(
            phone.instance_id,
            endpoint=phone.endpoint,
            credentials=streamer.Token(phone.tenant_token),
            preroll_s=60,
        ) as session:
            title = session.get_by_text("Good to see you")
            title.wait(timeout_s=LIMIT_S)
            action = session.get_by_text("Canvas").tap(timeout_s=LIMIT_S)
            session.get_by_text("Draw here").wait(timeout_s=LIMIT_S)
            return title.seen(since=action, timeout_s=0)

    seen = await asyncio.to_thread(look_back)
    assert seen.is_gone
    assert 0 == seen.first_s < seen.last_s
