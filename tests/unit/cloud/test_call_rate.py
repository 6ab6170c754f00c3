import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cloud.call_rate import CALLS_PER_MINUTE, CallRate, Polling
from streamer.errors import ConfigurationError

PAUSES = st.lists(st.floats(0, 100), max_size=60)


def call_after(rate: CallRate, now: float) -> float:
    """Make a call as soon as it is allowed; return when."""
    while delay_s := rate.delay(now):
        now += delay_s
    rate.begin(now)
    return now


@given(st.integers(1, 12), PAUSES)
def test_no_minute_has_more_calls_than_allowed(per_minute: int, pauses: list[float]) -> None:
    rate = CallRate()
    rate.per_minute = per_minute
    now = 1000.0
    times: list[float] = []
    for pause in pauses:
        now = call_after(rate, now + pause)
        times.append(now)
    for first, last in zip(times, times[per_minute:], strict=False):
        assert last - first >= 60 - 1e-6


@given(PAUSES)
def test_a_call_waits_no_longer_than_it_must(pauses: list[float]) -> None:
    rate = CallRate()
    now = 1000.0
    times: list[float] = []
    for pause in pauses:
        asked = now + pause
        now = call_after(rate, asked)
        earliest = times[-CALLS_PER_MINUTE] + 60 if len(times) >= CALLS_PER_MINUTE else asked
        assert now == pytest.approx(max(asked, earliest))
        times.append(now)


def test_six_calls_a_minute_are_allowed_at_first() -> None:
    rate = CallRate()
    times = [call_after(rate, 0.0) for _ in range(7)]
    assert times == [0.0] * 6 + [60.0]


def test_a_higher_rate_counts_the_calls_before_it() -> None:
    rate = CallRate()
    for _ in range(6):
        rate.begin(0.0)
    rate.per_minute = 8
    assert [call_after(rate, 1.0) for _ in range(3)] == [1.0, 1.0, 60.0]


def test_a_lower_rate_counts_the_newest_calls() -> None:
    rate = CallRate()
    for now in range(6):
        rate.begin(float(now))
    rate.per_minute = 2
    assert call_after(rate, 6.0) == 64.0


def test_after_too_many_calls_none_is_made_until_the_given_time() -> None:
    rate = CallRate()
    rate.hold(20.0)
    rate.hold(10.0)
    assert rate.delay(15.0) == 5.0
    assert rate.delay(20.0) == 0.0


@pytest.mark.parametrize("count", [0, -1, 6001])
def test_an_invalid_rate_is_refused(count: int) -> None:
    with pytest.raises(ConfigurationError, match="calls_per_minute"):
        CallRate().per_minute = count


def delays(polling: Polling, now: float, took_s: float) -> list[float]:
    found = []
    while (delay_s := polling.next_delay(now)) is not None:
        found.append(delay_s)
        now += delay_s + took_s
        assert len(found) < 10_000
    return found


def test_a_job_is_polled_soon_then_less_often_and_at_the_end() -> None:
    assert delays(Polling(0.0, 20.0), 0.0, 0.0) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 2.5]


@given(st.floats(0.01, 1000), st.floats(0, 20))
def test_a_job_is_polled_for_the_last_time_when_its_time_is_up(limit_s: float, took_s: float) -> None:
    polling, now, asked = Polling(0.0, limit_s), 0.0, []
    while (delay_s := polling.next_delay(now)) is not None:
        now += delay_s
        asked.append(now)
        now += took_s
    assert all(later > earlier for earlier, later in itertools.pairwise(asked)) or took_s == 0
    assert limit_s - 1e-6 <= asked[-1] <= max(limit_s, (asked[-2] if asked[1:] else 0) + took_s) + 1e-6
