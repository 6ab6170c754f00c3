"""When a recording cannot go on: slow and full disks, unread pipes, our own faults, a process that is killed."""

import asyncio
import itertools
import os
import random
import resource
import signal
import sys
import textwrap
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from streamer.errors import RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.recording import recording as recordings
from streamer.media.recording.recording import INBOX_LIMIT
from streamer.media.recording.segment_writer import Writer
from tests.support.prepared import PYTHON
from tests.support.recording_session import LIMIT_S, Session, recorded
from tests.support.recordings import frames, packets, times, video
from tests.support.senders import encoded
from tests.support.waiting import until

NOISE = encoded(40, keyframe_every=10, noise=True)


@pytest.mark.parametrize(("items", "size"), [(INBOX_LIMIT, None), (0, 200_000)])
async def test_a_flood_is_bounded_and_dropped_units_are_counted(
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


async def test_a_slow_disk_blocks_nobody_and_the_recording_resumes_at_a_requested_keyframe(
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


async def test_a_stalled_disk_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_an_internal_error_ends_the_recording_with_its_text_and_a_playable_file(
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


async def test_a_full_nonblocking_pipe_is_waited_for(tmp_path: Path) -> None:
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


async def test_an_unread_pipe_is_given_up_sooner_than_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("room", [0.5, 0.97])
async def test_a_full_disk_ends_the_recording_and_leaves_a_playable_file(tmp_path: Path, room: float) -> None:
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


async def test_an_invalid_keyframe_is_an_error_of_the_recording(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, [replace(video()[0], data=b"\x00\x00\x00\x01\x65"), *video()[1:]])
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(RecordingError, match="cannot parse the H264 keyframe"):
            await recording.stop()
    assert not recording.path.exists()


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
    command = [*PYTHON, "-c", textwrap.dedent(KILLED), str(path)]
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
async def test_a_killed_process_leaves_a_file_that_plays_up_to_its_last_fragment(tmp_path: Path) -> None:
    lasts = random.Random(1).sample(range(30, 160), 3)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:
        for last in lasts:
            tasks.create_task(killed(tmp_path / f"{last}.mp4", last))
    for last in lasts:
        path = tmp_path / f"{last}.mp4"
        found = frames(path)
        assert max(last - 100, 0) < len(found)  # two seconds
        assert times(path) == pytest.approx([number / 50 for number in range(len(found))])
