"""`python -m benchmarks.watching`: what watching the screen adds to decoding it, in CPU time of one process a side.

Both sides decode the same 300 frames. One of them reduces each to blocks and compares these, as one wait has it done.
A frame's time is the median of the rounds': other programs disturb some frames of each round.
"""

import json
import statistics
import subprocess
import sys
import time
from typing import Annotated, Final

import typer

from benchmarks.clips import CLIPS, access_units, clip_named
from benchmarks.report import Grid, console, print_grid
from streamer.media.access_unit import AccessUnit
from streamer.media.frame_decoder import FrameDecoder
from streamer.tracks import Codec
from streamer.watch.change import Reference
from streamer.watcher import BlockMeans

FRAMES: Final = 300
GOAL_MS: Final = 0.25  # at 720p
_CODEC: Final = Codec(name="h264", clock_rate=90_000)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each side is measured; the medians are shown.")] = 7,
    side: Annotated[str, typer.Option(hidden=True)] = "",
    clip: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure both clips, both sides in turn, each time in a new process."""
    if side:
        print(json.dumps(_cpu_ms(clip, watches=side == "watching")))
        return
    rows = []
    for each in CLIPS:
        access_units(each)
        found: dict[str, list[list[float]]] = {"decoding": [], "watching": []}
        for _ in range(rounds):
            for name, times in found.items():
                times.append(_run(name, each.name))
        decoding, watching = (
            statistics.mean(statistics.median(frame) for frame in zip(*times, strict=True)) for times in found.values()
        )
        added = watching - decoding
        rows.append((each.name, f"{decoding:.2f}", f"{watching:.2f}", f"{added:.2f}", f"{added / decoding:.0%}"))
    headings = ("CPU a frame", "decoding, ms", "decoding and watching, ms", "added, ms", "of the decoding")
    print_grid(Grid(f"What watching costs; medians of {rounds} rounds", headings, rows))
    console.print(f"the goal is at most {GOAL_MS} ms added at 720p30")


def _run(side: str, clip: str) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.watching", "--side", side, "--clip", clip]
    times: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return times


def _cpu_ms(clip: str, *, watches: bool) -> list[float]:
    """Return the CPU time of this process for each frame, its decoder's threads included."""
    units = [
        AccessUnit(
            kind="video",
            codec=_CODEC,
            data=data,
            rtp_time=3000 * index,
            ssrc=1,
            is_keyframe=is_keyframe,
            discontinuity=index == 0,
            arrival_ns=index,
        )
        for index, (is_keyframe, data) in enumerate(access_units(clip_named(clip))[:FRAMES])
    ]
    decoder, means, reference = FrameDecoder(lambda: None), BlockMeans(), Reference()
    times = []
    for unit in units:
        begin_ns = time.process_time_ns()
        for frame in decoder.decode(unit):
            if watches:
                size = frame.av_frame.width, frame.av_frame.height
                reference.compare(means(frame.av_frame), size, rtp_time=unit.rtp_time, arrival_ns=unit.arrival_ns)
        times.append((time.process_time_ns() - begin_ns) / 1e6)
    return times


if __name__ == "__main__":
    typer.run(main)
