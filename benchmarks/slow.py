"""A consumer that is slower than the stream: what is held for it, and how old what it takes is."""

import json
import statistics
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.clips import CLIPS
from benchmarks.receiving import played
from benchmarks.report import Goal, Grid, Report
from tests.support.processes import Child

SECONDS: Final = 60
RIVAL_SECONDS: Final = 6  # it takes some 170 MB each second
INTERVAL_S: Final = 0.2
SETTLED_S: Final = 2.0  # after the first frame: what is held then is what the stream needs
GROWTH_GOAL_MB: Final = 16.0
STALENESS_GOAL: Final = 2.0  # frame intervals

_CLIP: Final = CLIPS[1]


def measure(rounds: int) -> Iterator[str | Report]:
    """Measure once: a minute is long enough to be its own median."""
    del rounds
    found = {}
    for rival, seconds in (("streamer", SECONDS), ("aiortc", RIVAL_SECONDS)):
        yield f"{rival}, {seconds} s"
        found[rival] = _run(rival, seconds)
    ours, theirs = found["streamer"], found["aiortc"]
    name = f"five frames a second of {_CLIP.name}"
    goals = [
        Goal(
            measure=f"{name}: growth in {SECONDS} s",
            ours=f"{ours['growth_mb']:.1f} MB",
            beside=f"aiortc {theirs['growth_mb']:.0f} MB in {theirs['seconds']:.0f} s",
            goal=f"≤ {GROWTH_GOAL_MB:.0f} MB",
            is_met=ours["growth_mb"] <= GROWTH_GOAL_MB,
        ),
        Goal(
            measure=f"{name}: age of a frame when it is taken, p50",
            ours=f"{ours['p50']:.1f} intervals",
            beside=f"aiortc {theirs['p50']:.0f}",
            goal=f"≤ {STALENESS_GOAL:.0f}",
            is_met=ours["p50"] <= STALENESS_GOAL,
        ),
    ]
    rows = [
        (
            rival,
            f"{f['seconds']:.0f}",
            str(f["taken"]),
            f"{f['growth_mb']:.1f}",
            f"{f['p50']:.1f}",
            f"{f['p99']:.1f}",
            f"{f['last']:.1f}",
        )
        for rival, f in found.items()
    ]
    headings = ("", "seconds", "frames", "growth MB", "age p50", "age p99", "age of the last")
    title = (
        f"A consumer at {1 / INTERVAL_S:.0f} fps of {_CLIP.name}; ages in frame intervals of {1000 / _CLIP.fps:.1f} ms"
    )
    yield Report(goals, [Grid(title, headings, rows)])


def _run(rival: str, seconds: float) -> dict[str, Any]:
    options = {"rival": rival, "clip": _CLIP.name, "seconds": seconds, "interval_s": INTERVAL_S}
    with Child("benchmarks.receiver", "slow", json.dumps(options)) as receiver:
        sent_ns = played(receiver, {"clip": _CLIP.name, "frames": round((seconds + 3) * _CLIP.fps)})["sent_ns"]
        taken = receiver.hear()["taken"]
    start_ns = taken[0][1]
    settled = [entry for entry in taken if entry[1] - start_ns > SETTLED_S * 1e9]
    ages = sorted((now_ns - sent_ns[number]) / 1e9 * _CLIP.fps for number, now_ns, _ in settled)
    return {
        "seconds": (taken[-1][1] - start_ns) / 1e9,
        "taken": len(taken),
        "growth_mb": (max(rss for *_, rss in settled) - settled[0][2]) / 1024,
        "p50": statistics.median(ages),
        "p99": ages[len(ages) * 99 // 100],
        "last": (settled[-1][1] - sent_ns[settled[-1][0]]) / 1e9 * _CLIP.fps,
    }
