"""How far a list of the emulator is scrolled."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamer.emulator.apps.scrolling import FASTEST, FRICTION, Scroller

STEPS = st.lists(st.tuples(st.floats(-700, 700), st.floats(0.0, 0.3)), min_size=1, max_size=8)


def thrown(steps: list[tuple[float, float]], end: float) -> tuple[Scroller, float]:
    """Return a list after a finger moved it so far, step by step, and let it go."""
    scroller, now, way = Scroller(), 0.0, 0.0
    scroller.set_end(end)
    scroller.grab(now)
    for step, later in steps:
        now, way = now + later, way + step
        scroller.drag(way, now)
    scroller.let_go(now)
    return scroller, now


@given(steps=STEPS, end=st.floats(0, 3000))
def test_a_list_comes_to_rest_between_its_ends(steps: list[tuple[float, float]], end: float) -> None:
    scroller, now = thrown(steps, end)
    assert not scroller.is_moving(now + 10.0)
    rest = scroller.offset(now + 10.0)
    assert 0 <= rest <= end
    assert scroller.offset(now + 100.0) == rest


@given(steps=STEPS, end=st.floats(0, 3000))
def test_a_list_never_jumps(steps: list[tuple[float, float]], end: float) -> None:
    scroller, now = thrown(steps, end)
    offsets = [scroller.offset(now + frame / 1000) for frame in range(5000)]
    bound = max(FASTEST, 40 * 700) / 1000 + 1  # a bounce from afar is faster than any finger
    assert all(abs(one - other) <= bound for one, other in itertools.pairwise(offsets))


@given(steps=STEPS, asked=st.lists(st.floats(0, 5), max_size=20).map(sorted))
def test_the_number_of_queries_changes_nothing(steps: list[tuple[float, float]], asked: list[float]) -> None:
    (often, now), (seldom, _) = thrown(steps, 900.0), thrown(steps, 900.0)
    for later in asked:
        often.offset(now + later)
    assert abs(often.offset(now + 5.0) - seldom.offset(now + 5.0)) < 0.01


def test_a_thrown_list_slows_down_by_friction() -> None:
    scroller = Scroller()
    scroller.set_end(100_000)
    scroller.grab(0.0)
    for step in range(1, 11):
        scroller.drag(10.0 * step, step / 100)
    scroller.let_go(0.1)
    assert scroller.is_moving(0.5)
    assert abs(scroller.offset(10.0) - 100 - 1000 / FRICTION) < 10


def test_a_list_that_is_caught_stays_where_it_is() -> None:
    scroller, now = thrown([(100, 0.02), (100, 0.02)], 3000.0)
    scroller.offset(now + 0.2)
    scroller.grab(now + 0.2)
    held = scroller.offset(now + 0.2)
    scroller.let_go(now + 0.5)
    assert scroller.offset(now + 5.0) == held
