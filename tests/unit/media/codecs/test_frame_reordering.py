"""Streams that may reorder frames, do, or do not: right frames out of libavcodec, each with its own unit."""

import itertools
from dataclasses import dataclass, replace
from functools import cache

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.frame_reordering import ORDERED_UNITS, Reordering
from streamer.media.codecs.nal import START_CODE, annex_b
from streamer.media.codecs.parameter_sets import h264_sequence_set
from streamer.media.frame_decoder import GROUP_LIMIT, DecodedFrame, FrameDecoder
from streamer.media.libav import open_decoder
from streamer.tracks import Codec
from tests.support.examples import examples
from tests.support.senders import (
    access_unit,
    allowing_reordering,
    encoded,
    encoded_as,
    nal_units,
    number_in,
    without_vui,
)

CODECS = ("h264", "h265")
CODEC = {name: Codec(name=name, clock_rate=90_000) for name in CODECS}


@cache
def stream(codec: str, *, bidirectional: int, keyframe_every: int = 10, frames: int = 40) -> list[tuple[int, bytes]]:
    return allowing_reordering(codec, frames, bidirectional=bidirectional, keyframe_every=keyframe_every)


def units(codec: str, *, bidirectional: int, keyframe_every: int = 10, frames: int = 40) -> list[AccessUnit]:
    """Return units in decoding order, each with the RTP time of its frame."""
    made = stream(codec, bidirectional=bidirectional, keyframe_every=keyframe_every, frames=frames)
    return [
        access_unit(data, 3000 * number, codec=CODEC[codec], keyframe=number % keyframe_every == 0)
        for number, data in made
    ]


