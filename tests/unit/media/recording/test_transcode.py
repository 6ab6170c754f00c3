"""Transcoded recordings: a constant rate, sizes, codecs, the time on the frame, and too little time."""

import asyncio
import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamer.errors import ConfigurationError, RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.recording.containers import container_of
from streamer.media.recording.letterbox import Letterbox
from streamer.media.recording.overlay import _ROWS, draw_stamp
from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import BEHIND_NS, Transcode, Transcoder
from streamer.tracks import Codec
from tests.support.recording_session import LIMIT_S, NOON_NS, S, Session, transcoded
from tests.support.recordings import audio, boxes, duration_s, interleaved, packets, streams, video, video_as
from tests.support.senders import SIZE, access_unit, allowing_reordering, encoded, is_frame

CODECS = ("h264", "h265", "vp9", "av1")


def shown(path: Path) -> list[npt.NDArray[np.int_]]:
    with av.open(path) as container:
        return [np.asarray(frame.to_ndarray(format="gray")).astype(int) for frame in container.decode(video=0)]


@pytest.mark.edge
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
async def test_every_codec_and_file_has_a_constant_rate_and_shows_what_was_sent(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    recording = await transcoded(path, video(), codec=codec)
    assert streams(path) == [codec]
    found = packets(path)
    assert [round(float(packet.time) * 30, 1) for packet in found] == list(range(12))
    if suffix == ".mp4":
        assert {packet.duration for packet in found} == {found[0].duration}
    images = shown(path)
    assert recording.frames == len(images) == 12
    assert recording.dropped == 0
    assert all(is_frame(image, number) for number, image in enumerate(images))
    assert duration_s(path) == pytest.approx(0.4, abs=0.002)


@pytest.mark.parametrize("codec", ["h265", "vp8", "vp9", "av1"])
async def test_whatever_the_phone_sends_can_be_transcoded(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.mp4"
    await transcoded(path, video_as(codec, 8))
    assert streams(path) == ["h264"]
    assert [is_frame(image, number) for number, image in enumerate(shown(path))] == [True] * 8


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize(("bidirectional", "right_from"), [(0, 0), (1, 3), (2, 4)])
async def test_each_step_shows_its_own_frame_even_of_a_reordering_phone(
    tmp_path: Path, codec: str, bidirectional: int, right_from: int
) -> None:
    """That a phone reorders is seen at its first such frame: before it, some come too late for their steps.

    Frames that are sent ahead of their turn are quicker on their way than the first: the recording begins earlier,
    and so it lasts longer.
    """
    path = tmp_path / "a.mp4"
    sent = [
        access_unit(
            data,
            900_000 + 3000 * number,
            codec=Codec(name=codec, clock_rate=90_000),
            keyframe=number == 0,
            arrival_ns=10 * S + position * S // 30,
        )
        for position, (number, data) in enumerate(allowing_reordering(codec, 12, bidirectional=bidirectional))
    ]
    recording = await transcoded(path, sent)
    assert recording.dropped == 0
    images = shown(path)
    assert len(images) == 12 + bidirectional
    assert [is_frame(image, number) for number, image in enumerate(images[:12])][right_from:] == [True] * (
        12 - right_from
    )


@pytest.mark.parametrize(("fps", "count"), [(10, 20), (60, 120), (29.97, 60), (25, 50)])
async def test_a_still_screen_is_repeated_and_the_file_lasts_as_long_as_it_took(
    tmp_path: Path, fps: float, count: int
) -> None:
    path = tmp_path / "a.mp4"
    await transcoded(path, video(), fps=fps, lasts_s=2)
    found = packets(path)
    assert len(found) == count
    steps = {round(float(later.time - earlier.time) * 90_000) for earlier, later in itertools.pairwise(found)}
    assert max(steps) - min(steps) <= 1  # ticks
    assert duration_s(path) == pytest.approx(2, abs=1 / fps)
    images = shown(path)
    assert all(is_frame(image, 11) for image in images[len(images) // 2 :])


async def test_frames_beyond_the_rate_are_thinned_out_and_are_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    recording = await transcoded(path, video(encoded(30, keyframe_every=30)), fps=10)
    assert (recording.frames, recording.dropped) == (10, 0)


async def test_audio_is_copied_whole_beside_transcoded_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    heard = audio(75)
    await transcoded(path, interleaved(video(encoded(45, keyframe_every=15)), heard), fps=15)
    assert streams(path) == ["h264", "opus"]
    assert [packet.data for packet in packets(path, "audio")] == [unit.data for unit in heard]
    assert float(packets(path, "audio")[0].time) == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize(
    ("options", "size"), [({"height": 64}, (80, 64)), ({"size": (200, 100)}, (200, 100)), ({"height": 256}, (320, 256))]
)
async def test_frames_are_scaled_whole_with_black_bars(
    tmp_path: Path, options: dict[str, Any], size: tuple[int, int]
) -> None:
    path = tmp_path / "a.mkv"
    await transcoded(path, video(), **options)
    for number, image in enumerate(shown(path)):
        assert image.shape == (size[1], size[0])
        width = round(size[1] * SIZE[0] / SIZE[1] / 2) * 2
        left = (size[0] - width) // 4 * 2
        assert is_frame(image[:, left : left + width], number)
        if left:
            assert image[:, : left - 4].max(initial=0) < 24
            assert image[:, left + width + 4 :].max(initial=0) < 24


async def test_a_rotated_phone_is_shown_whole_in_a_file_of_one_size(tmp_path: Path) -> None:
    turned = encoded(6, size=(128, 160), keyframe_every=6)
    path = tmp_path / "a.mp4"
    await transcoded(path, [*video(encoded(6, keyframe_every=6)), *video(turned, start=900_000 + 18_000)])
    images = shown(path)
    assert {image.shape for image in images} == {(128, 160)}
    assert images[-1][:, :24].max() < 24
    assert images[-1][64, 80] > 40


def test_brightness_is_kept_whatever_the_range() -> None:
    for kind, value in (("yuvj420p", 100), ("yuv420p", 100)):
        sent = av.VideoFrame.from_ndarray(np.full((96, 64), value, dtype=np.uint8), format=kind)
        sent.color_range = 2 if kind == "yuvj420p" else 1
        pixels = Letterbox().fit(sent, 64, 64)
        assert abs(int(pixels[0, 0]) - (102 if kind == "yuvj420p" else 100)) <= 1


# Segments, limits, endings: what holds for copies holds here


async def test_each_segment_begins_with_a_keyframe_made_for_it(tmp_path: Path) -> None:
    session = Session()
    async with asyncio.timeout(LIMIT_S):
        async with session.record(
            tmp_path / "a-{}.mp4", transcode=Transcode(), limits=Limits(segment_s=0.8)
        ) as recording:
            asked = session.asked
            session.put(recording, video(encoded(80, keyframe_every=80)))
            session.now_ns += S // 30
    assert session.asked == asked  # the phone's keyframes are not needed for it
    assert len(recording.segments) >= 3
    assert sum(segment.frames for segment in recording.segments) == recording.frames == 80
    for segment in recording.segments:
        assert boxes(segment.path) == ["ftyp", "moov", "mdat"]
        assert packets(segment.path)[0].is_keyframe
        assert segment.duration_s <= 0.9


async def test_a_limit_ends_a_recording_with_the_last_whole_step(tmp_path: Path) -> None:
    session = Session()
    async with asyncio.timeout(LIMIT_S):
        recording = session.record(
            tmp_path / "a.mp4", has_audio=True, transcode=Transcode(fps=20), limits=Limits(max_duration_s=1)
        )
        session.put(recording, interleaved(video(encoded(60, keyframe_every=30)), audio(100)))
        await recording.closed()
    assert (recording.frames, recording.duration_s) == (20, 1.0)
    assert recording.segments[0].ended == "limit"


async def test_a_preroll_is_encoded_from_the_requested_time_on(tmp_path: Path) -> None:
    before = video(encoded(45, keyframe_every=15))
    session = Session()
    session.now_ns = before[-1].arrival_ns + 60 * S  # it is long ago, and not late
    path = tmp_path / "a.mp4"
    async with asyncio.timeout(LIMIT_S):
        recording = session.record(path, transcode=Transcode(fps=30), before=before, start_ns=before[20].arrival_ns)
        session.now_ns = before[-1].arrival_ns + S // 30
        await recording.stop()
    assert (recording.frames, recording.dropped) == (25, 0)
    assert is_frame(shown(path)[0], 20)


async def test_an_undecodable_frame_is_counted_and_a_keyframe_requested(tmp_path: Path) -> None:
    sent = video()
    sent[2] = access_unit(b"\x00\x00\x00\x01\x41", sent[2].rtp_time)
    session = Session()
    path = tmp_path / "a.mp4"
    async with asyncio.timeout(LIMIT_S):
        async with session.record(path, transcode=Transcode()) as recording:
            session.put(recording, sent)
            session.now_ns += S // 30
    await asyncio.sleep(0)
    assert session.asked == 2
    assert recording.dropped == 4  # it, and those up to the keyframe
    assert [is_frame(image, number) for number, image in enumerate(shown(path))][:2] == [True, True]
    assert all(is_frame(image, 1) for image in shown(path)[2:6])
    assert all(is_frame(image, number) for number, image in enumerate(shown(path)) if number > 5)


# Too little time


def test_a_late_transcoder_skips_and_counts_steps_evenly_and_keeps_the_audio() -> None:
    transcoder = Transcoder(Transcode(), start_ns=None, wall_ns=0, ask_keyframe=lambda: None)
    heard = audio(400)
    given: list[AccessUnit] = []
    now_ns, cost_ns = 0, S // 10  # three steps take the time of ten
    for unit in interleaved(video(encoded(240, keyframe_every=60)), heard):
        now_ns = max(now_ns, unit.arrival_ns)
        made = transcoder.put(unit, now_ns)
        now_ns += cost_ns * sum(one.kind == "video" for one in made)
        given += made
    rest, _ = transcoder.close(now_ns)
    transcoder.release()
    given += rest
    frames = [unit for unit in given if unit.kind == "video"]
    assert [unit.data for unit in given if unit.kind == "audio"] == [unit.data for unit in heard]
    steps = [round((unit.arrival_ns - frames[0].arrival_ns) * 30 / S) for unit in frames]
    assert steps == sorted(set(steps))
    assert transcoder.dropped == steps[-1] + 1 - len(steps)
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert max(gaps) <= 4
    assert BEHIND_NS > S


def test_an_encoder_that_fails_at_the_end_fails_as_one_does_before() -> None:
    sent = video()
    transcoder = Transcoder(Transcode(), start_ns=None, wall_ns=0, ask_keyframe=lambda: None)
    for unit in sent:
        transcoder.put(unit, unit.arrival_ns)
    assert transcoder._encoder is not None
    transcoder._encoder.encode(None)  # it refuses everything from here on
    with pytest.raises(RecordingError, match="encoding h264 failed: End of file") as caught:
        transcoder.close(sent[0].arrival_ns)
    transcoder.release()
    assert caught.value.reason == "encode"  # by which the file keeps what was encoded


@pytest.mark.parametrize("codec", CODECS)
def test_frames_and_audio_leave_in_the_order_of_their_times(codec: str) -> None:
    transcoder = Transcoder(Transcode(codec=codec), start_ns=None, wall_ns=0, ask_keyframe=lambda: None)
    given: list[AccessUnit] = []
    for unit in interleaved(video(encoded(60, keyframe_every=60)), audio(100)):
        given += transcoder.put(unit, unit.arrival_ns)
        assert transcoder.now_ns is None or all(one.arrival_ns < transcoder.now_ns for one in given)
    given += transcoder.close(unit.arrival_ns + S // 10)[0]
    transcoder.release()
    assert {unit.kind for unit in given[-10:]} == {"audio", "video"}
    assert [unit.arrival_ns for unit in given] == sorted(unit.arrival_ns for unit in given)
    assert sum(unit.kind == "video" for unit in given) >= 60


# What cannot be


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"codec": "vp8"}, "expected one of the codecs h264, h265, vp9, av1, got 'vp8'"),
        ({"fps": 0}, "expected fps above 0 and up to 120, got 0"),
        ({"fps": float("nan")}, "expected fps"),
        ({"height": 101}, "expected an even width and height of 16 to 8192 pixels, got 101"),
        ({"size": (160, 2)}, "got 2"),
        ({"size": (160, 90), "height": 90}, "expected a size or a height, got both"),
        ({"bitrate_bps": 0}, "expected bitrate_bps above 0, got 0"),
        ({"bitrate_bps": 1000, "crf": 20}, "expected a bitrate_bps or a crf, got both"),
        ({"crf": 52}, "expected a crf of 0 to 51 for h264, got 52"),
    ],
)
def test_an_impossible_option_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Transcode(**options)


async def test_a_file_that_cannot_hold_the_codec_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="WebM cannot hold H264"):
        Session().record(tmp_path / "a.webm", transcode=Transcode())
    assert container_of(tmp_path / "a.webm").name == "WebM"
    await transcoded(tmp_path / "a.webm", video(), codec="vp9")
    assert streams(tmp_path / "a.webm") == ["vp9"]


