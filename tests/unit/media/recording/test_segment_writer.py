"""A recording's files as the writing thread makes them: every kind of file, segments, limits, and what goes wrong."""

import errno
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import av
import pytest

from streamer.errors import RecordingError
from streamer.events import Interruptions
from streamer.media import libav
from streamer.media.access_unit import AccessUnit
from streamer.media.recording import mp4, muxers
from streamer.media.recording.containers import container_of
from streamer.media.recording.segment_writer import Between, Target, Writer
from streamer.media.recording.segments import Limits, Manifest
from streamer.tracks import Codec
from tests.support.corpus import CORPUS
from tests.support.recordings import (
    START,
    STREAM,
    SUFFIXES,
    audio,
    boxes,
    duration_s,
    frames,
    interleaved,
    packets,
    pieces,
    sent,
    streams,
    times,
    video,
    video_as,
)
from tests.support.senders import VIDEO_CODECS, access_unit, encoded, encoded_as

S = 1_000_000_000
HELD = [
    (suffix, codec) for suffix in SUFFIXES for codec in VIDEO_CODECS if codec in container_of(Path(f"a{suffix}")).codecs
]
FRAME_NS = S // 30


class Asked:
    """Counts the keyframes that are asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def new(
    target: Path | io.BytesIO,
    *,
    has_audio: bool = False,
    limits: Limits | None = None,
    manifest: Path | None = None,
    start_ns: int | None = None,
    asked: Callable[[], None] = lambda: None,
    interruptions: Between = lambda *_: (),
) -> Writer:
    return Writer(
        Target(target),
        has_audio=has_audio,
        limits=limits or Limits(),
        manifest=None if manifest is None else Manifest(manifest),
        start_ns=start_ns,
        now_ns=0,
        wall_ns=1_700_000_000 * S,
        ask_keyframe=asked,
        interruptions=interruptions,
    )


def write(writer: Writer, units: Sequence[AccessUnit], *, still_ns: int = FRAME_NS) -> None:
    """Write units, with four ticks a second, and close `still_ns` after the last frame."""
    ticked_ns = units[0].arrival_ns
    for unit in units:
        while ticked_ns + S // 4 <= unit.arrival_ns:
            ticked_ns += S // 4
            writer.tick(ticked_ns)
        writer.put(unit)
    last_ns = max(unit.arrival_ns for unit in units if unit.kind == "video")
    writer.close(last_ns + still_ns, "stopped")


def long_video(seconds: int, *, keyframe_every: int = 10, noise: bool = False) -> list[AccessUnit]:
    """Return ten frames a second."""
    stream = encoded(40, keyframe_every=10, noise=noise)
    units = [access_unit(stream[number % 40], START + 9000 * number) for number in range(10 * seconds)]
    return [replace(unit, is_keyframe=number % keyframe_every == 0) for number, unit in enumerate(units)]


# Every kind of file


@pytest.mark.parametrize(("suffix", "codec"), HELD)
def test_each_kind_of_file_holds_each_codec_bit_for_bit_with_audio(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a{suffix}"
    units, opus = video_as(codec), audio(25)
    write(new(path, has_audio=True), interleaved(units, opus))
    assert sorted(streams(path)) == sorted([codec, "opus"])
    found, heard = packets(path), packets(path, "audio")
    beginning = found[0].time  # MPEG-TS does not begin at zero
    exact = 1e-9 if suffix in {".mp4", ".ts"} else 0.0006  # Matroska counts milliseconds
    assert [float(packet.time - beginning) for packet in found] == pytest.approx([n / 30 for n in range(12)], abs=exact)
    assert [float(packet.time - beginning) for packet in heard] == pytest.approx(
        [0.02 * n for n in range(len(opus))], abs=max(exact, 1e-5)
    )
    assert [packet.is_keyframe for packet in found] == [number % 6 == 0 for number in range(12)]
    assert [packet.data for packet in heard] == [unit.data for unit in opus]
    for packet, unit in zip(found, units, strict=True):
        if suffix == ".ts":  # it wants a delimiter before each frame
            assert pieces(codec, packet.data)[-len(sent(unit)) :] == sent(unit)
        else:
            assert pieces(codec, packet.data) == sent(unit)
    assert len(frames(path)) == 12


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_the_last_frame_stays_until_the_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    writer = new(path)
    write(writer, video_as("vp9"), still_ns=60 * S)
    assert duration_s(path) == pytest.approx(60 + 11 / 30, abs=0.002)
    assert writer.duration_s == pytest.approx(60 + 11 / 30)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_still_screen_of_a_minute_is_a_minute_in_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    codec = "vp8" if suffix == ".webm" else "h264"
    units = video_as(codec) if suffix == ".webm" else video()
    late = [replace(u, rtp_time=u.rtp_time + 60 * 90_000, arrival_ns=u.arrival_ns + 60 * S) for u in units[6:]]
    write(new(path), [*units[:6], *late])
    beginning, *_ = times(path)
    expected = [number / 30 + (60 if number > 5 else 0) for number in range(12)]
    assert [time - beginning for time in times(path)] == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_phone_that_is_turned_goes_on_in_the_same_file_and_every_frame_decodes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    turned = video(encoded(5, size=(128, 160)), start=START + 36_000)
    writer = new(path)
    write(writer, [*video(), *turned])
    assert [frame.shape for frame in frames(path)] == [(192, 160)] * 12 + [(240, 128)] * 5
    assert len(writer.segments) == 1


def test_an_mp4_is_regular_and_begins_with_its_index(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(new(path, has_audio=True), interleaved(long_video(5), audio(250)))
    assert boxes(path) == ["ftyp", "moov", "mdat"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_an_mp4_of_a_phone_whose_audio_never_comes_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(new(path, has_audio=True), video())
    assert streams(path) == ["h264"]


def test_a_link_goes_on_pointing_to_the_file(tmp_path: Path) -> None:
    path, link = tmp_path / "a.mp4", tmp_path / "b.mp4"
    link.symlink_to(path)
    write(new(link), video())
    assert link.is_symlink()
    assert boxes(path) == ["ftyp", "moov", "mdat"]


def test_audio_that_begins_late_is_in_the_file_at_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    late = [replace(unit, arrival_ns=unit.arrival_ns + 2 * S, rtp_time=unit.rtp_time + 96_000) for unit in audio(25)]
    write(new(path, has_audio=True), interleaved(long_video(4), late))
    assert times(path, "audio") == pytest.approx([2 + 0.02 * number for number in range(len(late))], abs=1e-4)


def test_audio_of_before_the_first_frame_is_left_out_and_none_is_counted_as_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    early = [replace(unit, arrival_ns=unit.arrival_ns - 100_000_000) for unit in audio(25)]
    writer = new(path, has_audio=True)
    write(writer, interleaved(video(), early))
    assert [packet.data for packet in packets(path, "audio")] == [unit.data for unit in early[5:]]
    assert times(path, "audio")[0] == pytest.approx(0)
    assert writer.dropped == 0


def test_audio_that_was_not_announced_is_counted(tmp_path: Path) -> None:
    writer = new(tmp_path / "a.mp4")
    write(writer, interleaved(video(), audio(5)))
    assert writer.dropped == len(audio(5))


def test_times_that_stand_still_or_go_back_are_written_rising(tmp_path: Path) -> None:
    stuck = [replace(unit, rtp_time=unit.rtp_time - 3000 * (number % 3)) for number, unit in enumerate(video())]
    write(new(tmp_path / "a.mp4"), stuck)
    found = times(tmp_path / "a.mp4")
    assert len(found) == 12
    assert found == sorted(set(found))


def test_what_came_before_the_start_takes_no_time_but_is_there_to_be_decoded_from(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    units = video(encoded(30))
    start_ns = units[20].arrival_ns - FRAME_NS // 2
    write(new(path, start_ns=start_ns), units)
    found = times(path)
    assert len(found) == len(frames(path)) == 30
    assert found[:20] == pytest.approx([number / 90_000 for number in range(20)])
    assert found[20:] == pytest.approx([(number - 19.5) / 30 for number in range(20, 30)], abs=1e-4)


def test_a_recording_of_nothing_leaves_no_file(tmp_path: Path) -> None:
    writer = new(tmp_path / "a.mp4", has_audio=True)
    for unit in audio(3):
        writer.put(unit)
    writer.tick(S)
    writer.close(2 * S, "stopped")
    assert not list(tmp_path.iterdir())
    assert (writer.frames, writer.size_bytes, writer.duration_s, list(writer.segments)) == (0, 0, 0, [])


# A pipe


def test_a_pipe_gets_mpeg_ts_and_is_not_closed() -> None:
    pipe = io.BytesIO()
    pipe.seekable = lambda: False  # type: ignore[method-assign]
    writer = new(pipe, has_audio=True)
    before = 0
    for unit in interleaved(video(), audio(25)):
        writer.put(unit)
        if unit.kind == "video":
            assert len(pipe.getvalue()) > before or before == 0  # it goes on its way at once
            before = len(pipe.getvalue())
    writer.close(S, "stopped")
    data = pipe.getvalue()
    assert len(data) % 188 == 0
    assert len(packets(data, format_name="mpegts")) == 12
    assert len(packets(data, "audio", format_name="mpegts")) == len(audio(25))
    assert writer.size_bytes == len(data)


def test_a_pipe_goes_on_with_another_codec(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    with path.open("wb") as pipe:
        writer = Writer(
            Target(pipe),
            has_audio=False,
            limits=Limits(),
            manifest=None,
            start_ns=None,
            now_ns=0,
            wall_ns=0,
            ask_keyframe=Asked(),
        )
        write(writer, [*video(), *video_as("h265", start=START + 36_000)])
    assert [segment.ended for segment in writer.segments] == ["codec", "stopped"]
    data = path.read_bytes()
    second = writer.segments[0].size_bytes
    assert len(packets(data[:second], format_name="mpegts")) == 12
    assert len(packets(data[second:], format_name="mpegts")) == 12


# One file after the other


def test_segments_end_at_keyframes_and_together_hold_everything(tmp_path: Path) -> None:
    units, opus = long_video(10), audio(500)
    asked = Asked()
    writer = new(
        tmp_path / "clip-{:02d}.mp4",
        has_audio=True,
        limits=Limits(segment_s=3),
        manifest=tmp_path / "clips.jsonl",
        asked=asked,
    )
    write(writer, interleaved(units, opus), still_ns=S // 10)
    paths = sorted(tmp_path.glob("*.mp4"))
    assert [path.name for path in paths] == [f"clip-{number:02d}.mp4" for number in range(1, 5)]
    assert [segment.duration_s for segment in writer.segments] == pytest.approx([3, 3, 3, 1])
    assert [segment.ended for segment in writer.segments] == ["segment"] * 3 + ["stopped"]
    assert [segment.started_at - 1_700_000_000 for segment in writer.segments] == pytest.approx([10, 13, 16, 19])
    assert asked.count == 3
    assert [piece for path in paths for p in packets(path) for piece in pieces("h264", p.data)] == [
        piece for unit in units for piece in sent(unit)
    ]
    assert [p.data for path in paths for p in packets(path, "audio")] == [unit.data for unit in opus]
    for path, segment in zip(paths, writer.segments, strict=True):
        assert boxes(path) == ["ftyp", "moov", "mdat"]
        assert packets(path)[0].is_keyframe
        assert times(path)[0] == 0
        assert times(path, "audio")[0] < 0.05
        assert len(frames(path)) == segment.frames
        assert segment.size_bytes == path.stat().st_size
    lines = [json.loads(line) for line in (tmp_path / "clips.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    assert [line["ended"] for line in lines] == ["segment"] * 3 + ["stopped"]
    assert writer.size_bytes == sum(path.stat().st_size for path in paths)


def test_each_file_names_the_interruptions_in_its_own_time(tmp_path: Path) -> None:
    meter = Interruptions()
    for kind, reason, now in (
        ("interrupted", "nothing comes", 12.5),
        ("resumed", None, 13.5),
        ("interrupted", "the connection was reset", 17),
        ("resumed", None, 17.25),
    ):
        meter.take(kind, reason, now)  # type: ignore[arg-type]
    writer = new(tmp_path / "a-{}.mp4", limits=Limits(segment_s=3), interruptions=meter.between)
    write(writer, long_video(10), still_ns=S // 10)
    assert [segment.interruptions for segment in writer.segments] == [1, 1, 1, 0]
    assert [segment.interrupted_s for segment in writer.segments] == pytest.approx([0.5, 0.5, 0.25, 0])
    assert [segment.interruption_reasons for segment in writer.segments] == [
        ("nothing comes",),
        ("nothing comes",),
        ("the connection was reset",),
        (),
    ]


def test_a_segment_that_finds_no_keyframe_goes_on_and_asks_for_one_once(tmp_path: Path) -> None:
    asked = Asked()
    writer = new(tmp_path / "a-{}.mp4", limits=Limits(segment_s=2), asked=asked)
    write(writer, long_video(6, keyframe_every=1000))
    assert len(writer.segments) == 1
    assert asked.count == 1


def test_a_keyframe_is_asked_for_on_a_still_screen_too(tmp_path: Path) -> None:
    asked = Asked()
    writer = new(tmp_path / "a-{}.mp4", limits=Limits(segment_s=10), asked=asked)
    units = video()
    for unit in units:
        writer.put(unit)
    writer.tick(units[-1].arrival_ns + 9 * S)
    assert asked.count == 0
    writer.tick(units[-1].arrival_ns + 10 * S)
    assert asked.count == 1
    writer.close(units[-1].arrival_ns + 10 * S, "stopped")


def test_segments_end_by_size(tmp_path: Path) -> None:
    units = long_video(8, noise=True)
    group = sum(len(unit.data) for unit in units[:10])
    writer = new(tmp_path / "a-{}.mkv", limits=Limits(segment_bytes=2 * group))
    write(writer, units)
    assert len(writer.segments) > 2
    for segment in list(writer.segments)[:-1]:
        assert 1.8 * group < segment.size_bytes < 3.2 * group


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_another_codec_begins_another_file(tmp_path: Path, suffix: str) -> None:
    writer = new(tmp_path / f"a{suffix}", has_audio=True)
    other = video_as("vp9", start=START + 36_000)
    write(writer, [*video(), replace(other[1], is_keyframe=False), *other])
    assert [segment.path.name for segment in writer.segments] == [f"a{suffix}", f"a-2{suffix}"]
    assert [segment.ended for segment in writer.segments] == ["codec", "stopped"]
    assert [len(frames(segment.path)) for segment in writer.segments] == [12, 12]
    assert writer.dropped == 1  # what came of the new codec before a keyframe did
    assert duration_s(tmp_path / f"a{suffix}") == pytest.approx(12 / 30, abs=0.04)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(suffix, codec) for suffix in SUFFIXES for codec in VIDEO_CODECS if (suffix, codec) not in HELD],
)
def test_a_codec_that_the_file_cannot_hold_is_an_error_before_anything_is_written(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    writer = new(tmp_path / f"a{suffix}")
    with pytest.raises(RecordingError, match=rf"cannot hold {codec.upper()}: record into \.") as caught:
        writer.put(video_as(codec)[0])
    assert caught.value.reason == "codec"
    writer.abandon()
    assert not list(tmp_path.iterdir())


def test_a_codec_that_the_file_cannot_hold_ends_it_whole(tmp_path: Path) -> None:
    writer = new(tmp_path / "a.mp4")
    with pytest.raises(RecordingError, match="MP4 cannot hold VP8"):
        write(writer, [*video(), *video_as("vp8", start=START + 36_000)])
    writer.abandon()
    assert writer.ended == "error"
    assert len(frames(tmp_path / "a.mp4")) + writer.dropped == 12


def test_audio_in_another_codec_is_an_error(tmp_path: Path) -> None:
    writer = new(tmp_path / "a.mp4", has_audio=True)
    writer.put(video()[0])
    with pytest.raises(RecordingError, match="MP4 cannot hold PCMU"):
        writer.put(replace(audio(1)[0], codec=Codec(name="pcmu", clock_rate=8000)))
    writer.abandon()


# Limits


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_ends_when_it_is_as_long_as_it_may_be(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    writer = new(path, limits=Limits(max_duration_s=2.55))
    write(writer, long_video(4))
    assert writer.ended == "limit"
    assert len(frames(path)) == writer.frames == 26
    assert duration_s(path) == pytest.approx(2.55, abs=0.001)
    assert writer.duration_s == 2.55
    assert [segment.ended for segment in writer.segments] == ["limit"]


def test_a_recording_of_a_still_screen_ends_when_it_is_as_long_as_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = new(path, limits=Limits(max_duration_s=20))
    units = video()
    for unit in units:
        writer.put(unit)
    for number in range(100):
        writer.tick(units[-1].arrival_ns + number * S // 4)
    assert writer.ended == "limit"
    assert duration_s(path) == pytest.approx(20)


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_a_recording_is_never_larger_than_it_may_be(tmp_path: Path, suffix: str) -> None:
    for most in range(12_000, 60_000, 7777):
        path = tmp_path / f"{most}{suffix}"
        writer = new(path, has_audio=True, limits=Limits(max_bytes=most))
        write(writer, interleaved(long_video(20), audio(1000)))
        assert writer.ended == "limit"
        assert path.stat().st_size <= most
        assert writer.frames == len(frames(path)) > 1


def test_after_the_end_nothing_is_taken(tmp_path: Path) -> None:
    writer = new(tmp_path / "a.mp4", limits=Limits(max_duration_s=0.2))
    write(writer, video())
    size = writer.size_bytes
    writer.put(video()[0])
    writer.tick(100 * S)
    writer.close(100 * S, "stopped")
    assert (writer.ended, writer.size_bytes) == ("limit", size)


def test_a_stream_that_was_lost_ends_with_its_last_sign(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = new(path, has_audio=True)
    units = interleaved(video(), audio(100))
    for unit in units:
        writer.put(unit)
    writer.close(units[-1].arrival_ns + 30 * S, "lost")
    assert duration_s(path) == pytest.approx((units[-1].arrival_ns - units[0].arrival_ns) / S, abs=0.03)
    assert [segment.ended for segment in writer.segments] == ["lost"]


# While it grows, and when it cannot go on


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
def test_a_full_disk_leaves_a_file_that_holds_what_was_whole(
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


def test_an_open_file_that_takes_no_more_keeps_what_was_in_it_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(b"G" * 188 * 1000)
    opened = muxers.open_media

    def open_full(file: Any, *arguments: Any, **options: Any) -> Any:
        return opened(cast("IO[bytes]", Full(file, 200_000)), *arguments, **options)

    monkeypatch.setattr("streamer.media.recording.segment_writer.open_media", open_full)
    with path.open("ab", buffering=0) as file:
        writer = Writer(
            Target(file),
            has_audio=False,
            limits=Limits(),
            manifest=None,
            start_ns=None,
            now_ns=0,
            wall_ns=0,
            ask_keyframe=Asked(),
        )
        with pytest.raises(OSError, match="No space left on device"):
            write(writer, video(encoded(40, noise=True)))
        writer.abandon()
    assert path.stat().st_size > 188 * 1000


@pytest.mark.parametrize(
    "data", [b"\x00\x00\x00\x01\x65", b"\x00\x00\x00\x01\x67\x42\x00\x0d\x00\x00\x00\x01\x65\x88", b"?"]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_keyframe_that_is_none_is_an_error_and_no_file(tmp_path: Path, suffix: str, data: bytes) -> None:
    writer = new(tmp_path / f"a{suffix}")
    with pytest.raises(RecordingError, match="cannot parse the H264 keyframe") as caught:
        writer.put(access_unit(data, 0, keyframe=True))
    assert caught.value.reason == "codec"
    writer.abandon()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_a_keyframe_that_is_too_large_is_an_error_and_no_file(
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
def test_h265_whose_video_parameter_set_ends_too_early_is_an_error_and_no_endless_one(
    tmp_path: Path, suffix: str
) -> None:
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


def test_libavformat_s_errors_are_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = new(tmp_path / "a.mkv")
    writer.put(video()[0])

    def refuse(*_: object) -> None:
        raise av.InvalidDataError(1, "no")

    monkeypatch.setattr(muxers.AvFile, "_mux", refuse)
    with pytest.raises(av.InvalidDataError):
        writer.put(video()[1])
    writer.abandon()
