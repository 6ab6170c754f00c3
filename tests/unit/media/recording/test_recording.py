"""Recordings as the event loop sees them: how they begin, what they refuse, how they end; see also test_writer."""

import asyncio
import itertools
import json
import os
import random
import resource
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer.atomic_file import check_writable, write_atomically
from streamer.errors import ConfigurationError, ConnectionLostError, RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.recording import recording as recordings
from streamer.media.recording.recording import INBOX_LIMIT, Recording, check_target
from streamer.media.recording.segment_writer import Writer
from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import Transcode
from tests.support.recording_session import LIMIT_S, NOON_NS, S, Session
from tests.support.recordings import STREAM, audio, boxes, frames, interleaved, packets, pieces, sent, times, video
from tests.support.senders import encoded
from tests.support.waiting import until


async def recorded(path: Path, units: Sequence[AccessUnit], **options: Any) -> Recording:
    session = Session()
    async with asyncio.timeout(LIMIT_S):
        async with session.record(path, **options) as recording:
            session.put(recording, units)
            session.now_ns += S // 30
    return recording


# What is in the file


async def test_the_file_holds_every_frame_as_it_came_at_its_time(tmp_path: Path) -> None:
    units, opus = video(), audio(20)
    recording = await recorded(tmp_path / "a.mp4", interleaved(units, opus), has_audio=True)
    found = packets(recording.path)
    assert [pieces("h264", packet.data) for packet in found] == [sent(unit) for unit in units]  # copied bit for bit
    assert [packet.data for packet in packets(recording.path, "audio")] == [unit.data for unit in opus]
    assert times(recording.path) == pytest.approx([number / 30 for number in range(12)])
    decoder = av.VideoCodecContext.create("h264", "r")
    known = [frame for data in STREAM for frame in decoder.decode(av.Packet(data))] + decoder.decode()
    for frame, sent_frame in zip(frames(recording.path), known, strict=True):
        assert np.array_equal(frame, sent_frame.to_ndarray())
    assert (recording.frames, recording.dropped, recording.error) == (12, 0, None)
    assert recording.duration_s == pytest.approx(12 / 30, abs=0.03)
    assert recording.size_bytes == recording.path.stat().st_size
    assert boxes(recording.path) == ["ftyp", "moov", "mdat"]
    (segment,) = recording.segments
    assert (segment.path, segment.frames, segment.ended) == (recording.path, 12, "stopped")
    assert segment.started_at == pytest.approx((NOON_NS + units[0].arrival_ns) / S)


async def test_a_recording_begins_with_a_keyframe_which_is_asked_for(tmp_path: Path) -> None:
    session = Session()
    async with session.record(tmp_path / "a.mp4") as recording:
        assert session.asked == 1
        session.put(recording, video()[4:])
    assert len(frames(recording.path)) == 6
    assert times(recording.path)[0] == 0
    assert (recording.dropped, session.asked) == (0, 1)


async def test_a_recording_of_what_came_before_goes_on_without_a_keyframe(tmp_path: Path) -> None:
    session = Session()
    units = video(encoded(20))
    options: dict[str, Any] = {"before": units[:10], "start_ns": units[5].arrival_ns}
    async with session.record(tmp_path / "a.mp4", **options) as recording:
        session.put(recording, units[10:])
    assert session.asked == 0
    assert recording.frames == len(frames(recording.path)) == 20
    assert times(recording.path)[5:] == pytest.approx([number / 30 for number in range(15)], abs=1e-4)


async def test_what_came_before_is_there_although_nothing_comes_after(tmp_path: Path) -> None:
    session = Session()
    async with session.record(tmp_path / "a.mp4", before=video(), start_ns=0) as recording:
        pass
    assert len(frames(recording.path)) == 12


