"""`python -m benchmarks.av_offset --minutes 10 --loss 3`: how far audio is from its frame in a recording.

The emulator flashes and beeps at the same instant, once a second. A session records it into MP4 and MKV at once;
then both files are decoded, and each beep's beginning is compared with that of its flash. Without and with loss: then
through the relay, at 30 ± 5 ms each way. A beginning of which the packet or the frame was lost says nothing of the
clocks: it is counted, and not compared.

Both sessions run at the same time, so `--minutes 10` takes little more than ten.
"""

import asyncio
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import streamer
from benchmarks.clips import DIRECTORY
from benchmarks.report import Goal, Grid, Report, console, goals_grid, markdown, print_grid
from tests.support.av_offset import GOAL_MS, Offsets, offsets
from tests.support.processes import Child
from tests.support.relay import relay_path

TABLES: Final = DIRECTORY / "av_offset.md"


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long each recording is.")] = 10.0,
    loss: Annotated[float, typer.Option(min=0, max=50, help="Percent of the packets that the second one loses.")] = 3.0,
    markdown_file: Annotated[Path, typer.Option("--markdown", help="Where the table goes as Markdown.")] = TABLES,
) -> None:
    """Record without loss and with it, and compare."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    console.print(f"two sessions, side by side, {minutes:g} minutes")
    found: dict[tuple[str, str], Offsets] = {}
    for name, files in asyncio.run(_record_both(minutes, loss)).items():
        for file in files:
            found[name, file.suffix] = offsets(file)
            file.unlink()
    title = f"Audio beside video, {minutes:g} minutes each: how much later a beep begins than its flash, ms"
    headings = ("recording", "median", "p95 of the size", "largest", "at second", "pairs", "beginning lost", "no beep")
    report = Report(
        [_goal(f"{name}, {suffix}", result) for (name, suffix), result in found.items()],
        [Grid(title, headings, [_row(f"{name}, {suffix}", result) for (name, suffix), result in found.items()])],
    )
    for grid in (*report.grids, goals_grid(report.goals)):
        print_grid(grid)
    markdown_file.write_text(markdown([report]), encoding="utf-8")
    raise typer.Exit(0 if all(goal.is_met for goal in report.goals) else 1)


async def _record_both(minutes: float, loss: float) -> dict[str, list[Path]]:
    whole, lossy = await asyncio.gather(_record("whole", minutes, None), _record("lossy", minutes, relay_path(loss)))
    return {"no loss": whole, f"{loss:g} % loss": lossy}


async def _record(name: str, minutes: float, path: dict[str, float] | None) -> list[Path]:
    files = [DIRECTORY / f"av_offset_{name}{suffix}" for suffix in (".mp4", ".mkv")]
    options: dict[str, Any] = {"width": 360, "height": 640, "flash_and_beep": True}
    with Child("tests.support.phone_process", json.dumps(options | ({"path": path} if path else {}))) as phone:
        place = await asyncio.to_thread(phone.hear)
        async with (
            streamer.connect(
                place["instance"], endpoint=place["endpoint"], credentials=streamer.Token(place["token"])
            ) as session,
            session.record(files[0], overwrite=True),
            session.record(files[1], overwrite=True),
        ):
            await asyncio.sleep(60 * minutes)
    return files


def _row(name: str, found: Offsets) -> Sequence[str]:
    sizes = sorted(map(abs, found.milliseconds))
    return (
        name,
        f"{statistics.median(found.milliseconds):+.1f}",
        f"{sizes[len(sizes) * 95 // 100]:.1f}",
        f"{found.worst:.1f}",
        f"{found.worst_at:.0f}",
        str(len(sizes)),
        str(found.lost),
        str(found.alone),
    )


def _goal(name: str, found: Offsets) -> Goal:
    return Goal(
        measure=f"audio beside video, {name}",
        ours=f"{found.worst:.1f} ms at most",
        goal=f"≤ {GOAL_MS:.0f} ms",
        is_met=found.worst <= GOAL_MS,
    )


if __name__ == "__main__":
    typer.run(main)
