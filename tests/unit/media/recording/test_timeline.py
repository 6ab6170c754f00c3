"""A recording's time: frames as the phone timed them, audio beside them."""

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.recording.timeline import MAX_PLAUSIBLE_SKEW_NS, REPORT_TOLERANCE_NS, SLEW, TOLERANCE_NS, Timeline
from tests.support.examples import examples
from tests.support.senders import H264, MS, OPUS, access_unit

S = 1000 * MS
NOON_NS = 1_800_000_000 * S


def frame(number: int, *, arrival_ns: int, captured_ns: int | None = None, ssrc: int = 1) -> AccessUnit:
    unit = access_unit(b"", 777 + 3000 * number, keyframe=True, ssrc=ssrc, arrival_ns=arrival_ns)
    return replace(unit, captured_ns=captured_ns)


def tone(number: int, *, arrival_ns: int, captured_ns: int | None = None) -> AccessUnit:
    unit = access_unit(b"", 555 + 960 * number, codec=OPUS, arrival_ns=arrival_ns)
    return replace(unit, captured_ns=captured_ns)


def placed(units: Iterable[AccessUnit], *, start_ns: int = 5 * S) -> list[int]:
    timeline = Timeline(start_ns)
    return [timeline.place(unit) for unit in units]


@given(st.lists(st.tuples(st.integers(1, 200_000_000), st.integers(0, 400 * MS)), min_size=1, max_size=40))
def test_frames_keep_the_phone_s_steps_whatever_the_network_does(steps: list[tuple[int, int]]) -> None:
    """Law: whatever the delays and the pauses, no step is more than 1/SLEW off, and no frame further than its delay."""
    units = [access_unit(b"", 1_000_000, keyframe=True, arrival_ns=5 * S)]
    ticks = 0
    for step, delay_ns in steps:
        ticks += step
        arrival_ns = 5 * S + ticks * S // 90_000 + delay_ns
        units.append(access_unit(b"", 1_000_000 + ticks, keyframe=True, arrival_ns=arrival_ns))
    places = placed(units)
    for (earlier, later), (step, _) in zip(itertools.pairwise(places), steps, strict=True):
        assert abs(later - earlier - step) <= step // SLEW
    for place, unit in zip(places, units, strict=True):
        assert -1 <= place - (unit.rtp_time - 1_000_000) <= 400 * 90


def sent(
    seconds: float, *, ppm: int = 0, fps: int = 30, delay_ns: Callable[[int], int] = lambda _: 0
) -> list[AccessUnit]:
    """Return frames of a phone whose clock runs `ppm` fast; `delay_ns` gives the delay of one sent at a moment."""
    units, free_ns = [], 0
    for number in range(round(seconds * fps)):
        now_ns = number * S // fps
        free_ns = max(free_ns, 5 * S + now_ns + delay_ns(now_ns))  # none overtakes another
        rtp_time = 777 + round(now_ns * (1 + ppm / 1e6) * 90_000 / S)
        units.append(access_unit(b"", rtp_time, keyframe=True, arrival_ns=free_ns))
    return units


def errors_ms(units: Sequence[AccessUnit], *, fps: int = 30) -> list[float]:
    """Return how far from the moment at which it was sent each frame lies."""
    return [place / 90 - 1000 * number / fps for number, place in enumerate(placed(units))]


@examples(15)
@given(
    ppm=st.integers(-3000, 3000), jitter_ms=st.integers(0, 60), seed=st.integers(0, 1000), fps=st.sampled_from([2, 30])
)
def test_a_drifting_clock_is_followed_without_a_visible_step(ppm: int, jitter_ms: int, seed: int, fps: int) -> None:
    """Law: any drift to 3000 ppm and any jitter: within 40 ms and what jitter hides, and steps within 1/SLEW.

    The recording's zero goes by the first frame: the others lie where they belong beside it.
    """
    jitter = random.Random(seed)
    units = sent(60, ppm=ppm, fps=fps, delay_ns=lambda _: round(jitter.triangular(0, jitter_ms, 0) * MS))
    first, *errors = errors_ms(units, fps=fps)
    assert all(abs(error - first) <= 40 + jitter_ms / (4 if fps == 30 else 1) for error in errors)
    for (before, unit), (earlier, later) in zip(
        itertools.pairwise(units), itertools.pairwise(placed(units)), strict=True
    ):
        step = unit.rtp_time - before.rtp_time
        assert abs(later - earlier - step) <= step // SLEW


