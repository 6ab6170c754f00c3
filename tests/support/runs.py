"""Runs of a test as the pytest plugin keeps them, made without a phone: a timeline, and a video of colored screens."""

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from streamer.timeline.records import (
    Change,
    End,
    Frames,
    Interrupted,
    Key,
    Measured,
    Outcome,
    Record,
    Start,
    Step,
    Touch,
    Video,
    Wait,
    encode,
)

WIDTH, HEIGHT, FPS = 96, 160, 20
BEGIN: Final = 1_800_000_000.0  # Unix time
BEFORE_S: Final = 0.5  # of video before the test
STEPS: Final = ("open </script>the shop", "find the shoes", "pay")
LENGTH_S: Final = 1.0  # of a step


def records_of(
    *, lengths_s: tuple[float, ...] = (LENGTH_S,) * 3, outcome: Outcome = "passed", jitter_s: float = 0.0
) -> list[Record]:
    """Return the records of a test with a step for each length; each begins with a tap that is waited for."""
    records: list[Record] = [Start(at=BEGIN, test="tests/test_shop.py::test_pay", phone="demo-phone")]
    at = BEGIN
    for number, (name, length_s) in enumerate(zip(STEPS, lengths_s, strict=False)):
        is_last = number == len(lengths_s) - 1
        x = 0.25 + 0.25 * number
        records += [
            Step(at=at, name=name, duration_s=length_s, outcome=outcome if is_last else "passed"),
            Touch(at=at + 0.05, verb="tap", paths=(((x, 0.5, 0.0), (x, 0.5, 0.05)),), duration_s=0.05),
            Wait(at=at + 0.1, what="pay.png", duration_s=length_s - 0.2, outcome="met", score=0.97),
            Measured(at=at + 0.05, first_change_s=0.1, settled_s=0.3, longest_gap_s=0.033, frames=4),
            Change(at=at + 0.2, rtp_time=90_000 * number, region=(0.0, 0.0, 1.0, 1.0), share=1.0),
            Frames(at=at + 1.0, frames=17, longest_gap_s=0.05, bytes=10_000),
        ]
        at += length_s + jitter_s
    error = "after 5 s pay.png was not on the screen" if outcome == "failed" else None
    records += [
        Key(at=at, name="HOME"),
        Interrupted(at=at + 0.1, reason="no packets", duration_s=0.2),
        End(at=at + 0.5, outcome=outcome, duration_s=at + 0.5 - BEGIN, error=error),
    ]
    return records


def write_run(
    folder: Path,
    *,
    lengths_s: tuple[float, ...] = (LENGTH_S,) * 3,
    marked: int | None = None,
    outcome: Outcome = "passed",
    has_video: bool = True,
    before_s: float = BEFORE_S,
) -> Path:
    """Write a run into a new folder, and return it. The screen of the step `marked` has a mark that others lack."""
    folder.mkdir(parents=True)
    records = records_of(lengths_s=lengths_s, outcome=outcome)
    if has_video:
        duration_s = _write_video(folder / "video.mp4", lengths_s, marked, before_s)
        records.append(Video(at=BEGIN - before_s, path="video.mp4", duration_s=duration_s))
    (folder / "timeline.jsonl").write_bytes(encode(records))
    return folder


def _write_video(path: Path, lengths_s: tuple[float, ...], marked: int | None, before_s: float) -> float:
    """Write a video that changes its color 0.2 s after each step began, and stands still otherwise."""
    edges = [before_s + sum(lengths_s[:number]) + 0.2 for number in range(len(lengths_s))]
    end = before_s + sum(lengths_s) + 0.5
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.time_base = Fraction(1, FPS)
        for number in range(round(end * FPS)):
            step = sum(edge <= number / FPS for edge in edges)
            image = np.full((HEIGHT, WIDTH, 3), (60 + 40 * step, 90, 160), np.uint8)
            if marked is not None and step == marked + 1:
                image[100:112, 40:52] = 250
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return end
