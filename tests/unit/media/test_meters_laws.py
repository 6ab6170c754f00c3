"""Rates and freezes."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.meters import FreezeMeter, RateMeter
from tests.support.examples import examples

SECOND_NS = 1_000_000_000
MS = 1_000_000


@given(
    st.lists(st.tuples(st.integers(0, SECOND_NS // 2), st.integers(0, 5000)), max_size=60),
    st.integers(0, 3 * SECOND_NS),
    st.sampled_from([SECOND_NS, SECOND_NS // 4]),
)
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


@given(st.lists(st.tuples(st.integers(0, SECOND_NS), st.integers(-5000, 5000)), max_size=60))
def test_a_mean_is_that_of_the_events_in_the_window(events: list[tuple[int, int]]) -> None:
    meter, now_ns, happened = RateMeter(), 0, []
    assert meter.mean(0) is None
    for wait_ns, weight in events:
        now_ns += wait_ns
        meter.add(now_ns, weight)
        happened.append((now_ns, weight))
        assert meter.mean(now_ns) == pytest.approx(
            statistics.mean(weight for at_ns, weight in happened if at_ns >= now_ns - SECOND_NS)
        )
    assert meter.mean(now_ns + SECOND_NS + 1) is None


def test_a_flood_of_events_does_not_fill_the_memory() -> None:
    meter = RateMeter()
    for _ in range(100_000):
        meter.add(0)
    assert meter.per_second(0) < 100_000


# Freezes

frames = st.lists(
    st.tuples(st.sampled_from([16 * MS, 33 * MS, 200 * MS, 2 * SECOND_NS]) | st.integers(0, SECOND_NS), st.booleans()),
    max_size=80,
)


@given(frames)
@examples(300)
def test_a_freeze_follows_webrtc_stats_if_something_was_missing(sent: list[tuple[int, bool]]) -> None:
    """The law: an interval of at least max(3δ, δ + 150 ms), δ the mean of the 30 before it; after a gap only."""
    meter, now_ns, expected = FreezeMeter(), 0, []
    intervals: list[int] = []
    for place, (wait_ns, has_gap) in enumerate(sent):
        now_ns += wait_ns
        meter.add(now_ns, has_gap=has_gap)
        if place:
            if len(intervals) >= 5:
                mean_ns = statistics.mean(min(interval, SECOND_NS) for interval in intervals[-30:])
                if has_gap and wait_ns >= max(3 * mean_ns, mean_ns + 150 * MS):
                    expected.append(wait_ns)
            intervals.append(wait_ns)
    assert meter.count == len(expected)
    assert meter.total_ns == sum(expected)


@given(frames)
def test_a_screen_at_rest_is_not_frozen(sent: list[tuple[int, bool]]) -> None:
    """The law: where nothing is missing nothing is frozen, however long no frame comes."""
    meter = FreezeMeter()
    for now_ns in itertools.accumulate(60 * wait_ns for wait_ns, _ in sent):
        meter.add(now_ns, has_gap=False)
    assert (meter.count, meter.total_ns) == (0, 0)


def test_a_rest_does_not_hide_the_freeze_after_it() -> None:
    meter, now_ns = FreezeMeter(), 0
    for interval_ns in [33 * MS] * 40 + [600 * SECOND_NS] + [33 * MS] * 10:
        now_ns += interval_ns
        meter.add(now_ns, has_gap=False)
    meter.add(now_ns + 400 * MS, has_gap=True)
    assert (meter.count, meter.total_ns) == (1, 400 * MS)
