"""The viewer's page in headless Chromium: how old what it shows is, how soon it shows anything, what a page costs.

The emulator writes a frame's number and the time at which it was drawn into the frame. The page's canvas is read at
each refresh of the screen, on the same clock. What of that is the phone's is measured beside it. Emulator, server and
browser are processes of their own.
"""

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

from playwright.async_api import Browser, Page

import streamer
from benchmarks.report import Goal, Grid, Report
from streamer.emulator import read_barcode
from tests.support.peers.browser import browser
from tests.support.peers.chromium_phone import find_chromium
from tests.support.processes import Child

GLASS_GOALS_MS: Final = {50: 60.0, 95: 100.0}
CLICK_GOAL_MS: Final = 100.0
OPENING_GOAL_MS: Final = 1000.0
CPU_GOAL: Final = 0.03  # of a core, a page
SIZE: Final = {"width": 720, "height": 1280, "fps": 30}
SECONDS: Final = 10.0
CLICKS: Final = 10  # a round
OPENINGS: Final = 5  # a round
VIEWERS: Final = (0, 1, 2, 4)
CPU_SECONDS: Final = 6.0
LIMIT_MS: Final = 30_000
# With B-frames allowed, the emulator's encoder (x264) holds each frame back until it has the next one. A phone that
# only declares them does not: ages are without that.
STREAMS: Final[dict[str, tuple[dict[str, Any], float]]] = {
    "720p30": ({}, 0.0),
    "720p30, SPS declares reordering": ({"faults": {"reordering_sps": True}}, 1000 / SIZE["fps"]),
}
FALLBACKS: Final = {"720p30 as MP4, in a browser without WebCodecs": "delete window.VideoDecoder"}
_VIEWPORT: Final = {"width": 1000, "height": 1000}
_PLACES: Final = ((0.12, 0.22), (0.38, 0.22))  # of two apps

# Looks at the canvas at each refresh of the screen: notes each new frame's counter, its age and the page's time, and of
# a screen without counter when the picture changed last, and when first since the mouse's button went down.
_WATCH: Final = """() => {
  const looked = { frames: [], changedAt: null, pressedAt: null };
  window.looked = looked;
  const strip = new OffscreenCanvas(44, 2).getContext("2d", { willReadFrequently: true });
  const small = new OffscreenCanvas(9, 16).getContext("2d", { willReadFrequently: true });
  strip.imageSmoothingEnabled = false;
  const number = (row, bits) => bits.slice(44 * row + 4, 44 * row + 36).reduce((sum, bit) => 2 * sum + bit, 0);
  let picture = "";
  const look = () => {
    requestAnimationFrame(look);
    const canvas = document.getElementById("screen");
    if (!canvas?.dataset.drawn) return;
    const film = document.querySelector(".film"), screen = film ?? canvas;
    const [width, height] = film ? [film.videoWidth, film.videoHeight] : [canvas.width, canvas.height];
    const cell = Math.floor(Math.min(width, height) / 45);
    strip.drawImage(screen, 0, height - 2 * cell, 44 * cell, 2 * cell, 0, 0, 44, 2);
    const data = strip.getImageData(0, 0, 44, 2).data;
    const bits = Array.from({ length: 88 }, (_, index) => (data[4 * index + 1] > 127 ? 1 : 0));
    const at = performance.now();
    if ([0, 44].every((row) => bits.slice(row, row + 4).join("") === "1010")) {
      const counter = number(0, bits), age = (Date.now() - number(1, bits)) % 2 ** 32;
      if (looked.frames.at(-1)?.counter !== counter) looked.frames.push({ counter, age, at });
    } else {
      small.drawImage(screen, 0, 0, 9, 16);
      const now = small.getImageData(0, 0, 9, 16).data.join();
      if (now !== picture) looked.changedAt = at;
      if (now !== picture && looked.pressedAt !== null) looked.reactedAt ??= at;
      picture = now;
    }
  };
  addEventListener("pointerdown", () => {
    looked.pressedAt = performance.now();
    delete looked.reactedAt;
  }, true);
  requestAnimationFrame(look);
}"""

_IS_STILL: Final = "() => looked.changedAt !== null && performance.now() - looked.changedAt > 1000"