@examples(15)
@given(
    begin_s=st.floats(6, 20),
    held_s=st.floats(0.1, 20),
    rate=st.sampled_from([1.3, 2, 10, 1e6]),
    ppm=st.integers(-100, 100),
)
def test_a_delayed_path_leaves_every_frame_at_its_time(begin_s: float, held_s: float, rate: float, ppm: int) -> None:
    """Law: what is held back and then comes `rate` times as quick as it was sent costs nothing, however long it was."""

    def delay_ns(now_ns: int) -> int:
        since_s = now_ns / S - begin_s
        return round(max(held_s - since_s * (1 - 1 / rate), 0) * S) if since_s >= 0 else 0

    bound_ms = 40 + 1000 * held_s * rate / (rate - 1) / SLEW  # while it drains it looks like a delay
    assert all(abs(error) <= bound_ms for error in errors_ms(sent(50, ppm=ppm, fps=10, delay_ns=delay_ns), fps=10))


@examples(10)
@given(ahead_ms=st.integers(0, 5000), fps=st.sampled_from([5, 30]))
def test_timestamps_that_run_ahead_stay_near_their_arrival(ahead_ms: int, fps: int) -> None:
    units = sent(10, fps=fps)
    ahead = [replace(u, rtp_time=u.rtp_time + 90 * ahead_ms * n) for n, u in enumerate(units)]
    places = placed(ahead)
    assert places == sorted(places)
    assert all(abs(place / 90 - 1000 * n / fps) <= 2100 for n, place in enumerate(places))


@examples(60)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10 * S), st.booleans()), max_size=60))
def test_times_rise_and_are_not_ahead_whatever_the_timestamps_and_arrivals(
    steps: list[tuple[int, int, bool]],
) -> None:
    """Law: in each stream no unit lies before the one before it, or more than two seconds after its arrival."""
    timeline, arrival_ns = Timeline(5 * S), 5 * S
    rtp_times, last = {"video": 1000, "audio": 1000}, {"video": -(10**9), "audio": -(10**9)}
    timeline.place(access_unit(b"", 1000, keyframe=True, arrival_ns=arrival_ns))
    for step, later_ns, is_video in steps:
        kind = "video" if is_video else "audio"
        rtp_times[kind] += step
        arrival_ns += later_ns
        codec = H264 if is_video else OPUS
        unit = access_unit(b"", rtp_times[kind], codec=codec, keyframe=True, arrival_ns=arrival_ns)
        place = timeline.place(unit)
        assert last[kind] <= place <= (timeline.time_of(arrival_ns) + 2 * S) * codec.clock_rate // S + 1
        last[kind] = place


@examples(30)
@given(between=st.integers(1, 8), fps=st.sampled_from([15, 30, 60]), ppm=st.integers(-2000, 2000))
def test_a_reordered_frame_keeps_its_step_to_the_frame_that_arrived_first(between: int, fps: int, ppm: int) -> None:
    """Law: whatever the order in which a phone sends them, frames lie as they would in the order of their times."""
    in_order = sent(40, ppm=ppm, fps=fps)
    units = [in_order[0]]
    for first in range(1, len(in_order) - between, between + 1):
        *before, newest = in_order[first : first + between + 1]
        units += [newest, *(replace(unit, arrival_ns=newest.arrival_ns) for unit in before)]
    places = sorted(zip(placed(units), [unit.rtp_time for unit in units], strict=True), key=lambda place: place[1])
    for (place, rtp_time), (later, later_time) in itertools.pairwise(places):
        step = later_time - rtp_time
        assert abs(later - place - step) <= (between + 1) * step // SLEW + 1
    for place, rtp_time in places:
        true = (rtp_time - 777) / (1 + ppm / 1e6)
        assert abs(place - true) <= 90 * 25


