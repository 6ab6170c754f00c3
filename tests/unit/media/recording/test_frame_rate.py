"""A constant frame rate: which frame each step shows."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from streamer.media.recording.frame_rate import Pace

S = 1_000_000_000
rates = st.sampled_from([Fraction(1), Fraction(30), Fraction(24), Fraction(60), Fraction(30000, 1001), Fraction(1, 2)])


@given(rates, st.lists(st.tuples(st.integers(0, S), st.booleans()), max_size=40))
def test_every_step_is_given_once_in_order_whatever_arrives(rate: Fraction, waits: list[tuple[int, bool]]) -> None:
    """The law: from the first frame on, the steps have no gap and no frame goes back; time gone is steps given."""
    pace: Pace[int] = Pace(rate)
    given_steps: list[tuple[int, int]] = []
    now = 0
    for number, (wait, is_frame) in enumerate(waits):
        now += wait
        given_steps += pace.put(number, now) if is_frame else pace.advance(now)
    given_steps += pace.advance(now)  # a first frame is shown from the beginning, once time goes on
    assert [step for step, _ in given_steps] == list(range(len(given_steps)))
    assert [shown for _, shown in given_steps] == sorted(shown for _, shown in given_steps)
    assert len(given_steps) == pace.next
    if pace.has_begun:
        assert abs(pace.time_ns(pace.next) - now) <= pace.time_ns(1) // 2 + 1


def test_each_step_shows_the_frame_nearest_to_it() -> None:
    pace: Pace[str] = Pace(Fraction(10))
    steps = [*pace.put("a", 0), *pace.put("b", 96_000_000), *pace.put("c", 240_000_000), *pace.put("d", 260_000_000)]
    assert [*steps, *pace.advance(S // 2)] == [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "d")]


def test_a_rate_that_is_half_the_phones_shows_one_of_two_frames() -> None:
    pace: Pace[int] = Pace(Fraction(30))
    steps = [step for number in range(60) for step in pace.put(number, number * S // 60)]
    assert all(abs(shown - 2 * step) <= 1 for step, shown in steps)


def test_a_late_frame_is_shown_from_the_next_step_on() -> None:
    pace: Pace[str] = Pace(Fraction(10))
    steps = [*pace.put("a", 0), *pace.advance(S)]
    assert len(steps) == 10
    assert [*pace.put("b", S // 2), *pace.advance(S + S // 5)] == [(10, "b"), (11, "b")]


def test_the_frame_before_the_beginning_is_shown_at_it() -> None:
    pace: Pace[str] = Pace(Fraction(10))
    steps = [*pace.put("a", -2 * S), *pace.put("b", -S), *pace.put("c", S // 5)]
    assert steps == [(0, "b"), (1, "b")]


def test_steps_wait_for_the_first_frame_and_then_all_show_it() -> None:
    pace: Pace[str] = Pace(Fraction(10))
    assert list(pace.advance(S)) == []
    assert list(pace.put("a", S)) == []
    assert [step for step, _ in pace.advance(2 * S)] == list(range(20))
