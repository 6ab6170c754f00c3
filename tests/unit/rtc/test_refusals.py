"""Refused packets: whose they are, and what they say."""

from streamer.rtc.refusals import IN_A_ROW, LASTS_NS, SOURCES_LIMIT, Refusals

S = 1_000_000_000


def test_several_refused_packets_in_a_row_are_a_failure_until_one_is_accepted() -> None:
    refusals = Refusals()
    for number in range(1, IN_A_ROW):
        assert not refusals.refused(7, number * S, is_known=True)
    assert refusals.since_ns(IN_A_ROW * S) is None
    assert refusals.refused(7, IN_A_ROW * S, is_known=True)
    assert refusals.since_ns(IN_A_ROW * S) == S
    refusals.accepted({7})
    assert refusals.since_ns(IN_A_ROW * S) is None
    assert not refusals.any


def test_refused_packets_of_an_unknown_source_do_not_count() -> None:
    refusals = Refusals()
    for number in range(10 * IN_A_ROW):
        refusals.refused(7, S + number * LASTS_NS, is_known=False)
        assert refusals.since_ns(S + number * LASTS_NS) is None


def test_a_failure_ends_when_nothing_is_refused_for_a_while() -> None:
    refusals = Refusals()
    for number in range(IN_A_ROW):
        refusals.refused(7, S + number * LASTS_NS, is_known=True)
    assert refusals.since_ns(6 * S) == S
    assert refusals.since_ns(9 * S) is None
    assert not refusals.any
    assert not refusals.refused(7, 9 * S, is_known=True)


def test_a_burst_of_duplicates_is_no_failure() -> None:
    refusals = Refusals()
    for _ in range(100):
        assert not refusals.refused(7, S, is_known=True)
    refusals.accepted({7})
    assert not refusals.any


def test_failing_sources_are_bounded() -> None:
    refusals = Refusals()
    for ssrc in range(10 * SOURCES_LIMIT):
        refusals.refused(ssrc, S, is_known=False)
    assert len(refusals._failures) == SOURCES_LIMIT
