"""Transcoded recordings of the emulator: a constant rate, and an undisturbed stream."""

import asyncio
import itertools
from pathlib import Path

import av
import numpy as np
import pytest

import streamer
from streamer import emulator
from tests.support.emulated import Sent, barcodes, digest, listen, recorded_counters
from tests.support.everywhere import Connect
from tests.support.recordings import boxes, duration_s, packets, streams
from tests.support.waiting import until

LIMIT_S = 60.0


def check_audio(path: Path, sent: list[Sent]) -> None:
    """Assert that a file holds audio as the phone sent it, without a gap and as long as the file."""
    heard = [digest([packet.data]) for packet in packets(path, "audio")]
    digests = [item.digest for item in sent]
    begin = digests.index(heard[0])
    assert heard == digests[begin : begin + len(heard)]
    assert len(heard) * 0.02 == pytest.approx(duration_s(path), abs=0.6)


@pytest.mark.alone
async def test_the_rate_is_constant_and_each_frame_keeps_its_time(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    sent = listen(phone)
    path = tmp_path / "a.mp4"
    options = streamer.Transcode(fps=20, crf=15)
    async with (
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
        session.record(path, transcode=options) as recording,
    ):
        await until(lambda: recording.frames > 20)
        phone.go_still()
        before = recording.frames
        await until(lambda: recording.frames > before + 30)
        phone.wake()
        before = recording.frames
        await until(lambda: recording.frames > before + 20)
    assert recording.dropped == 0
    found = packets(path)
    assert [round(float(packet.time) * 20, 2) for packet in found] == list(range(len(found)))
    assert duration_s(path) == pytest.approx(recording.duration_s, abs=0.06) == len(found) / 20
    seen = list(barcodes(path))
    counters = [barcode.counter for _, barcode in seen]
    assert counters == sorted(counters)
    assert max(counters.count(counter) for counter in set(counters)) > 20  # the still screen
    # Each shows what the phone had drawn when it was on: within half a step, and what jitter makes of it.
    drawn_ms = [barcode.clock_ms - 1000 * seconds for seconds, barcode in seen if counters.count(barcode.counter) == 1]
    assert max(drawn_ms) - min(drawn_ms) < 150
    check_audio(path, sent["audio"])


async def test_a_slow_encoder_drops_and_counts_frames_and_spares_the_stream(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    sent = listen(phone)
    slow = streamer.Transcode(codec="h265", fps=120, size=(1440, 2560))  # far more than any machine does in this time
    path, copy = tmp_path / "slow.mkv", tmp_path / "copy.mp4"
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        async with session.record(path, transcode=slow) as recording, session.record(copy) as copied:
            await until(lambda: recording.dropped > 60)
        stats = session.stats()
    assert (stats.frames_lost, stats.frames_malformed, stats.packets_lost) == (0, 0, 0)
    counters = recorded_counters(copy)
    assert counters == list(range(counters[0], counters[0] + copied.frames))
    assert copied.dropped == 0
    steps = [round(float(packet.time) * 120) for packet in packets(path)]
    assert steps == sorted(set(steps))
    check_audio(path, sent["audio"])


async def test_transcoded_segments_follow_each_other_through_a_rotation(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    options = streamer.Transcode(codec="vp9", fps=15, height=320)
    async with connect(phone, preroll_s=2) as session, asyncio.timeout(LIMIT_S):
        await asyncio.sleep(1.5)
        target = tmp_path / "clip-{}.mp4"
        async with session.record(target, before_s=1, segment_s=1, max_duration_s=4, transcode=options) as recording:
            await until(lambda: recording.frames > 30)
            phone.rotate()
            await recording.closed()
    assert len(recording.segments) >= 3
    assert recording.frames + recording.dropped == 60
    images = []
    for segment in recording.segments:
        assert boxes(segment.path) == ["ftyp", "moov", "mdat"]
        assert streams(segment.path)[0] == "vp9"
        with av.open(segment.path) as container:
            images = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        assert {image.shape for image in images} == {(320, 180)}
        steps = {round(float(b.time - a.time) * 90_000) for a, b in itertools.pairwise(packets(segment.path))}
        assert recording.dropped or steps <= {6000}
    assert np.asarray(images[-1])[:60].max() < 24  # it was turned: above and below it is black
