"""Recordings in virtual time: hours of stillness, delayed paths, clocks that are wrong or are set."""

from dataclasses import replace
from pathlib import Path

import pytest

from streamer.media.recording.segments import Limits
from streamer.media.recording.transcode import Transcode, Transcoder
from tests.support.recordings import boxes, duration_s, packets, times, video_as
from tests.support.segment_writers import WALL_NS, S, new
from tests.support.senders import OPUS, access_unit, encoded

HOUR = 3600
HOURS_30 = 30 * HOUR
STREAM = encoded(10, size=(64, 64), keyframe_every=10)
SILENCE = b"\xfc\xff\xfe"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("hours", [13, 14, 25])
def test_a_screen_still_for_hours_has_the_right_times_in_a_closed_file(tmp_path: Path, suffix: str, hours: int) -> None:
    path = tmp_path / f"a{suffix}"
    writer = new(path, has_audio=True)
    true = [0, 1, 2, hours * HOUR, hours * HOUR + 1, hours * HOUR + 2]
    for number, second in enumerate(true):
        writer.put(access_unit(STREAM[number % 10], 900_000 + 90_000 * second))
        writer.put(access_unit(SILENCE, 480_000 + 48_000 * second, codec=OPUS, ssrc=2))
        writer.tick((12 + second) * S)
    writer.close((10 + true[-1] + 1) * S, "stopped")
    begin, *_ = times(path)
    assert [time - begin for time in times(path)] == pytest.approx(true, abs=0.001)
    assert [time - begin for time in times(path, "audio")] == pytest.approx(true, abs=0.001)
    if suffix == ".mp4":
        assert duration_s(path) == pytest.approx(true[-1] + 1, abs=1.1)
        assert boxes(path)[:3] == (["ftyp", "moov", "mdat"] if hours == 13 else ["ftyp", "moov", "moof"])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.edge
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("held_s", [7, 12])
def test_a_delayed_path_does_not_lengthen_a_recording(tmp_path: Path, suffix: str, held_s: int) -> None:
    """Everything of `held_s` comes at once at their end: it lasts as long as it took, and each frame keeps its time."""
    path = tmp_path / f"a{suffix}"
    writer = new(path, has_audio=True)
    units = sorted(
        (
            replace(u, arrival_ns=max(u.arrival_ns, (20 + held_s) * S) if u.arrival_ns >= 20 * S else u.arrival_ns)
            for u in [
                *(access_unit(STREAM[n % 10], 900_000 + 9000 * n) for n in range(400)),
                *(access_unit(SILENCE, 480_000 + 960 * n, codec=OPUS, ssrc=2) for n in range(2000)),
            ]
        ),
        key=lambda unit: unit.arrival_ns,
    )
    for unit in units:
        writer.tick(unit.arrival_ns)
        writer.put(unit)
    writer.close(50 * S, "stopped")
    begin, *_ = times(path)
    assert [time - begin for time in times(path)] == pytest.approx([n / 10 for n in range(400)], abs=0.001)
    assert [time - begin for time in times(path, "audio")] == pytest.approx([n / 50 for n in range(2000)], abs=0.001)
    assert writer.duration_s == pytest.approx(40)


