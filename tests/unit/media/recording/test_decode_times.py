"""When each frame of a file is decoded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.recording.decode_times import DECODE_STEP, DecodeTimes


@given(
    st.lists(st.tuples(st.permutations(range(4)), st.integers(0, 10**7)), min_size=1, max_size=20),
    st.lists(st.integers(4 * DECODE_STEP, 24_000), min_size=80, max_size=80),
)
def test_frames_shown_before_the_first_arrival_are_decoded_in_time(
    groups: list[tuple[list[int], int]], steps: list[int]
) -> None:
    """Law: times of decoding rise, and none is later than the frame is shown; in order they are one and the same."""
    for number, (_, pause) in enumerate(groups):
        steps[4 * number] += pause
    at = list(itertools.accumulate(steps, initial=0))
    order = [0]
    for number, (group, _) in enumerate(groups):  # a frame, and then those before it that refer to it
        order += [4 * number + 4, *(4 * number + 1 + place for place in group if place < 3)]
    decode = DecodeTimes(is_reordered=True)
    decoded = [decode.take(at[number]) for number in order]
    assert decoded == sorted(set(decoded))
    assert all(time <= at[number] for time, number in zip(decoded, order, strict=True))
    decode = DecodeTimes(is_reordered=True)
    apart = decode.take_all([0], at[order[1]])
    for begin in range(1, len(order), 4):
        following = at[order[begin + 4]] if begin + 4 < len(order) else None
        apart += decode.take_all([at[number] for number in order[begin : begin + 4]], following)
    assert apart == sorted(set(apart))
    assert all(early <= time <= at[number] for early, time, number in zip(decoded, apart, order, strict=True))
    in_order = DecodeTimes()
    assert [in_order.take(time) for time in at] == at


@pytest.mark.parametrize("following", [18_000, None])
def test_frames_between_two_references_are_decoded_at_equal_steps(following: int | None) -> None:
    """A frame 0.1 s later, and the two shown before it: a step of decoding is as long as a frame is shown."""
    decode = DecodeTimes(is_reordered=True)
    assert decode.take_all([0], 9000) == [0]
    assert decode.take_all([9000, 3000, 6000], following) == [90, 3000, 6000]
    assert decode.take_all([18_000, 12_000, 15_000]) == [9090, 12_000, 15_000]


def test_a_frame_that_others_refer_to_is_decoded_before_them() -> None:
    decode = DecodeTimes(is_reordered=True)
    assert decode.take_all([0], 12_000) == [0]
    assert decode.take_all([12_000, 6000, 3000, 9000], 24_000) == [90, 2910, 3000, 9000]


def test_a_group_that_is_cut_goes_on_with_rising_times() -> None:
    decode = DecodeTimes(is_reordered=True)
    decode.take_all([0], 12_000)
    before = decode.take_all([12_000, 6000])
    assert decode.take_all([3000, 9000], 24_000)[0] > before[-1]
