"""`make bench`: receive the same clips with every rival, in turn, and print what each costs.

Sender and receiver are processes of their own; rounds are interleaved; each figure is the median over the rounds.
"""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.clips import CLIPS, Clip, access_units
from benchmarks.receiver import RIVALS, WARM_UP

console = Console()


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    cpu_ms_per_picture: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    missing: int | None  # pictures after the warm-up that never came
    peak_mb: float


def run(rival: str, clip: Clip) -> Figures:
    """Let one rival receive a clip once."""
    with _start("benchmarks.receiver", rival, clip.name) as receiver:
        sent_ns: list[int] = []
        if rival != "floor":
            with _start("benchmarks.sender", clip.name) as sender:
                _tell(receiver, _hear(sender))
                _tell(sender, _hear(receiver))
                sent_ns = _hear(sender)["sent_ns"]
        result = _hear(receiver)
    arrivals = {int(number): ns for number, ns in result["arrivals_ns"].items()}
    first = round(WARM_UP * clip.fps)
    delays = sorted((arrivals[n] - sent_ns[n]) / 1e6 for n in range(first, len(sent_ns)) if n in arrivals)
    return Figures(
        cpu_ms_per_picture=1000 * result["cpu_s"] / max(result["pictures"], 1),
        latency_p50_ms=statistics.median(delays) if delays else None,
        latency_p99_ms=delays[len(delays) * 99 // 100] if delays else None,
        missing=sum(n not in arrivals for n in range(first, len(sent_ns))) if arrivals and sent_ns else None,
        peak_mb=result["peak_kb"] / 1024,
    )


def main(rounds: int = 3, only: str = "") -> None:
    """Run every rival so many times; `--only` keeps the rivals and clips whose name contains it."""
    jobs = [(clip, rival) for clip in CLIPS for rival in RIVALS if only in f"{clip.name} {rival}"]
    for clip in CLIPS:
        access_units(clip)
    results: dict[tuple[str, str], list[Figures]] = {}
    for _ in range(rounds):
        for clip, rival in track(jobs, "measuring", console=console):
            results.setdefault((clip.name, rival), []).append(run(rival, clip))
    for clip in CLIPS:
        table = Table(title=f"{clip.name}: {clip.width}x{clip.height} at {clip.fps} fps, {_bitrate(clip):.1f} Mbit/s")
        for heading in ("", "CPU ms a picture", "of the floor", "p50 ms", "p99 ms", "missing", "peak MB"):
            table.add_column(heading, justify="right" if heading else "left")
        floor = _median(results.get((clip.name, "floor"), []), "cpu_ms_per_picture")
        for rival in RIVALS:
            runs = results.get((clip.name, rival))
            if not runs:
                continue
            cpu = _median(runs, "cpu_ms_per_picture") or 0.0
            table.add_row(
                rival,
                f"{cpu:.2f}",
                f"{cpu / floor:.2f}" if floor else "",
                _text(_median(runs, "latency_p50_ms")),
                _text(_median(runs, "latency_p99_ms")),
                _text(_median(runs, "missing"), "{:.0f}"),
                _text(_median(runs, "peak_mb"), "{:.0f}"),
            )
        console.print(table)


def _bitrate(clip: Clip) -> float:
    return sum(len(data) for _, data in access_units(clip)) * 8 / clip.seconds / 1e6


def _median(runs: list[Figures], name: str) -> float | None:
    values = [value for figures in runs if (value := getattr(figures, name)) is not None]
    return statistics.median(values) if values else None


def _text(value: float | None, form: str = "{:.1f}") -> str:
    return "" if value is None else form.format(value)


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _hear(process: subprocess.Popen[str]) -> Any:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise SystemExit(f"{process.args!r} ended without an answer")
    return json.loads(line)


def _tell(process: subprocess.Popen[str], message: Any) -> None:
    if process.stdin:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()


if __name__ == "__main__":
    typer.run(main)