async def test_the_thread_wakes_by_itself_on_a_still_screen(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4", limits=Limits(max_duration_s=10))
    session.put(recording, video())
    session.now_ns += 60 * S
    async with asyncio.timeout(LIMIT_S):
        await recording.closed()
    assert session.ended == [recording]
    assert recording.is_closed
    assert recording.duration_s == 10
    await recording.stop()  # which raises nothing


async def test_keyframes_for_segments_are_asked_for_in_the_loop(tmp_path: Path) -> None:
    session = Session()
    loop = threading.get_ident()
    asked_in: list[int] = []
    session.ask = lambda: asked_in.append(threading.get_ident())  # type: ignore[method-assign]
    async with session.record(tmp_path / "a-{}.mp4", limits=Limits(segment_s=1)) as recording:
        session.put(recording, video())
        session.now_ns += S
        await until(lambda: len(asked_in) == 2)
    assert asked_in == [loop, loop]


@pytest.mark.parametrize("options", [{}, {"limits": Limits(segment_s=0.2)}, {"transcode": Transcode()}])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
async def test_relative_names_are_relative_to_the_directory_in_which_it_was_begun(
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
                sys.executable, "-c", program, str(path), stderr=asyncio.subprocess.PIPE
            )
            _, words = await process.communicate()
            assert process.returncode
            assert b"another recording is writing to it" in words
    assert len(frames(path)) == 12
    assert (await recorded(path, video()[:6], overwrite=True)).frames == 6  # now it may


async def test_two_recordings_into_one_pattern_take_names_of_their_own(tmp_path: Path) -> None:
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


async def test_a_wall_clock_that_is_set_is_followed(tmp_path: Path) -> None:
    session = Session()
    async with session.record(tmp_path / "a-{start:%Y}-{}.mkv", limits=Limits(segment_s=0.1)) as recording:
        session.put(recording, video()[:6])
        await until(lambda: recording.frames == 6)
        session.noon_ns += 366 * 86_400 * S
        session.now_ns += S // 30
        await asyncio.to_thread(recording._tick)
        session.put(recording, video()[6:])
    assert [segment.path.name for segment in recording.segments] == ["a-2027-1.mkv", "a-2028-2.mkv"]
    assert [segment.duration_s for segment in recording.segments] == pytest.approx([0.2, 0.2], abs=0.04)


# How it ends


@pytest.mark.parametrize(("max_duration_s", "waits_s"), [(0.5, 10), (60, 60)])
@pytest.mark.parametrize("transcode", [None, Transcode()])
async def test_a_recording_that_is_to_end_by_itself_does_so_although_no_frame_comes(
    tmp_path: Path, max_duration_s: float, waits_s: int, transcode: Transcode | None
) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4", limits=Limits(max_duration_s=max_duration_s), transcode=transcode)
    session.now_ns = waits_s * S - 1
    recording._tick()
    await asyncio.sleep(0)
    assert session.ended == []
    session.now_ns = waits_s * S
    async with asyncio.timeout(LIMIT_S):
        await recording.closed()
    with pytest.raises(RecordingError, match="no frame came"):
        await recording.stop()


@pytest.mark.parametrize("transcode", [None, Transcode()])
@pytest.mark.parametrize("units", [[], audio(3)])
async def test_a_recording_to_which_no_frame_came_says_so_and_leaves_no_file(
    tmp_path: Path, units: list[AccessUnit], transcode: Transcode | None
) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4", has_audio=True, transcode=transcode)
    session.put(recording, units)
    with pytest.raises(RecordingError, match=r"no frame came: .*a\.mp4") as caught:
        await recording.stop()
    assert caught.value.reason == "empty"
    assert not list(tmp_path.iterdir())


async def test_what_comes_after_the_end_is_not_taken_and_stopping_twice_does_no_harm(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, video()[:6])
    assert not recording.is_closed
    await asyncio.gather(recording.stop(), recording.stop())
    recording.put(video()[6])
    await recording.stop()
    assert len(frames(recording.path)) == 6
    assert session.ended == [recording]
    assert recording.dropped == 0


async def test_the_error_that_ended_the_stream_is_told_and_the_file_is_whole(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, video())
    recording.end(ConnectionLostError("gone"))
    with pytest.raises(ConnectionLostError, match="gone"):
        await recording.stop()
    assert len(frames(recording.path)) == 12
    assert recording.segments[0].ended == "lost"


async def test_an_error_in_the_block_is_not_covered_by_one_of_ours(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    with pytest.raises(ZeroDivisionError):
        async with recording:
            session.put(recording, video())
            recording.end(ConnectionLostError("gone"))
            raise ZeroDivisionError
    assert len(frames(recording.path)) == 12


async def test_who_is_cancelled_while_stopping_leaves_a_file_that_is_closed_all_the_same(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, video())
    stopping = asyncio.ensure_future(recording.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    async with asyncio.timeout(LIMIT_S):
        await recording.closed()
    assert len(frames(recording.path)) == 12


# When it cannot be written


@pytest.mark.parametrize(("items", "size"), [(INBOX_LIMIT, None), (0, 200_000)])
async def test_a_flood_is_bounded_and_what_is_left_out_is_counted(
    tmp_path: Path, items: int, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if size is not None:
        monkeypatch.setattr(recordings, "INBOX_BYTES", size)
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    flood = [
        replace(unit, rtp_time=unit.rtp_time + 36_000 * turn, arrival_ns=unit.arrival_ns + 400_000_000 * turn)
        for turn in range(300)
        for unit in video()
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)  # the writing thread gets no turn meanwhile: as with a disk that stands still
    try:
        session.put(recording, flood)
    finally:
        sys.setswitchinterval(interval)
    await recording.stop()
    assert recording.frames + recording.dropped == len(flood)
    assert recording.frames >= items
    if size is not None:
        assert recording.size_bytes < 2 * size
    found = packets(recording.path)
    assert len(found) == recording.frames
    gaps = [later.time - earlier.time > Fraction(1, 20) for earlier, later in itertools.pairwise(found)]
    assert all(found[place + 1].is_keyframe for place, is_gap in enumerate(gaps) if is_gap)


async def test_a_slow_disk_holds_nobody_up_and_the_recording_goes_on_at_a_keyframe_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "INBOX_LIMIT", 20)
    go_on, stopped = threading.Event(), threading.Event()
    write = Writer.put

    def slow(writer: Writer, unit: AccessUnit) -> None:
        stopped.set()
        assert go_on.wait(LIMIT_S)
        write(writer, unit)

    monkeypatch.setattr(Writer, "put", slow)
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    units = video(encoded(100))  # one keyframe
    session.put(recording, units[:1])
    await until(stopped.is_set)
    before = time.thread_time()
    session.put(recording, units[1:60])
    assert time.thread_time() - before < 1  # nobody waited
    assert recording.dropped == 39
    assert session.asked == 1  # what came now would find no room
    go_on.set()
    await until(lambda: recording.frames == 21)
    session.put(recording, units[60:70])
    assert session.asked == 2
    again = [replace(unit, rtp_time=unit.rtp_time + 210_000, arrival_ns=units[70].arrival_ns) for unit in units[:5]]
    session.put(recording, again)
    await recording.stop()
    assert recording.dropped == 49
    assert len(frames(recording.path)) == recording.frames == 26


async def test_a_disk_that_takes_nothing_any_more_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "CLOSE_LIMIT_S", 0.05)
    go_on = threading.Event()
    monkeypatch.setattr(Writer, "put", lambda *_: go_on.wait(LIMIT_S))
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, video())
    with pytest.raises(RecordingError, match="takes no more") as caught:
        await recording.stop()
    assert caught.value.reason == "stalled"
    assert recording.is_closed
    go_on.set()
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("record ")])


