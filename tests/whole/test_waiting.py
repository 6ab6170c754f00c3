"""Waiting for the screen of a real stream: a screen whose content the test plants, through encoder and network."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

import streamer
from streamer import Region, WaitTimeoutError, emulator
from streamer.emulator.picture import Picture
from streamer.waiting import change_after, settle_after
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0
WIDTH, HEIGHT = 192, 320


class Planted:
    """A screen that is gray, but for what a test plants on it. The encoder's thread draws it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plant: Callable[[Any, float], None] = lambda *_: None
        self._since = time.monotonic()

    def plant(self, plant: Callable[[Any, float], None]) -> None:
        """Draw by `plant(image, seconds since now)` on each frame from now on."""
        with self._lock:
            self._plant, self._since = plant, time.monotonic()

    def draw_into(self, picture: Picture, *_: object, **__: object) -> None:
        image = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        with self._lock:
            self._plant(image, time.monotonic() - self._since)
        picture.put(Picture.from_rgb(image))


@pytest.fixture
async def phone() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(width=WIDTH, height=HEIGHT, audio=False) as running:
        yield running


@pytest.fixture
def screen(phone: emulator.EmulatedPhone, monkeypatch: pytest.MonkeyPatch) -> Planted:
    planted = Planted()
    monkeypatch.setitem(phone.media._screens, (WIDTH, HEIGHT), planted)
    return planted


def box(image: Any, _: float) -> None:
    image[64:128, 64:128] = 250


def moving(image: Any, seconds: float) -> None:
    x = int(seconds * 160) % 128
    image[32:96, x : x + 48] = 250


def moves_for(duration_s: float) -> Callable[[Any, float], None]:
    return lambda image, seconds: moving(image, min(seconds, duration_s))


