"""How long the first frame takes, from `connect()`, beside the sum of the steps that nobody can leave out."""

import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from benchmarks.first_frame import STEPS
from benchmarks.report import Goal, Grid, Report
from tests.support.processes import Child

GOAL: Final = 1.3
RUNS: Final = 4  # a round
_LOADED_S: Final = 1.5  # what a process is given to import everything


def measure(rounds: int) -> Iterator[str | Report]:
    """Take the first frame from the emulator, each time in a new process, in turn."""
    found: dict[str, list[list[list[float]]]] = {"plain": [], "streamer": []}
    with Child("tests.support.phone_process") as phone:
        place = phone.hear()
        for number in range(rounds * RUNS):
            for how, runs in found.items():
                yield f"{how}, {number + 1} of {rounds * RUNS}"
                with Child("benchmarks.first_frame", how) as client:
                    time.sleep(_LOADED_S)
                    client.tell(place)
                    runs.append(client.hear())
    turns = (0, 1)  # of each process
    steps = list(zip(*(_steps([run[turn] for run in found["plain"]]) for turn in turns), strict=True))
    ours = [1000 * statistics.median(run[turn][-1] for run in found["streamer"]) for turn in turns]
    connected = [1000 * statistics.median(run[turn][0] for run in found["streamer"]) for turn in turns]
    total = [1000 * sum(step[turn] for step in steps) for turn in turns]
    goals = [
        Goal(
            measure=f"first frame from connect(), {what}",
            ours=f"{ours[turn]:.0f} ms",
            beside=f"unavoidable steps {total[turn]:.0f} ms",
            ratio=f"{ours[turn] / total[turn]:.2f}",
            goal=f"≤ {GOAL}",
            is_met=ours[turn] <= GOAL * total[turn],
        )
        for turn, what in enumerate(("a new process", "again in the same process"))
    ]
    rows = [(name, *(f"{1000 * value:.1f}" for value in values)) for name, values in zip(STEPS, steps, strict=True)]
    rows.append(("sum of the steps", *(f"{value:.1f}" for value in total)))
    rows.append(("streamer: connect()", *(f"{value:.1f}" for value in connected)))
    rows.append(("streamer: the first frame", *(f"{value:.1f}" for value in ours)))
    headings = ("", "a new process, ms", "again, ms")
    yield Report(goals, [Grid("The first frame, on loopback, from the emulator at 30 fps", headings, rows)])


def _steps(runs: list[list[float]]) -> list[float]:
    """Return the median duration of each step."""
    durations = ([after - before for before, after in pairwise([0.0, *run])] for run in runs)
    return [statistics.median(step) for step in zip(*durations, strict=True)]
