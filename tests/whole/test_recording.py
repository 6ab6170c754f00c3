"""Recordings of the emulator: what it sent is what is in the file."""

import asyncio
import itertools
import time
from pathlib import Path

import av
import pytest

import streamer
from streamer import emulator
from tests.support.emulated import Sent, barcodes, counter, digest, listen, recorded_counters
from tests.support.everywhere import Connect
from tests.support.recordings import boxes, frames, packets, pieces
from tests.support.waiting import LIMIT_S, until


def matching(path: Path, kind: str, sent: list[Sent]) -> tuple[list[float], list[float]]:
    """Assert that a file holds what was sent, without a gap; return the times there and at the phone."""
    found = packets(path, kind)
    digests = [digest(pieces("h264", item.data) if kind == "video" else [item.data]) for item in found]
    begin = [item.digest for item in sent].index(digests[0])
    expected = sent[begin : begin + len(found)]
    assert digests == [item.digest for item in expected]
    return [float(item.time) for item in found], [item.seconds - expected[0].seconds for item in expected]


@pytest.mark.parametrize(("suffix", "exact_s"), [(".mp4", 1e-4), (".mkv", 1.1e-3)])
async def test_the_file_holds_what_the_phone_sent_bit_for_bit_at_its_time_rotated_and_still(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, suffix: str, exact_s: float
) -> None:
    sent = listen(phone)
    path = tmp_path / f"a{suffix}"
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        async with session.record(path) as recording:
            await until(lambda: recording.frames > 15)
            phone.rotate()
            before = len(sent["video"])
            await until(lambda: len(sent["video"]) > before + 15)
            phone.go_still()
            await asyncio.sleep(1.5)
            phone.wake()
            before = len(sent["video"])
            await until(lambda: len(sent["video"]) > before + 15)
        stats = session.stats()
    assert (stats.frames_lost, stats.frames_malformed, stats.frames_awaiting_keyframe) == (0, 0, 0)
    assert recording.dropped == 0
    times, captured = matching(path, "video", sent["video"])
    assert times == pytest.approx(captured, abs=exact_s)
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) > 1
    heard, _ = matching(path, "audio", sent["audio"])
    steps = [later - earlier for earlier, later in itertools.pairwise(heard)]
    # Sender reports move audio a little. Audio goes at once with first frames that were late by much.
    assert sum(step != pytest.approx(0.02, abs=0.0002 + exact_s) for step in steps) <= 3
    assert min(steps) > 0.02 - 0.0002 - exact_s
    shapes = [frame.shape for frame in frames(path)]
    assert len(shapes) == recording.frames > 45
    assert set(shapes) == {(960, 360), (540, 640)}


async def test_a_recording_may_begin_before_it_is_started(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    async with connect(phone, preroll_s=3) as session, asyncio.timeout(LIMIT_S):
        await asyncio.sleep(3)
        asked_at = time.time()
        async with session.record(path, before_s=2) as recording:
            await until(lambda: recording.duration_s > 2.5)
        with pytest.raises(streamer.ConfigurationError, match=r"expected before_s from 0 to 3, got 4"):
            session.record(tmp_path / "b.mp4", before_s=4)
    seen = [(seconds, barcode.clock_ms / 1000) for seconds, barcode in barcodes(path)]
    counters = recorded_counters(path)
    assert counters == list(range(counters[0], counters[0] + recording.frames))
    shown = [(seconds, drawn_at) for seconds, drawn_at in seen if seconds > 0.01]
    # The strip's clock counts modulo 2**32, and a frame is under way for a while. On a busy machine a moment passes
    # between reading the clock here and beginning the recording.
    wraps_s = 2**32 / 1000
    late = [(asked_at - 2 + seconds - drawn_at + 0.5) % wraps_s - 0.5 for seconds, drawn_at in shown]
    assert max(late) < 0.7
    heard = packets(path, "audio")
    assert float(heard[0].time) < 0.5
    assert recording.segments[0].started_at == pytest.approx(asked_at - 2, abs=0.5)


async def test_no_past_is_kept_without_preroll(phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path) -> None:
    for seconds in (-1, 121):
        with pytest.raises(streamer.ConfigurationError, match="expected preroll_s from 0 to 120"):
            connect(phone, preroll_s=seconds)
    async with connect(phone) as session:
        with pytest.raises(streamer.ConfigurationError, match=r"before_s from 0 to 0, got 1"):
            session.record(tmp_path / "a.mp4", before_s=1)
    assert not list(tmp_path.iterdir())


async def test_a_still_screen_that_answers_no_keyframe_request_is_recorded(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        frames = session.frames()
        last = counter(await anext(frames))
        phone.go_still()
        while last < phone.frames_sent - 1:
            last = counter(await anext(frames))
        phone.media.make_keyframe = lambda: None  # type: ignore[method-assign]
        await asyncio.sleep(0.6)
        async with session.record(path) as recording:
            await until(lambda: recording.duration_s > 1)
    *_, (_, shown) = barcodes(path)
    assert shown.counter == last
    with av.open(path) as container:
        assert (container.duration or 0) / av.time_base > 1


async def test_a_container_that_cannot_hold_the_offered_codecs_is_refused_at_once(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session:
        for _ in range(2):
            with pytest.raises(streamer.ConfigurationError, match="WebM cannot hold H264: record into"):
                session.record(tmp_path / "a.webm")
            await anext(session.frames())
    assert not list(tmp_path.iterdir())


async def test_segments_follow_each_other_without_a_gap(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        async with session.record(tmp_path / "clip-{}.mp4", segment_s=1, max_duration_s=4) as recording:
            await recording.closed()
        requests = session.stats().pli_count
    assert 3 <= len(recording.segments) <= 6
    assert requests >= len(recording.segments) - 1
    counters = [barcode.counter for segment in recording.segments for _, barcode in barcodes(segment.path)]
    assert counters == list(range(counters[0], counters[0] + len(counters)))
    assert len(counters) == recording.frames
    assert sum(segment.duration_s for segment in recording.segments) == pytest.approx(4)
    assert all(boxes(segment.path) == ["ftyp", "moov", "mdat"] for segment in recording.segments)


async def test_a_recording_holds_every_frame_and_the_audio_and_decodes_nothing(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        async with session.record(tmp_path / "a.mp4") as one, session.record(tmp_path / "b.mp4") as two:
            while min(one.frames, two.frames) < 60:
                await asyncio.sleep(0.05)
        assert session.stats().frames_decoded == 0
    for recording in (one, two):
        shown = [barcode for _, barcode in barcodes(recording.path)]
        counters = [barcode.counter for barcode in shown]
        assert counters == list(range(counters[0], counters[0] + len(counters)))
        assert len(counters) == recording.frames
        with av.open(recording.path) as container:
            assert [stream.codec_context.name for stream in container.streams] == ["h264", "opus"]
            duration_s = float(container.duration or 0) / av.time_base
            audio = sum(packet.size > 0 for packet in container.demux(audio=0))
        drawn_s = (shown[-1].clock_ms - shown[0].clock_ms) % 2**32 / 1000  # a busy phone draws fewer than 30 a second
        assert duration_s == pytest.approx(drawn_s, abs=0.3)
        assert audio > 40 * duration_s
