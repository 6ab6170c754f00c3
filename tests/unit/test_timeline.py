"""A recording's time: pictures as the phone timed them, sound beside them."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.media.timeline import BELIEVED_NS, JUMP_NS, TOLERANCE_NS, Timeline
from streamer.media.units import AccessUnit
from tests.unit.senders import MS, OPUS, access_unit

S = 1000 * MS
NOON_NS = 1_800_000_000 * S


def picture(number: int, *, arrival_ns: int, captured_ns: int | None = None, ssrc: int = 1) -> AccessUnit:
    unit = access_unit(b"", 777 + 3000 * number, keyframe=True, ssrc=ssrc, arrival_ns=arrival_ns)
    return replace(unit, captured_ns=captured_ns)


def tone(number: int, *, arrival_ns: int, captured_ns: int | None = None) -> AccessUnit:
    unit = access_unit(b"", 555 + 960 * number, codec=OPUS, arrival_ns=arrival_ns)
    return replace(unit, captured_ns=captured_ns)


@given(st.lists(st.tuples(st.integers(1, 200_000_000), st.integers(0, 400 * MS)), min_size=1, max_size=40))
def test_pictures_are_where_their_timestamps_say_whatever_the_network_does(steps: list[tuple[int, int]]) -> None:
    """Law: as long as the network's delay stays within reason, the steps are the phone's, a pause of an hour too."""
    timeline = Timeline(5 * S)
    ticks = 0
    assert timeline.place(access_unit(b"", 1_000_000, keyframe=True, arrival_ns=5 * S)) == 0
    for step, delay_ns in steps:
        ticks += step
        arrival_ns = 5 * S + ticks * S // 90_000 + delay_ns
        assert timeline.place(access_unit(b"", 1_000_000 + ticks, keyframe=True, arrival_ns=arrival_ns)) == ticks


def test_what_came_before_the_start_has_a_negative_time() -> None:
    timeline = Timeline(10 * S)
    assert timeline.place(picture(0, arrival_ns=9 * S)) == -90_000
    assert timeline.place(picture(30, arrival_ns=10 * S)) == 0


@pytest.mark.parametrize("jump", [-(10**12), -90_000 * 6, 90_000 * 6, 10**12])
def test_a_timestamp_that_jumps_is_laid_where_it_arrived(jump: int) -> None:
    timeline = Timeline(0)
    assert timeline.place(picture(0, arrival_ns=0)) == 0
    assert timeline.place(picture(1, arrival_ns=33 * MS)) == 3000
    jumped = replace(picture(2, arrival_ns=100 * MS), rtp_time=777 + jump)
    assert timeline.place(jumped) == 9000
    assert timeline.place(replace(jumped, rtp_time=jumped.rtp_time + 3000, arrival_ns=200 * MS)) == 12_000


def test_a_phone_that_begins_a_new_stream_is_laid_where_it_arrived() -> None:
    timeline = Timeline(0)
    timeline.place(picture(0, arrival_ns=0))
    assert timeline.place(picture(900_000, arrival_ns=2 * S, ssrc=9)) == 180_000
    assert timeline.place(picture(900_001, arrival_ns=3 * S, ssrc=9)) == 183_000


def test_a_stall_after_which_everything_comes_at_once_leaves_the_steps_as_they_are() -> None:
    timeline = Timeline(0)
    stall_ns = JUMP_NS - 1 * S
    placed = [timeline.place(picture(n, arrival_ns=n * S // 30 if n < 10 else stall_ns)) for n in range(30)]
    assert placed == [3000 * n for n in range(30)]


def test_sound_is_laid_where_it_arrived_until_the_reports_tell_better() -> None:
    timeline = Timeline(0)
    timeline.place(picture(0, arrival_ns=0))
    assert timeline.place(tone(0, arrival_ns=30 * MS)) == 1440
    assert timeline.place(tone(1, arrival_ns=90 * MS)) == 1440 + 960


def test_sound_is_not_laid_by_a_first_picture_that_was_longer_under_way_than_those_behind_it() -> None:
    timeline = Timeline(90 * MS)
    assert timeline.place(picture(0, arrival_ns=90 * MS)) == 0  # its last packet was sent again
    timeline.place(picture(1, arrival_ns=S // 30 + 20 * MS))
    assert timeline.place(tone(0, arrival_ns=100 * MS)) == 80 * 48  # those of its moment were 20 ms under way


def test_sound_that_comes_with_reports_is_laid_beside_the_picture_at_once() -> None:
    timeline = Timeline(0)
    timeline.place(picture(0, arrival_ns=0, captured_ns=NOON_NS))
    late = tone(0, arrival_ns=230 * MS, captured_ns=NOON_NS + 30 * MS)  # 200 ms longer under way than the picture
    assert timeline.place(late) == 1440


@settings(max_examples=12)
@given(error_ms=st.integers(-400, 400), reports_after=st.integers(0, 50))
def test_reports_move_sound_smoothly_to_its_place_and_never_back(error_ms: int, reports_after: int) -> None:
    """Law: however wrong the arrival was, steps stay within a hundredth of what they are, and the error goes away."""
    timeline = Timeline(0)
    arrival_ns = error_ms * MS
    placed = []
    for number in range(3000):
        now_ns = number * 20 * MS
        known = number >= reports_after + 1
        timeline.place(
            picture(number, arrival_ns=number * S // 30, captured_ns=NOON_NS + number * S // 30 if known else None)
        )
        captured_ns = NOON_NS + now_ns if known else None
        placed.append(timeline.place(tone(number, arrival_ns=now_ns + arrival_ns, captured_ns=captured_ns)))
    steps = [later - earlier for earlier, later in itertools.pairwise(placed)]
    assert all(950 <= step <= 970 for step in steps)
    left_ns = abs(placed[-1] - 960 * 2999) * S // 48_000
    assert left_ns <= (2 * MS if abs(error_ms) * MS > TOLERANCE_NS else TOLERANCE_NS)
    assert steps[-1] == 960  # and is then left alone


def test_reports_that_are_no_more_exact_than_a_sender_s_buffers_leave_sound_in_its_even_steps() -> None:
    timeline = Timeline(0)
    for number in range(300):
        now_ns = number * 20 * MS
        timeline.place(picture(number, arrival_ns=number * S // 30, captured_ns=NOON_NS + number * S // 30))
        wrong_ns = (number // 50 % 3 - 1) * (TOLERANCE_NS - MS)
        heard = tone(number, arrival_ns=now_ns, captured_ns=NOON_NS + now_ns + (wrong_ns if number else 0))
        assert timeline.place(heard) == 960 * number


def test_reports_of_clocks_that_have_nothing_to_do_with_each_other_are_not_believed() -> None:
    timeline = Timeline(0)
    timeline.place(picture(0, arrival_ns=0, captured_ns=NOON_NS))
    for number in range(10):
        captured_ns = NOON_NS + BELIEVED_NS + 2 * S
        assert timeline.place(tone(number, arrival_ns=number * 20 * MS, captured_ns=captured_ns)) == 960 * number


def test_what_the_reports_said_of_a_stream_that_is_over_is_forgotten() -> None:
    timeline = Timeline(0)
    timeline.place(picture(0, arrival_ns=0, captured_ns=NOON_NS))
    timeline.place(picture(0, arrival_ns=1 * S, ssrc=2))  # its first report is still to come
    late = tone(0, arrival_ns=1300 * MS, captured_ns=NOON_NS + 1 * S)
    assert timeline.place(late) == 1300 * 48
