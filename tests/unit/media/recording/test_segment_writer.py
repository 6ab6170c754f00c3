"""A recording's files as the writing thread makes them: every kind of file, segments, limits, and what goes wrong."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from streamer.media.recording.segments import Limits
from tests.support.recordings import (
    START,
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
from tests.support.segment_writers import FRAME_NS, HELD, S, long_video, new, write
from tests.support.senders import encoded

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
def test_a_rotated_phone_goes_on_in_the_same_file_and_every_frame_decodes(tmp_path: Path, suffix: str) -> None:
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


def test_an_mp4_of_a_phone_that_sends_no_audio_has_none(tmp_path: Path) -> None:
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


def test_audio_before_the_first_frame_is_left_out_and_not_counted_as_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    early = [replace(unit, arrival_ns=unit.arrival_ns - 100_000_000) for unit in audio(25)]
    writer = new(path, has_audio=True)
    write(writer, interleaved(video(), early))
    assert [packet.data for packet in packets(path, "audio")] == [unit.data for unit in early[5:]]
    assert times(path, "audio")[0] == pytest.approx(0)
    assert writer.dropped == 0


def test_unannounced_audio_is_counted(tmp_path: Path) -> None:
    writer = new(tmp_path / "a.mp4")
    write(writer, interleaved(video(), audio(5)))
    assert writer.dropped == len(audio(5))


def test_repeated_or_falling_times_are_written_as_rising_ones(tmp_path: Path) -> None:
    stuck = [replace(unit, rtp_time=unit.rtp_time - 3000 * (number % 3)) for number, unit in enumerate(video())]
    write(new(tmp_path / "a.mp4"), stuck)
    found = times(tmp_path / "a.mp4")
    assert len(found) == 12
    assert found == sorted(set(found))


def test_units_before_the_start_take_no_time_but_serve_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    units = video(encoded(30))
    start_ns = units[20].arrival_ns - FRAME_NS // 2
    write(new(path, start_ns=start_ns), units)
    found = times(path)
    assert len(found) == len(frames(path)) == 30
    assert found[:20] == pytest.approx([number / 90_000 for number in range(20)])
    assert found[20:] == pytest.approx([(number - 19.5) / 30 for number in range(20, 30)], abs=1e-4)


def test_an_empty_recording_leaves_no_file(tmp_path: Path) -> None:
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
        writer = new(pipe)
        write(writer, [*video(), *video_as("h265", start=START + 36_000)])
    assert [segment.ended for segment in writer.segments] == ["codec", "stopped"]
    data = path.read_bytes()
    second = writer.segments[0].size_bytes
    assert len(packets(data[:second], format_name="mpegts")) == 12
    assert len(packets(data[second:], format_name="mpegts")) == 12


# Limits


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_ends_at_its_longest_duration(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    writer = new(path, limits=Limits(max_duration_s=2.55))
    write(writer, long_video(4))
    assert writer.ended == "limit"
    assert len(frames(path)) == writer.frames == 26
    assert duration_s(path) == pytest.approx(2.55, abs=0.001)
    assert writer.duration_s == 2.55
    assert [segment.ended for segment in writer.segments] == ["limit"]


def test_a_recording_of_a_still_screen_ends_at_its_longest_duration(tmp_path: Path) -> None:
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
def test_a_recording_is_never_larger_than_its_limit(tmp_path: Path, suffix: str) -> None:
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


def test_a_lost_stream_ends_with_its_last_sign_of_life(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = new(path, has_audio=True)
    units = interleaved(video(), audio(100))
    for unit in units:
        writer.put(unit)
    writer.close(units[-1].arrival_ns + 30 * S, "lost")
    assert duration_s(path) == pytest.approx((units[-1].arrival_ns - units[0].arrival_ns) / S, abs=0.03)
    assert [segment.ended for segment in writer.segments] == ["lost"]
