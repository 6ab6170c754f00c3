"""What receiving costs and how late frames come, beside aiortc and beside the decoder alone; what recording costs."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.clips import CLIPS, Clip, access_units
from benchmarks.receiver import WARM_UP
from benchmarks.report import Goal, Grid, Report, figure
from tests.support.processes import Child

CPU_GOAL: Final = 1.10
LATENCY_GOALS: Final = {30: 0.12, 60: 0.25}
TAIL_GOAL: Final = 0.5
RECORDING_GOAL: Final = 15

_RIVALS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "floor": ("floor", {}),
    "streamer": ("watch", {"rival": "streamer"}),
    "streamer + uvloop": ("watch", {"rival": "streamer", "uvloop": True}),
    "aiortc": ("watch", {"rival": "aiortc"}),
    "aiortc + uvloop": ("watch", {"rival": "aiortc", "uvloop": True}),
    "streamer, recording": ("record", {"rival": "streamer"}),
    "aiortc MediaRecorder": ("record", {"rival": "aiortc"}),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    cpu_ms: float  # a frame
    p50_ms: float | None  # from the sender's packetiser to the consumer
    p99_ms: float | None
    missing: int | None  # frames after the warm-up that never came
    peak_mb: float


Runs = dict[tuple[str, str], list[Figures]]


def measure(rounds: int) -> Iterator[str | Report]:
    """Let every rival receive every clip, round after round."""
    runs: Runs = {}
    for number in range(rounds):
        for clip in CLIPS:
            for rival in _RIVALS:
                yield f"{clip.name}, {rival}, round {number + 1} of {rounds}"
                runs.setdefault((clip.name, rival), []).append(_run(rival, clip))
    goals = [goal for clip in CLIPS for goal in _goals(clip, runs)]
    yield Report(goals, [_grid(clip, runs) for clip in CLIPS])


def _run(rival: str, clip: Clip) -> Figures:
    task, options = _RIVALS[rival]
    with Child("benchmarks.receiver", task, json.dumps({"clip": clip.name, **options})) as receiver:
        sent_ns: list[int] = []
        if rival != "floor":
            sent_ns = played(receiver, {"clip": clip.name})["sent_ns"]
        result = receiver.hear()
    arrivals = {int(number): ns for number, ns in result["arrivals_ns"].items()}
    first = round(WARM_UP * clip.fps)
    delays = sorted((arrivals[n] - sent_ns[n]) / 1e6 for n in range(first, len(sent_ns)) if n in arrivals)
    return Figures(
        cpu_ms=1000 * result["cpu_s"] / max(result["frames"], 1),
        p50_ms=statistics.median(delays) if delays else None,
        p99_ms=delays[len(delays) * 99 // 100] if delays else None,
        missing=sum(n not in arrivals for n in range(first, len(sent_ns))) if delays else None,
        peak_mb=result["peak_kb"] / 1024,
    )


def played(receiver: Child, options: dict[str, Any]) -> Any:
    """Let a sender play to a receiver; return what the sender says at the end."""
    with Child("benchmarks.sender", json.dumps(options)) as sender:
        receiver.tell(sender.hear())
        sender.tell(receiver.hear())
        return sender.hear()


def _median(runs: Runs, clip: Clip, rival: str, name: str) -> float | None:
    values = [value for figures in runs[clip.name, rival] if (value := getattr(figures, name)) is not None]
    return statistics.median(values) if values else None


def _goals(clip: Clip, runs: Runs) -> Iterator[Goal]:
    def compare(
        measure: str, name: str, ours: str, other: str, limit: float, *, form: str = "{:.2f} ms", inverse: bool = False
    ) -> Goal:
        mine, theirs = _median(runs, clip, ours, name), _median(runs, clip, other, name)
        ratio = mine / theirs if mine is not None and theirs else None
        return Goal(
            measure=f"{measure}, {clip.name}",
            ours=figure(mine, form),
            beside=f"{other} {figure(theirs, form)}",
            ratio=("1/" + figure(1 / ratio, "{:.1f}") if inverse else figure(ratio, "{:.2f}")) if ratio else "",
            goal=f"≤ 1/{limit:.0f}" if inverse else f"≤ {limit:.2f}",
            is_met=None if ratio is None else ratio <= (1 / limit if inverse else limit),
        )

    yield compare("CPU a frame", "cpu_ms", "streamer", "floor", CPU_GOAL)
    yield compare("latency p50", "p50_ms", "streamer", "aiortc", LATENCY_GOALS[clip.fps], form="{:.1f} ms")
    yield compare("latency p99", "p99_ms", "streamer", "aiortc", TAIL_GOAL, form="{:.1f} ms")
    yield compare(
        "recording, CPU a frame",
        "cpu_ms",
        "streamer, recording",
        "aiortc MediaRecorder",
        RECORDING_GOAL,
        inverse=True,
    )


def _grid(clip: Clip, runs: Runs) -> Grid:
    units = access_units(clip)
    bitrate = sum(len(data) for _, data in units) * 8 / clip.seconds / 1e6
    keyframes = [round(len(data) / 1000) for is_keyframe, data in units if is_keyframe]
    title = (
        f"{clip.name}: {clip.width}x{clip.height} at {clip.fps} fps, {bitrate:.1f} Mbit/s, "
        f"key frames of {min(keyframes)} to {max(keyframes)} kB"
    )
    floor = _median(runs, clip, "floor", "cpu_ms") or 1.0
    rows = []
    for rival in _RIVALS:
        cpu = _median(runs, clip, rival, "cpu_ms") or 0.0
        rows.append(
            (
                rival,
                f"{cpu:.2f}",
                f"{cpu / floor:.2f}",
                figure(_median(runs, clip, rival, "p50_ms")),
                figure(_median(runs, clip, rival, "p99_ms")),
                figure(_median(runs, clip, rival, "missing"), "{:.0f}"),
                figure(_median(runs, clip, rival, "peak_mb"), "{:.0f}"),
            )
        )
    return Grid(title, ("", "CPU ms a frame", "of the floor", "p50 ms", "p99 ms", "missing", "peak MB"), rows)