async def test_a_screen_that_moves_is_never_still_and_the_time_out_shows_where(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    screen.plant(moving)
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        with pytest.raises(
            WaitTimeoutError, match=r"^after 2 s the screen was not still: \S+ at \(\d+, 32\)"
        ) as raised:
            await session.wait_until_still(quiet_s=1, timeout_s=2)  # a busy machine may draw nothing for a while
        error = raised.value
        assert error.waited_s == 2
        assert error.frame is not None
        (region,) = error.moving
        assert region.pixels(WIDTH, HEIGHT)[1::2] == (32, 96)
        await session.wait_until_still(ignore=[Region(0, 32, 1.0, 64)], timeout_s=30)
        await session.wait_until_still(region=Region(0, 0.5, 1.0, 0.5), timeout_s=30)


async def test_a_screen_that_comes_to_rest_is_still_only_then(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        screen.plant(moves_for(1.5))
        began = time.monotonic()
        await session.wait_for_change(timeout_s=30)
        frame = await session.wait_until_still(timeout_s=30)
        assert time.monotonic() - began > 1.5
        assert np.asarray(frame)[64, 200 - 160 :].max() > 200
        assert not session._frames.hub.is_watched


async def test_nothing_changes_on_a_still_screen_and_the_wait_for_it_never_passes(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.wait_until_still(timeout_s=30)
        phone.go_still()
        with pytest.raises(WaitTimeoutError, match=r"^after 0\.5 s the screen had not changed$") as raised:
            await session.wait_for_change(timeout_s=0.5)
        assert raised.value.frame is not None
        assert isinstance(raised.value, TimeoutError)
        await session.wait_until_still(timeout_s=30)  # no frame comes any more
        waiting = asyncio.create_task(session.wait_for_change(timeout_s=30))
        await asyncio.sleep(0)
        screen.plant(box)
        phone.wake()
        change = await waiting
        assert change.after_s > 0
        assert change.region == Region(64, 64, 64, 64)
        assert np.asarray(change.frame)[96, 96].min() > 200


async def test_a_stalled_network_is_not_a_still_screen(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    screen.plant(moving)
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.wait_for_change(timeout_s=30)
        phone.cut_path()
        with pytest.raises(WaitTimeoutError, match="the phone did not answer"):
            await session.wait_until_still(timeout_s=2)
        screen.plant(box)
        phone.mend_path()
        frame = await session.wait_until_still(timeout_s=30)
        assert np.asarray(frame)[96, 96].min() > 200  # and not the frame from before the stall


@pytest.mark.parametrize("reaction_s", [0.0, 0.4])
async def test_the_answer_to_an_action_is_measured_from_its_hand_over_on_the_clock_of_the_phone(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect, reaction_s: float
) -> None:
    sent: list[float] = []

    def react(image: Any, seconds: float) -> None:
        moving(image, max(0, min(seconds - reaction_s, 0.5)))

    async def act(on_sent: Callable[[int], None]) -> None:
        screen.plant(react)
        sent.append(time.monotonic())
        on_sent(time.monotonic_ns())

    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        screen.plant(lambda image, _: moving(image, 0))
        await session.wait_until_still(timeout_s=30)
        shown = await settle_after(
            act, session._watcher, quiet_s=0.3, region=None, ignore=[Region(0, 200, 8, 8)], timeout_s=30
        )
        assert reaction_s < shown.first_change_s <= shown.settled_s
        assert shown.settled_s > reaction_s + 0.4
        assert 2 <= shown.frames == len(shown.gaps_s) + 1
        assert sum(shown.gaps_s) == pytest.approx(0.5, abs=0.3)
        assert shown.longest_gap_s >= shown.p90_gap_s > 0
        assert shown.round_trip_s is None or shown.round_trip_s > 0
        assert shown.region.pixels(WIDTH, HEIGHT)[1::2] == (32, 96)
        assert "gaps_s" not in repr(shown)
        assert len(sent) == 1
        screen.plant(lambda image, _: None)
        await session.wait_until_still(timeout_s=30)
        change = await change_after(act, session._watcher, region=None, ignore=(), timeout_s=30)
        assert change.after_s >= 0


async def test_what_comes_after_a_long_action_counts_although_the_screen_was_still_during_it(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    async def press_long(on_sent: Callable[[int], None]) -> None:
        screen.plant(box)
        on_sent(time.monotonic_ns())
        await asyncio.sleep(2)
        screen.plant(lambda image, seconds: box(image, seconds) if seconds < 0.3 else None)

    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.wait_until_still(timeout_s=30)
        shown = await settle_after(press_long, session._watcher, quiet_s=1.0, region=None, ignore=(), timeout_s=30)
        assert shown.frames == 2
        assert shown.settled_s > 2


async def test_an_action_is_sent_once_there_is_a_frame_to_compare_with_and_only_once(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.wait_input()
        action = session.tap(0.5, 0.5)
        with pytest.raises(WaitTimeoutError, match=r"^after 0\.3 s nothing had changed$"):
            await action.changed(timeout_s=0.3)
        assert action.sent_ns is not None
        with pytest.raises(streamer.ConfigurationError, match=r"write phone\.tap\(\.\.\.\)\.settled\(\)"):
            await action.settled()
        refused = session.tap(0.5, 0.5)
        with pytest.raises(streamer.ConfigurationError, match="expected timeout_s above 0"):
            await refused.changed(timeout_s=0)
        assert refused.sent_ns is None


async def test_waiting_for_a_color_and_for_a_predicate(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    def green(image: Any, _: float) -> None:
        image[:160] = (0, 200, 83)

    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        with pytest.raises(WaitTimeoutError, match=r"the color at \(0\.5, 0\.25\) was #7\d7\d7\d$"):
            await session.wait_for_color(0.5, 0.25, "#00c853", timeout_s=1)
        screen.plant(green)
        frame = await session.wait_for_color(0.5, 0.25, "#00c853", timeout_s=30)
        newer = await session.wait_for(lambda newer: newer.sequence > frame.sequence, timeout_s=30)
        assert newer.sequence > frame.sequence

        async def is_newer(frame: streamer.VideoFrame) -> bool:
            await asyncio.sleep(0)
            return frame.sequence > newer.sequence

        assert (await session.wait_for(is_newer, timeout_s=30)).sequence > newer.sequence
        with pytest.raises(ZeroDivisionError):
            await session.wait_for(lambda _: bool(1 // 0))
        with pytest.raises(TimeoutError, match="mine"):
            await session.wait_for(_raise_time_out)
        with pytest.raises(WaitTimeoutError, match=r"^after 0\.2 s never was not true of any frame$"):
            await session.wait_for(never, timeout_s=0.2)


def never(_: streamer.VideoFrame) -> bool:
    return False


def _raise_time_out(_: streamer.VideoFrame) -> bool:
    raise TimeoutError("mine")


async def test_the_end_of_a_session_ends_its_waits(
    phone: emulator.EmulatedPhone, screen: Planted, connect: Connect
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        waits = [
            asyncio.create_task(session.wait_for_change(timeout_s=30)),
            asyncio.create_task(session.wait_for(never, timeout_s=30)),
        ]
        await asyncio.sleep(0)
    for wait in waits:
        with pytest.raises(streamer.ConnectionLostError, match="the session is closed"):
            await wait


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda session: session.wait_until_still(quiet_s=0), "expected quiet_s above 0, got 0"),
        (lambda session: session.wait_for_change(timeout_s=-1), "expected timeout_s above 0, got -1"),
        (lambda session: session.wait_for_color(0, 0, "green"), 'expected a color such as "#00c853"'),
        (lambda session: session.wait_for_color(0, 0, "#00c853", tolerance=300), "expected a tolerance from 0 to 255"),
        (lambda session: session.wait_for_color(1000, 0, "#00c853"), "expected x from 0 to 191"),
        (lambda session: session.wait_until_still(region=Region(500, 0, 9, 9)), "expected something to watch"),
    ],
)
async def test_a_wrong_argument_is_named(
    phone: emulator.EmulatedPhone, connect: Connect, call: Callable[[streamer.Session], Any], what: str
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        with pytest.raises(streamer.ConfigurationError, match=what):
            await call(session)


async def test_an_app_that_opens_at_a_tap_has_a_first_change_and_a_rest(connect: Connect) -> None:
    async with (
        emulator.serve(width=180, height=320, fps=20, audio=False, screen="apps") as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await session.wait_input()
        shown = await session.tap(0.125, 0.2).settled(timeout_s=30)
        assert phone.app_in_front == "com.android.settings"
        assert 0 < shown.first_change_s <= shown.settled_s
        assert shown.region.width > 90
        with pytest.raises(WaitTimeoutError, match="nothing had changed"):
            await session.tap(0.5, 0.02).changed(timeout_s=0.5)
        change = await session.press("HOME").changed(timeout_s=30)
        assert change.after_s > 0


async def test_no_answer_to_a_tap_is_missed_on_a_lossy_path(connect: Connect) -> None:
    """An answer is one small frame, and nothing follows it: when it is lost, no gap shows that."""
    faults = emulator.Faults(lose=0.1)
    async with (
        emulator.serve(
            width=180, height=320, fps=20, audio=False, screen="apps", reactions_ms=[0], faults=faults
        ) as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await session.wait_input()
        await session.apps.start("com.example.slow")
        await session.wait_until_still(timeout_s=30)
        assert phone.app_in_front == "com.example.slow"
        for _ in range(12):
            change = await session.tap(0.5, 0.75).changed(timeout_s=30)
            assert change.after_s > 0
