"""MP4 boxes, read back by libavformat."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.recording import mp4
from streamer.media.recording.mp4 import Mp4, Track, find_box, opus_entry, video_sample
from streamer.media.recording.muxers import video_track
from tests.support.examples import examples
from tests.support.recordings import STREAM, audio, packets, pieces, sent, video
from tests.support.senders import encoded, nal_units

UNITS = video(encoded(24, keyframe_every=5))
AUDIO = audio(40)


def tracks() -> tuple[Track, Track]:
    return video_track(UNITS[0]), Track(kind="audio", clock_rate=48_000, entry=opus_entry(2))


def seconds(ns: int) -> Fraction:
    return Fraction(ns, 1_000_000_000)


class File:
    """A file in memory."""

    def __init__(self, *some: Track) -> None:
        self.mp4 = Mp4(list(some))
        self.data = self.mp4.head()

    def cut(self, now_ns: int) -> None:
        self.data += self.mp4.fragment(len(self.data), now_ns)

    def whole(self, end_ns: int) -> bytes:
        head, media = self.mp4.whole(end_ns)
        return head + b"".join(self.data[position : position + size] for position, size in media)


# Steps of audio are two ticks at least: audio of one tick a sample is taken for PCM (libavformat 62).
steps = st.lists(st.integers(2, 400_000), min_size=24, max_size=24)


@examples(60)
@given(
    video_steps=steps,
    audio_steps=steps,
    audio_start=st.integers(0, 100_000),
    cuts=st.sets(st.integers(0, 60)),
    late=st.lists(st.integers(0, 90_000), max_size=23),
)
def test_both_forms_hold_every_sample_at_its_time_whatever_the_fragments(
    video_steps: list[int], audio_steps: list[int], audio_start: int, cuts: set[int], late: list[int]
) -> None:
    """Law: the samples that go in come out, in either form, byte for byte and tick for tick."""
    offsets = itertools.chain([0], late, itertools.repeat(0))  # from when they are decoded to when they are shown
    frame, tone = tracks()
    file = File(frame, tone)
    of_video = itertools.accumulate(video_steps[:-1], initial=0)
    of_audio = itertools.accumulate(audio_steps[:-1], initial=audio_start)
    samples = [(Fraction(t, 90_000), frame, t, unit) for t, unit in zip(of_video, UNITS, strict=True)]
    samples += [(Fraction(t, 48_000), tone, t, unit) for t, unit in zip(of_audio, AUDIO, strict=False)]
    samples.sort(key=lambda sample: sample[0])
    presented: list[Fraction] = []
    for number, (time, track, ticks, unit) in enumerate(samples):
        if number in cuts:
            file.cut(int(time * 1_000_000_000))
        data = video_sample("h264", unit.data) if track is frame else [unit.data]
        offset = next(offsets) if track is frame else 0
        file.mp4.add(track, data, ticks, is_key=unit.is_keyframe and track is frame, offset=offset)
        presented.append(time + Fraction(offset, track.clock_rate))
    end_ns = int(samples[-1][0] * 1_000_000_000) + 700_000_000
    file.cut(end_ns)
    for form in (file.data, file.whole(end_ns)):
        for track, kind in ((frame, "video"), (tone, "audio")):
            found = packets(form, kind, format_name="mp4")
            expected = [
                (at, unit) for at, (_, other, _, unit) in zip(presented, samples, strict=True) if other is track
            ]
            assert [packet.time for packet in found] == [time for time, _ in expected]
            assert [packet.data for packet in found] == [
                b"".join(video_sample("h264", unit.data)) if kind == "video" else unit.data for _, unit in expected
            ]
            if kind == "video":
                assert [packet.is_keyframe for packet in found] == [unit.is_keyframe for _, unit in expected]
    (*_, last) = packets(file.whole(end_ns), format_name="mp4")
    decoded_s = Fraction(frame.newest, 90_000)
    assert abs(decoded_s + last.duration - seconds(end_ns)) < Fraction(1, 45_000)  # the last frame stays until then


def test_the_regular_form_has_the_steps_as_durations_and_the_frames_size() -> None:
    frame, _ = tracks()
    file = File(frame)
    for number, unit in enumerate(UNITS):
        file.mp4.add(frame, video_sample("h264", unit.data), number * number * 100, is_key=unit.is_keyframe)
    file.cut(0)
    data = file.whole(10_000_000_000)
    found = packets(data, format_name="mp4")
    assert [packet.duration * 90_000 for packet in found[:-1]] == [100 * (2 * n + 1) for n in range(23)]
    assert found[-1].duration * 90_000 == 900_000 - 23 * 23 * 100
    assert (frame.width, frame.height) == (160, 128)


def test_a_file_cut_within_a_fragment_plays_up_to_the_cut() -> None:
    frame, _ = tracks()
    file = File(frame)
    for number, unit in enumerate(UNITS):
        file.mp4.add(frame, video_sample("h264", unit.data), 3000 * number, is_key=unit.is_keyframe)
        if number % 6 == 5:
            file.cut(0)
    media = file.data.rindex(b"mdat") + 4
    for end in range(media, len(file.data), 17):
        found = packets(file.data[:end], format_name="mp4")
        assert [pieces("h264", packet.data) for packet in found[:18]] == [sent(unit) for unit in UNITS[:18]]


def test_an_empty_track_is_not_in_the_regular_form() -> None:
    frame, tone = tracks()
    file = File(frame, tone)
    file.mp4.add(frame, video_sample("h264", UNITS[0].data), 0, is_key=True)
    file.cut(1_000_000)
    assert file.data.count(b"trak") == 2
    assert file.whole(1_000_000).count(b"trak") == 1
    assert file.mp4.fragment(len(file.data), 0) == b""


def test_audio_that_goes_quiet_does_not_last_until_the_end() -> None:
    _, tone = tracks()
    file = File(tone)
    for number, unit in enumerate(AUDIO):
        file.mp4.add(tone, [unit.data], 960 * number, is_key=False)
    file.cut(60_000_000_000)
    found = packets(file.whole(60_000_000_000), "audio", format_name="mp4")
    assert {packet.duration for packet in found} == {Fraction(1, 50)}


def test_the_index_is_no_larger_than_predicted() -> None:
    frame, tone = tracks()
    file = File(frame, tone)
    media = 0
    for number in range(240):
        unit = UNITS[number % 24]
        file.mp4.add(frame, video_sample("h264", unit.data), number * number, is_key=unit.is_keyframe)
        file.mp4.add(tone, [b"?" * 40], number * number, is_key=False)
        media += sum(map(len, video_sample("h264", unit.data))) + 40
        if number % 4 == 0:
            file.cut(0)
    file.cut(0)
    for form in (file.data, file.whole(0)):
        assert len(form) <= media + file.mp4.index_size


def test_an_index_that_grows_too_long_is_dropped_and_the_fragments_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "INDEX_LIMIT", 100)
    frame, _ = tracks()
    file = File(frame)
    for number in range(240):
        unit = UNITS[number % 24]
        file.mp4.add(frame, video_sample("h264", unit.data), 3000 * number, is_key=unit.is_keyframe)
        if number % 4 == 0:
            file.cut(0)
        assert file.mp4.is_indexed == (number < 100)
    file.cut(0)
    assert not any((frame.sizes, frame.steps, frame.keys, frame.chunk_offsets, frame.chunk_counts))
    found = packets(file.data, format_name="mp4")
    assert [packet.time for packet in found] == [Fraction(number, 30) for number in range(240)]
    assert len(file.data) <= sum(len(packet.data) for packet in found) + file.mp4.index_size


@pytest.mark.parametrize("unit", [STREAM[0], STREAM[1], *encoded(2, slices=3)])
def test_nal_units_get_their_lengths_whatever_their_start_codes(unit: bytes) -> None:
    expected = [piece for nal_unit in nal_units(unit) for piece in (len(nal_unit).to_bytes(4), nal_unit)]
    assert video_sample("h264", unit) == expected
    assert video_sample("h265", unit) == expected


def test_the_temporal_delimiter_of_av1_is_left_out_and_other_data_is_unchanged() -> None:
    assert video_sample("av1", b"\x12\x00\x0a\x01!") == [b"\x0a\x01!"]
    assert video_sample("av1", b"\x0a\x01!") == [b"\x0a\x01!"]
    assert video_sample("vp9", b"\x12\x00!") == [b"\x12\x00!"]


def test_a_missing_box_raises() -> None:
    data = b"\x00\x00\x00\x10moov\x00\x00\x00\x08trak\x00\x00\x00\x00"
    assert find_box(data, b"moov", b"trak") == b""
    with pytest.raises(ValueError, match="there is no box b'mdia'"):
        find_box(data, b"moov", b"mdia")
