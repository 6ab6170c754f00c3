"""Recordings: libx264's pictures and libopus's packets into a file, and back out of it with libavformat."""

import asyncio
import contextlib
import fractions
import itertools
import os
import resource
import signal
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.audio.frame import AudioFrame

from streamer.errors import ConfigurationError, ConnectionLostError, RecordingError
from streamer.media.mux import INBOX_LIMIT, Recording, check_path
from streamer.media.units import AccessUnit
from streamer.tracks import Codec
from tests.unit.senders import OPUS, access_unit, encoded, encoded_as, nal_units

LIMIT_S = 30.0
STREAM = encoded(12, keyframe_every=6)


def video(stream: Sequence[bytes] = STREAM, *, start: int = 900_000) -> list[AccessUnit]:
    return [access_unit(data, start + 3000 * number) for number, data in enumerate(stream)]


def sound(packets: int) -> list[AccessUnit]:
    """Return packets of 20 ms that begin ten seconds after the clock's zero, when `video` does too."""
    context = av.AudioCodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "s16"
    made: list[bytes] = []
    for number in range(packets):
        samples = (8000 * np.sin(np.arange(1920) / 40 + number)).astype(np.int16).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, 960 * number
        made += [bytes(packet) for packet in context.encode(frame)]
    return [access_unit(data, 480_000 + 960 * number, codec=OPUS, ssrc=2) for number, data in enumerate(made)]


def new(path: Path, *, has_audio: bool = False) -> Recording:
    return Recording(path, has_audio=has_audio, on_end=lambda _: None)


async def recorded(path: Path, units: Sequence[AccessUnit], *, has_audio: bool = False) -> Recording:
    async with asyncio.timeout(LIMIT_S):
        async with new(path, has_audio=has_audio) as recording:
            for unit in units:
                recording.put(unit)
    return recording


def pictures(path: Path) -> list[npt.NDArray[np.uint8]]:
    with av.open(path) as container:
        container.streams.video[0].thread_count = 1
        return [frame.to_ndarray().astype(np.uint8) for frame in container.decode(video=0)]


def playable(path: Path) -> list[av.VideoFrame]:
    """Return the pictures that a player shows of a file whose end is missing."""
    shown: list[av.VideoFrame] = []
    with av.open(path) as container, contextlib.suppress(av.FFmpegError):
        container.streams.video[0].thread_count = 1
        shown += container.decode(video=0)
    return shown


def packets(path: Path, kind: str) -> list[tuple[fractions.Fraction, bytes, bool]]:
    """Return the time in seconds, the bytes and the keyframe flag of each packet of a stream."""
    with av.open(path) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            (packet.pts * packet.time_base, bytes(packet), packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.pts is not None and packet.time_base is not None
        ]


def times(path: Path, kind: str = "video") -> list[float]:
    return [float(time) for time, _, _ in packets(path, kind)]


# What is in the file


async def test_the_file_holds_every_picture_as_it_came_at_its_time(tmp_path: Path) -> None:
    recording = await recorded(tmp_path / "a.mp4", video())
    with av.open(recording.path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 160, 128)
    found = packets(recording.path, "video")
    for (_, data, keyframe), (number, sent) in zip(found, enumerate(STREAM), strict=True):
        slices = [unit for unit in nal_units(sent) if unit[0] & 0x1F in {1, 5}]
        assert all(unit in data for unit in slices)  # copied bit for bit
        assert keyframe == (number % 6 == 0)
    assert times(recording.path) == pytest.approx([number / 30 for number in range(12)])
    decoder = av.VideoCodecContext.create("h264", "r")
    known = [picture for data in STREAM for picture in decoder.decode(av.Packet(data))] + decoder.decode()
    for picture, sent_picture in zip(pictures(recording.path), known, strict=True):
        assert np.array_equal(picture, sent_picture.to_ndarray())
    assert (recording.pictures, recording.dropped, recording.error) == (12, 0, None)
    assert recording.duration_s == pytest.approx(11 / 30)
    assert recording.size_bytes == recording.path.stat().st_size


