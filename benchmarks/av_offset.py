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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import av
import numpy as np
import typer

import streamer
from benchmarks.clips import DIRECTORY
from benchmarks.processes import Child
from benchmarks.report import Goal, Grid, Report, console, goals_grid, markdown, print_grid
from streamer.emulator import read_barcode

TABLES: Final = DIRECTORY / "av_offset.md"
GOAL_MS: Final = 20.0
DELAY_MS: Final = 30
JITTER_MS: Final = 5
_WHITE: Final = 200  # mean of the luma above the strip; nothing else that the phone shows is so bright
_LOUD: Final = 0.1  # of full scale; the beep is at 0.37
_QUIET_S: Final = 0.2  # of silence before a beep begins
_GAP_S: Final = 0.005  # in the audio's timestamps: a packet is missing
_TAKEN_S: Final = 0.12  # a gap so shortly before a beep: its beginning is lost, and the decoder is quiet for longer


@dataclass(frozen=True, slots=True)
class Onset:
    """The beginning of a flash or a beep, in seconds of the file; whole if nothing of it can be lost."""

    seconds: float
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Offsets:
    """How much later each beep began than its flash; how many pairs were not compared since a beginning was lost."""

    milliseconds: list[float]
    seconds: list[float]  # when in the file each flash began
    lost: int
    alone: int  # flashes without a beep

    @property
    def worst(self) -> float:
        """The largest, whether audio is early or late."""
        return max(map(abs, self.milliseconds))

    @property
    def worst_at(self) -> float:
        """The second of the file at which it is."""
        return max(zip(map(abs, self.milliseconds), self.seconds, strict=True))[1]


def offsets(path: Path) -> Offsets:
    """Decode a recording of the flashing phone and compare."""
    beeps = list(beep_onsets(path))
    found: list[float] = []
    seconds: list[float] = []
    lost = alone = 0
    for flash in flash_onsets(path):
        beep = min(beeps, key=lambda beep: abs(beep.seconds - flash.seconds), default=None)
        if beep is None or abs(beep.seconds - flash.seconds) > 0.5:
            alone += 1
        elif flash.is_whole and beep.is_whole:
            found.append(1000 * (beep.seconds - flash.seconds))
            seconds.append(flash.seconds)
        else:
            lost += 1
    return Offsets(found, seconds, lost, alone)


def flash_onsets(path: Path) -> Iterator[Onset]:
    """Return when the frame becomes white; whole if the frame before it is there."""
    was_white, counter = True, -1
    with av.open(path) as container:
        for frame in container.decode(video=0):
            luma = np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8)
            barcode = read_barcode(luma)
            before, counter = counter, -2 if barcode is None else barcode.counter
            is_white = bool(luma[: frame.height * 9 // 10].mean() > _WHITE)
            if is_white and not was_white and frame.time is not None:
                yield Onset(frame.time, counter == before + 1)
            was_white = is_white


def beep_onsets(path: Path) -> Iterator[Onset]:
    """Return when it becomes loud after silence; whole if no packet is missing shortly before."""
    found: list[float] = []
    gaps: list[float] = []
    expected: float | None = None
    loud_until = _QUIET_S  # one that the recording begins in is none
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            assert frame.time is not None
            if expected is not None and frame.time - expected > _GAP_S:
                gaps += [expected, frame.time]
            expected = frame.time + frame.samples / frame.sample_rate
            loud = np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > _LOUD)  # floats, a row for each channel
            if len(loud):
                first = frame.time + float(loud[0]) / frame.sample_rate
                if first > loud_until:
                    found.append(first)
                loud_until = frame.time + float(loud[-1]) / frame.sample_rate + _QUIET_S
    for seconds in found:
        yield Onset(seconds, not any(-_GAP_S < seconds - gap < _TAKEN_S for gap in gaps))


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


def relay_path(loss: float) -> dict[str, float]:
    """Return the options of a relay that loses so many percent of the packets."""
    return {"loss": loss / 100, "delay_ms": DELAY_MS, "jitter_ms": JITTER_MS, "seed": 1}


async def _record_both(minutes: float, loss: float) -> dict[str, list[Path]]:
    whole, lossy = await asyncio.gather(_record("whole", minutes, None), _record("lossy", minutes, relay_path(loss)))
    return {"no loss": whole, f"{loss:g} % loss": lossy}


async def _record(name: str, minutes: float, path: dict[str, float] | None) -> list[Path]:
    files = [DIRECTORY / f"av_offset_{name}{suffix}" for suffix in (".mp4", ".mkv")]
    options: dict[str, Any] = {"width": 360, "height": 640, "flash_and_beep": True}
    with Child("benchmarks.phone", json.dumps(options | ({"path": path} if path else {}))) as phone:
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
