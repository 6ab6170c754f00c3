"""A screen that goes still: when its last frame reaches the consumer, counted from its last packet.

It cannot come before it is decoded; anything that waits for a next frame waits for ever. What lies between is the way
through the socket, to the decoder's thread and back: at the most as long as the decoding itself.
"""

import json
import statistics
from collections.abc import Iterator
from typing import Final

from benchmarks.clips import CLIPS, Clip
from benchmarks.receiving import played
from benchmarks.report import Goal, Grid, Report, figure
from tests.support.processes import Child

FRAMES: Final = 75
GOAL: Final = 2.0  # times the decoding alone
WAIT_S: Final = 3.0  # how long the last frame is waited for


def measure(rounds: int) -> Iterator[str | Report]:
    """Send so many frames and no more, with the connection left open."""
    delays: dict[tuple[str, str], list[float | None]] = {}
    decoding: dict[str, float] = {}
    for number in range(rounds):
        for clip in CLIPS:
            for rival in ("streamer", "aiortc"):
                yield f"{clip.name}, {rival}, round {number + 1} of {rounds}"
                delays.setdefault((clip.name, rival), []).append(_run(rival, clip))
    for clip in CLIPS:
        yield f"{clip.name}, decoding alone"
        decoding[clip.name] = _decode_ms(clip)
    goals = []
    rows = []
    for clip in CLIPS:
        ours, theirs = delays[clip.name, "streamer"], delays[clip.name, "aiortc"]
        decode_ms = decoding[clip.name]
        came = [delay for delay in ours if delay is not None]
        ours_ms = statistics.median(came) if len(came) == len(ours) else None
        goals.append(
            Goal(
                measure=f"still screen, {clip.name}: last packet to consumer",
                ours=figure(ours_ms, "{:.1f} ms") or "never",
                beside=f"decoding alone {decode_ms:.1f} ms, aiortc {_text(theirs)}",
                ratio=figure(ours_ms / decode_ms if ours_ms is not None else None, "{:.2f}"),
                goal=f"≤ {GOAL:.2f}",
                is_met=ours_ms is not None and ours_ms <= GOAL * decode_ms,
            )
        )
        rows.append((clip.name, f"{decode_ms:.1f}", _text(ours), _text(theirs)))
    headings = ("last packet to consumer", "decoding alone, ms", "streamer, ms", "aiortc, ms")
    yield Report(goals, [Grid(f"A screen that goes still after {FRAMES} frames", headings, rows)])


def _run(rival: str, clip: Clip) -> float | None:
    """Return how long after its last packet the last frame came, in ms; None if it did not."""
    with Child("benchmarks.receiver", "watch", json.dumps({"rival": rival, "clip": clip.name})) as receiver:
        sent = played(receiver, {"clip": clip.name, "frames": FRAMES, "linger_s": WAIT_S})
        arrivals = receiver.hear()["arrivals_ns"]
    last = arrivals.get(str(FRAMES - 1))
    # aiortc hands the last frame over as the connection ends: that is not on a still screen.
    if last is None or last - sent["last_packet_ns"] > WAIT_S * 1e9:
        return None
    return float(last - sent["last_packet_ns"]) / 1e6


def _decode_ms(clip: Clip) -> float:
    with Child("benchmarks.receiver", "floor", json.dumps({"clip": clip.name, "frames": FRAMES})) as floor:
        decode_ns = floor.hear()["decode_ns"]
    return float(statistics.median(decode_ns[FRAMES // 2 :])) / 1e6


def _text(delays: list[float | None]) -> str:
    came = [delay for delay in delays if delay is not None]
    if not came:
        return "never"
    return f"{statistics.median(came):.1f}" + (f" ({len(came)} of {len(delays)})" if len(came) < len(delays) else "")
