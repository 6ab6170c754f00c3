"""Recordings as the event loop sees them: how they begin, what is in the file, how they end."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer.errors import ConnectionLostError, RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import Transcode
from tests.support.recording_session import LIMIT_S, NOON_NS, S, Session, recorded
from tests.support.recordings import STREAM, audio, boxes, frames, interleaved, packets, pieces, sent, times, video
from tests.support.senders import encoded
from tests.support.waiting import until


async def test_the_file_holds_every_frame_unchanged_at_its_time(tmp_path: Path) -> None:
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


async def test_a_recording_requests_a_keyframe_and_begins_with_it(tmp_path: Path) -> None:
    session = Session()
    async with session.record(tmp_path / "a.mp4") as recording:
        assert session.asked == 1
        session.put(recording, video()[4:])
    assert len(frames(recording.path)) == 6
    assert times(recording.path)[0] == 0
    assert (recording.dropped, session.asked) == (0, 1)


async def test_a_recording_with_preroll_goes_on_without_a_keyframe(tmp_path: Path) -> None:
    session = Session()
    units = video(encoded(20))
    options: dict[str, Any] = {"before": units[:10], "start_ns": units[5].arrival_ns}
    async with session.record(tmp_path / "a.mp4", **options) as recording:
        session.put(recording, units[10:])
    assert session.asked == 0
    assert recording.frames == len(frames(recording.path)) == 20
    assert times(recording.path)[5:] == pytest.approx([number / 30 for number in range(15)], abs=1e-4)


async def test_a_preroll_is_recorded_even_if_nothing_follows(tmp_path: Path) -> None:
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


async def test_keyframes_for_segments_are_requested_in_the_loop(tmp_path: Path) -> None:
    session = Session()
    loop = threading.get_ident()
    asked_in: list[int] = []
    session.ask = lambda: asked_in.append(threading.get_ident())  # type: ignore[method-assign]
    async with session.record(tmp_path / "a-{}.mp4", limits=Limits(segment_s=1)) as recording:
        session.put(recording, video())
        session.now_ns += S
        await until(lambda: len(asked_in) == 2)
    assert asked_in == [loop, loop]


async def test_file_names_follow_a_wall_clock_that_is_set(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("max_duration_s", "waits_s"), [(0.5, 10), (60, 60)])
@pytest.mark.parametrize("transcode", [None, Transcode()])
async def test_a_recording_with_a_limit_ends_by_itself_without_any_frame(
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
async def test_a_recording_without_frames_says_so_and_leaves_no_file(
    tmp_path: Path, units: list[AccessUnit], transcode: Transcode | None
) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4", has_audio=True, transcode=transcode)
    session.put(recording, units)
    with pytest.raises(RecordingError, match=r"no frame came: .*a\.mp4") as caught:
        await recording.stop()
    assert caught.value.reason == "empty"
    assert not list(tmp_path.iterdir())


async def test_units_after_the_end_are_ignored_and_stopping_twice_does_no_harm(tmp_path: Path) -> None:
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


async def test_the_error_that_ended_the_stream_is_raised_and_the_file_is_whole(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    session.put(recording, video())
    recording.end(ConnectionLostError("gone"))
    with pytest.raises(ConnectionLostError, match="gone"):
        await recording.stop()
    assert len(frames(recording.path)) == 12
    assert recording.segments[0].ended == "lost"


async def test_an_error_in_the_block_is_not_hidden_by_one_of_ours(tmp_path: Path) -> None:
    session = Session()
    recording = session.record(tmp_path / "a.mp4")
    with pytest.raises(ZeroDivisionError):
        async with recording:
            session.put(recording, video())
            recording.end(ConnectionLostError("gone"))
            raise ZeroDivisionError
    assert len(frames(recording.path)) == 12


async def test_a_cancelled_stop_still_closes_the_file(tmp_path: Path) -> None:
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
