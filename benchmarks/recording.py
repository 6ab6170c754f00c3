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
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.clips import CLIPS, DIRECTORY, Clip, access_units
from benchmarks.receiving import played
from benchmarks.report import Grid, Report, console, figure, markdown, print_grid
from tests.support.processes import Child
from tests.support.recording_proofs import SUFFIXES, counter_gaps, exact, full, killed, slow

TABLES: Final = DIRECTORY / "recording.md"


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
    return Report(grids=[Grid("A disk of 0.5 MB", headings, rows)], notes=[str(found[0]["error"])])


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
