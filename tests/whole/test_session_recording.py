"""Recordings and the session that they belong to: which of the two ends first, and what is left."""

import asyncio
from pathlib import Path

import pytest

import streamer
from streamer import emulator
from tests.support.emulated import recorded_counters
from tests.support.everywhere import Connect
from tests.support.recordings import boxes
from tests.support.waiting import LIMIT_S, until


async def test_leaving_a_session_finishes_its_recordings(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        recording = session.record(tmp_path / "a.mp4")
        while recording.frames < 10:
            await asyncio.sleep(0.05)
    assert len(recorded_counters(recording.path)) == recording.frames


async def test_a_closed_session_refuses_to_record_and_to_be_entered_again(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    connecting = connect(phone)
    async with connecting as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
    with pytest.raises(streamer.ConnectionLostError, match="cannot record: the session is closed"):
        session.record(tmp_path / "a.mp4")
    assert not any(tmp_path.iterdir())
    with pytest.raises(streamer.ConfigurationError, match=r"call connect\(\) again"):
        async with connecting:
            pass


async def test_an_ended_session_says_why_it_refuses_to_record(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.screenshot()
        await phone.close_clients("1402")
        with pytest.raises(streamer.TakenOverError):
            await session.wait_ended()
        with pytest.raises(streamer.TakenOverError):
            session.record(tmp_path / "a.mp4")


async def test_a_recording_that_the_phone_ends_is_whole_and_says_why(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        recording = session.record(tmp_path / "a.mp4")
        while recording.frames < 10:
            await asyncio.sleep(0.05)
        await phone.close_clients("1401")
        with pytest.raises(streamer.SignalingClosedError, match="the user left"):
            await session.wait_ended()
        with pytest.raises(streamer.SignalingClosedError):
            await recording.stop()
    assert len(recorded_counters(recording.path)) >= 10


async def test_leaving_a_session_waits_for_recordings_that_are_ending(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        limited = session.record(tmp_path / "a.mp4", max_duration_s=0.5)
        ended = session.record(tmp_path / "b.mp4")
        await until(lambda: limited.frames > 5)
        ended.end(None)
    assert limited.is_closed
    assert ended.is_closed
    for path in (tmp_path / "a.mp4", tmp_path / "b.mp4"):
        assert boxes(path) == ["ftyp", "moov", "mdat"]
