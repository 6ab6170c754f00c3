"""The phone's audio as a consumer gets it: over real sockets, and over a path that loses packets."""

import asyncio
import itertools
import json
import time

import numpy as np
import pytest

import streamer
from streamer import emulator
from tests.support.everywhere import Connect
from tests.support.processes import Child
from tests.support.relay import relay_path

LIMIT_S = 30.0


async def take(session: streamer.Session, seconds: float) -> list[streamer.AudioFrame]:
    """Return so many seconds of audio."""
    frames: list[streamer.AudioFrame] = []
    async with session.audio() as audio, asyncio.timeout(LIMIT_S):
        while sum(frame.duration_s for frame in frames) < seconds:
            frames.append(await anext(audio))
    return frames


def beeps(frames: list[streamer.AudioFrame]) -> list[int]:
    """Return at which sample each beep begins."""
    loud = np.flatnonzero(np.abs(np.concatenate([frame.samples[:, 0] for frame in frames])) > 3000)
    return [int(after) for before, after in itertools.pairwise([-10_000, *loud]) if after - before > 9600]


async def test_audio_arrives_without_a_gap_and_describes_itself(connect: Connect) -> None:
    async with emulator.serve(width=360, height=640, flash_and_beep=True) as phone, connect(phone) as session:
        frames = await take(session, 3.5)
        assert session.stats().frames_decoded == 0  # who listens need not look
    assert [frame.discontinuity for frame in frames] == [True] + [False] * (len(frames) - 1)
    for before, after in itertools.pairwise(frames):
        assert after.rtp_time == before.rtp_time + len(before.samples)
    assert {frame.samples.shape[1] for frame in frames} == {2}
    assert sum(frame.concealed for frame in frames) == 0
    assert {frame.audio_port for frame in frames} == {session.audio_ports.external}
    assert frames[-1].captured_at == pytest.approx(time.time(), abs=LIMIT_S)
    assert frames[-1].received_at == pytest.approx(time.time(), abs=LIMIT_S)
    begins = beeps(frames)
    assert len(begins) >= 3
    steps = [after - before for before, after in itertools.pairwise(begins[1:])]  # it may begin in the first beep
    assert steps == pytest.approx([48_000] * len(steps), abs=48)


async def test_audio_over_a_lossy_path_has_no_gap_and_marks_what_is_concealed() -> None:
    options = {"width": 360, "height": 640, "path": relay_path(20)}
    with Child("tests.support.phone_process", json.dumps(options)) as phone:
        place = await asyncio.to_thread(phone.hear)
        async with streamer.connect(
            place["instance"], endpoint=place["endpoint"], credentials=streamer.Token(place["token"])
        ) as session:
            frames = await take(session, 4)
            stats = session.stats()
    assert stats.packets_lost > 0
    assert stats.audio_packets_decoded > 20
    for before, after in itertools.pairwise(frames):
        assert after.rtp_time == before.rtp_time + len(before.samples)
        assert not after.discontinuity
    made_up = sum(frame.concealed for frame in frames)
    assert made_up % 960 == 0
    assert made_up <= round(stats.concealed_audio_s * 48_000)
    assert 0.02 < made_up / sum(len(frame.samples) for frame in frames) < 0.6


async def test_audio_ends_with_the_session(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session:
        audio = session.audio("f32", rate=8_000, layout="mono")
        async with asyncio.timeout(LIMIT_S):
            frame = await anext(audio)
        assert frame.samples.dtype == np.float32
        assert frame.samples.shape[1] == 1
    async with asyncio.timeout(LIMIT_S):
        assert all(frame.rate == 8_000 for frame in [frame async for frame in audio])