def measure(rounds: int) -> Iterator[str | Report]:
    """Measure each in turn, round after round."""
    if find_chromium() is None:
        yield Report([Goal(measure="the viewer's page", ours="", goal="", is_met=None)], (), ["needs Chromium"])
        return
    ages: dict[str, list[float]] = {}
    arrived: dict[str, list[float]] = {}
    openings: dict[str, list[tuple[float, float]]] = {}
    clicks: list[float] = []
    shares: dict[int, list[tuple[float, float]]] = {}
    for number in range(rounds):
        of = f"round {number + 1} of {rounds}"
        for stream, (options, held_ms) in STREAMS.items():
            yield f"glass to glass, {stream}, {of}"
            ages.setdefault(stream, []).extend(age - held_ms for age in asyncio.run(_glass_to_glass(options)))
            yield f"arrivals, {stream}, {of}"
            arrived.setdefault(stream, []).extend(age - held_ms for age in asyncio.run(_arrivals(options)))
        for stream, script in FALLBACKS.items():
            yield f"glass to glass, {stream}, {of}"
            ages.setdefault(stream, []).extend(asyncio.run(_glass_to_glass({}, script)))
        for screen in ("moving", "still"):
            yield f"opening, a {screen} screen, {of}"
            openings.setdefault(screen, []).extend(asyncio.run(_openings(is_still=screen == "still")))
        yield f"clicks, {of}"
        clicks += asyncio.run(_clicks())
        yield f"pages, {of}"
        for viewers, share in _shares().items():
            shares.setdefault(viewers, []).append(share)
    yield _report(ages, arrived, openings, clicks, shares)


@contextlib.contextmanager
def _viewer(**options: Any) -> Iterator[tuple[Child, Child, str]]:
    """Give a phone, a server that is connected to it, and the viewer's address."""
    with Child("tests.support.phone_process", json.dumps({**SIZE, **options})) as phone:
        place = phone.hear()
        with Child("benchmarks.viewer_server") as server:
            server.tell(place)
            yield phone, server, server.hear()


async def _opened(running: Browser, url: str, script: str = "") -> Page:
    page = await running.new_page(viewport=_VIEWPORT)  # type: ignore[arg-type]
    page.set_default_timeout(LIMIT_MS)
    await page.add_init_script(f"{script};({_WATCH})()")
    await page.goto(url)
    await page.wait_for_selector("#screen[data-drawn]")
    return page


async def _glass_to_glass(options: dict[str, Any], script: str = "") -> list[float]:
    """Return the ages of the frames that a page shows, in milliseconds, each when it is first seen."""
    with _viewer(**options) as (_, _, url):
        async with browser() as running:
            page = await _opened(running, url, script)
            await asyncio.sleep(3)  # the page has caught up
            await page.evaluate("() => { looked.frames = []; }")
            await asyncio.sleep(SECONDS)
            return [frame["age"] for frame in await page.evaluate("() => looked.frames")]


async def _arrivals(options: dict[str, Any]) -> list[float]:
    """Return the ages of frames when a session's socket has the last packet of each, in milliseconds."""
    ages: list[float] = []
    with Child("tests.support.phone_process", json.dumps({**SIZE, **options})) as phone:
        place = phone.hear()
        token = streamer.Token(place["token"])
        async with streamer.connect(place["instance"], endpoint=place["endpoint"], credentials=token) as session:
            ends = time.monotonic() + SECONDS / 2
            async for frame in session.frames("every"):
                if (barcode := read_barcode(frame.to_ndarray("gray"))) is not None:
                    ages.append((round(frame.received_at * 1000) - barcode.clock_ms) % 2**32)
                if time.monotonic() > ends:
                    break
    return ages


async def _openings(*, is_still: bool) -> list[tuple[float, float]]:
    """Return after how many milliseconds a page shows a frame, and after how many the newest one."""
    found = []
    with _viewer() as (phone, _, url):
        async with browser() as running:
            await (await _opened(running, url)).close()  # the browser has the page's files; the phone moves
            await asyncio.sleep(4)
            if is_still:
                phone.tell("still")
                phone.hear()
                await asyncio.sleep(1)
            for _ in range(OPENINGS):
                page = await _opened(running, url)
                await asyncio.sleep(3)
                frames = await page.evaluate("() => looked.frames")
                last = frames[-1]["counter"]
                newest = next(each for each in frames if (each["counter"] == last if is_still else each["age"] < 250))
                found.append((frames[0]["at"], newest["at"]))
                await page.close()
    return found


