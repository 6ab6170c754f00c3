"""Where a recording may write: names that are refused, files that exist, and files that another recording writes."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from streamer.atomic_file import check_writable, write_atomically
from streamer.errors import ConfigurationError, RecordingError
from streamer.media.recording.recording import check_target
from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import Transcode
from tests.support.prepared import PYTHON
from tests.support.recording_session import S, Session, recorded
from tests.support.recordings import frames, video


@pytest.mark.parametrize("options", [{}, {"limits": Limits(segment_s=0.2)}, {"transcode": Transcode()}])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
async def test_relative_names_are_relative_to_the_directory_at_the_start(
    tmp_path: Path, suffix: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    monkeypatch.chdir(home)
    session = Session()
    async with session.record(f"a-{{}}{suffix}", manifest="m.jsonl", **options) as recording:
        monkeypatch.chdir(away)
        session.put(recording, video())
        session.now_ns += S // 30
    await recording.clip(0, 0.2, "clip.mp4")
    lines = [json.loads(line) for line in (home / "m.jsonl").read_text().splitlines()]
    files = [segment.path for segment in recording.segments]
    assert [line["file"] for line in lines] == [str(path) for path in files]
    assert sorted(home.iterdir()) == sorted([*files, home / "m.jsonl"])
    assert [path.name for path in away.iterdir()] == ["clip.mp4"]  # whose name was given there
    assert sum(len(frames(path)) for path in files) == recording.frames


@pytest.mark.parametrize("other", ["thread", pytest.param("process", marks=pytest.mark.edge)])
async def test_a_file_that_another_recording_writes_is_refused_and_stays_whole(tmp_path: Path, other: str) -> None:
    path = tmp_path / "a.mp4"
    link = tmp_path / "b.mp4"
    link.symlink_to(path)
    session = Session()
    async with session.record(path) as recording:
        session.put(recording, video())
        session.now_ns += S // 30
        if other == "thread":
            for name in (path, link):
                with pytest.raises(RecordingError, match=f"cannot write {path}: another recording is writing to it"):
                    Session().record(name, overwrite=True)
                with pytest.raises(RecordingError, match="another recording is writing to it"):
                    check_target(name, overwrite=True)
            with pytest.raises(RecordingError, match="another recording is writing to it"):
                write_atomically(path, b"a clip")
            with pytest.raises(RecordingError, match="another recording is writing to it"):
                check_writable(path)
        else:
            program = (
                "import sys; from streamer.media.recording.recording import check_target as check; "
                "check(sys.argv[1], overwrite=True)"
            )
            process = await asyncio.create_subprocess_exec(
                *PYTHON, "-c", program, str(path), stderr=asyncio.subprocess.PIPE
            )
            _, words = await process.communicate()
            assert process.returncode
            assert b"another recording is writing to it" in words
    assert len(frames(path)) == 12
    assert (await recorded(path, video()[:6], overwrite=True)).frames == 6  # now it may


async def test_two_recordings_with_one_pattern_take_different_names(tmp_path: Path) -> None:
    session = Session()
    async with (
        session.record(tmp_path / "a-{}.mp4", limits=Limits(segment_s=0.2)) as one,
        session.record(tmp_path / "a-{}.mp4", limits=Limits(segment_s=0.2)) as other,
    ):
        for unit in video():
            session.put(one, [unit])
            session.put(other, [unit])
        session.now_ns += S // 30
    paths = [segment.path for recording in (one, other) for segment in recording.segments]
    assert len(set(paths)) == len(paths) == len(list(tmp_path.iterdir()))
    assert sum(len(frames(path)) for path in paths) == 24


async def test_a_named_pipe_is_refused_before_it_can_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ts")
    with pytest.raises(RecordingError, match="it is a pipe or a device: open it"):
        check_target(tmp_path / "a.ts")
    with pytest.raises(RecordingError, match="it is a pipe or a device: open it"):
        Session().record(tmp_path / "a.ts")
    assert (tmp_path / "a.ts").exists()


async def test_a_name_with_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in \.mp4, \.mkv, \.webm or \.ts"):
        Session().record(tmp_path / "a.avi")
    assert not list(tmp_path.iterdir())


async def test_a_container_that_can_hold_none_of_the_phones_codecs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"WebM cannot hold H264: record into \.mp4, \.mkv or \.ts"):
        Session().record(tmp_path / "a.webm", video_codecs=["h264", "h265"])
    assert not list(tmp_path.iterdir())
    await recorded(tmp_path / "a.mp4", video(), video_codecs=["vp8", "h264"])


@pytest.mark.parametrize("name", ["nowhere/a.mp4", "a.mp4"])
async def test_a_file_that_cannot_be_created_raises_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match=rf"cannot write .*{name}.*there is no directory") as caught:
        Session().record(tmp_path / "b.mp4" if name == "a.mp4" else tmp_path / name, manifest=tmp_path / "x" / name)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.reason == "begin"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "error"),
    [("a.avi", ConfigurationError), ("nowhere/a.mp4", RecordingError), ("file/a-{}.mp4", RecordingError)],
)
async def test_checking_a_target_raises_what_recording_into_it_would(
    tmp_path: Path, name: str, error: type[Exception]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error) as beforehand:
        check_target(tmp_path / name)
    with pytest.raises(error) as begun:
        Session().record(tmp_path / name)
    assert str(beforehand.value) == str(begun.value)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(RecordingError, match="Is a directory"):
        check_target(tmp_path / "a.mp4")


def test_checking_a_target_changes_nothing(tmp_path: Path) -> None:
    check_target(sys.stdout.buffer)
    check_target(tmp_path / "new.mp4")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.mp4").write_bytes(b"kept")
    check_target(tmp_path / "old.mp4", overwrite=True)
    assert (tmp_path / "old.mp4").read_bytes() == b"kept"


async def test_an_existing_file_is_refused_and_kept_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"kept")
    (tmp_path / "link.mp4").symlink_to(path)
    (tmp_path / "hard.mp4").hardlink_to(path)
    for name in ("a.mp4", "link.mp4", "hard.mp4"):
        for refuses in (check_target, Session().record):
            with pytest.raises(RecordingError, match=rf"{name}: the file exists: .*--overwrite") as caught:
                refuses(tmp_path / name)
            assert caught.value.reason == "begin"
    assert path.read_bytes() == b"kept"
    await recorded(path, video(), overwrite=True)
    assert len(frames(path)) == len(video())


async def test_two_recordings_never_share_a_file(tmp_path: Path) -> None:
    first = Session().record(tmp_path / "a.mp4")
    with pytest.raises(RecordingError, match="the file exists"):
        Session().record(tmp_path / "a.mp4")
    first.end(None)
    await first.closed()
