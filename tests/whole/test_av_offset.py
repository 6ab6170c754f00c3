"""Sound beside picture: the embedded phone flashes and beeps at the same instant, and so does its recording."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.av_offset import GOAL_MS, offsets
from streamer import phone as embedded
from tests.everywhere import Connect

SECONDS = 20


async def test_every_beep_of_a_recording_is_within_20_ms_of_its_flash(connect: Connect, tmp_path: Path) -> None:
    paths = [tmp_path / "a.mp4", tmp_path / "a.mkv"]
    async with (
        embedded.serve(width=360, height=640, flash_and_beep=True) as phone,
        connect(phone) as session,
        session.record(paths[0]) as recording,
        session.record(paths[1]),
        asyncio.timeout(SECONDS + 20),
    ):
        while recording.duration_s < SECONDS:
            await asyncio.sleep(0.2)
    for path in paths:
        found = offsets(path)
        assert len(found.milliseconds) >= SECONDS - 2
        assert found.milliseconds == pytest.approx([0.0] * len(found.milliseconds), abs=GOAL_MS)
        assert (found.lost, found.alone) == (0, 0)