async def test_a_still_screen_of_a_minute_is_a_minute_in_the_file(tmp_path: Path) -> None:
    units = [
        replace(unit, rtp_time=unit.rtp_time + (60 * 90_000 if number > 4 else 0))
        for number, unit in enumerate(video())
    ]
    recording = await recorded(tmp_path / "a.mp4", units)
    expected = [number / 30 + (60 if number > 4 else 0) for number in range(12)]
    assert times(recording.path) == pytest.approx(expected)
    assert len(pictures(recording.path)) == 12


async def test_sound_is_copied_and_laid_beside_the_pictures(tmp_path: Path) -> None:
    stream, opus = video(), sound(25)
    units = sorted([*stream, *opus], key=lambda unit: unit.arrival_ns)
    recording = await recorded(tmp_path / "a.mp4", units, has_audio=True)
    found = packets(recording.path, "audio")
    assert [data for _, data, _ in found] == [unit.data for unit in opus]
    assert [float(time) for time, _, _ in found] == pytest.approx([0.02 * number for number in range(len(opus))])
    with av.open(recording.path) as container:
        assert container.streams.audio[0].codec_context.name in {"opus", "libopus"}
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 960 * (len(opus) - 1)
    assert len(pictures(recording.path)) == 12


async def test_sound_that_began_before_the_picture_is_left_out_up_to_there(tmp_path: Path) -> None:
    early = [replace(unit, arrival_ns=unit.arrival_ns - 100_000_000) for unit in sound(25)]
    units = sorted([*video(), *early], key=lambda unit: unit.arrival_ns)
    recording = await recorded(tmp_path / "a.mp4", units, has_audio=True)
    assert [data for _, data, _ in packets(recording.path, "audio")] == [unit.data for unit in early[5:]]
    assert times(recording.path, "audio")[0] == pytest.approx(0)


async def test_a_phone_whose_sound_never_comes_is_recorded_without(tmp_path: Path) -> None:
    stream = video(encoded(60))
    recording = await recorded(tmp_path / "a.mp4", stream, has_audio=True)
    with av.open(recording.path) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert len(pictures(recording.path)) == 60


async def test_what_came_while_the_sound_was_waited_for_is_written_when_the_recording_stops(tmp_path: Path) -> None:
    recording = await recorded(tmp_path / "a.mp4", video(), has_audio=True)
    assert len(pictures(recording.path)) == 12


async def test_a_recording_begins_with_a_keyframe(tmp_path: Path) -> None:
    recording = await recorded(tmp_path / "a.mp4", video()[4:])
    assert len(pictures(recording.path)) == 6
    assert times(recording.path)[0] == 0
    assert recording.dropped == 0


async def test_a_phone_that_begins_a_new_stream_goes_on_in_the_same_file(tmp_path: Path) -> None:
    again = [
        replace(unit, ssrc=9, rtp_time=unit.rtp_time + 123_456_789, arrival_ns=unit.arrival_ns + 2_000_000_000)
        for unit in video()
    ]
    recording = await recorded(tmp_path / "a.mp4", [*video(), *again])
    assert times(recording.path) == pytest.approx([*(n / 30 for n in range(12)), *(2 + n / 30 for n in range(12))])
    assert len(pictures(recording.path)) == 24


async def test_times_that_stand_still_or_go_back_are_written_rising(tmp_path: Path) -> None:
    stuck = [replace(unit, rtp_time=unit.rtp_time - 3000 * (number % 3)) for number, unit in enumerate(video())]
    found = times((await recorded(tmp_path / "a.mp4", stuck)).path)
    assert len(found) == 12
    assert found == sorted(set(found))


async def test_a_change_of_size_keeps_every_picture(tmp_path: Path) -> None:
    turned = [replace(unit, rtp_time=unit.rtp_time + 36_000) for unit in video(encoded(5, size=(128, 160)))]
    recording = await recorded(tmp_path / "a.mp4", [*video(), *turned])
    assert len(packets(recording.path, "video")) == 17


