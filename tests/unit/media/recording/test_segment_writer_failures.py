"""Files that grow, and writers that cannot go on."""

import errno
import io
import json
from pathlib import Path
from typing import IO, Any, cast

import av
import pytest

from streamer.errors import RecordingError
from streamer.media import libav
from streamer.media.recording import mp4, muxers
from streamer.tracks import Codec
from tests.support.corpus import CORPUS
from tests.support.recordings import (
    STREAM,
    SUFFIXES,
    boxes,
    frames,
    packets,
    pieces,
    sent,
    times,
    video,
    video_as,
)
from tests.support.segment_writers import S, long_video, new, write
from tests.support.senders import VIDEO_CODECS, access_unit, encoded, encoded_as


class Log(io.BytesIO):
    """A file that remembers what it held in the middle of each write, and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.sure = 0  # frames that it must hold by now
        self.states: list[tuple[int, bytes]] = []

    def write(self, data: Any) -> int:
        before, begin = self.getvalue(), self.tell()
        for end in range(0, len(data), 701):
            self.states.append((self.sure, before[:begin] + bytes(data[:end]) + before[begin + end :]))
        count = super().write(data)
        self.states.append((self.sure, self.getvalue()))
        return count


def test_an_mp4_opens_at_every_moment_and_holds_what_was_written_before() -> None:
    """A process may be killed in the middle of a write too."""
    log = Log()
    units = long_video(4)
    file = muxers.Mp4File(log, units[0], has_audio=False)
    log.states.clear()
    for number, unit in enumerate(units):
        file.write(unit, 9000 * number)
        if number % 3 == 2:
            file.flush(number * S // 10)
        log.sure = file.written
    assert len(log.states) > 20
    for sure, state in log.states:
        found = packets(state, format_name="mp4")
        assert len(found) >= sure
        assert [pieces("h264", packet.data) for packet in found[:sure]] == [sent(unit) for unit in units[:sure]]
    assert log.sure >= 30


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_written_a_while_ago_is_in_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    codec = "vp8" if suffix == ".webm" else "h264"
    stream = video_as(codec, 120)
    writer = new(path)
    ticked_ns = stream[0].arrival_ns
    for unit in stream:
        writer.put(unit)
        if unit.arrival_ns - ticked_ns > S // 4:
            ticked_ns = unit.arrival_ns
            writer.tick(ticked_ns)
    copy = tmp_path / f"copy{suffix}"
    copy.write_bytes(path.read_bytes())
    assert len(frames(copy)) >= 120 - 45  # a second and a half
    writer.close(stream[-1].arrival_ns, "stopped")


def test_the_last_frame_before_a_still_screen_is_in_an_mp4_soon(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = new(path)
    units = video()
    for unit in units:
        writer.put(unit)
    for tick in range(1, 9):
        writer.tick(units[-1].arrival_ns + tick * S // 4)
    assert len(frames(path)) == 12
    writer.put(video([STREAM[0]], start=units[-1].rtp_time + 900_000)[0])
    writer.close(units[-1].arrival_ns + 11 * S, "stopped")
    assert times(path)[-2:] == pytest.approx([11 / 30, 10 + 11 / 30])


class Full:
    """A file on a disk with so much room."""

    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self._room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        end = self._file.tell() + len(data)
        if end > self._room:
            data = bytes(data)[: max(self._room - self._file.tell(), 0)]
            if not data:
                raise OSError(errno.ENOSPC, "No space left on device")
        return int(self._file.write(data))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 100, 3000, 7000, 8888])
def test_a_full_disk_leaves_a_file_with_everything_that_was_whole(
    tmp_path: Path, suffix: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = "vp8" if suffix == ".webm" else "h264"
    path = tmp_path / f"a{suffix}"
    units = video_as(codec, 200)
    opened = muxers.open_media

    def open_full(file: Any, *arguments: Any, **options: Any) -> Any:
        return opened(cast("IO[bytes]", Full(file, room)), *arguments, **options)

    monkeypatch.setattr("streamer.media.recording.segment_writer.open_media", open_full)
    writer = new(path, manifest=tmp_path / "m.jsonl")
    with pytest.raises(OSError, match="No space left on device"):
        write(writer, units)
    writer.abandon()
    if not writer.frames:
        assert not path.exists()
        assert room <= 3000
        return
    found = packets(path)
    assert [pieces(codec, packet.data)[-1] for packet in found] == [sent(u)[-1] for u in units[: len(found)]]
    assert len(found) == writer.frames
    assert path.stat().st_size <= room
    line = json.loads((tmp_path / "m.jsonl").read_text())
    assert (line["ended"], line["bytes"]) == ("error", path.stat().st_size)


def test_a_full_open_file_keeps_its_earlier_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(b"G" * 188 * 1000)
    opened = muxers.open_media

    def open_full(file: Any, *arguments: Any, **options: Any) -> Any:
        return opened(cast("IO[bytes]", Full(file, 200_000)), *arguments, **options)

    monkeypatch.setattr("streamer.media.recording.segment_writer.open_media", open_full)
    with path.open("ab", buffering=0) as file:
        writer = new(file)
        with pytest.raises(OSError, match="No space left on device"):
            write(writer, video(encoded(40, noise=True)))
        writer.abandon()
    assert path.stat().st_size > 188 * 1000


@pytest.mark.parametrize(
    "data", [b"\x00\x00\x00\x01\x65", b"\x00\x00\x00\x01\x67\x42\x00\x0d\x00\x00\x00\x01\x65\x88", b"?"]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_an_invalid_keyframe_is_an_error_and_leaves_no_file(tmp_path: Path, suffix: str, data: bytes) -> None:
    writer = new(tmp_path / f"a{suffix}")
    with pytest.raises(RecordingError, match="cannot parse the H264 keyframe") as caught:
        writer.put(access_unit(data, 0, keyframe=True))
    assert caught.value.reason == "codec"
    writer.abandon()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_a_too_large_keyframe_is_an_error_and_leaves_no_file(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libav, "PIXELS_LIMIT", 160 * 120)
    monkeypatch.setattr(muxers, "PIXELS_LIMIT", 160 * 120)
    writer = new(tmp_path / "a.mkv")
    unit = access_unit(encoded_as(codec, 1)[0], 0, codec=Codec(name=codec, clock_rate=90_000), keyframe=True)
    with pytest.raises(RecordingError, match=f"cannot parse the {codec.upper()} keyframe"):
        writer.put(unit)
    writer.abandon()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_truncated_h265_video_parameter_set_is_an_error_and_no_endless_loop(tmp_path: Path, suffix: str) -> None:
    """What libavformat would do with it takes minutes."""
    writer = new(tmp_path / f"a{suffix}")
    data = (CORPUS / "recording" / f"h265-endless{suffix.replace('.', '-')}").read_bytes()[1:]
    with pytest.raises(RecordingError, match="cannot parse the H265 keyframe"):
        writer.put(access_unit(data, 0, codec=Codec(name="h265", clock_rate=90_000), keyframe=True))
    writer.abandon()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["no room", "too slow", "too long"])
def test_an_mp4_whose_index_cannot_be_put_first_stays_in_fragments_and_plays(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.mp4"
    if fault == "no room":
        (tmp_path / "a.mp4.part").mkdir()
    elif fault == "too slow":
        monkeypatch.setattr("streamer.media.recording.segment_writer.REARRANGE_S", -1)
    else:
        monkeypatch.setattr(mp4, "INDEX_LIMIT", 20)
    units = long_video(5)
    write(new(path), units)
    assert {"moof", "mdat"} <= set(boxes(path))
    assert len(frames(path)) == 50
    assert "a.mp4 stays in fragments" in caplog.text
    assert not list(tmp_path.glob("*.part")) or fault == "no room"


def test_a_manifest_that_cannot_be_written_is_an_error_of_the_recording(tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    writer = new(tmp_path / "a.mp4", manifest=manifest)
    for unit in video():
        writer.put(unit)
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(IsADirectoryError):
        writer.close(video()[-1].arrival_ns, "stopped")
    writer.abandon()
    assert len(frames(tmp_path / "a.mp4")) == 12


def test_errors_of_libavformat_are_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = new(tmp_path / "a.mkv")
    writer.put(video()[0])

    def refuse(*_: object) -> None:
        raise av.InvalidDataError(1, "no")

    monkeypatch.setattr(muxers.AvFile, "_mux", refuse)
    with pytest.raises(av.InvalidDataError):
        writer.put(video()[1])
    writer.abandon()