async def test_a_fault_of_ours_ends_the_recording_and_is_told_and_what_was_written_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, video())
    await until(lambda: recording.frames == 12)
    await until(lambda: frames(recording.path))

    def break_down(*_: object) -> None:
        raise ZeroDivisionError("what nobody thought of")

    monkeypatch.setattr(Writer, "put", break_down)
    session.put(recording, video()[:1])
    async with asyncio.timeout(LIMIT_S):
        await recording.closed()
    with pytest.raises(RecordingError, match=r"failed after 12 frames: ZeroDivisionError\('what nobody"):
        await recording.stop()
    assert session.ended == [recording]
    assert len(frames(recording.path)) == 12


async def test_a_pipe_that_does_not_block_is_waited_for(tmp_path: Path) -> None:
    out, into = os.pipe()
    os.set_blocking(into, False)
    units = video(NOISE)
    assert sum(len(unit.data) for unit in units) > 200_000  # a pipe holds 64 kB
    path = tmp_path / "a.ts"

    def read() -> None:
        with os.fdopen(out, "rb") as pipe:
            path.write_bytes(pipe.read())

    with os.fdopen(into, "wb", buffering=0) as pipe:
        recording = Session().record(pipe)
        for unit in units:
            recording.put(unit)
        await until(lambda: recording.frames)
        before = time.process_time()
        await asyncio.sleep(1)  # while the pipe is full
        assert time.process_time() - before < 0.5
        reader = threading.Thread(target=read)
        reader.start()
        await recording.stop()
    reader.join()
    assert len(packets(path)) == recording.frames == 40


