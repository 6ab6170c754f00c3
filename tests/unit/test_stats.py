"""Rates."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.stats import RateMeter

SECOND_NS = 1_000_000_000


@given(
    st.lists(st.tuples(st.integers(0, SECOND_NS // 2), st.integers(0, 5000)), max_size=60),
    st.integers(0, 3 * SECOND_NS),
    st.sampled_from([SECOND_NS, SECOND_NS // 4]),
)
@settings(deadline=None)
def test_a_rate_is_the_weight_of_the_events_in_the_window_that_ends_now(
    events: list[tuple[int, int]], later_ns: int, window_ns: int
) -> None:
    """The law: for any events in order of time, the rate is the sum over the window, per second."""
    meter = RateMeter(window_ns)
    now_ns, happened = 0, []
    for wait_ns, weight in events:
        now_ns += wait_ns
        meter.add(now_ns, weight)
        happened.append((now_ns, weight))
    now_ns += later_ns
    expected = sum(weight for at_ns, weight in happened if at_ns >= now_ns - window_ns)
    assert meter.per_second(now_ns) == pytest.approx(expected * SECOND_NS / window_ns)


def test_a_flood_of_events_does_not_fill_the_memory() -> None:
    meter = RateMeter()
    for _ in range(100_000):
        meter.add(0)
    assert meter.per_second(0) < 100_000
