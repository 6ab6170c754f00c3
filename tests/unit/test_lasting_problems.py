"""A problem that lasts is reported once."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.lasting_problems import LASTING, OVER, LastingProblems


def test_a_counter_that_rises_once_is_no_lasting_problem() -> None:
    troubles = LastingProblems()
    assert [troubles.look({"a": count}) for count in (1, 1, 1, 2, 2, 3)] == [[]] * 6


def test_a_counter_that_keeps_rising_is_reported_once() -> None:
    troubles = LastingProblems()
    told = [troubles.look({"a": count, "b": 0}) for count in range(20)]
    assert told == [[]] * LASTING + [["a"]] + [[]] * (19 - LASTING)


def test_a_problem_that_returns_is_reported_again() -> None:
    troubles = LastingProblems()
    counts = [1, 2, 3] + [3] * OVER + [4, 5]
    assert [name for count in counts for name in troubles.look({"a": count})] == ["a", "a"]
    again = LastingProblems()
    counts = [1, 2, 3] + [3] * (OVER - 1) + [4, 5]
    assert [name for count in counts for name in again.look({"a": count})] == ["a"]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_a_problem_is_reported_where_its_counter_rose_at_consecutive_looks(rises: list[int]) -> None:
    """The law: nothing is reported unless the counter rose at each of the last LASTING looks; the first such one is."""
    troubles, count, told = LastingProblems(), 0, []
    for place, rise in enumerate(rises):
        count += rise
        if troubles.look({"a": count}):
            told.append(place)
            assert all(rises[place - LASTING + 1 : place + 1])
    first = next((i for i in range(LASTING - 1, len(rises)) if all(rises[i - LASTING + 1 : i + 1])), None)
    assert told[:1] == ([] if first is None else [first])
