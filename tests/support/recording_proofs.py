"""Recordings under everything that may go wrong with them.

The emulator is a process of its own, and so is a recorder that is killed.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import statistics
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import streamer
from tests.support.evidence import Comparison, compare, counters
from tests.support.processes import Child, Usage, usage
from tests.support.recorder_process import connected
from tests.support.small_disk import small_disk

SUFFIXES: Final = (".mp4", ".mkv", ".ts")
LONGEST_STILL_S: Final = 60.0
SAMPLE_S: Final = 5.0
PIPE_PART: Final = 65536


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process held at one moment."""

    seconds: float
    held: Usage


def growth_kb(samples: list[Sample]) -> float:
    """Return how much more is held each minute: the median of all slopes between two samples (Theil and Sen).

    A step, as when pools grow once, does not tilt it.
    """
    return statistics.median(
        60 * (after.held.rss_kb - before.held.rss_kb) / (after.seconds - before.seconds)
        for before, after in itertools.combinations(samples, 2)
    )


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
    with Child("tests.support.phone_process", json.dumps({"note_sent": True, **options})) as child:
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
    with Child("tests.support.recorder_process", json.dumps(options)) as recorder:
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
        "size": path.stat().st_size,
        "opens": told.returncode == 0 and "h264" in told.stdout,
        "complaint": told.stderr.strip(),
        "video": of["video"],
        "audio": of["audio"],
        "lost_s": lost_s,
    }


async def full(directory: Path, **options: Any) -> list[dict[str, Any]]:
    """Record into each kind of file on a disk of 0.5 MB, and into one where there is room, until all are full.

    Raises OSError if such a disk cannot be had.
    """
    with contextlib.ExitStack() as disks:
        paths = [disks.enter_context(small_disk(512)) / f"full{suffix}" for suffix in SUFFIXES]
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
