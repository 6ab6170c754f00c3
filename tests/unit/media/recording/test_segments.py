"""The names of a recording's files, their limits, and the manifest."""

import datetime as dt
import json
import os
import re
import resource
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from streamer.errors import ConfigurationError
from streamer.media.recording.containers import MPEG_TS, container_of, refusal
from streamer.media.recording.segments import FileNames, Limits, Manifest, Segment

NOON = dt.datetime(2026, 3, 4, 12, 0, 5, tzinfo=dt.UTC).timestamp()


def names(path: Path, count: int, *, started_at: float = NOON) -> list[str]:
    """Return the first names, each of a file that is then there."""
    taken = []
    source = FileNames(path)
    for _ in range(count):
        name = source.take(started_at)
        name.touch()
        taken.append(name.name)
    return taken


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("clip.mp4", ["clip.mp4", "clip-2.mp4", "clip-3.mp4"]),
        ("clip-{}.mp4", ["clip-1.mp4", "clip-2.mp4", "clip-3.mp4"]),
        ("clip-{:04d}.mp4", ["clip-0001.mp4", "clip-0002.mp4", "clip-0003.mp4"]),
        ("{number:02d}-{start:%Y}.mkv", ["01-2026.mkv", "02-2026.mkv", "03-2026.mkv"]),
        ("{start:%Y%m}.mp4", ["202603.mp4", "202603-2.mp4", "202603-3.mp4"]),
        ("{{x}}-{}.ts", ["{x}-1.ts", "{x}-2.ts", "{x}-3.ts"]),
    ],
)
def test_files_are_numbered_in_order(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    assert names(tmp_path / pattern, 3) == expected


def test_the_time_in_a_pattern_is_local(tmp_path: Path) -> None:
    local = dt.datetime.fromtimestamp(NOON).astimezone()
    assert names(tmp_path / "{start:%H%M%S}.mp4", 1) == [f"{local:%H%M%S}.mp4"]


def test_only_a_plain_first_name_replaces_an_existing_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "a-2.mp4", "b-2.mp4", "202603.mp4"):
        (tmp_path / name).touch()
    assert names(tmp_path / "a.mp4", 3) == ["a.mp4", "a-3.mp4", "a-4.mp4"]
    assert names(tmp_path / "b-{}.mp4", 2) == ["b-1.mp4", "b-3.mp4"]
    assert names(tmp_path / "b-{}.mp4", 1) == ["b-4.mp4"]
    assert names(tmp_path / "{start:%Y%m}.mp4", 1) == ["202603-2.mp4"]


@pytest.mark.parametrize(
    "name", ["{.mp4", "}.mp4", "{what}.mp4", "{1}.mp4", "{:zz}.mp4", "{number.x}.mp4", "{0[1]}.mp4"]
)
def test_an_invalid_pattern_is_refused_with_how_to_write_braces(name: str) -> None:
    said = f"such as clip-{{:04d}}.mp4, got {name!r}: write braces that belong to the name twice"
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        FileNames(name)


def test_doubled_braces_belong_to_the_name(tmp_path: Path) -> None:
    assert names(tmp_path / "a{{b}}.mp4", 1) == ["a{b}.mp4"]


@pytest.mark.parametrize("name", ["segment_s", "segment_bytes", "max_duration_s", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_above_zero(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"expected {name} above 0"):
        Limits(**{name: value})  # type: ignore[arg-type]


def segment(number: int = 1) -> Segment:
    return Segment(
        path=Path("clips/clipé.mp4"),
        started_at=NOON,
        duration_s=9.98765,
        size_bytes=123,
        frames=number,
        ended="segment",
        interruptions=2,
        interrupted_s=3.00049,
        interruption_reasons=("nothing came from the phone", "the connection was reset"),
    )


def test_a_manifest_has_a_line_for_each_file_and_an_existing_one_grows(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    for number in range(3):
        Manifest(path).add(segment(number))
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line.pop("frames") for line in lines] == [0, 1, 2]
    expected: dict[str, Any] = {
        "file": "clips/clipé.mp4",
        "start": "2026-03-04T12:00:05.000+00:00",
        "duration_s": 9.988,
        "bytes": 123,
    }
    expected |= {
        "ended": "segment",
        "interruptions": 2,
        "interrupted_s": 3.0,
        "interruption_reasons": ["nothing came from the phone", "the connection was reset"],
    }
    assert lines == [expected] * 3


def test_a_line_without_room_is_not_written_at_all(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    manifest = Manifest(path)
    manifest.add(segment())
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for room in (0, 1, len(before) - 1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, hard))
            with pytest.raises(OSError):
                manifest.add(segment())
            assert path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


def test_an_unwritable_manifest_raises_at_once(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        Manifest(tmp_path)


def test_a_segment_is_made_of_plain_facts() -> None:
    assert asdict(segment())["ended"] == "segment"
    assert os.fspath(segment().path) == "clips/clipé.mp4"


@pytest.mark.parametrize("name", ["a", "a.mp4.txt", ".mp4", "a.mov", "a."])
def test_a_name_without_a_known_ending_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in \.mp4, \.mkv, \.webm or \.ts, got"):
        container_of(Path(name))


def test_a_kind_of_file_is_known_by_its_ending() -> None:
    assert container_of(Path("A.TS")) is MPEG_TS


def test_a_codec_that_a_kind_of_file_cannot_hold_raises_with_those_that_can() -> None:
    assert refusal(container_of(Path("a.mp4")), "h264") is None
    assert refusal(container_of(Path("a.mp4")), "vp8") == "MP4 cannot hold VP8: record into .mkv or .webm"
    assert refusal(container_of(Path("a.webm")), "h264") == "WebM cannot hold H264: record into .mp4, .mkv or .ts"
    assert refusal(MPEG_TS, "av1") == "MPEG-TS cannot hold AV1: record into .mp4, .mkv or .webm"
    assert refusal(MPEG_TS, "pcmu") == "MPEG-TS cannot hold PCMU: none of those that are written here can"
