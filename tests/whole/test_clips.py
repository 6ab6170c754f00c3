"""Clips of recordings: the right frames at their time, of files that are finished, grow, or follow each other."""

import asyncio
import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import streamer
from streamer import emulator
from tests.support.emulated import barcodes
from tests.support.everywhere import Connect
from tests.support.recording_session import transcoded
from tests.support.recordings import audio, duration_s, interleaved, video
from tests.support.senders import SIZE, encoded, is_frame
from tests.support.waiting import until

LIMIT_S = 60.0


def moving(path: Path, *, fps: float = 10) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Return what a clip shows in each 1/fps of a second, in RGB; GIF and WebP keep equal frames in a row as one."""
    if path.suffix == ".mp4":
        with av.open(path) as container:
            images = [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]
        assert duration_s(path) == pytest.approx(len(images) / fps, abs=0.02)
        return images
    frames = []
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            frame = np.asarray(image.convert("RGB"), dtype=np.uint8)
            frames += [frame] * round(image.info["duration"] / 1000 * fps)
    return frames


def counters(path: Path) -> list[int]:
    found = [emulator.read_barcode(np.ascontiguousarray(frame)) for frame in moving(path)]
    assert None not in found
    return [barcode.counter for barcode in found if barcode is not None]


def expected(seen: list[tuple[float, int]], start_s: float, count: int, fps: float) -> list[set[int]]:
    """Return the counters that each frame of a clip may show: those within a step of its time, or the last before."""
    times = [start_s + number / fps for number in range(count)]
    near = [{counter for seconds, counter in seen if abs(seconds - time) <= 0.6 / fps + 0.05} for time in times]
    before = [[counter for seconds, counter in seen if seconds <= time][-1:] for time in times]
    return [one.union(other) for one, other in zip(near, before, strict=True)]


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".mp4"])
async def test_a_clip_shows_the_requested_seconds(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, suffix: str
) -> None:
    path, target = tmp_path / "a.mp4", tmp_path / f"clip{suffix}"
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        async with session.record(path) as recording:
            await until(lambda: recording.duration_s > 3.2)
        await recording.clip(1, 2.5, target)
    frames = moving(target)
    assert {frame.shape for frame in frames} == {(640, 360, 3)}
    assert len(frames) == 15
    allowed = expected([(seconds, barcode.counter) for seconds, barcode in barcodes(path)], 1, 15, 10)
    assert all(counter in may for counter, may in zip(counters(target), allowed, strict=True))
    assert sorted(tmp_path.iterdir()) == [path, target]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
async def test_clips_of_a_growing_recording_do_not_disturb_it(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    async with connect(phone) as session, asyncio.timeout(LIMIT_S), session.record(path) as recording:
        await until(lambda: recording.duration_s > 2.2)
        await recording.clip(0.2, recording.duration_s, tmp_path / "one.gif")
        phone.go_still()
        before = recording.duration_s
        await until(lambda: recording.duration_s > before + 1)
        await recording.clip(before, recording.duration_s, tmp_path / "still.gif", fps=5, width=180)
        phone.wake()
        before = recording.duration_s
        await until(lambda: recording.duration_s > before + 0.5)
    assert recording.dropped == 0
    all_counters = [barcode.counter for _, barcode in barcodes(path)]
    assert all_counters == list(range(all_counters[0], all_counters[-1] + 1))
    grown = counters(tmp_path / "one.gif")
    assert grown == sorted(grown)
    assert len(grown) >= 18
    frames = moving(tmp_path / "still.gif", fps=5)
    assert frames[0].shape == (320, 180, 3)
    assert len(frames) >= 5
    stills = counters(tmp_path / "still.gif")
    assert stills[-1] >= grown[-1]


async def test_a_clip_goes_on_from_one_file_into_the_next(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    target = tmp_path / "clip.webp"
    async with (
        connect(phone) as session,
        asyncio.timeout(LIMIT_S),
        session.record(tmp_path / "a-{}.mp4", segment_s=1) as recording,
    ):
        await until(lambda: len(recording.segments) >= 3)
        await recording.clip(0.5, 2.5, target)
    begin_s, seen = 0.0, []
    for segment in recording.segments:
        seen += [(begin_s + seconds, barcode.counter) for seconds, barcode in barcodes(segment.path)]
        begin_s += segment.duration_s
    allowed = expected(seen, 0.5, 20, 10)
    assert all(counter in may for counter, may in zip(counters(target), allowed, strict=True))


async def test_a_rotated_phone_stays_within_the_clips_size(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    turned = encoded(15, size=(128, 160), keyframe_every=15)
    units = [*video(encoded(15, keyframe_every=15)), *video(turned, start=900_000 + 45_000)]
    await transcoded(path, units, size=(160, 160))
    await streamer.clip(path, 0, None, tmp_path / "clip.gif", width=80)
    frames = moving(tmp_path / "clip.gif")
    assert {frame.shape for frame in frames} == {(80, 80, 3)}
    assert frames[0][:4].max() < 40  # above it
    assert frames[-1][:, :4].max() < 40  # beside it


async def test_the_file_of_a_killed_recording_has_clips(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    await transcoded(path, interleaved(video(encoded(60, keyframe_every=15)), audio(100)), crf=10)
    data = path.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) * 2 // 3])
    await streamer.clip(cut, 0, 1, tmp_path / "clip.webp", fps=15)
    frames = moving(tmp_path / "clip.webp", fps=15)
    assert len(frames) == 15
    grey = [frame[:, :, 1].astype(int) for frame in frames]
    assert grey[0].shape == (SIZE[1], SIZE[0])
    for number, image in enumerate(grey):
        assert any(is_frame(image, near) for near in (2 * number - 1, 2 * number, 2 * number + 1))


@pytest.mark.parametrize(
    ("seconds", "name", "options", "said"),
    [
        ((3, 1), "a.gif", {}, r"a start and a later end within the recording's 2\.0 s, got 3 s and 1 s"),
        ((-1, 1), "a.gif", {}, "got -1 s and 1 s"),
        ((0, 2.5), "a.gif", {}, r"got 0 s and 2\.5 s"),
        ((float("nan"), 1), "a.gif", {}, "got nan s and 1 s"),
        ((0, 1), "a.avi", {}, r"ends in \.webp, \.gif or \.mp4, got 'a\.avi'"),
        ((0, 1), "a.gif", {"fps": 31}, "expected fps above 0 and up to 30, got 31"),
        ((0, 1), "a.gif", {"width": 2}, "expected a width of at least 16 pixels, got 2"),
    ],
)
async def test_an_impossible_clip_is_named_and_nothing_is_written(
    tmp_path: Path, seconds: tuple[float, float], name: str, options: dict[str, Any], said: str
) -> None:
    path = tmp_path / "phone.mp4"
    await transcoded(path, video(encoded(60, keyframe_every=15)))
    with pytest.raises(streamer.ConfigurationError, match=said):
        await streamer.clip(path, *seconds, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("way", ["name", "other spelling", "symbolic link", "hard link", "recording"])
async def test_a_recording_is_never_replaced_by_its_own_clip(tmp_path: Path, way: str) -> None:
    path, link = tmp_path / "phone.mp4", tmp_path / "link.mp4"
    recording = await transcoded(path, video(encoded(60, keyframe_every=15)))
    before = path.read_bytes()
    if way == "symbolic link":
        link.symlink_to(path)
    elif way == "hard link":
        link.hardlink_to(path)
    target = {"name": path, "other spelling": tmp_path / "." / ".." / tmp_path.name / "phone.mp4"}.get(way, link)
    with pytest.raises(streamer.ConfigurationError, match="expected a file for the clip other than the recording "):
        if way == "recording":
            await recording.clip(0, 1, path, overwrite=True)
        else:
            await streamer.clip(path, 0, 1, target, overwrite=True)
    assert path.read_bytes() == before


async def test_a_clip_replaces_a_file_only_with_overwrite(tmp_path: Path) -> None:
    path, target = tmp_path / "phone.mp4", tmp_path / "clip.gif"
    recording = await transcoded(path, video(encoded(60, keyframe_every=15)))
    target.write_bytes(b"kept")
    with pytest.raises(streamer.RecordingError, match="the file exists: choose another name"):
        await streamer.clip(path, 0, 1, target)
    with pytest.raises(streamer.RecordingError, match="the file exists: choose another name"):
        await recording.clip(0, 1, target)
    assert target.read_bytes() == b"kept"
    await streamer.clip(path, 0, 1, target, overwrite=True)
    assert len(moving(target)) == 10


async def test_a_clip_is_no_longer_than_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    await transcoded(path, video(), lasts_s=62, fps=1)
    with pytest.raises(streamer.ConfigurationError, match=r"at most 60 s, got 62\.0 s: choose a start and an end"):
        await streamer.clip(path, 0, None, tmp_path / "a.gif")


@pytest.mark.parametrize("data", [None, b"no video at all"])
async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(streamer.RecordingError, match=r"cannot read .*a\.mp4: ") as caught:
        await streamer.clip(tmp_path / "a.mp4", 0, 1, tmp_path / "a.gif")
    assert caught.value.reason == "read"


async def test_an_empty_recording_and_a_pipe_have_no_clips(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    phone.media._hand_out = lambda *_: None  # type: ignore[method-assign]
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        recording, pipe = session.record(tmp_path / "a.mp4"), session.record(io.BytesIO())
        with pytest.raises(streamer.ConfigurationError, match="nothing is recorded yet"):
            await recording.clip(0, 1, tmp_path / "a.gif")
        with pytest.raises(streamer.ConfigurationError, match="cannot read a pipe back"):
            await pipe.clip(0, 1, tmp_path / "a.gif")
        for each in (recording, pipe):
            with pytest.raises(streamer.RecordingError, match="no frame came"):
                await each.stop()


async def test_a_cancelled_clip_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    await transcoded(path, video(), lasts_s=40, fps=60)
    making = asyncio.create_task(streamer.clip(path, 0, None, tmp_path / "a.webp", fps=30))
    await asyncio.sleep(0.05)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    async with asyncio.timeout(LIMIT_S):
        await asyncio.get_running_loop().shutdown_default_executor()
    assert list(tmp_path.iterdir()) == [path]
