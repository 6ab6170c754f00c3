"""`python -m benchmarks.chromium`: what Chromium sends of a busy screen to a page of its own, to streamer, to aiortc.

A sender sends as much as the receiver's feedback lets it believe in: who gives none gets a slide show. The phone is
the page of tests/support/peers in headless Chromium behind the npm socket.io server; each run has a browser of its own.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from benchmarks.clips import DIRECTORY
from benchmarks.report import Goal, Grid, Report, console, figure, goals_grid, markdown, print_grid
from tests.support.peers.chromium_phone import PAGES, Chromium, Page, find_chromium

PEERS: Final = PAGES.parent
TABLES: Final = DIRECTORY / "chromium.md"
SECONDS: Final = 20.0
LIMIT_S: Final = 60.0
SHARE_GOAL: Final = 0.80  # of what the other page gets
DEVICE_ID: Final = "device-1"
RECEIVERS: Final = ("Chromium", "streamer", "aiortc")

# In the page that receives: every 200 ms, how old the frame is that is on the screen, by the clock in its barcode.
_WATCH: Final = """(() => {
  const video = document.querySelector('video');
  const strip = new OffscreenCanvas(44, 2).getContext('2d', { willReadFrequently: true });
  window.ages = [];
  const look = () => {
    const cell = Math.floor(Math.min(video.videoWidth, video.videoHeight) / 45);
    strip.drawImage(video, 0, video.videoHeight - 2 * cell, 44 * cell, 2 * cell, 0, 0, 44, 2);
    const { data } = strip.getImageData(0, 1, 44, 1);
    let clock = 0;
    for (let i = 4; i < 36; i++) clock = 2 * clock + (data[4 * i] > 127);
    ages.push((Date.now() - clock) % 2 ** 32);
    setTimeout(() => video.requestVideoFrameCallback(look), 200);
  };
  video.requestVideoFrameCallback(look);
})()"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one receiver got in twenty seconds from the moment it was connected."""

    frames: int
    mbps: float
    age_ms: float | None  # of a frame when it was there: median


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured; the medians are shown.")] = 3,
    markdown_file: Annotated[Path, typer.Option("--markdown", help="Where the tables go as Markdown.")] = TABLES,
) -> None:
    """Let Chromium send to each in turn."""
    executable, node = find_chromium(), _find_node()
    if executable is None or node is None:
        missing = "Chromium" if executable is None else "node"
        raise SystemExit(f"{missing} is not installed: what Chromium sends cannot be measured here")
    runs: dict[str, list[Run]] = {}
    for number in range(rounds):
        for receiver in RECEIVERS:
            console.print(f"{receiver}, round {number + 1} of {rounds}")
            runs.setdefault(receiver, []).append(asyncio.run(_run(receiver, executable, node)))
    report = _report(runs)
    for grid in (*report.grids, goals_grid(report.goals)):
        print_grid(grid)
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    markdown_file.write_text(markdown([report]), encoding="utf-8")


def _report(runs: dict[str, list[Run]]) -> Report:
    frames = {receiver: statistics.median(run.frames for run in found) for receiver, found in runs.items()}
    mbps = {receiver: statistics.median(run.mbps for run in found) for receiver, found in runs.items()}
    goals = [
        Goal(
            measure=f"from Chromium, busy 720x1280, {SECONDS:.0f} s: {name}",
            ours=form.format(values["streamer"]),
            beside=f"a Chromium page {form.format(values['Chromium'])}, aiortc {form.format(values['aiortc'])}",
            ratio=f"{values['streamer'] / values['Chromium']:.2f}",
            goal=f"≥ {SHARE_GOAL:.2f}",
            is_met=values["streamer"] >= SHARE_GOAL * values["Chromium"],
        )
        for name, values, form in (("frames", frames, "{:.0f}"), ("bitrate", mbps, "{:.2f} Mbit/s"))
    ]
    rows = []
    for receiver, found in runs.items():
        ages = [run.age_ms for run in found if run.age_ms is not None]
        age = figure(statistics.median(ages), "{:.0f}") if ages else ""
        rows.append((receiver, f"{frames[receiver]:.0f}", f"{mbps[receiver]:.2f}", age))
    title = f"A busy 720x1280 frame at 30 fps from headless Chromium, {SECONDS:.0f} s from the moment of connection"
    return Report(goals, [Grid(title, ("to", "frames", "Mbit/s sent", "age when there, p50 ms"), rows)])


async def _run(receiver: str, executable: str, node: str) -> Run:
    async with _signaling(node) as origin, Chromium(executable) as browser:
        phone = await browser.open_phone(origin, DEVICE_ID, scene="busy")
        if receiver == "Chromium":
            return await _to_page(browser, phone, origin)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.chromium_receiver", receiver, origin, DEVICE_ID, str(SECONDS)),
            stdout=subprocess.PIPE,
        )
        begun = await _connected(phone)
        await asyncio.sleep(SECONDS)
        mbps = await _mbps(phone, begun)
        async with asyncio.timeout(LIMIT_S):
            found = json.loads((await process.communicate())[0])
    return Run(frames=found["frames"], mbps=mbps, age_ms=found["age_ms"])


async def _to_page(browser: Chromium, phone: Page, origin: str) -> Run:
    page = await browser.open_receiver(origin, DEVICE_ID, "device-token")
    begun = await _connected(phone)
    await page.evaluate(_WATCH)
    await asyncio.sleep(begun + SECONDS - time.monotonic())
    mbps = await _mbps(phone, begun)
    frames = await page.evaluate("receiver.status().then(({ video }) => video.framesDecoded)")
    ages = await page.evaluate("ages")
    return Run(frames=int(frames), mbps=mbps, age_ms=statistics.median(ages) if ages else None)


async def _connected(phone: Page) -> float:
    await phone.wait_for("phone.peer?.connection.connectionState === 'connected'", LIMIT_S)
    return time.monotonic()


async def _mbps(phone: Page, begun: float) -> float:
    """Return the mean bitrate of what the phone's page has sent."""
    sent = await phone.evaluate("phone.status().then(({ video }) => video.bytesSent)")
    return float(sent) * 8e-6 / (time.monotonic() - begun)


def _find_node() -> str | None:
    """Return the path of node, the signaling server's packages being installed; None without it."""
    beside_python = [Path(sys.executable).with_name(name) for name in ("node", "npm")]
    node, npm = (str(path) if path.exists() else shutil.which(path.name) for path in beside_python)
    if node is None or npm is None:
        return None
    if not (PEERS / "node" / "node_modules").exists():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        if subprocess.run(command, cwd=PEERS / "node", stdout=subprocess.DEVNULL, check=False).returncode:
            return None
    return node


@contextlib.asynccontextmanager
async def _signaling(node: str) -> AsyncIterator[str]:
    """Run the npm socket.io server, which serves the pages too; give its origin."""
    process = await asyncio.create_subprocess_exec(
        *(node, str(PEERS / "node" / "signaling_server.js"), json.dumps({"files": str(PEERS / "chromium")})),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # node may be started through a wrapper: the group ends with both
    )
    assert process.stdout is not None
    reading: asyncio.Task[Any] | None = None
    try:
        listening = json.loads(await process.stdout.readline())
        reading = asyncio.create_task(process.stdout.read())  # its events fill no pipe
        yield f"http://127.0.0.1:{listening['data']}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if reading is not None:
            await reading


if __name__ == "__main__":
    typer.run(main)