async def _clicks() -> list[float]:
    """Return how long after the mouse's button went down the picture changed, in milliseconds."""
    found = []
    with _viewer(screen="apps") as (_, _, url):
        async with browser() as running:
            page = await _opened(running, url)
            for number in range(CLICKS):
                await _still(page)
                box = await page.locator("#screen").bounding_box()
                assert box is not None
                x, y = _PLACES[number % len(_PLACES)]
                await page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
                await _still(page)
                looked = await page.evaluate("() => looked")
                found.append(looked["reactedAt"] - looked["pressedAt"])
                await page.click("[data-key=HOME]")
    return found


async def _still(page: Page) -> None:
    """Wait until the picture has not changed for a second."""
    async with asyncio.timeout(LIMIT_MS / 1000):
        await asyncio.sleep(1)
        while not await page.evaluate(_IS_STILL):  # noqa: ASYNC110 - it is a benchmark
            await asyncio.sleep(0.1)


def _shares() -> dict[int, tuple[float, float]]:
    """Return the share of a core that the server takes with so many pages, and how many frames a second each gets."""
    found = {}
    with _viewer() as (_, server, url):
        for viewers in VIEWERS:
            with Child("benchmarks.viewer_clients", url, str(viewers)) as clients:
                time.sleep(2)
                cpu, frames, began = _asked(server), _asked(clients), time.monotonic()
                time.sleep(CPU_SECONDS)
                cpu, frames, seconds = _asked(server) - cpu, _asked(clients) - frames, time.monotonic() - began
                found[viewers] = cpu / seconds, frames / seconds / max(viewers, 1)
    return found


def _asked(child: Child) -> float:
    child.tell("now")
    return float(child.hear())


def _report(
    ages: dict[str, list[float]],
    arrived: dict[str, list[float]],
    openings: dict[str, list[tuple[float, float]]],
    clicks: list[float],
    runs: dict[int, list[tuple[float, float]]],
) -> Report:
    shares, rates = (
        {viewers: statistics.median(run[each] for run in its) for viewers, its in runs.items()} for each in (0, 1)
    )
    goals = [
        _goal(
            f"{stream}: glass to glass, p{percent}",
            _percentile(found, percent),
            goal_ms,
            f"when it has arrived {_percentile(arrived[stream], percent):.0f} ms",
        )
        for stream, found in ages.items()
        if stream not in FALLBACKS
        for percent, goal_ms in GLASS_GOALS_MS.items()
    ]
    goals.append(_goal("a click to what comes of it on the canvas, p50", statistics.median(clicks), CLICK_GOAL_MS))
    for screen, found in openings.items():
        newest_ms = statistics.median(newest for _, newest in found)
        goals.append(_goal(f"opening on a {screen} screen: the newest frame, p50", newest_ms, OPENING_GOAL_MS))
    most = max(shares)
    share = (shares[most] - shares[0]) / most
    goals.append(
        Goal(
            measure="the server, for each page of 720p30",
            ours=f"{100 * share:.1f} % of a core",
            beside=f"the session alone {100 * shares[0]:.1f} %",
            goal=f"≤ {100 * CPU_GOAL:.0f} %",
            is_met=share <= CPU_GOAL,
        )
    )
    glass = [
        (f"{stream}{where}", str(len(found)), *(f"{_percentile(found, percent):.0f}" for percent in (50, 95, 99)))
        for stream in ages
        for where, found in (("", ages[stream]), (": when it has arrived", arrived.get(stream)))
        if found
    ]
    opening = [
        (f"a {screen} screen", *(f"{statistics.median(each):.0f}" for each in zip(*found, strict=True)))
        for screen, found in openings.items()
    ]
    pages = [
        (str(viewers), f"{100 * share:.1f}", f"{100 * (share - shares[0]) / viewers:.2f}", f"{rates[viewers]:.1f}")
        if viewers
        else ("0", f"{100 * share:.1f}", "", "")
        for viewers, share in shares.items()
    ]
    return Report(
        goals,
        [
            Grid("From the phone's screen to the page's canvas", ("", "frames", "p50 ms", "p95 ms", "p99 ms"), glass),
            Grid("Opening the page", ("", "a frame, ms", "the newest frame, ms"), opening),
            Grid("The server's processor time", ("pages", "% of a core", "% for each page", "frames/s"), pages),
        ],
        ["with reordering in the SPS, ages are without the 33 ms for which the emulator's encoder holds each frame"],
    )


def _goal(measure: str, found_ms: float, goal_ms: float, beside: str = "") -> Goal:
    ours, goal = f"{found_ms:.0f} ms", f"≤ {goal_ms:.0f} ms"
    return Goal(measure=measure, ours=ours, beside=beside, goal=goal, is_met=found_ms <= goal_ms)


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