async def test_a_recording_of_nothing_is_no_error(tmp_path: Path) -> None:
    recording = await recorded(tmp_path / "a.mp4", [])
    assert (recording.pictures, recording.duration_s, recording.size_bytes) == (0, 0, 0)


# How it ends


async def test_what_comes_after_the_end_is_not_taken_and_stopping_twice_does_no_harm(tmp_path: Path) -> None:
    ended: list[Recording] = []
    recording = Recording(tmp_path / "a.mp4", has_audio=False, on_end=ended.append)
    for unit in video()[:6]:
        recording.put(unit)
    await asyncio.gather(recording.stop(), recording.stop())
    recording.put(video()[6])
    await recording.stop()
    assert len(pictures(recording.path)) == 6
    assert ended == [recording]


async def test_the_error_that_ended_the_stream_is_told_and_the_file_is_whole(tmp_path: Path) -> None:
    recording = new(tmp_path / "a.mp4")
    for unit in video():
        recording.put(unit)
    recording.end(ConnectionLostError("gone"))
    with pytest.raises(ConnectionLostError, match="gone"):
        await recording.stop()
    assert len(pictures(recording.path)) == 12


async def test_an_error_in_the_block_is_not_covered_by_one_of_ours(tmp_path: Path) -> None:
    recording = new(tmp_path / "a.mp4")
    with pytest.raises(ZeroDivisionError):
        async with recording:
            for unit in video():
                recording.put(unit)
            recording.end(ConnectionLostError("gone"))
            raise ZeroDivisionError
    assert len(pictures(recording.path)) == 12


async def test_who_is_cancelled_while_stopping_leaves_a_file_that_is_closed_all_the_same(tmp_path: Path) -> None:
    recording = new(tmp_path / "a.mp4")
    for unit in video():
        recording.put(unit)
    stopping = asyncio.ensure_future(recording.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    async with asyncio.timeout(LIMIT_S):
        await recording.closed()
    assert len(pictures(recording.path)) == 12


async def test_a_flood_is_bounded_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    recording = new(tmp_path / "a.mp4")
    flood = [replace(unit, rtp_time=unit.rtp_time + 36_000 * turn) for turn in range(300) for unit in video()]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)  # the writing thread gets no turn meanwhile: as with a disk that stands still
    try:
        for unit in flood:
            recording.put(unit)
    finally:
        sys.setswitchinterval(interval)
    await recording.stop()
    assert recording.pictures + recording.dropped == len(flood)
    assert recording.pictures >= INBOX_LIMIT
    found = packets(recording.path, "video")
    assert len(found) == recording.pictures
    gaps = [later - earlier > fractions.Fraction(1, 20) for (earlier, *_), (later, *_) in itertools.pairwise(found)]
    assert all(found[place + 1][2] for place, is_gap in enumerate(gaps) if is_gap)


# When it cannot be written


@pytest.mark.parametrize("name", ["a.mkv", "a", "a.mp4.txt", ".mp4"])
async def test_a_name_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a file name that ends in \.mp4"):
        new(tmp_path / name)
    assert not list(tmp_path.iterdir())


async def test_a_directory_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot write .*No such file or directory") as caught:
        new(tmp_path / "nowhere" / "a.mp4")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("name", "error"),
    [("a.mkv", ConfigurationError), ("nowhere/a.mp4", RecordingError), ("file/a.mp4", RecordingError)],
)
def test_a_file_that_cannot_be_recorded_into_is_told_beforehand(
    tmp_path: Path, name: str, error: type[Exception]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error) as beforehand:
        check_path(tmp_path / name)
    with pytest.raises(error) as begun:
        new(tmp_path / name)
    assert str(beforehand.value) == str(begun.value)