@pytest.mark.edge
@pytest.mark.parametrize("held_s", [7, 12])
def test_a_delayed_path_freezes_a_transcoded_recording_for_as_long(held_s: int) -> None:
    transcoder = Transcoder(Transcode(fps=10), start_ns=None, wall_ns=0, ask_keyframe=lambda: None)
    made = []
    units = [replace(access_unit(STREAM[n % 10], 900_000 + 9000 * n), captured_ns=n * S // 10) for n in range(400)]
    held = [replace(u, arrival_ns=max(u.arrival_ns, (20 + held_s) * S)) if u.arrival_ns >= 20 * S else u for u in units]
    for now_ns in range(10 * S, 50 * S, S // 20):
        made += transcoder.tick(now_ns)
        while held and held[0].arrival_ns <= now_ns:
            made += transcoder.put(held.pop(0), now_ns)
    rest, end_ns = transcoder.close(50 * S)
    made += rest
    assert end_ns == 50 * S
    assert transcoder.dropped == 0
    assert [round((unit.arrival_ns - 10 * S) / S * 10) for unit in made] == list(range(400))
    late_ns = [unit.arrival_ns - 10 * S - (unit.captured_ns or 0) for unit in made]
    assert late_ns == [0] * 400  # what each shows is of its own moment, or of before: `captured_ns` tells the step's


def test_audio_is_aligned_with_its_frames_after_a_slow_first_frame() -> None:
    """The recording's zero then moves to where the first frame would have been, and the audio moves with it."""
    transcoder = Transcoder(Transcode(fps=10), start_ns=None, wall_ns=0, ask_keyframe=lambda: None)
    slow_ns = 4 * S // 10
    made = []
    for number in range(100):
        frame = access_unit(STREAM[number % 10], 900_000 + 9000 * number)
        audio = access_unit(SILENCE, 480_000 + 4800 * number, codec=OPUS, ssrc=2)
        sent_ns = frame.arrival_ns
        now_ns = max(sent_ns, 10 * S + slow_ns)
        made += transcoder.put(replace(frame, arrival_ns=now_ns), now_ns)
        made += transcoder.put(audio, now_ns)
    rest, _ = transcoder.close(20 * S)
    arrivals = {kind: [unit.arrival_ns for unit in [*made, *rest] if unit.kind == kind] for kind in ("video", "audio")}
    assert len(arrivals["audio"]) == 100
    assert [round((arrival_ns - 10 * S - slow_ns) / S * 10) for arrival_ns in arrivals["video"][50:100]] == [
        *range(50, 100)
    ]
    assert [round((arrival_ns - 10 * S - slow_ns) / S * 10) for arrival_ns in arrivals["audio"][50:]] == [
        *range(50, 100)
    ]


def test_wrong_timestamps_do_not_change_the_length_of_a_recording(tmp_path: Path) -> None:
    for name, step in (("ahead", round(4.9 * 90_000)), ("frames", 3000), ("still", 0)):
        path = tmp_path / f"{name}.mkv"
        writer = new(path, has_audio=True)
        for number in range(200):  # ten a second
            arrival_ns = 10 * S + number * S // 10
            writer.put(access_unit(STREAM[number % 10], 900_000 + step * number, arrival_ns=arrival_ns))
            writer.tick(arrival_ns)
        writer.close(30 * S, "stopped")
        assert writer.duration_s == pytest.approx(20, abs=0.1)
        assert duration_s(path) == pytest.approx(20, abs=0.1)
        assert len(times(path)) == 200


def test_a_segment_is_never_shorter_than_requested_and_then_requests_its_keyframe(tmp_path: Path) -> None:
    asked: list[float] = []
    limits = Limits(segment_s=2)
    writer = new(tmp_path / "a-{}.mkv", has_audio=True, limits=limits, asked=lambda: asked.append(now_ns / S))
    now_ns = 0
    for number in range(100):  # a keyframe every 0.59 s
        now_ns = 10 * S + number * S * 59 // 1000
        writer.put(access_unit(STREAM[number % 10], 900_000 + 5310 * number, arrival_ns=now_ns))
        writer.tick(now_ns)
    writer.close(now_ns, "stopped")
    lengths = [segment.duration_s for segment in writer.segments]
    assert all(2 <= length <= 2.6 for length in lengths[:-1])
    assert len(asked) == len(lengths) - 1
    begins = [segment.started_at - WALL_NS / S for segment in writer.segments]
    assert all(2 <= at - begin <= 2.06 for at, begin in zip(asked, begins, strict=False))


def test_a_first_frame_that_was_slow_on_its_way_does_not_move_the_beginning(tmp_path: Path) -> None:
    writer = new(tmp_path / "a.mkv", has_audio=True)
    for number in range(20):
        unit = access_unit(STREAM[number % 10], 900_000 + 9000 * number)
        writer.put(replace(unit, arrival_ns=unit.arrival_ns + 180_000_000) if number < 2 else unit)
    writer.close(12 * S, "stopped")
    (segment,) = writer.segments
    assert segment.started_at == pytest.approx(WALL_NS / S + 10, abs=0.001)


def test_a_wall_clock_that_is_set_names_the_next_file_and_leaves_lengths_alone(tmp_path: Path) -> None:
    writer = new(tmp_path / "a-{start:%Y%m%d}.mkv", has_audio=True, limits=Limits(segment_s=1))
    for number in range(40):
        writer.put(access_unit(STREAM[number % 10], 900_000 + 9000 * number))
        if number == 15:
            writer.wall_ns -= 365 * 86_400 * S
    writer.close(14 * S, "stopped")
    assert [segment.duration_s for segment in writer.segments] == pytest.approx([1] * 4)
    begins = [WALL_NS / S + 10, WALL_NS / S + 11, *(WALL_NS / S - 365 * 86_400 + second for second in (12, 13))]
    assert [segment.started_at for segment in writer.segments] == pytest.approx(begins)
    assert [segment.path.name[:6] for segment in writer.segments] == ["a-2027"] * 2 + ["a-2026"] * 2
    assert [part.begin_s for part in writer.parts] == pytest.approx([0, 1, 2, 3])  # what clips go by


def test_a_phone_that_changes_its_codec_with_every_keyframe_makes_a_file_every_ten_seconds(tmp_path: Path) -> None:
    asked: list[int] = []
    writer = new(tmp_path / "a.mkv", has_audio=True, asked=lambda: asked.append(1))
    other = video_as("vp8", 1)[0]
    sent = 0
    for number in range(350):
        now_ns = 10 * S + number * S // 10
        unit = other if number % 2 else access_unit(STREAM[0], 0)
        writer.put(replace(unit, rtp_time=900_000 + 9000 * number, arrival_ns=now_ns, ssrc=1))
        writer.tick(now_ns)
        sent += 1
    for number in range(350, 400):  # at last it stays with one, without keyframes that nobody asks for
        now_ns = 10 * S + number * S // 10
        unit = replace(other, is_keyframe=bool(asked), rtp_time=900_000 + 9000 * number, arrival_ns=now_ns, ssrc=1)
        asked.clear()
        writer.put(unit)
        writer.tick(now_ns)
        sent += 1
    writer.close(50 * S, "stopped")
    assert 4 <= len(writer.segments) <= 6
    assert writer.frames + writer.dropped == sent
    assert sum(len(packets(segment.path)) for segment in writer.segments) == writer.frames
