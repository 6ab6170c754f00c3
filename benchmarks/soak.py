"""`python -m benchmarks.soak --minutes 30`: one long session, and whether anything grows.

The emulator (a process of its own) sends 720x1280 at 30 fps and audio; this process takes the newest frame
all the time and records all the time. Each minute it prints what it holds.
"""

import asyncio
import itertools
import time
from typing import Annotated, Final

import typer

import streamer
from benchmarks.clips import DIRECTORY
from benchmarks.report import console
from tests.support.processes import Child, usage
from tests.support.recording_proofs import Sample, growth_kb

RSS_SLOPE_LIMIT: Final = 50.0  # kB a minute: 72 MB a day
WARM_UP_S: Final = 300.0  # pools fill and the interpreter settles
SAMPLE_S: Final = 10.0
_ROW: Final = "{:>7}  {:>7}  {:>7}  {:>5}  {:>5}  {:>10}"


def main(
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0,
    record: Annotated[bool, typer.Option(help="Whether to record all the time.")] = True,
) -> None:
    """Run a session for so long and judge whether it grows."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = DIRECTORY / "soak.mp4"
    try:
        samples = asyncio.run(_soak(minutes, record=record))
    finally:
        path.unlink(missing_ok=True)
    raise typer.Exit(
        0 if _judge([sample for sample in samples if sample.seconds >= min(WARM_UP_S, minutes * 15)]) else 1
    )


def _judge(samples: list[Sample]) -> bool:
    """Say whether the process grew."""
    slope = growth_kb(samples)
    threads = sorted({sample.held.threads for sample in samples})
    files = sorted({sample.held.files for sample in samples})
    holds = slope <= RSS_SLOPE_LIMIT and len(threads) == 1 and len(files) == 1
    console.print(f"RSS {slope:+.1f} kB a minute (limit {RSS_SLOPE_LIMIT:.0f}), threads {threads}, open files {files}")
    console.print("[green]it does not grow[/]" if holds else "[red]it grows[/]")
    return holds


async def _soak(minutes: float, *, record: bool) -> list[Sample]:
    """Run a session for so long; return what the process held, every ten seconds."""
    with Child("tests.support.phone_process") as phone:
        place = phone.hear()
        async with streamer.connect(
            place["instance"], endpoint=place["endpoint"], credentials=streamer.Token(place["token"])
        ) as session:
            recording = session.record(DIRECTORY / "soak.mp4", overwrite=True) if record else None
            looking = asyncio.create_task(_look(session), name="the consumer")
            try:
                samples = await _sample(minutes, session)
            finally:
                looking.cancel()
                await asyncio.wait({looking})
            if recording is not None:
                await recording.stop()
                console.print(
                    f"recorded {recording.duration_s:.0f} s, {recording.frames} frames, {recording.dropped} dropped"
                )
            stats = session.stats()
    console.print(
        f"decoded {stats.frames_decoded} of {stats.frames_received} frames, {stats.decode_errors} decode errors, "
        f"{stats.packets_lost} packets lost"
    )
    return samples


async def _look(session: streamer.Session) -> None:
    async for frame in session:
        frame.to_ndarray("gray", size=(90, 160))


async def _sample(minutes: float, session: streamer.Session) -> list[Sample]:
    samples: list[Sample] = []
    start = time.monotonic()
    cpu_s = time.process_time()
    console.print(_ROW.format("minute", "RSS MB", "threads", "files", "CPU %", "frames/s"))
    for number in itertools.count():
        await asyncio.sleep(max(start + SAMPLE_S * number - time.monotonic(), 0))
        held = usage()
        samples.append(Sample(time.monotonic() - start, held))
        if number * SAMPLE_S % 60 == 0:
            spent_s, cpu_s = time.process_time() - cpu_s, time.process_time()
            console.print(
                _ROW.format(
                    round(number * SAMPLE_S / 60),
                    f"{held.rss_kb / 1024:.1f}",
                    held.threads,
                    held.files,
                    f"{100 * spent_s / 60:.1f}" if number else "",
                    f"{session.stats().frames_per_second:.0f}",
                )
            )
        if number * SAMPLE_S >= 60 * minutes:
            break
    return samples


if __name__ == "__main__":
    typer.run(main)
