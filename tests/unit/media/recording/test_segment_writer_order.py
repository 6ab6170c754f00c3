"""Recordings of phones that reorder frames (B-frames): decoded in one order, shown in another, each at its own time."""

import fractions
from pathlib import Path
from typing import NamedTuple

import av
import pytest
from av.video.frame import PictureType

from streamer.media.recording.segments import Limits
from tests.support.recordings import audio, boxes, interleaved, packets, pieces, sent
from tests.support.reordered import as_sent, record
from tests.support.segment_writers import S
from tests.support.senders import allowing_reordering, drawn, number_in

TICK = {".mp4": 1 / 90_000, ".ts": 1 / 90_000, ".mkv": 1 / 1000}


def shown(path: Path) -> list[tuple[float, int]]:
    """Return when each frame is shown, and which it is, in the order in which libavcodec gives them."""
    with av.open(path) as container:
        container.streams.video[0].thread_count = 1
        return [(frame.time or 0.0, number_in(frame)) for frame in container.decode(video=0)]


class Times(NamedTuple):
    decoded: int
    shown: int


def times(path: Path) -> list[Times]:
    with av.open(path) as container:
        return [
            Times(packet.dts, packet.pts)
            for packet in container.demux(video=0)
            if packet.dts is not None and packet.pts is not None
        ]