async def test_a_pipe_that_nobody_reads_is_given_up_sooner_than_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "PIPE_LIMIT_S", 0.2)
    out, into = os.pipe()
    with os.fdopen(out, "rb") as reader, os.fdopen(into, "wb", buffering=0) as pipe:
        recording = Session().record(pipe)
        for unit in video(NOISE):
            recording.put(unit)
        await until(lambda: recording.frames)
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(RecordingError, match="takes no more") as caught:
                await recording.stop()
        assert caught.value.reason == "stalled"
        thread = next(thread for thread in threading.enumerate() if thread.name.startswith("record "))
        os.set_blocking(out, False)
        while thread.is_alive():
            reader.read(65536)
            await asyncio.sleep(0.01)


async def test_a_named_pipe_is_refused_before_it_can_hold_anybody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ts")
    with pytest.raises(RecordingError, match="it is a pipe or a device: open it"):
        check_target(tmp_path / "a.ts")
    with pytest.raises(RecordingError, match="it is a pipe or a device: open it"):
        Session().record(tmp_path / "a.ts")
    assert (tmp_path / "a.ts").exists()


async def test_a_name_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in \.mp4, \.mkv, \.webm or \.ts"):
        Session().record(tmp_path / "a.avi")
    assert not list(tmp_path.iterdir())


async def test_a_kind_that_can_hold_none_of_the_phone_s_codecs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"WebM cannot hold H264: record into \.mp4, \.mkv or \.ts"):
        Session().record(tmp_path / "a.webm", video_codecs=["h264", "h265"])
    assert not list(tmp_path.iterdir())
    await recorded(tmp_path / "a.mp4", video(), video_codecs=["vp8", "h264"])


@pytest.mark.parametrize("name", ["nowhere/a.mp4", "a.mp4"])
async def test_what_cannot_be_created_is_told_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match=rf"cannot write .*{name}.*No such file or directory") as caught:
        Session().record(tmp_path / "b.mp4" if name == "a.mp4" else tmp_path / name, manifest=tmp_path / "x" / name)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.reason == "begin"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "error"),
    [("a.avi", ConfigurationError), ("nowhere/a.mp4", RecordingError), ("file/a-{}.mp4", RecordingError)],
)
async def test_a_file_that_cannot_be_recorded_into_is_told_beforehand(
    tmp_path: Path, name: str, error: type[Exception]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error) as beforehand:
        check_target(tmp_path / name)
    with pytest.raises(error) as begun:
        Session().record(tmp_path / name)
    assert str(beforehand.value) == str(begun.value)


