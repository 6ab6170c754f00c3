"""`python -m benchmarks.compared_runs`: what `streamer timeline compare` says of equal runs and of planted differences.

Each run uses the emulator's apps over a real connection: it opens the settings, scrolls, goes home, opens the slow page
and taps three of its pads, each in a step. In the slower run one pad answers a second later; in the other one a label
of the page has another digit. Ten pairs of each, and ten pairs of equal runs; some minutes.
"""

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

import av
import typer

import streamer
from benchmarks.report import Goal, console, goals_grid, print_grid
from streamer import emulator
from streamer.replay import compare_replays, read_replay
from streamer.timeline.comparison import LEAST_S, SHARE, first_difference
from streamer.timeline.journal import Journal
from streamer.timeline.records import End, Frames, Record, Start, Video, encode

LIMIT_S: Final = 60.0
SETTINGS_ICON, SLOW_PAGE_ICON = (0.125, 0.23), (0.875, 0.23)
PADS: Final = (0.45, 0.63, 0.80)  # from the top
REACTIONS_MS: Final = (100, 300, 1300)


def main(pairs: Annotated[int, typer.Option(help="Pairs of each kind.", min=1)] = 10) -> None:
    """Make the runs, compare them, and print what was named."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder), pairs))


async def _measure(folder: Path, pairs: int) -> None:
    found: dict[str, Counter[str]] = {"equal": Counter(), "slower": Counter(), "label": Counter()}
    for number in range(pairs):
        good = await _run(folder / f"{number}-good")
        for name, bad in {
            "equal": await _run(folder / f"{number}-equal"),
            "slower": await _run(folder / f"{number}-slower", second_pad=2),
            "label": await _run(folder / f"{number}-label", reactions_ms=(100, 300, 1301)),
        }.items():
            ignore = [streamer.Region.STATUS_BAR]
            compared = compare_replays(read_replay(good), read_replay(bad), ignore=ignore, least_s=LEAST_S, share=SHARE)
            first = first_difference(compared)
            told = "nothing" if first is None else f"{first.name} ({', '.join(first.kinds)})"
            looked = sum(pair.is_picture_compared for pair in compared)
            found[name][told] += 1
            console.print(f"{number} {name:7} {told}; {looked} of {len(compared)} pictures compared")
    wanted = {"equal": "nothing", "slower": "tap pad 2 (length)", "label": "open the slow page (picture)"}
    goals = [
        Goal(
            measure=f"{name}: the first step that is named",
            ours=", ".join(f"{count} x {told}" for told, count in counted.most_common()),
            goal=wanted[name],
            is_met=counted == {wanted[name]: pairs},
        )
        for name, counted in found.items()
    ]
    print_grid(goals_grid(goals))


async def _run(folder: Path, *, second_pad: int = 1, reactions_ms: tuple[int, ...] = REACTIONS_MS) -> Path:
    async with (
        emulator.serve(width=360, height=640, fps=30, audio=False, screen="apps", reactions_ms=reactions_ms) as phone,
        streamer.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
        ) as session,
        _kept(session, folder),
    ):
        with session.step("open the settings"):
            await session.tap(*SETTINGS_ICON).settled(timeout_s=LIMIT_S)
        with session.step("scroll"):
            await session.swipe((0.5, 0.8), (0.5, 0.5), hold_s=0.3).settled(timeout_s=LIMIT_S)
        with session.step("go home"):
            await session.press("HOME").settled(timeout_s=LIMIT_S)
        with session.step("open the slow page"):
            await session.tap(*SLOW_PAGE_ICON).settled(timeout_s=LIMIT_S)
        for number, pad in enumerate((0, second_pad, 0), start=1):
            with session.step(f"tap pad {number}"):
                await session.tap(0.5, PADS[pad]).settled(timeout_s=LIMIT_S)
    return folder


@contextlib.asynccontextmanager
async def _kept(session: streamer.Session, folder: Path) -> AsyncIterator[None]:
    """Keep the timeline and the video of what is done within the block, as the pytest plugin does."""
    await asyncio.to_thread(folder.mkdir)
    journal: Journal = session._journal
    await session.wait_until_still(timeout_s=LIMIT_S)
    records: list[Record] = [Start(at=time.time(), test="slow page", phone=session.instance_id)]
    async with session.record(folder / "video.mp4") as recording:
        with journal.heard_by(records.append):
            yield
        await session.wait_until_still(timeout_s=LIMIT_S)
    (segment,) = recording.segments
    with av.open(segment.path) as container:
        times = [frame.time or 0.0 for frame in container.decode(video=0)]
    for second in range(int(segment.duration_s) + 1):
        within = [each for each in times if second <= each < second + 1]
        gap_s = max((later - earlier for earlier, later in pairwise(within)), default=0.0)
        records.append(Frames(at=segment.started_at + second + 1, frames=len(within), longest_gap_s=gap_s, bytes=0))
    now = time.time()
    records += [
        Video(at=segment.started_at, path="video.mp4", duration_s=segment.duration_s),
        End(at=now, outcome="passed", duration_s=now - records[0].at),
    ]
    (folder / "timeline.jsonl").write_bytes(encode(records))


if __name__ == "__main__":
    typer.run(main)