@pytest.mark.edge
@pytest.mark.parametrize("codec", CODECS)
async def test_a_bit_rate_and_a_quality_take_effect(tmp_path: Path, codec: str) -> None:
    sizes = []
    for number, options in enumerate(({"crf": 20}, {"crf": 50}, {"bitrate_bps": 2_000_000}, {"bitrate_bps": 100_000})):
        path = tmp_path / f"{number}.mp4"
        await transcoded(path, video(encoded(30, keyframe_every=30, noise=True)), codec=codec, **options)
        sizes.append(path.stat().st_size)
    assert sizes[0] > 1.2 * sizes[1]
    assert sizes[2] > 1.2 * sizes[3]


# The time on the frame


def read_stamp(luma: npt.NDArray[np.int_], scale: int) -> str:
    """Return the digits at the top left, by how near each cell is to each glyph."""
    text = ""
    for number in range(23):
        left = (1 + 6 * number) * scale
        cell = luma[scale : 8 * scale, left : left + 5 * scale].reshape(7, scale, 5, scale).mean(axis=(1, 3)) > 125
        glyphs = {
            character: np.array([[row >> shift & 1 for shift in range(4, -1, -1)] for row in rows], dtype=bool)
            for character, rows in _ROWS.items()
        }
        text += min(glyphs, key=lambda character: int((glyphs[character] != cell).sum()))
    return text


@pytest.mark.parametrize(("size", "scale"), [((160, 128), 1), ((720, 1280), 2), ((1080, 1920), 3), ((2560, 1440), 5)])
def test_a_stamp_can_be_read_at_every_size(size: tuple[int, int], scale: int) -> None:
    frame = np.full((size[1] * 3 // 2, size[0]), 77, dtype=np.uint8)
    draw_stamp(frame, "2026-11-25 04:53:12.789")
    assert read_stamp(frame.astype(int), scale) == "2026-11-25 04:53:12.789"
    assert (frame[9 * scale : size[1]] == 77).all()


async def test_the_time_runs_on_over_a_still_screen(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    recording = await transcoded(path, video(), fps=10, lasts_s=2, timestamps=True, size=(320, 256), crf=10)
    moments = [dt.datetime.fromisoformat(read_stamp(image, 2)).astimezone() for image in shown(path)]
    steps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
    assert steps == pytest.approx([0.1] * 19, abs=0.0011)
    assert moments[0].timestamp() == pytest.approx(recording.segments[0].started_at, abs=0.0011)
    assert moments[0].timestamp() == pytest.approx((NOON_NS + video()[0].arrival_ns) / S)
