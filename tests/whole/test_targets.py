"""Targets on the emulator's apps, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

import streamer
import streamer.sync
from streamer import emulator
from tests.steps import phone as at
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0


def cut(frame: streamer.VideoFrame, center: tuple[int, int], side: int = 48) -> np.ndarray:
    """Return the pixels around a place."""
    x, y = center
    return np.asarray(frame)[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2]


@pytest.fixture
async def phone() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**at.OPTIONS) as running:
        yield running


async def test_an_icon_is_found_tapped_and_gone(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        launcher = await session.wait_until_still(timeout_s=LIMIT_S)
        icon = session.get_by_image(cut(launcher, at.SIGN_IN_ICON), name="sign-in.png")
        match = await icon.wait(timeout_s=LIMIT_S)
        assert match.center == pytest.approx(at.SIGN_IN_ICON, abs=1)
        assert match.score > 0.99
        await icon.tap(timeout_s=LIMIT_S).settled(timeout_s=LIMIT_S)
        assert phone.app_in_front == at.SIGN_IN
        await icon.wait_gone(timeout_s=LIMIT_S)
        assert not await icon.is_visible()
        with pytest.raises(
            streamer.WaitTimeoutError, match=r"^after 0\.2 s sign-in\.png was not on the screen; nearest: 0\.\d\d at \("
        ) as raised:
            await icon.tap(timeout_s=0.2)
        assert raised.value.best is not None
        assert raised.value.best.score < 0.9


async def test_an_image_that_is_missing_is_told_with_where_it_was_looked_for(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session:
        with pytest.raises(streamer.ConfigurationError, match="check its name") as refused:
            session.get_by_image("pay.png")
    assert str(refused.value).startswith(f"there is no image {Path.cwd() / 'pay.png'}: ")


async def test_two_matches_are_an_error_that_names_both_places(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.apps.start(at.SETTINGS)
        await session.wait_for_color(*at.WIFI_SWITCH, timeout_s=LIMIT_S)
        settings = await session.wait_until_still(timeout_s=LIMIT_S)
        switch = session.get_by_image(cut(settings, at.WIFI_SWITCH[:2], 40), name="switch.png")
        matches = await switch.find_all()
        assert len(matches) > 1
        with pytest.raises(
            streamer.SeveralMatchesError, match=r"^expected switch\.png once on the screen, got it"
        ) as raised:
            await switch.wait(timeout_s=LIMIT_S)
        assert [match.region for match in raised.value.matches] == [match.region for match in matches]
        assert (await switch.first.wait()).center == matches[0].center
        assert (await switch.last.wait()).center == matches[-1].center
        top = streamer.Region(0, 0, 1.0, matches[0].center[1] + 40)
        assert (await switch.within(top).wait()).center == matches[0].center


async def test_a_tap_can_be_asked_what_came_of_it_once_it_was_sent(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        launcher = await session.wait_until_still(timeout_s=LIMIT_S)
        icon = session.get_by_image(cut(launcher, at.SIGN_IN_ICON))
        action = await icon.tap(timeout_s=LIMIT_S)
        change = await action.changed(timeout_s=LIMIT_S, region=streamer.Region(0, 0.5, 1.0, 0.5))
        assert change.after_s > 0
        assert change.region.pixels(at.WIDTH, at.HEIGHT)[1] >= at.HEIGHT // 2
        with pytest.raises(streamer.ConfigurationError, match=r"^expected a question right after the tap"):
            await action.settled()
        await session.wait_for_color(*at.SUBMIT_BUTTON, timeout_s=LIMIT_S)
        await session.press("HOME")
        first = await icon.tap(timeout_s=LIMIT_S)
        await session.wait_for_color(*at.SUBMIT_BUTTON, timeout_s=LIMIT_S)
        await session.press("HOME")
        second = await icon.tap(timeout_s=LIMIT_S)
        with pytest.raises(streamer.ConfigurationError, match=r"^expected a question right after the tap"):
            await first.settled()
        del second
        await asyncio.sleep(0)
        assert not session._frames.hub.is_watched


async def test_a_tap_without_asyncio_is_sent_and_then_asked(phone: emulator.EmulatedPhone) -> None:
    def test() -> None:
        with streamer.sync.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
        ) as session:
            launcher = session.wait_until_still(timeout_s=LIMIT_S)
            icon = session.get_by_image(cut(launcher, at.SIGN_IN_ICON))
            shown = icon.within(streamer.Region(0, 0, 1.0, 0.5)).tap(timeout_s=LIMIT_S).settled(timeout_s=LIMIT_S)
            assert phone.app_in_front == at.SIGN_IN
            assert 0 < shown.first_change_s <= shown.settled_s
            assert not icon.is_visible()

    await asyncio.to_thread(test)


async def test_a_list_is_scrolled_until_a_row_is_there_and_no_further_than_its_end(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.apps.start(at.SETTINGS)
        await session.wait_for_color(*at.WIFI_SWITCH, timeout_s=LIMIT_S)
        top = await session.wait_until_still(timeout_s=LIMIT_S)
        wifi = session.get_by_image(np.asarray(top)[160:215, 15:150], name="wifi.png")
        assert await wifi.scroll_to() == await wifi.wait()  # it is there: nothing is swiped
        await session.swipe("up", hold_s=0.2).settled(timeout_s=LIMIT_S)
        assert not await wifi.is_visible()
        match = await wifi.within(at.LIST).scroll_to("down")
        assert match.center[0] == pytest.approx(82, abs=2)
        assert at.LIST.pixels(at.WIDTH, at.HEIGHT)[1] < match.center[1] < at.HEIGHT * 0.3
        rows = streamer.Region(0, 0.3, 1.0, 0.6)
        with pytest.raises(
            streamer.WaitTimeoutError, match=r"^after [1-3] swipes down wifi\.png .*; the last swipe moved nothing$"
        ):
            await wifi.within(rows).scroll_to("down")
        with pytest.raises(
            streamer.WaitTimeoutError, match=r"^after 1 swipes up wifi\.png within .* on the screen"
        ) as raised:
            await wifi.within(rows).scroll_to("up", max_swipes=1)
        assert raised.value.best is not None
        with pytest.raises(streamer.ConfigurationError, match=r"expected one of up, down, left, right and at least 1"):
            await wifi.scroll_to(max_swipes=0)


async def test_a_tap_that_changes_nothing_is_repeated_if_wanted(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        launcher = await session.wait_until_still(timeout_s=LIMIT_S)
        title = session.get_by_image(np.asarray(launcher)[50:85, 15:200], name="title.png")
        inputs = at.Inputs(phone)
        await title.tap(again_if_unchanged_s=0.3)
        assert inputs.touches() == [("down", 0), ("up", 0)] * 2
        inputs.clear()
        await title.tap()
        assert inputs.touches() == [("down", 0), ("up", 0)]
        inputs.clear()
        icon = session.get_by_image(cut(launcher, at.SIGN_IN_ICON))
        await icon.tap(again_if_unchanged_s=20)
        assert inputs.touches() == [("down", 0), ("up", 0)]
