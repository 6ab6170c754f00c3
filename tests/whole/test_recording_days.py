"""Recordings that go on for a day and more, in virtual time: what files, names, manifests and stamps say of time."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from streamer.media.access_unit import AccessUnit
from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import Transcode, Transcoder
from tests.support.recordings import duration_s, times
from tests.support.segment_writers import WALL_NS, S, new
from tests.support.senders import MS, OPUS, access_unit, encoded

pytestmark = pytest.mark.timeout(600)  # they only take processor time, at a low priority

HOUR = 3600
HOURS_30 = 30 * HOUR
STREAM = encoded(10, size=(64, 64), keyframe_every=10)
SILENCE = b"\xfc\xff\xfe"


def sent(seconds: int, *, every_s: int, ppm: int) -> Iterator[AccessUnit]:
    """Give a frame and a packet of audio every few seconds, by a clock that is `ppm` fast, with sender reports that
    are right, on a path that delays by up to 12 ms.
    """
    for number in range(seconds // every_s):
        now_ns = number * every_s * S
        for offset, clock_rate in ((0, 90_000), (5, 48_000)):
            rtp_time = 1_000_000 + round(now_ns * (1 + ppm / 1e6) * clock_rate / S)
            arrival_ns = 10 * S + now_ns + (0 if number == 0 else (7 * number + offset) % 13 * MS)
            made = partial(access_unit, rtp_time=rtp_time, arrival_ns=arrival_ns, captured_ns=now_ns)
            if clock_rate == 90_000:
                yield made(STREAM[number % 10], keyframe=number % 10 == 0)
            else:
                yield made(SILENCE, codec=OPUS, ssrc=2)


def are_near(found: Sequence[float], true: Sequence[float], within_s: float) -> bool:
    """Whether there are as many moments as there should be, and each is where it should be."""
    return len(found) == len(true) and float(np.max(np.abs(np.subtract(found, true)))) <= within_s


class Case(NamedTuple):
    """A recording, and the clock of the phone that it is of."""

    pattern: str
    ppm: int
    every_s: int = 5
    segment_h: float | None = None
    files: int = 1


class Written(NamedTuple):
    """What came out: the moments, in seconds since the beginning, at which the files say that everything was."""

    paths: list[Path]
    video_s: list[float]
    audio_s: list[float]
    lines: list[dict[str, float]]


def record(directory: Path, case: Case, transcode: Transcode | None = None) -> tuple[Written, list[float]]:
    """Record, or transcode; return what was written, and how far each stamp is from its frame."""
    writer = new(
        directory / case.pattern,
        has_audio=True,
        limits=Limits(segment_s=case.segment_h and case.segment_h * HOUR),
        manifest=directory / "m.jsonl",
        now_ns=10 * S,
        asked=lambda: transcoder.make_keyframe() if transcoder else None,
    )
    transcoder = Transcoder(transcode, start_ns=None, wall_ns=WALL_NS, ask_keyframe=lambda: None) if transcode else None
    stamps_off: list[float] = []

    def write(made: list[AccessUnit]) -> None:
        for unit in made:
            if unit.kind == "video" and unit.captured_ns is not None:
                stamps_off.append((unit.arrival_ns - 10 * S - unit.captured_ns) / S)
            writer.put(unit)

    for unit in sent(HOURS_30, every_s=case.every_s, ppm=case.ppm):
        write(transcoder.tick(unit.arrival_ns) + transcoder.put(unit, unit.arrival_ns) if transcoder else [unit])
        writer.tick((transcoder.now_ns if transcoder else None) or unit.arrival_ns)
    end_ns = (10 + HOURS_30) * S
    if transcoder:
        rest, end_ns = transcoder.close(end_ns)
        write(rest)
    writer.close(end_ns, "stopped")
    written = Written([], [], [], [json.loads(line) for line in (directory / "m.jsonl").read_text().splitlines()])
    begin_s = WALL_NS / S + 10
    for line in written.lines:
        path = Path(str(line["file"]))
        began_s = dt.datetime.fromisoformat(str(line["start"])).timestamp() - begin_s
        shown, heard = times(path), times(path, "audio")
        written.paths.append(path)
        written.video_s.extend(began_s + time - shown[0] for time in shown)
        written.audio_s.extend(began_s + time - shown[0] for time in heard)
    return written, stamps_off


@pytest.mark.parametrize(
    "case",
    [
        Case("a-{start:%d%H%M%S}.mp4", 50, segment_h=6, files=5),
        Case("a.mkv", -200),
        Case("a.ts", 200, files=2),  # its clock wraps after 26.5 h
        Case("a-{}.mp4", -3000, every_s=1, segment_h=13, files=3),
        Case("a.mkv", 3000, every_s=1),
    ],
    ids=str,
)
def test_thirty_hours_on_a_drifting_clock_are_thirty_hours(tmp_path: Path, case: Case) -> None:
    """Law: lengths, names, manifest, audio and video are within 40 ms of when everything was."""
    written, _ = record(tmp_path, case)
    true = [number * case.every_s for number in range(HOURS_30 // case.every_s)]
    assert are_near(written.video_s, true, 0.04)
    assert are_near(written.audio_s, true, 0.04)
    assert are_near(written.audio_s, written.video_s, 0.04)
    assert len(written.paths) == case.files
    assert sum(line["duration_s"] for line in written.lines) == pytest.approx(HOURS_30, abs=0.04)
    for path, line in zip(written.paths, written.lines, strict=True):
        assert path.suffix == ".ts" or duration_s(path) == pytest.approx(line["duration_s"], abs=0.04)
        if "start" in case.pattern:
            began = dt.datetime.fromisoformat(str(line["start"])).astimezone()
            assert path.name == f"a-{began:%d%H%M%S}.mp4"
        if case.segment_h and line is not written.lines[-1]:  # to the next keyframe, every tenth frame
            assert -0.04 <= line["duration_s"] - case.segment_h * HOUR <= 10 * case.every_s + 0.04


@pytest.mark.parametrize(
    "case",
    [
        Case("a-{}.mp4", 50, every_s=10, segment_h=11, files=3),
        Case("a.mkv", -200, every_s=10),
        Case("a.ts", -3000, every_s=1, files=2),
    ],
    ids=str,
)
def test_thirty_hours_transcoded_are_thirty_hours_with_the_right_stamps(tmp_path: Path, case: Case) -> None:
    """Law: as above, and the time that is drawn on each frame is within 40 ms of when it was captured."""
    written, stamps_off = record(tmp_path, case, Transcode(fps=0.1))
    steps = HOURS_30 // 10
    assert are_near(stamps_off, [0.0] * steps, 0.04)
    assert are_near(written.video_s, [10 * number for number in range(steps)], 0.001)
    true = [number * case.every_s for number in range(HOURS_30 // case.every_s)]
    assert len(true) - len(written.audio_s) <= 1  # the first one may lie before the first frame
    assert are_near(written.audio_s, true[-len(written.audio_s) :], 0.04)
    assert len(written.paths) == case.files
    assert sum(line["duration_s"] for line in written.lines) == pytest.approx(HOURS_30, abs=0.04)