@pytest.mark.parametrize("share", [0.0, 0.33, 0.9, 1.5])
def test_timestamps_that_count_frames_are_detected(share: float) -> None:
    """A clock that runs at a share of the time lies behind by what it loses in six or seven seconds, and no more."""
    units = sent(120, fps=10)
    wrong = [replace(unit, rtp_time=777 + round(9000 * share * number)) for number, unit in enumerate(units)]
    places = placed(wrong)
    assert places == sorted(places)
    assert all(-1000 * (7.2 * abs(1 - share) + 1.2) <= p / 90 - 100 * n <= 2100 for n, p in enumerate(places))


def test_a_clock_that_stands_still_for_three_seconds_is_detected_after_five() -> None:
    units = sent(30)
    late = [replace(u, rtp_time=u.rtp_time - (270_000 if n >= 300 else 0)) for n, u in enumerate(units)]
    errors = errors_ms(late)
    assert errors[301] == pytest.approx(0, abs=1) or errors[301] == pytest.approx(-3000, abs=1)
    assert max(abs(error) for error in errors[460:]) < 1


def test_a_frame_after_a_still_night_is_placed_by_its_arrival() -> None:
    """50 ppm of 14 hours are 2.5 s."""
    night_s = 14 * 3600
    units = sent(10)
    later = [
        replace(u, rtp_time=u.rtp_time + round(90_000 * night_s * (1 - 50e-6)), arrival_ns=u.arrival_ns + night_s * S)
        for u in units
    ]
    places = placed([*units, *later])[len(units) :]
    assert [place / 90_000 - night_s for place in places] == pytest.approx([n / 30 for n in range(300)], abs=0.016)


def test_units_before_the_start_have_negative_times() -> None:
    timeline = Timeline(10 * S)
    assert timeline.place(frame(0, arrival_ns=9 * S)) == -90_000
    assert timeline.place(frame(30, arrival_ns=10 * S)) == 0


@pytest.mark.parametrize("jump", [-(10**12), -90_000 * 6, 90_000 * 6, 10**12])
def test_a_frame_whose_timestamp_jumps_is_placed_by_its_arrival(jump: int) -> None:
    timeline = Timeline(0)
    assert timeline.place(frame(0, arrival_ns=0)) == 0
    assert timeline.place(frame(1, arrival_ns=33 * MS)) == 3000
    jumped = replace(frame(2, arrival_ns=100 * MS), rtp_time=777 + jump)
    assert timeline.place(jumped) == 9000
    assert timeline.place(replace(jumped, rtp_time=jumped.rtp_time + 3000, arrival_ns=200 * MS)) == 12_000


def test_a_new_stream_is_placed_by_its_arrival() -> None:
    timeline = Timeline(0)
    timeline.place(frame(0, arrival_ns=0))
    assert timeline.place(frame(900_000, arrival_ns=2 * S, ssrc=9)) == 180_000
    assert timeline.place(frame(900_001, arrival_ns=3 * S, ssrc=9)) == 183_000


