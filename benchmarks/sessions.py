"""How many sessions one process carries on one core, decoding 720p30, beside how many decoders alone it carries.

The measured process has a core to itself, the senders have another. It carries a number if every frame comes and
none comes late; the number is searched for upwards and downwards from what the CPU time of one session lets expect.
"""

import json
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.clips import CLIPS
from benchmarks.report import Goal, Grid, Report
from tests.support.processes import Child

SECONDS: Final = 6
SHARE_GOAL: Final = 0.85
LINEAR_GOAL: Final = 1.15  # CPU of a session among the most that fit, to that of one alone
COMPLETE: Final = 0.98  # of the frames, at the least, where all is well
LATE_MS: Final = 150.0  # the 95th percentile, at the most
ATTEMPTS: Final = 2  # a number that is not carried is tried once more: the machine may have been busy
MOST: Final = 40
MOST_ROUNDS: Final = 2

_CLIP: Final = CLIPS[0]


@dataclass(frozen=True, slots=True)
class Load:
    """What carrying so many sessions came to."""

    sessions: int
    cores: float
    complete: float  # the worst session's share of its frames
    late_ms: float  # 95th percentile of all frames
    sender_late_ms: float

    @property
    def is_carried(self) -> bool:
        """Whether nothing was missing and nothing late."""
        return self.complete >= COMPLETE and self.late_ms <= LATE_MS


def measure(rounds: int) -> Iterator[str | Report]:
    """Search for both numbers, in turn, so often."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield Report([Goal(measure="sessions on one core", ours="", goal="", is_met=None)], (), ["needs two cores"])
        return
    most: dict[str, list[int]] = {"floor": [], "streamer": []}
    loads: dict[str, dict[int, list[Load]]] = {"floor": {}, "streamer": {}}
    rounds = min(rounds, MOST_ROUNDS)
    for number in range(rounds):
        for task, numbers in most.items():
            for step in _search(task, loads[task], cores, numbers):
                if isinstance(step, int):
                    numbers.append(step)
                else:
                    yield f"round {number + 1} of {rounds}, {task}: {step}"
    carried = {task: statistics.median_low(numbers) for task, numbers in most.items()}
    yield Report(_goals(carried, loads["streamer"]), [_grid(task, loads[task]) for task in loads])


def _search(task: str, loads: dict[int, list[Load]], cores: list[int], found: list[int]) -> Iterator[str | int]:
    """Give what is being tried, and at last the most sessions that are carried."""

    def carries(number: int) -> bool:
        load = _run(task, number, cores)
        for _ in range(ATTEMPTS - 1):
            if not load.is_carried:
                load = _run(task, number, cores)
        loads.setdefault(number, []).append(load)
        return load.is_carried

    yield "1 session"
    carries(1)
    number = found[-1] if found else max(min(int(0.95 / loads[1][-1].cores), MOST), 1)
    yield f"{max(number // 2, 1)} sessions"
    carries(max(number // 2, 1))
    yield f"{number} sessions"
    step = 1 if carries(number) else -1
    while 1 < number + step <= MOST:
        yield f"{number + step} sessions"
        is_carried = carries(number + step)
        if step > 0 and not is_carried:
            break
        number += step
        if step < 0 and is_carried:
            break
    yield number


def _run(task: str, number: int, cores: list[int]) -> Load:
    options = {"clip": _CLIP.name, "sessions": number, "seconds": SECONDS}
    with Child("benchmarks.many", json.dumps({"task": task, **options}), cores={cores[0]}) as receiver:
        sender_late_s = 0.0
        if task == "streamer":
            frames = _CLIP.fps * (SECONDS + 4 + number // 3)
            played = json.dumps({"clip": _CLIP.name, "connections": number, "frames": frames})
            with Child("benchmarks.sender", played, cores=set(cores[1:])) as sender:
                for _ in range(number):
                    receiver.tell(sender.hear())
                    sender.tell(receiver.hear())
                found = receiver.hear()
                sender_late_s = sender.hear()["late_s"]
        else:
            found = receiver.hear()
    return Load(
        sessions=number,
        cores=found["cpu_s"] / found["seconds"],
        complete=min(found["frames"]) / (_CLIP.fps * found["seconds"]),
        late_ms=found["late_ms"],
        sender_late_ms=1000 * sender_late_s,
    )


def _goals(carried: dict[str, int], ours: dict[int, list[Load]]) -> list[Goal]:
    def a_session(number: int) -> float:
        return statistics.median(load.cores / load.sessions for load in ours[number])

    most = max(number for number in ours if number <= carried["streamer"])
    growth = a_session(most) / a_session(1)
    ratio = carried["streamer"] / carried["floor"]
    return [
        Goal(
            measure=f"sessions of {_CLIP.name}, decoding, on one core",
            ours=str(carried["streamer"]),
            beside=f"decoders alone {carried['floor']}",
            ratio=f"{ratio:.2f}",
            goal=f"≥ {SHARE_GOAL}",
            is_met=ratio >= SHARE_GOAL,
        ),
        Goal(
            measure=f"CPU of a session among {most}",
            ours=f"{100 * a_session(most):.1f} % of a core",
            beside=f"alone {100 * a_session(1):.1f} %",
            ratio=f"{growth:.2f}",
            goal=f"≤ {LINEAR_GOAL}",
            is_met=growth <= LINEAR_GOAL,
        ),
    ]


def _grid(task: str, loads: dict[int, list[Load]]) -> Grid:
    def median(number: int, value: Callable[[Load], float]) -> float:
        return statistics.median(map(value, loads[number]))

    rows = [
        (
            str(number),
            f"{median(number, lambda load: load.cores):.2f}",
            f"{100 * median(number, lambda load: load.cores / load.sessions):.1f}",
            f"{100 * median(number, lambda load: load.complete):.1f}",
            f"{median(number, lambda load: load.late_ms):.0f}",
            f"{median(number, lambda load: load.sender_late_ms):.0f}",
        )
        for number in sorted(loads)
    ]
    headings = ("sessions", "cores", "% of a core each", "% of the frames", "late, p95 ms", "sender late, ms")
    return Grid(f"One process, one core, {_CLIP.name}: {task}", headings, rows)
