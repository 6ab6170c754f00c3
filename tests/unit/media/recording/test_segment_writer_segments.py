"""One file after the other: where segments end, and what they hold."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from streamer.errors import RecordingError
from streamer.events import Interruptions
from streamer.media.recording.segments import Limits
from streamer.tracks import Codec
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
    times,
    video,
    video_as,
)
from tests.support.segment_writers import HELD, WALL_NS, Asked, S, long_video, new, write
from tests.support.senders import VIDEO_CODECS


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
    assert [segment.started_at - WALL_NS / S for segment in writer.segments] == pytest.approx([10, 13, 16, 19])
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


def test_a_segment_without_a_keyframe_goes_on_and_requests_one_once(tmp_path: Path) -> None:
    asked = Asked()
    writer = new(tmp_path / "a-{}.mp4", limits=Limits(segment_s=2), asked=asked)
    write(writer, long_video(6, keyframe_every=1000))
    assert len(writer.segments) == 1
    assert asked.count == 1


def test_a_keyframe_is_requested_on_a_still_screen_too(tmp_path: Path) -> None:
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
