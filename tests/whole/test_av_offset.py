"""Audio beside video: the emulator flashes and beeps at the same instant, and so does its recording."""

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest

import streamer
from streamer import emulator
from tests.support.av_offset import GOAL_MS, offsets
from tests.support.everywhere import Connect

SECONDS = 20


def loudest(path: Path) -> float:
    """Return the highest sample of a recording, of full scale; not of a beep in whose middle it may begin."""
    with av.open(path) as container:
        frames = (frame for frame in container.decode(audio=0) if frame.time and frame.time > 0.3)
        return max(float(np.abs(frame.to_ndarray()).max()) for frame in frames)


def with_late_audio(path: Path, late_s: float, copy: Path) -> Path:
    """Return a copy of a recording in which audio is later."""
    with av.open(path) as source, av.open(copy, "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            if packet.stream.type == "audio":
                packet.pts += round(late_s / packet.time_base)
                packet.dts = packet.pts
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    return copy


@pytest.mark.alone
async def test_every_beep_of_a_recording_is_within_20_ms_of_its_flash(connect: Connect, tmp_path: Path) -> None:
    paths = [tmp_path / "a.mp4", tmp_path / "a.mkv"]
    async with (
        emulator.serve(width=360, height=640, flash_and_beep=True) as phone,
        connect(phone) as session,
        session.record(paths[0]) as recording,
        session.record(paths[1]),
        asyncio.timeout(SECONDS + 20),
    ):
        while recording.duration_s < SECONDS:
            await asyncio.sleep(0.2)
    for path in paths:
        found = offsets(path)
        assert len(found.milliseconds) >= 0.8 * SECONDS  # on a busy machine the phone may leave something out
        assert found.milliseconds == pytest.approx([0.0] * len(found.milliseconds), abs=GOAL_MS)
    found = offsets(paths[1])
    late = offsets(with_late_audio(paths[1], 0.05, tmp_path / "late.mkv"))
    assert late.milliseconds == pytest.approx([offset + 50 for offset in found.milliseconds], abs=2)


@pytest.mark.parametrize(("volume", "peak"), [(0, 0.0), (25, 0.09), (100, 0.37)])
async def test_the_phone_plays_at_the_requested_volume(
    volume: int, peak: float, connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "a.mkv"
    async with (
        emulator.serve(width=360, height=640, flash_and_beep=True) as phone,
        connect(phone, volume=volume) as session,
        session.record(path) as recording,
        asyncio.timeout(20),
    ):
        while recording.duration_s < 2.5:
            await asyncio.sleep(0.2)
    assert loudest(path) == pytest.approx(peak, abs=0.02 + peak / 5)


@pytest.mark.parametrize("volume", [-1, 101, 0.5])
def test_an_invalid_volume_is_refused(volume: float) -> None:
    with pytest.raises(streamer.ConfigurationError, match="volume from 0 to 100"):
        streamer.connect("a", endpoint="http://a", credentials=streamer.Token("a"), volume=volume)  # type: ignore[arg-type]
