"""`python -m benchmarks.recording`: whether recordings can be trusted, and what they cost.

exact    a long recording, turned and still in it: what the phone sent is in the file, packet by packet
killed   a process that records is killed at a random moment, many times
full     the disk is full
slow     nobody reads the pipe for a while
cost     CPU beside aiortc's MediaRecorder and ffmpeg

The emulator is a process of its own, and so is whoever is killed or measured. Linux only; `full` mounts a small
file system and needs root.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import streamer
from benchmarks.clips import CLIPS, DIRECTORY, Clip, access_units
from benchmarks.evidence import Comparison, compare, counters
from benchmarks.processes import Child, usage
from benchmarks.receiving import played
from benchmarks.recorder import connected
from benchmarks.report import Grid, Report, console, figure, markdown, print_grid
from benchmarks.soak import Sample, growth_kb

TABLES: Final = DIRECTORY / "recording.md"
SUFFIXES: Final = (".mp4", ".mkv", ".ts")
LONGEST_STILL_S: Final = 60.0
SAMPLE_S: Final = 5.0
PIPE_PART: Final = 65536


class Phone:
    """An emulator that runs as a process of its own, and what it has sent."""

    def __init__(self, child: Child, place: dict[str, str]) -> None:
        self.place = place
        self._child = child

    def connect(self) -> streamer.Connecting:
        """Connect to it."""
        return connected(self.place)

    async def tell(self, command: str) -> Any:
        """Give it a command; return its answer."""
        self._child.tell(command)
        return await asyncio.to_thread(self._child.hear)


@contextlib.asynccontextmanager
async def running_phone(**options: Any) -> AsyncIterator[Phone]:
    """Run an emulator that notes what it sends."""
    with Child("benchmarks.phone", json.dumps({"note_sent": True, **options})) as child:
        yield Phone(child, await asyncio.to_thread(child.hear))


async def exact(directory: Path, *, seconds: float, **options: Any) -> dict[str, Any]:
    """Record into every kind of file at once, for so long; turn the phone, and let it be still for a fifth of that.

    Return the comparisons, the counters in the MP4's frames, and what this process held meanwhile.
    """
    still_s = min(LONGEST_STILL_S, seconds / 5)
    part_s = (seconds - still_s) / 4
    paths = [directory / f"exact{suffix}" for suffix in SUFFIXES]
    samples: list[Sample] = []
    async with running_phone(**options) as phone, phone.connect() as session:
        sampling = asyncio.create_task(_sample(samples, every_s=min(SAMPLE_S, seconds / 20)))
        async with contextlib.AsyncExitStack() as stack:
            recordings = [await stack.enter_async_context(session.record(path, overwrite=True)) for path in paths]
            for pause_s, command in ((part_s, "rotate"), (part_s, "still"), (still_s, "wake"), (part_s, "rotate")):
                await asyncio.sleep(pause_s)
                await phone.tell(command)
            await asyncio.sleep(part_s)
        sampling.cancel()
        stats = session.stats()
        sent = await phone.tell("sent")
    return {
        "still_s": still_s,
        "lost": stats.frames_lost + stats.frames_malformed + stats.frames_awaiting_keyframe,
        "dropped": sum(recording.dropped for recording in recordings),
        "recordings": recordings,
        "files": {path: {kind: compare(path, kind, sent[kind]) for kind in sent} for path in paths},
        "counters": await asyncio.to_thread(list, counters(paths[0])),
        "growth_kb": growth_kb([sample for sample in samples if sample.seconds > seconds / 4]),
        "samples": samples,
    }


async def _sample(samples: list[Sample], *, every_s: float) -> None:
    start = time.monotonic()
    while True:
        samples.append(Sample(time.monotonic() - start, usage()))
        await asyncio.sleep(every_s)


def counter_gaps(found: list[int | None]) -> int:
    """Return how many frames are missing or cannot be read; the same one again is one that was still."""
    readable = [counter for counter in found if counter is not None]
    jumps = sum(after - before not in {0, 1} for before, after in itertools.pairwise(readable))
    return jumps + len(found) - len(readable)


async def killed(directory: Path, *, times: int, seed: int, longest_s: float, at_once: int = 1) -> list[dict[str, Any]]:
    """Let a process record into every kind of file, and kill it at a random moment; so many times.

    Of each file: how it compares, and for how long the phone had sent frames that are not in it.
    """
    moments = random.Random(seed)
    found: list[dict[str, Any]] = []
    async with running_phone(width=360, height=640, allow_many=True) as phone:
        for first in range(0, times, at_once):
            numbers = range(first, min(first + at_once, times))
            kills = [(number, moments.uniform(0, longest_s)) for number in numbers]
            ended = await asyncio.gather(
                *(asyncio.to_thread(_kill, phone.place, directory, number, after_s) for number, after_s in kills)
            )
            sent = await phone.tell("sent")
            for killed_at, after_s, paths in ended:
                for path in paths:
                    found.append(_left(path, sent, killed_at) | {"after_s": after_s})
                    path.unlink()
    return found


def _kill(place: dict[str, str], directory: Path, number: int, after_s: float) -> tuple[float, float, list[Path]]:
    paths = [directory / f"killed-{number}{suffix}" for suffix in SUFFIXES]
    options = {"place": place, "paths": list(map(str, paths))}
    with Child("benchmarks.recorder", "session", json.dumps(options)) as recorder:
        recorder.hear()
        time.sleep(after_s)
        return recorder.kill(), after_s, paths


def _left(path: Path, sent: dict[str, list[Any]], killed_at: float) -> dict[str, Any]:
    """Return what a process that was killed has left; `lost_s` is how long ago the first packet went that it lost."""
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    of: dict[str, Comparison] = {kind: compare(path, kind, sent[kind]) for kind in sent}
    lost_s = {}
    for kind, comparison in of.items():
        after = comparison.places[-1] + 1 if comparison.places else 0
        gone = [when for when, *_ in sent[kind][after:] if when < killed_at]
        lost_s[kind] = killed_at - gone[0] if gone and comparison.places else 0.0
    return {
        "suffix": path.suffix,
        "opens": told.returncode == 0 and "h264" in told.stdout,
        "complaint": told.stderr.strip(),
        "video": of["video"],
        "audio": of["audio"],
        "lost_s": lost_s,
    }


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Give a directory that holds so much. Raises OSError if it cannot be mounted."""
    with tempfile.TemporaryDirectory() as name:
        told = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", name],
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            raise OSError(f"a small file system cannot be mounted: {told.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


async def full(directory: Path, **options: Any) -> list[dict[str, Any]]:
    """Record into each kind of file on a disk of 2 MB of its own, and into one where there is room; until all are full.

    Raises OSError if such a disk cannot be had.
    """
    with contextlib.ExitStack() as disks:
        paths = [disks.enter_context(small_disk(2)) / f"full{suffix}" for suffix in SUFFIXES]
        beside = directory / "beside.mp4"
        async with running_phone(**options) as phone, phone.connect() as session:
            recordings = [session.record(path, overwrite=True, manifest=path.with_suffix(".jsonl")) for path in paths]
            async with session.record(beside, overwrite=True) as other, asyncio.timeout(120):
                await asyncio.gather(*(recording.closed() for recording in recordings))
            lost = session.stats().frames_lost
            sent = await phone.tell("sent")
        found = [
            {
                "suffix": path.suffix,
                "error": recording.error,
                "frames": recording.frames,
                "video": compare(path, "video", sent["video"]),
                "decoded": len(list(counters(path))),
                "size": path.stat().st_size,
            }
            for path, recording in zip(paths, recordings, strict=True)
        ]
        return [
            *found,
            {
                "suffix": "a file beside them",
                "error": other.error,
                "frames": other.frames,
                "video": compare(beside, "video", sent["video"]),
                "decoded": len(list(counters(beside))),
                "size": beside.stat().st_size,
                "lost": lost,
            },
        ]


async def slow(directory: Path, *, flowing_s: float, stalled_s: float, **options: Any) -> dict[str, Any]:
    """Record into a pipe that nobody reads for a while, and look at every frame beside that; then both go on.

    Ages are what passes between the drawing of a frame and its arrival at the consumer, in seconds.
    """
    path = directory / "slow.ts"
    reading = threading.Event()
    ages: dict[str, list[float]] = {"flowing": [], "stalled": [], "again": []}
    seen: list[int] = []
    now = "flowing"
    out, into = os.pipe()

    def read() -> None:
        with path.open("wb") as file, os.fdopen(out, "rb", buffering=0) as pipe:
            while reading.wait() and (data := pipe.read(PIPE_PART)):
                file.write(data)

    async def look(session: streamer.Session) -> None:
        async for frame in session.frames("every"):
            if (barcode := streamer.emulator.read_barcode(frame.to_ndarray("gray"))) is not None:
                seen.append(barcode.counter)
                ages[now].append((time.time() * 1000 - barcode.clock_ms) % 2**32 / 1000)

    async with running_phone(**options) as phone, phone.connect() as session:
        reader = threading.Thread(target=read, name="reader")
        reader.start()
        reading.set()
        looking = asyncio.create_task(look(session))
        try:
            with os.fdopen(into, "wb", buffering=0) as pipe:
                async with session.record(pipe) as recording:
                    await asyncio.sleep(flowing_s)
                    now = "stalled"
                    reading.clear()
                    await asyncio.sleep(stalled_s)
                    dropped = recording.dropped
                    now = "again"
                    reading.set()
                    await asyncio.sleep(flowing_s)
        finally:
            reading.set()
            looking.cancel()
            await asyncio.wait({looking})
            await asyncio.to_thread(reader.join)
        stats = session.stats()
        sent = await phone.tell("sent")
    return {
        "ages": ages,
        "skipped": sum(after - before - 1 for before, after in itertools.pairwise(seen) if after > before),
        "lost": stats.frames_lost,
        "dropped_meanwhile": dropped,
        "dropped": recording.dropped,
        "frames": recording.frames,
        "files": {kind: compare(path, kind, sent[kind]) for kind in sent},
    }


# The tables


def _exact_report(directory: Path, minutes: float, kills: int, rounds: int) -> Report:
    del kills, rounds
    found = asyncio.run(exact(directory, seconds=60 * minutes))
    rows = []
    for (path, of), recording in zip(found["files"].items(), found["recordings"], strict=True):
        video, audio = of["video"], of["audio"]
        rows.append(
            (
                path.suffix,
                f"{recording.duration_s:.1f}",
                f"{recording.size_bytes / 1e6:.1f}",
                f"{len(video.places)} of {video.packets}",
                str(video.missing),
                f"{1000 * video.worst_step_s:.2f}",
                f"{video.longest_s:.2f}",
                f"{len(audio.places)} of {audio.packets}",
                str(audio.missing),
            )
        )
    headings = (
        "",
        "seconds",
        "MB",
        "frames as sent",
        "missing",
        "time off by, ms",
        "longest still, s",
        "audio as sent",
        "missing",
    )
    first, last = found["samples"][len(found["samples"]) // 4].held.rss_kb, found["samples"][-1].held.rss_kb
    return Report(
        grids=[Grid(f"{minutes:g} minutes, turned twice, still for {found['still_s']:.0f} s", headings, rows)],
        notes=[
            f"the counter in the MP4's {len(found['counters'])} frames, decoded: {counter_gaps(found['counters'])} "
            f"gaps; {found['lost']} frames lost on the way, {found['dropped']} packets dropped by the recorder",
            f"memory of the process with its three recordings: {first / 1024:.1f} MB after a quarter of the time, "
            f"{last / 1024:.1f} MB at the end, {found['growth_kb']:+.1f} kB a minute",
        ],
    )


def _killed_report(directory: Path, minutes: float, kills: int, rounds: int) -> Report:
    del minutes, rounds
    found = asyncio.run(killed(directory, times=kills, seed=1, longest_s=8))
    rows = []
    for suffix in SUFFIXES:
        those = [left for left in found if left["suffix"] == suffix]
        lost = sorted(left["lost_s"]["video"] for left in those if left["video"].packets)
        rows.append(
            (
                suffix,
                str(len(those)),
                str(sum(left["opens"] for left in those)),
                str(sum(left["video"].is_exact and left["video"].missing == 0 for left in those)),
                str(sum(left["video"].packets == 0 for left in those)),
                figure(statistics.median(lost) if lost else None, "{:.2f}"),
                figure(max(lost, default=None), "{:.2f}"),
                figure(max(left["lost_s"]["audio"] for left in those), "{:.2f}"),
            )
        )
    empty = [left["after_s"] for left in found if not left["video"].packets]
    headings = (
        "",
        "killed",
        "opened by ffprobe",
        "frames as sent, no gap",
        "without a frame yet",
        "lost s, median",
        "most",
        "audio, most",
    )
    notes = [f"the latest kill that left no frame was {max(empty):.2f} s after the first one came"] if empty else []
    complaints = {left["complaint"] for left in found} - {""}
    return Report(
        grids=[Grid("kill -9 at a random moment of the first eight seconds", headings, rows)],
        notes=[*notes, *(f"ffprobe: {complaint}" for complaint in sorted(complaints))],
    )


def _full_report(directory: Path, minutes: float, kills: int, rounds: int) -> Report:
    del minutes, kills, rounds
    found = asyncio.run(full(directory))
    rows = [
        (
            item["suffix"],
            f"{item['size'] / 1e6:.2f}",
            str(item["frames"]),
            f"{len(item['video'].places)} of {item['video'].packets}",
            str(item["video"].missing),
            str(item["decoded"]),
            item["error"].reason if item["error"] else "none",
        )
        for item in found
    ]
    headings = ("", "MB", "recording.frames", "in the file as sent", "missing", "decoded", "error")
    return Report(grids=[Grid("A disk of 2 MB", headings, rows)], notes=[str(found[0]["error"])])


def _slow_report(directory: Path, minutes: float, kills: int, rounds: int) -> Report:
    del minutes, kills, rounds
    found = asyncio.run(slow(directory, flowing_s=15, stalled_s=30))
    rows = [
        (
            {"flowing": "read", "stalled": "not read", "again": "read again"}[name],
            str(len(ages)),
            f"{1000 * statistics.median(ages):.1f}",
            f"{1000 * sorted(ages)[len(ages) * 99 // 100]:.1f}",
            f"{1000 * max(ages):.1f}",
        )
        for name, ages in found["ages"].items()
    ]
    of = found["files"]
    return Report(
        grids=[
            Grid(
                "A pipe that is not read for 30 s; every frame taken beside it, from drawing to consumer",
                ("the pipe is", "frames", "p50 ms", "p99 ms", "most ms"),
                rows,
            )
        ],
        notes=[
            f"the consumer missed {found['skipped']} frames",
            f"{len(of['video'].places)} of {of['video'].packets} frames and {len(of['audio'].places)} of "
            f"{of['audio'].packets} packets of audio are as they were sent",
            f"the recorder counted {found['dropped']} packets that it dropped; in what was read "
            f"{of['video'].missing} frames and {of['audio'].missing} packets of audio are missing, and after "
            f"{of['video'].bare_gaps} of the gaps there is no keyframe",
        ],
    )


_RIVALS: Final = {
    "streamer, all of it": ("network", "streamer"),
    "aiortc MediaRecorder, all of it": ("network", "aiortc"),
    "streamer's recorder alone": ("recorder", "write"),
    "ffmpeg -c copy": ("recorder", "remux"),
}
_COST_S: Final = 10.0


def _cost_report(directory: Path, minutes: float, kills: int, rounds: int) -> Report:
    del directory, minutes, kills
    spent: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(rounds):
        for clip in CLIPS:
            for rival, (way, name) in _RIVALS.items():
                console.print(f"cost: {clip.name}, {rival}, round {number + 1} of {rounds}")
                spent.setdefault((clip.name, rival), []).append(_cost(way, name, clip))
    rows = []
    for rival in _RIVALS:
        row = [rival]
        for clip in CLIPS:
            cpu = statistics.median(cpu for cpu, _ in spent[clip.name, rival])
            peak = statistics.median(peak for _, peak in spent[clip.name, rival])
            row += [f"{cpu:.2f}", f"{peak:.0f}" if peak else ""]
        rows.append(row)
    headings = ["", *(f"{clip.name}, {what}" for clip in CLIPS for what in ("CPU s", "peak MB"))]
    return Report(
        grids=[Grid("CPU seconds a recorded minute", headings, rows)],
        notes=[
            "the first two receive over WebRTC on loopback: ICE, DTLS, SRTP, the jitter buffer, and the file; "
            "MediaRecorder decodes and encodes again",
            "the other two get whole access units, at their pace, from memory (streamer: Python and its event loop "
            "included) or through a pipe (ffmpeg: what feeds it is not counted): nothing to set beside the first "
            "two; of ffmpeg its start is counted too",
        ],
    )


def _cost(way: str, name: str, clip: Clip) -> tuple[float, float]:
    """Return CPU seconds for a minute of a clip, and the most memory held, in MB."""
    if way == "network":
        with Child("benchmarks.receiver", "record", json.dumps({"rival": name, "clip": clip.name})) as receiver:
            played(receiver, {"clip": clip.name})
            found = receiver.hear()
    else:
        with Child("benchmarks.recorder", name, json.dumps({"clip": clip.name, "seconds": _COST_S})) as recorder:
            found = recorder.hear()
    return found["cpu_s"] / max(found["frames"], 1) * 60 * clip.fps, found["peak_kb"] / 1024


PARTS: Final[dict[str, Callable[[Path, float, int, int], Report]]] = {
    "exact": _exact_report,
    "killed": _killed_report,
    "full": _full_report,
    "slow": _slow_report,
    "cost": _cost_report,
}


def main(
    minutes: Annotated[float, typer.Option(help="How long the exact recording is.", min=0.3)] = 1.0,
    kills: Annotated[int, typer.Option(help="How often a recorder is killed.", min=1)] = 50,
    rounds: Annotated[int, typer.Option(help="How often costs are measured; medians are shown.", min=1)] = 3,
    only: Annotated[str, typer.Option(help=f"Some parts, by their names: {', '.join(PARTS)}.")] = "",
    markdown_file: Annotated[Path, typer.Option("--markdown", help="Where the tables go as Markdown.")] = TABLES,
) -> None:
    """Try recordings in every way that they may fail, and print what came of it."""
    if not sys.platform.startswith("linux") or shutil.which("ffprobe") is None:
        raise SystemExit(
            "this reads /proc, mounts a tmpfs and runs ffprobe and ffmpeg: it needs Linux, and both installed"
        )
    chosen = only.split(",") if only else list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        raise SystemExit(f"no part is called {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    if "cost" in chosen:
        for clip in CLIPS:
            access_units(clip)
    reports = []
    for name in chosen:
        with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
            report = PARTS[name](Path(directory), minutes, kills, rounds)
        for grid in report.grids:
            print_grid(grid)
        for note in report.notes:
            console.print(f"  {note}")
        reports.append(report)
    markdown_file.write_text(markdown(reports), encoding="utf-8")
    console.print(f"the same as Markdown: {markdown_file}")


if __name__ == "__main__":
    typer.run(main)