@pytest.mark.edge
@pytest.mark.parametrize("has_audio", [False, True])
@pytest.mark.parametrize("bidirectional", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_each_frame_is_shown_at_its_own_time_even_after_a_kill(
    tmp_path: Path, codec: str, suffix: str, bidirectional: int, has_audio: bool
) -> None:
    path, killed = tmp_path / f"a{suffix}", tmp_path / f"killed{suffix}"
    units = as_sent(codec, allowing_reordering(codec, 40, bidirectional=bidirectional))
    together = interleaved(units, audio(60)) if has_audio else units
    writer, left = record(path, together, has_audio=has_audio)
    assert (writer.frames, writer.dropped) == (40, 0)
    found = packets(path)
    assert [pieces(codec, packet.data)[-len(sent(unit)) :] for packet, unit in zip(found, units, strict=True)] == [
        sent(unit) for unit in units
    ]
    files = [path]
    if suffix != ".mkv":  # of which the first cluster is still open
        killed.write_bytes(left)
        files.append(killed)
    for file in files:
        frames = shown(file)
        assert len(frames) >= (40 if file is path else 5)
        if file is path:
            assert [number for _, number in frames] == list(range(40))
        begin = frames[0][0]
        for time, number in frames:
            assert time - begin == pytest.approx(number / 30, abs=TICK[suffix])
        decoded = [time.decoded for time in times(file)]
        assert decoded == sorted(set(decoded))
        assert all(time.decoded <= time.shown for time in times(file))
    if has_audio:
        first = packets(path)[0].time
        heard = [float(packet.time - first) for packet in packets(path, "audio")]
        assert heard == pytest.approx([0.02 * number for number in range(60)], abs=TICK[suffix])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_stream_in_order_is_decoded_when_it_is_shown_even_if_it_may_reorder(
    tmp_path: Path, suffix: str, is_allowed: bool
) -> None:
    path = tmp_path / f"a{suffix}"
    made = allowing_reordering("h264", 40)
    if not is_allowed:
        made = list(enumerate(_in_order(40)))
    _, left = record(path, as_sent("h264", made))
    if suffix == ".mp4":
        assert b"ctts" not in path.read_bytes()
        assert b"trun\x00\x00\x07\x01" in left  # no offsets
        assert b"trun\x01" not in left
        assert boxes(path) == ["ftyp", "moov", "mdat"]
    if is_allowed and suffix == ".ts":  # written before anybody knows
        assert all(time.decoded <= time.shown for time in times(path))
    elif suffix != ".mkv":  # which holds one time only
        assert all(time.decoded == time.shown for time in times(path))
    assert [number for _, number in shown(path)] == list(range(40))


def _in_order(frames: int) -> list[bytes]:
    context = _x264("bframes=0")
    return [data for _, data, _ in _encoded(context, frames)]


def _x264(parameters: str) -> av.VideoCodecContext:
    context = av.VideoCodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 160, 128, "yuv420p"
    context.framerate, context.time_base = fractions.Fraction(30), fractions.Fraction(1, 30)
    common = "b-adapt=0:rc-lookahead=0:sync-lookahead=0:annexb=1:repeat-headers=1:scenecut=0:weightp=0:threads=1"
    context.options = {"preset": "ultrafast", "x264-params": f"{parameters}:{common}"}
    return context


def _encoded(context: av.VideoCodecContext, frames: int) -> list[tuple[int, bytes, bool]]:
    made = []
    for number in range(frames):
        frame = drawn(number, (160, 128), noise=False)
        frame.pts, frame.pict_type = number, PictureType.NONE
        made += context.encode(frame)
    made += context.encode(None)
    return [(packet.pts or 0, bytes(packet), packet.is_keyframe) for packet in made]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_segment_leaves_out_the_leading_frames_that_refer_to_the_segment_before(tmp_path: Path, suffix: str) -> None:
    """Of an open group: frames that come after its keyframe, and are shown before it."""
    made = _encoded(_x264("open-gop=1:keyint=15:min-keyint=15:bframes=2"), 40)
    keyframes = [position for position, (_, _, is_keyframe) in enumerate(made) if is_keyframe]
    units = as_sent("h264", [(number, data) for number, data, _ in made], keyframes)
    leading = {
        made[position][0] for key in keyframes[1:] for position in range(key, len(made))
        if made[position][0] < made[key][0]
    }  # fmt: skip
    assert len(leading) == 2 * (len(keyframes) - 1) >= 4
    writer, _ = record(tmp_path / f"a-{{}}{suffix}", units, limits=Limits(segment_s=0.1))
    assert len(writer.segments) == len(keyframes)
    assert (writer.frames, writer.dropped) == (40 - len(leading), len(leading))
    seen: list[int] = []
    for segment, key in zip(writer.segments, keyframes, strict=True):
        frames = shown(segment.path)
        begin = frames[0][0]
        assert frames[0][1] == made[key][0]
        for time, number in frames:
            assert time - begin == pytest.approx((number - made[key][0]) / 30, abs=TICK[suffix])
        seen += [number for _, number in frames]
    assert seen == [number for number in range(40) if number not in leading]
    whole, _ = record(tmp_path / f"whole{suffix}", units)
    assert (whole.frames, whole.dropped) == (40, 0)  # within a file they stay
    assert [number for _, number in shown(whole.path)] == list(range(40))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_units_before_the_start_leave_the_times_after_it_right(tmp_path: Path, suffix: str) -> None:
    units = as_sent("h264", allowing_reordering("h264", 40, bidirectional=2))
    path = tmp_path / f"a{suffix}"
    record(path, units, start_ns=units[0].arrival_ns + 15 * S // 30 + S // 60)
    frames = shown(path)
    assert [number for _, number in frames] == list(range(40))
    begin = min(time for time, _ in frames)
    for time, number in frames[18:]:
        assert time - begin == pytest.approx((number - 15.5) / 30, abs=2 * TICK[suffix])
    assert all(time - begin <= 0.1 for time, _ in frames[:18])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_still_screen_among_reordered_frames_stays_as_long_as_it_was(tmp_path: Path, suffix: str) -> None:
    made = allowing_reordering("h264", 40, bidirectional=2)
    before = as_sent("h264", made[:22])  # groups of three, after the first
    after = as_sent("h264", [(number + 300, data) for number, data in made[22:]], ())
    path = tmp_path / f"a{suffix}"
    record(path, [*before, *after])
    frames = shown(path)
    assert [number for _, number in frames] == list(range(40))
    for time, number in frames:
        is_after = number > 21
        assert time - frames[0][0] == pytest.approx((number + 300 * is_after) / 30, abs=TICK[suffix])
