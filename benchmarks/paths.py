"""Frames over a lossy path: in virtual time (`lossy`, exact and repeatable) and over real sockets, beside aiortc."""

import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from benchmarks.report import Goal, Grid, Report
from tests.support.lossy import Path, Simulation
from tests.support.processes import Child

SECONDS: Final = 20
MOST_ROUNDS: Final = 2  # over real sockets
SEEDS: Final = 5  # of the simulation
FPS: Final = 30
DELAY_MS: Final = 30
JITTER_MS: Final = 5
LOSSES: Final = (0.03, 0.10)
DELIVERED_GOAL: Final = 0.99  # at the first of them
FREEZE_GOALS_MS: Final = {0.03: 250, 0.10: 600}


@dataclass(frozen=True, slots=True)
class Passage:
    """How one stream came through."""

    sent: int
    delivered: int
    broken: int
    freeze_ms: float  # from one frame to the next, less what lay between them at the sender
    delays_ms: list[float]
    keyframe_requests: int


def measure(rounds: int) -> Iterator[str | Report]:
    """Simulate, then send over real sockets."""
    yield "in virtual time"
    simulated = {loss: [_simulated(loss, seed) for seed in range(SEEDS)] for loss in LOSSES}
    real: dict[tuple[float, str], list[Passage]] = {}
    rounds = min(rounds, MOST_ROUNDS)
    for number in range(rounds):
        for loss in LOSSES:
            for rival in ("streamer", "aiortc"):
                if rival == "streamer" or number == 0:
                    yield f"{loss:.0%} loss, {rival}, round {number + 1} of {rounds}"
                    real.setdefault((loss, rival), []).append(_real(rival, loss, seed=number))
    goals: list[Goal] = []
    rows = []
    for loss in LOSSES:
        goals += _goals(loss, "simulated", simulated[loss], simulated[loss][:0])
        goals += _goals(loss, "real sockets", real[loss, "streamer"], real[loss, "aiortc"])
        rows.append(_row(f"{loss:.0%}, simulated: streamer", simulated[loss]))
        rows += [_row(f"{loss:.0%}, real sockets: {rival}", real[loss, rival]) for rival in ("streamer", "aiortc")]
    title = (
        f"A path of {DELAY_MS} ± {JITTER_MS} ms each way that loses packets both ways, {FPS} fps, {SECONDS} s; "
        f"simulated with {SEEDS} seeds"
    )
    headings = ("loss", "delivered %", "broken", "longest freeze ms", "delay p50 ms", "p99 ms", "key frames asked")
    yield Report(goals, [Grid(title, headings, rows)])


def _simulated(loss: float, seed: int) -> Passage:
    path = Path(loss=loss, delay_ms=DELAY_MS, jitter_ms=JITTER_MS)
    outcome = Simulation(path, fps=FPS, seconds=SECONDS, seed=seed).run()
    return Passage(
        sent=outcome.sent,
        delivered=outcome.delivered,
        broken=outcome.broken,
        freeze_ms=outcome.longest_freeze_ms,
        delays_ms=outcome.delays_ms,
        keyframe_requests=outcome.keyframe_requests,
    )


def _real(rival: str, loss: float, seed: int) -> Passage:
    path = {"loss": loss, "delay_ms": DELAY_MS, "jitter_ms": JITTER_MS, "seed": seed}
    with (
        Child("benchmarks.receiver", "lossy", json.dumps({"rival": rival})) as receiver,
        Child("tests.support.relay", json.dumps(path)) as relay,
        Child("benchmarks.sender", json.dumps({"seconds": SECONDS, "fps": FPS})) as sender,
    ):
        relay.tell(sender.hear())
        receiver.tell(relay.hear())
        relay.tell(receiver.hear())
        sender.tell(relay.hear())
        sent = sender.hear()
        came = receiver.hear()["frames"]
    sent_ns = {number: ns for number, ns, _ in sent["frames"]}
    look = {number: fingerprint for number, _, fingerprint in sent["frames"]}
    freeze_ms = 0.0
    for (_, before_ns, _), (number, now_ns, _) in pairwise(came):
        if number in sent_ns:
            due_ns = sent_ns[number] - sent_ns.get(number - 1, sent_ns[number])
            freeze_ms = max(freeze_ms, (now_ns - before_ns - due_ns) / 1e6)
    return Passage(
        sent=len(sent_ns),
        delivered=len({number for number, *_ in came} & set(sent_ns)),
        broken=sum(look.get(number) != fingerprint for number, _, fingerprint in came),
        freeze_ms=freeze_ms,
        delays_ms=[(ns - sent_ns[number]) / 1e6 for number, ns, _ in came if number in sent_ns],
        keyframe_requests=sent["keyframe_requests"],
    )


def _goals(loss: float, how: str, ours: list[Passage], theirs: list[Passage]) -> Iterator[Goal]:
    freeze_ms = max(passage.freeze_ms for passage in ours)
    broken = _broken(ours)
    if loss == LOSSES[0]:
        yield Goal(
            measure=f"{loss:.0%} loss, {how}: frames delivered",
            ours=f"{100 * _delivered(ours):.2f} %",
            beside=f"aiortc {100 * _delivered(theirs):.2f} %" if theirs else "",
            goal=f"≥ {100 * DELIVERED_GOAL:.0f} %",
            is_met=_delivered(ours) >= DELIVERED_GOAL,
        )
    yield Goal(
        measure=f"{loss:.0%} loss, {how}: broken frames",
        ours=str(broken),
        beside=f"aiortc {_broken(theirs)}" if theirs else "",
        goal="0",
        is_met=broken == 0,
    )
    yield Goal(
        measure=f"{loss:.0%} loss, {how}: longest freeze",
        ours=f"{freeze_ms:.0f} ms",
        beside=f"aiortc {max(passage.freeze_ms for passage in theirs):.0f} ms" if theirs else "",
        goal=f"≤ {FREEZE_GOALS_MS[loss]} ms",
        is_met=freeze_ms <= FREEZE_GOALS_MS[loss],
    )


def _delivered(passages: Iterable[Passage]) -> float:
    return statistics.mean(passage.delivered / passage.sent for passage in passages)


def _broken(passages: Iterable[Passage]) -> int:
    return sum(passage.broken for passage in passages)


def _row(name: str, passages: list[Passage]) -> tuple[str, ...]:
    delays = sorted(delay for passage in passages for delay in passage.delays_ms) or [float("nan")]
    return (
        name,
        f"{100 * _delivered(passages):.2f}",
        str(_broken(passages)),
        f"{max(passage.freeze_ms for passage in passages):.0f}",
        f"{delays[len(delays) // 2]:.0f}",
        f"{delays[len(delays) * 99 // 100]:.0f}",
        f"{statistics.mean(passage.keyframe_requests for passage in passages):.1f}",
    )