def test_a_directory_is_no_file_to_record_into(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(RecordingError, match="Is a directory"):
        check_path(tmp_path / "a.mp4")


def test_looking_beforehand_changes_nothing(tmp_path: Path) -> None:
    check_path(tmp_path / "new.mp4")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.mp4").write_bytes(b"kept")
    check_path(tmp_path / "old.mp4")
    assert (tmp_path / "old.mp4").read_bytes() == b"kept"


NOISE = encoded(40, keyframe_every=10, noise=True)


@pytest.mark.parametrize("missing", [0.5, 0.01, 1000, 100, 1])
async def test_a_full_disk_ends_the_recording_and_what_was_written_plays(tmp_path: Path, missing: float) -> None:
    """The file may not grow beyond a limit: for the process that is a disk that is full, in the middle or while the
    file is being closed."""
    # Three pictures a second: a fragment holds three or four.
    units = [replace(unit, rtp_time=unit.rtp_time + 27_000 * number) for number, unit in enumerate(video(NOISE))]
    whole = (await recorded(tmp_path / "whole.mp4", units)).size_bytes
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    recording = new(tmp_path / "a.mp4")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole - int(missing if missing >= 1 else missing * whole), hard))
        for unit in units:
            recording.put(unit)
        with pytest.raises(RecordingError, match=r"writing .* failed after .* File too large") as caught:
            await recording.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert isinstance(caught.value.__cause__, OSError)
    assert recording.error is caught.value
    assert recording.pictures - 4 <= len(playable(recording.path)) <= recording.pictures


@pytest.mark.parametrize(
    "data", [b"\x00\x00\x00\x01\x65", b"\x00\x00\x00\x01\x67\x42\x00\x0d\x00\x00\x00\x01\x65\x88", b"?"]
)
async def test_a_keyframe_that_is_none_is_an_error_of_the_recording(tmp_path: Path, data: bytes) -> None:
    recording = new(tmp_path / "a.mp4")
    recording.put(access_unit(data, 0, keyframe=True))
    for unit in video()[1:]:
        recording.put(unit)
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(RecordingError, match="failed after 0 pictures"):
            await recording.stop()


@pytest.mark.parametrize("pictures_before", [0, 6])
@pytest.mark.parametrize("codec", ["vp8", "vp9", "av1", "h265"])
async def test_a_codec_that_is_not_written_is_an_error_and_what_came_before_is_kept(
    tmp_path: Path, codec: str, pictures_before: int
) -> None:
    recording = new(tmp_path / "a.mp4")
    for unit in video()[:pictures_before]:
        recording.put(unit)
    for unit in video(encoded_as(codec, 3), start=900_000 + 3000 * pictures_before):
        recording.put(replace(unit, codec=Codec(name=codec, clock_rate=90_000), is_keyframe=True))
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(RecordingError, match=f"expected H264 video, got {codec.upper()}"):
            await recording.stop()
    assert recording.pictures == pictures_before
    if pictures_before:
        assert len(pictures(recording.path)) == pictures_before


KILLED = """
    import asyncio, sys
    from dataclasses import replace
    from pathlib import Path
    from streamer.media.mux import Recording
    from tests.unit.senders import access_unit, encoded

    async def main():
        recording = Recording(sys.argv[1], has_audio=False, on_end=lambda _: None)
        stream = encoded(20, keyframe_every=10, noise=True)
        for number in range(200):
            recording.put(access_unit(stream[number % 20], 9000 * number))  # ten pictures a second
            while recording.pictures <= number:
                await asyncio.sleep(0)
        print("recording", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_a_process_that_is_killed_leaves_a_file_that_plays_up_to_its_last_fragment(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=root, env=environment)
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        line = await process.stdout.readline()
    process.kill()
    await process.wait()
    assert line == b"recording\n"
    assert process.returncode == -signal.SIGKILL
    found = pictures(path)
    assert 180 <= len(found) <= 200  # the last fragment, of a second or so, may be missing
    assert times(path) == pytest.approx([number / 10 for number in range(len(found))])
