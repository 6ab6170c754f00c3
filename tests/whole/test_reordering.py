"""Phones whose encoder may reorder frames, or does: each frame at once or in order, and with its own times."""

import asyncio
import itertools
from pathlib import Path

import av
import numpy as np
import pytest

import streamer
from streamer import emulator
from streamer.emulator import Faults
from streamer.media.frame_decoder import LEAST_STILL_S
from tests.support.everywhere import Connect
from tests.support.recordings import packets

LIMIT_S = 30.0
WRAP_MS = 2**32  # the strip's clock counts modulo this
PAUSE_NS = round(LEAST_STILL_S * 1e9)  # after one, a busy machine's frames are handed over as those of a still screen


def shown(frame: streamer.VideoFrame) -> emulator.Barcode:
    barcode = emulator.read_barcode(frame.to_ndarray("gray"))
    assert barcode is not None
    return barcode


@pytest.mark.parametrize("fault", ["reordering_sps", "b_frames"])
async def test_a_screenshot_of_a_still_screen_is_its_last_frame(connect: Connect, fault: str) -> None:
    faults = Faults.parse([fault])
    async with (
        emulator.serve(width=360, height=640, faults=faults) as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await session.screenshot()
        for _ in range(2):
            phone.go_still()
            before = -1
            while before != (before := session.stats().frames_received):
                await asyncio.sleep(0.5)
            assert {shown(await session.screenshot()).counter for _ in range(2)} == {phone.frames_sent - 1}
            phone.media.is_still = False
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("fault", ["reordering_sps", "b_frames"])
async def test_every_frame_has_its_own_times_even_the_last_of_a_still_screen(connect: Connect, fault: str) -> None:
    faults = Faults.parse([fault])
    frames: list[streamer.VideoFrame] = []
    async with (
        emulator.serve(width=360, height=640, faults=faults) as phone,
        connect(phone) as session,
        session.frames("every") as iterator,
        asyncio.timeout(LIMIT_S),
    ):
        while len(frames) < 40:
            frames.append(await anext(iterator))
        phone.go_still()
        await asyncio.sleep(0.3)  # what was being drawn is drawn
        while shown(frames[-1]).counter < phone.frames_sent - 1:
            frames.append(await anext(iterator))
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    # That the phone reorders is seen with its first B-frame: before it, one frame was early. So is one before a pause.
    late = sum(earlier.rtp_time > later.rtp_time for earlier, later in itertools.pairwise(frames))
    pauses = sum(later.arrival_ns - earlier.arrival_ns > PAUSE_NS for earlier, later in itertools.pairwise(frames))
    assert 1 <= late <= 1 + pauses if fault == "b_frames" else late == 0
    frames.sort(key=lambda frame: frame.rtp_time)
    counters = [shown(frame).counter for frame in frames]
    assert sorted(set(counters)) == list(range(counters[0], counters[-1] + 1))  # none is missing
    assert counters == sorted(counters)  # each has its own time
    for earlier, later in itertools.pairwise(frames):  # and the time is the phone's
        steps_ms = (shown(later).clock_ms - shown(earlier).clock_ms) % WRAP_MS
        if shown(later).counter != shown(earlier).counter:
            assert abs(steps_ms - (later.rtp_time - earlier.rtp_time) / 90) < 500


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
async def test_a_recording_of_reordered_frames_shows_each_at_its_time(
    connect: Connect, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    async with (
        emulator.serve(width=360, height=640, faults=Faults.parse(["b_frames"])) as phone,
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
        session.record(path) as recording,
        session.frames("every") as iterator,
    ):
        seen = [await anext(iterator) for _ in range(60)]
    assert recording.dropped == 0
    with av.open(path) as container:
        container.streams.video[0].thread_count = 1
        frames = [(frame.time or 0.0, frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    assert len(frames) == recording.frames
    times = [packet.time for packet in packets(path)]
    assert times != sorted(times)  # it did reorder
    read = [(time, emulator.read_barcode(image.astype(np.uint8))) for time, image in frames]
    # The recording may end right after a frame whose B-frames, which are shown before it, were still to come.
    for (earlier, before), (later, after) in itertools.pairwise(read[:-1]):
        assert earlier < later
        assert before is not None
        assert after is not None
        assert before.counter <= after.counter <= before.counter + 1
    recorded = {barcode.counter: time for time, barcode in reversed(read) if barcode is not None}
    sent = {shown(frame).counter: frame.rtp_time for frame in sorted(seen, key=lambda frame: -frame.rtp_time)}
    common = sorted(recorded.keys() & sent.keys())[1:]  # of the first, one that repeats it may have been seen alone
    assert len(common) > 20
    for number, following in itertools.pairwise(common):  # the times are the phone's
        step_s = (sent[following] - sent[number]) / 90_000
        assert recorded[following] - recorded[number] == pytest.approx(step_s, abs=0.0015, rel=0.02)