@dataclass
class Watching:
    """A decoder and its output."""

    damages: int = 0

    def __post_init__(self) -> None:
        self.decoder = FrameDecoder(self._damage)
        self.frames: list[DecodedFrame] = []

    def _damage(self) -> None:
        self.damages += 1

    def put(self, unit: AccessUnit) -> int:
        """Decode a unit; return how many frames came with it."""
        return self.take(self.decoder.decode(unit))

    def take(self, frames: list[DecodedFrame]) -> int:
        self.frames += frames
        return len(frames)

    def release(self) -> int:
        return self.take(self.decoder.release(lambda: True))

    def finish(self) -> None:
        self.take(self.decoder.drain())

    @property
    def numbers(self) -> list[int]:
        """The numbers that the frames' units bear; every frame must show the same."""
        for frame in self.frames:
            assert number_in(frame.av_frame) == frame.unit.rtp_time // 3000 % 40
        return [frame.unit.rtp_time // 3000 for frame in self.frames]


# Reordering that is allowed and never happens


@pytest.mark.parametrize("codec", CODECS)
def test_libavcodec_alone_delays_the_frames_of_these_streams(codec: str) -> None:
    """The premise of the other tests: libavcodec alone holds frames back, and the last ones for ever."""
    context = open_decoder(codec)
    came = [len(context.decode(av.Packet(unit.data))) for unit in units(codec, bidirectional=0)]
    assert came[0] == 0
    assert sum(came) < len(came)


@pytest.mark.parametrize("codec", CODECS)
def test_each_frame_comes_with_its_own_unit_even_if_reordering_is_allowed(codec: str) -> None:
    watching = Watching()
    assert [watching.put(unit) for unit in units(codec, bidirectional=0)] == [1] * 40
    assert watching.numbers == list(range(40))
    assert not watching.decoder.is_holding
    assert [frame.unit.is_keyframe for frame in watching.frames] == [number % 10 == 0 for number in range(40)]


def test_a_parameter_set_that_does_not_mention_reordering_delays_nothing() -> None:
    watching = Watching()
    for unit in units("h264", bidirectional=0):
        bare = [without_vui(nal_unit) if h264_sequence_set(nal_unit) else nal_unit for nal_unit in nal_units(unit.data)]
        assert watching.put(replace(unit, data=annex_b(bare))) == 1
    assert watching.numbers == list(range(40))


# Reordering that happens


@pytest.mark.parametrize("bidirectional", [1, 2, 3])
@pytest.mark.parametrize("codec", CODECS)
def test_reordered_frames_come_in_order_each_with_its_own_unit(codec: str, bidirectional: int) -> None:
    watching = Watching()
    for unit in units(codec, bidirectional=bidirectional):
        watching.put(unit)
    watching.finish()
    numbers = watching.numbers
    assert sorted(numbers) == list(range(40))
    # Which frames are reordered is seen at the first of them: one frame was shown before it.
    late = [number for previous, number in itertools.pairwise(numbers) if number < previous]
    assert len(late) == 1
    assert numbers[numbers.index(late[0]) :] == [
        number for number in range(40) if number in numbers[numbers.index(late[0]) :]
    ]
    assert watching.damages == 0


def test_a_sender_that_reorders_by_an_unknown_depth_loses_no_frame() -> None:
    watching = Watching()
    for unit in units("h264", bidirectional=3):
        bare = [without_vui(nal_unit) if h264_sequence_set(nal_unit) else nal_unit for nal_unit in nal_units(unit.data)]
        watching.put(replace(unit, data=annex_b(bare)))
    watching.finish()
    assert sorted(watching.numbers) == list(range(40))


@pytest.mark.edge
@pytest.mark.parametrize("codec", CODECS)
def test_held_frames_are_released_at_any_moment_and_decoding_goes_on(codec: str) -> None:
    for at in range(0, 40, 3):
        watching = Watching()
        for number, unit in enumerate(units(codec, bidirectional=2)):
            watching.put(unit)
            if number == at:
                watching.release()
                assert sorted(watching.numbers) == sorted(
                    unit.rtp_time // 3000 for unit in units(codec, bidirectional=2)[: number + 1]
                )
                assert not watching.decoder.is_holding
        watching.finish()
        assert sorted(watching.numbers) == list(range(40))


def test_a_release_stops_when_it_is_no_longer_wanted() -> None:
    watching = Watching()
    for unit in units("h264", bidirectional=2)[:18]:
        watching.put(unit)
    before = len(watching.frames)
    asked: list[int] = []
    watching.take(watching.decoder.release(lambda: len(asked) < 3 and not asked.append(0)))  # type: ignore[func-returns-value]
    assert len(watching.frames) == before
    assert watching.decoder.is_holding
    watching.finish()
    assert len(watching.numbers) == 18


@pytest.mark.edge
@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_that_stops_reordering_is_no_longer_delayed(codec: str) -> None:
    watching = Watching()
    for unit in units(codec, bidirectional=2):
        watching.put(unit)
    ordered = units(codec, bidirectional=0, keyframe_every=1000, frames=ORDERED_UNITS + 1)
    for unit in ordered:
        watching.put(unit)
    assert watching.decoder.is_holding
    came = [watching.put(unit) for unit in ordered]
    assert came[0] > 1  # those that were held back
    assert came[1:] == [1] * ORDERED_UNITS
    assert len(watching.numbers) == 40 + 2 * len(ordered)


@pytest.mark.parametrize("codec", CODECS)
def test_a_change_of_size_loses_no_held_frame(codec: str) -> None:
    watching = Watching()
    for unit in units(codec, bidirectional=2):
        watching.put(unit)
    other = allowing_reordering(codec, 9, size=(320, 256), bidirectional=2)
    for number, data in other:
        watching.put(access_unit(data, 3000 * (40 + number), codec=CODEC[codec], keyframe=number == 0))
    watching.finish()
    assert sorted(frame.unit.rtp_time // 3000 for frame in watching.frames) == list(range(49))
    assert all((frame.av_frame.width == 160) == (frame.unit.rtp_time < 120_000) for frame in watching.frames)


Action = tuple[str, int]


@given(
    codec=st.sampled_from(CODECS),
    segments=st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, 3]), st.integers(1, 40)), min_size=1, max_size=5),
    releases=st.sets(st.integers(0, 150)),
    losses=st.sets(st.integers(1, 150), max_size=3),
)
@examples(30)
def test_every_frame_comes_once_with_its_own_unit_whatever_the_stream_does(
    codec: str, segments: list[tuple[int, int]], releases: set[int], losses: set[int]
) -> None:
    """The law: any stretches of streams that reorder or not, screens that stand still, and units that are lost with all
    up to the next keyframe: each unit gives one frame, its own, and all have come when the screen stands still."""
    watching = Watching()
    expected: list[int] = []
    position, has_lost = 0, False
    for turn, (bidirectional, length) in enumerate(segments):
        for unit in units(codec, bidirectional=bidirectional)[:length]:
            position += 1
            if position in losses:
                has_lost = True
            if has_lost and not unit.is_keyframe:
                continue
            time = unit.rtp_time + 40 * 3000 * turn
            watching.put(replace(unit, rtp_time=time, discontinuity=has_lost))
            has_lost = False
            expected.append(time // 3000)
            if position in releases:
                watching.release()
                assert sorted(watching.numbers) == sorted(expected)
    watching.release()
    assert sorted(watching.numbers) == sorted(expected)
    watching.finish()
    assert len(watching.frames) == len(expected)
    assert watching.damages == 0


# Damage


def broken(unit: AccessUnit) -> AccessUnit:
    """Return a unit of which libavcodec has to make up the lower half."""
    return replace(unit, data=unit.data[: len(unit.data) // 2])


def noisy(frames: int) -> list[AccessUnit]:
    return [
        access_unit(data, 3000 * number, keyframe=number % 6 == 0)
        for number, data in enumerate(encoded(frames, noise=True, keyframe_every=6))
    ]


def test_a_partly_concealed_frame_is_counted_and_never_handed_out_nor_its_dependents() -> None:
    watching = Watching()
    sent = noisy(18)
    came = [watching.put(broken(unit) if number == 2 else unit) for number, unit in enumerate(sent)]
    assert came == [1, 1, 0, 0, 0, 0, *[1] * 12]
    assert watching.damages == 1
    counters = watching.decoder.counters
    assert (counters.corrupt, counters.passed_over, counters.errors, counters.decoded) == (1, 3, 0, 14)


def test_decoding_does_not_begin_with_a_partly_concealed_keyframe() -> None:
    watching = Watching()
    sent = noisy(12)
    assert [watching.put(broken(unit) if number == 0 else unit) for number, unit in enumerate(sent)] == [0] * 6 + [
        1
    ] * 6
    assert watching.damages == 1


def test_a_reordering_stream_hands_out_nothing_after_a_damaged_frame() -> None:
    watching = Watching()
    sent = units("h264", bidirectional=2)
    damaged = next(number for number, unit in enumerate(sent) if unit.rtp_time // 3000 == 23)
    for number, unit in enumerate(sent):
        watching.put(broken(unit) if number == damaged else unit)
    watching.finish()
    numbers = watching.numbers
    assert sorted(numbers) == [*range(23), *range(30, 40)]
    assert watching.decoder.counters.corrupt == watching.damages == 1


@pytest.mark.parametrize("seen", [0, 6])
def test_a_gradually_refreshed_stream_gives_frames_once_the_refresh_is_complete(seen: int) -> None:
    """The stream begins, or resumes after a loss, amid periodic intra refreshes: no frame refers to what is lost."""
    made = encoded(60, x264=":intra-refresh=1:keyint=10")
    reference = open_decoder("h264")
    whole = [picture.to_ndarray() for data in made for picture in reference.decode(av.Packet(data))]
    (sps, pps) = [nal_unit for nal_unit in nal_units(made[0]) if nal_unit[0] & 0x1F in {7, 8}]
    start = next(
        number for number, data in enumerate(made) if number > 12 and any(unit[0] == 6 for unit in nal_units(data))
    )
    watching = Watching()
    for number in [*range(seen), *range(start, len(made))]:
        first = number == start
        data = START_CODE + sps + START_CODE + pps + made[number] if first else made[number]
        watching.put(access_unit(data, 3000 * number, keyframe=first or number == 0, discontinuity=first))
    assert watching.damages == 0
    assert len(watching.frames) > seen + 20
    for frame in watching.frames:
        assert (frame.av_frame.to_ndarray() == whole[frame.unit.rtp_time // 3000]).all()
    marks = [frame.unit.rtp_time // 3000 for frame in watching.frames if frame.unit.discontinuity]
    assert marks == [watching.frames[seen].unit.rtp_time // 3000]


# What it costs, and what is kept


def test_a_stream_that_cannot_reorder_goes_to_the_decoder_unchanged() -> None:
    reordering = Reordering("h264")
    for data in encoded(20, keyframe_every=5):
        assert not reordering.add(data)
        assert reordering.prepared(data) is data
    for codec in ("vp8", "vp9", "av1"):
        reordering = Reordering(codec)
        (data,) = encoded_as(codec, 1)
        assert not reordering.add(data)
        assert reordering.prepared(data) is data
        assert not reordering.can_delay


def test_only_keyframes_are_rewritten() -> None:
    reordering = Reordering("h264")
    for unit in units("h264", bidirectional=0):
        assert not reordering.add(unit.data)
        assert (reordering.prepared(unit.data) is unit.data) == (not unit.is_keyframe)


def test_units_kept_for_decoding_again_are_bounded() -> None:
    watching = Watching()
    first, second, *_ = units("h264", bidirectional=0)
    watching.put(first)
    for _ in range(2 * GROUP_LIMIT):
        watching.put(second)
    assert sum(len(group.units) for group in watching.decoder._groups) <= GROUP_LIMIT
    assert watching.damages == 0


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([data for _, data in stream("h264", bidirectional=1)])))
)
def test_any_bytes_are_a_unit(made: list[bytes]) -> None:
    for codec in CODECS:
        reordering = Reordering(codec)
        for data in made:
            reordering.add(data)
            assert reordering.prepared(data)[-8:] == data[-8:] or data[-8:] not in reordering.prepared(data)