def test_a_burst_after_a_stall_keeps_its_steps() -> None:
    timeline = Timeline(0)
    stall_ns = 12 * S
    placed = [timeline.place(frame(n, arrival_ns=n * S // 30 if n < 10 else stall_ns)) for n in range(30)]
    assert placed == [3000 * n for n in range(30)]


def test_audio_is_placed_by_its_arrival_until_sender_reports_arrive() -> None:
    timeline = Timeline(0)
    timeline.place(frame(0, arrival_ns=0))
    assert timeline.place(tone(0, arrival_ns=30 * MS)) == 1440
    assert timeline.place(tone(1, arrival_ns=90 * MS)) == 1440 + 960


def test_a_late_first_frame_does_not_misplace_the_audio() -> None:
    timeline = Timeline(90 * MS)
    assert timeline.place(frame(0, arrival_ns=90 * MS)) == 0  # its last packet was sent again
    timeline.place(frame(1, arrival_ns=S // 30 + 20 * MS))
    assert timeline.place(tone(0, arrival_ns=100 * MS)) == 80 * 48  # those of its moment were 20 ms under way


def test_audio_before_a_slightly_late_first_frame_follows_it_in_even_steps() -> None:
    timeline = Timeline(90 * MS)
    timeline.place(frame(0, arrival_ns=90 * MS))  # 18 ms longer under way than those behind it
    placed = [timeline.place(tone(0, arrival_ns=92 * MS))]
    for number in range(1, 500):
        timeline.place(frame(number, arrival_ns=72 * MS + number * S // 30))
        placed.append(timeline.place(tone(number, arrival_ns=(92 + 20 * number) * MS)))
    steps = [later - earlier for earlier, later in itertools.pairwise(placed)]
    assert all(960 <= step <= 960 + 960 // SLEW + 1 for step in steps)
    assert placed[-1] == pytest.approx((2 + 18) * 48 + 960 * 499, abs=TOLERANCE_NS * 48 // MS)


def test_audio_before_a_late_first_frame_moves_with_it_at_once() -> None:
    timeline = Timeline(190 * MS)
    timeline.place(frame(0, arrival_ns=190 * MS))  # 170 ms longer under way than those behind it
    assert timeline.place(tone(0, arrival_ns=192 * MS)) == 2 * 48
    timeline.place(frame(1, arrival_ns=S // 30 + 20 * MS))
    assert timeline.place(tone(1, arrival_ns=212 * MS)) == pytest.approx((2 + 20 + 170) * 48, abs=1)


def test_audio_with_sender_reports_is_aligned_with_the_frame_at_once() -> None:
    timeline = Timeline(0)
    timeline.place(frame(0, arrival_ns=0, captured_ns=NOON_NS))
    late = tone(0, arrival_ns=230 * MS, captured_ns=NOON_NS + 30 * MS)  # 200 ms longer under way than the frame
    assert timeline.place(late) == 1440


@examples(12)
@given(error_ms=st.integers(-400, 400), reports_after=st.integers(0, 50))
def test_reports_move_audio_smoothly_to_its_place_and_never_back(error_ms: int, reports_after: int) -> None:
    """Law: however wrong the arrival was, steps stay within a hundredth of what they are, and the error goes away."""
    timeline = Timeline(0)
    arrival_ns = error_ms * MS
    placed = []
    for number in range(3000):
        now_ns = number * 20 * MS
        known = number >= reports_after + 1
        timeline.place(
            frame(number, arrival_ns=number * S // 30, captured_ns=NOON_NS + number * S // 30 if known else None)
        )
        captured_ns = NOON_NS + now_ns if known else None
        placed.append(timeline.place(tone(number, arrival_ns=now_ns + arrival_ns, captured_ns=captured_ns)))
    steps = [later - earlier for earlier, later in itertools.pairwise(placed)]
    assert all(950 <= step <= 970 for step in steps)
    left_ns = abs(placed[-1] - 960 * 2999) * S // 48_000
    assert left_ns <= (2 * MS if abs(error_ms) * MS > REPORT_TOLERANCE_NS else REPORT_TOLERANCE_NS)
    assert steps[-1] == 960  # and is then left alone


def test_imprecise_reports_leave_audio_in_even_steps() -> None:
    timeline = Timeline(0)
    for number in range(300):
        now_ns = number * 20 * MS
        timeline.place(frame(number, arrival_ns=number * S // 30, captured_ns=NOON_NS + number * S // 30))
        wrong_ns = (number // 50 % 3 - 1) * (REPORT_TOLERANCE_NS - MS)
        heard = tone(number, arrival_ns=now_ns, captured_ns=NOON_NS + now_ns + (wrong_ns if number else 0))
        assert timeline.place(heard) == 960 * number


def test_reports_of_unrelated_clocks_are_ignored() -> None:
    timeline = Timeline(0)
    timeline.place(frame(0, arrival_ns=0, captured_ns=NOON_NS))
    for number in range(10):
        captured_ns = NOON_NS + MAX_PLAUSIBLE_SKEW_NS + 2 * S
        assert timeline.place(tone(number, arrival_ns=number * 20 * MS, captured_ns=captured_ns)) == 960 * number


def test_reports_of_an_ended_stream_are_forgotten() -> None:
    timeline = Timeline(0)
    timeline.place(frame(0, arrival_ns=0, captured_ns=NOON_NS))
    timeline.place(frame(0, arrival_ns=1 * S, ssrc=2))  # its first report is still to come
    late = tone(0, arrival_ns=1300 * MS, captured_ns=NOON_NS + 1 * S)
    assert timeline.place(late) == 1300 * 48