def test_a_directory_is_no_file_to_record_into(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(RecordingError, match="Is a directory"):
        check_target(tmp_path / "a.mp4")


def test_looking_beforehand_changes_nothing(tmp_path: Path) -> None:
    check_target(sys.stdout.buffer)
    check_target(tmp_path / "new.mp4")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.mp4").write_bytes(b"kept")
    check_target(tmp_path / "old.mp4", overwrite=True)
    assert (tmp_path / "old.mp4").read_bytes() == b"kept"


async def test_a_file_that_exists_is_refused_and_stays_unless_it_is_given_up(tmp_path: Path) -> None:
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


async def test_two_recordings_that_begin_with_one_name_are_not_mixed(tmp_path: Path) -> None:
    first = Session().record(tmp_path / "a.mp4")
    with pytest.raises(RecordingError, match="the file exists"):
        Session().record(tmp_path / "a.mp4")
    first.end(None)
    await first.closed()


NOISE = encoded(40, keyframe_every=10, noise=True)


@pytest.mark.parametrize("room", [0.5, 0.97])
async def test_a_full_disk_ends_the_recording_by_itself_and_what_was_written_plays(tmp_path: Path, room: float) -> None:
    """The file may not grow beyond a limit: for the process that is a disk that is full."""
    units = [
        replace(unit, rtp_time=unit.rtp_time + 27_000 * number, arrival_ns=unit.arrival_ns + 300_000_000 * number)
        for number, unit in enumerate(video(NOISE))
    ]
    whole = (await recorded(tmp_path / "whole.mp4", units)).size_bytes
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(room * whole), hard))
        session.put(recording, units)
        async with asyncio.timeout(LIMIT_S):
            await recording.closed()
        with pytest.raises(RecordingError, match=r"writing .* failed after .* frames: File too large") as caught:
            await recording.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.reason == "disk-full"
    assert recording.error is caught.value
    assert session.ended == [recording]
    assert recording.segments[0].ended == "error"
    assert len(frames(recording.path)) == recording.frames
    assert recording.frames + recording.dropped == 40
    assert recording.frames > 30 * room


async def test_a_keyframe_that_is_none_is_an_error_of_the_recording(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, [replace(video()[0], data=b"\x00\x00\x00\x01\x65"), *video()[1:]])
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(RecordingError, match="cannot parse the H264 keyframe"):
            await recording.stop()
    assert not recording.path.exists()


# When the process dies

KILLED = """
    import asyncio, sys, time
    from streamer.media.recording.recording import Recording
    from tests.support.recordings import video
    from tests.support.senders import access_unit, encoded

    async def main():
        recording = Recording(sys.argv[1], has_audio=False, on_end=lambda _: None)
        stream = encoded(20, keyframe_every=10, noise=True)
        start = time.monotonic()
        for number in range(10_000):
            await asyncio.sleep(start + number / 50 - time.monotonic())
            recording.put(access_unit(stream[number % 20], 1800 * number, arrival_ns=time.monotonic_ns()))
            print(number, flush=True)

    asyncio.run(main())
"""


async def killed(path: Path, last: int) -> None:
    """Let a process record, and kill it when it has put so many frames."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    root = Path(__file__).parents[4]
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=root, env=environment)
    assert process.stdout is not None
    while (line := await process.stdout.readline()) != b"%d\n" % last:
        assert line
    process.kill()
    await process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.edge
async def test_a_process_that_is_killed_leaves_a_file_that_plays_up_to_its_last_fragment(tmp_path: Path) -> None:
    lasts = random.Random(1).sample(range(30, 160), 3)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:
        for last in lasts:
            tasks.create_task(killed(tmp_path / f"{last}.mp4", last))
    for last in lasts:
        path = tmp_path / f"{last}.mp4"
        found = frames(path)
        assert max(last - 100, 0) < len(found)  # two seconds
        assert times(path) == pytest.approx([number / 50 for number in range(len(found))])
