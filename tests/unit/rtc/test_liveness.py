"""Whether a path still carries anything."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.rtc.liveness import (
    DEAD_AFTER_NS,
    INTERRUPTED_AFTER_NS,
    PROBE_AFTER_NS,
    PROBE_EVERY_NS,
    REFUSED_AFTER_NS,
    Liveness,
)

S = 1_000_000_000
START = 1_000 * S


def states(liveness: Liveness, signs: list[int], until_ns: int) -> list[tuple[int, str, bool]]:
    """Poll at every deadline; return each state with its time. `signs` are the times of signs of life."""
    told: list[tuple[int, str, bool]] = []
    while (now_ns := liveness.deadline_ns) <= until_ns:
        verdict = liveness.poll(now_ns, max((sign for sign in signs if sign <= now_ns), default=0))
        told.append((now_ns, *verdict))
        if verdict.state == "dead":
            break
        assert liveness.deadline_ns > now_ns
    return told


@given(gaps=st.lists(st.integers(1, INTERRUPTED_AFTER_NS - 1), max_size=30))
def test_a_path_with_occasional_signs_of_life_is_never_interrupted(gaps: list[int]) -> None:
    """The law: with no silence as long as the limit, every verdict is "alive", whenever it is asked for."""
    signs = [START]
    for gap in gaps:
        signs.append(signs[-1] + gap)
    assert {state for _, state, _ in states(Liveness(START), signs, signs[-1])} <= {"alive"}


@given(gaps=st.lists(st.integers(1, DEAD_AFTER_NS - 1), max_size=30))
def test_a_silent_path_is_interrupted_and_after_a_long_silence_dead(gaps: list[int]) -> None:
    """The law: the state is a function of how long ago the latest sign came; after the last one death is punctual."""
    signs = [START]
    for gap in gaps:
        signs.append(signs[-1] + gap)
    told = states(Liveness(START), signs, signs[-1] + DEAD_AFTER_NS)
    for now_ns, state, _ in told:
        silence_ns = now_ns - max(sign for sign in signs if sign <= now_ns)
        limits = (INTERRUPTED_AFTER_NS, DEAD_AFTER_NS)
        assert state == ("alive", "interrupted", "dead")[sum(silence_ns >= limit for limit in limits)]
    assert told[-1][:2] == (signs[-1] + DEAD_AFTER_NS, "dead")
    assert any(signs[-1] + INTERRUPTED_AFTER_NS == now_ns for now_ns, _, _ in told)


def test_a_silent_path_is_probed_every_second_until_it_is_dead() -> None:
    probes = [now_ns - START for now_ns, _, probe in states(Liveness(START), [], START + 2 * DEAD_AFTER_NS) if probe]
    assert probes == list(range(PROBE_AFTER_NS, DEAD_AFTER_NS, PROBE_EVERY_NS))


def test_a_busy_path_is_not_probed() -> None:
    signs = list(range(START, START + 10 * S, S // 10))
    assert not any(probe for _, _, probe in states(Liveness(START), signs, signs[-1]))


@given(stalled_s=st.floats(0.6, 1000))
def test_time_without_listening_is_not_silence(stalled_s: float) -> None:
    """The law: however long a loop was held up, the path is judged by what was listened to."""
    liveness = Liveness(START)
    late_ns = liveness.deadline_ns + round(stalled_s * S)
    assert liveness.poll(late_ns, 0).state == "alive"
    (*_, (dead_ns, state, _)) = states(liveness, [], late_ns + DEAD_AFTER_NS)
    assert state == "dead"
    assert dead_ns == late_ns + DEAD_AFTER_NS - PROBE_AFTER_NS


def test_a_dead_path_stays_dead() -> None:
    liveness = Liveness(START)
    *_, (dead_ns, _, _) = states(liveness, [], START + 2 * DEAD_AFTER_NS)
    assert liveness.poll(dead_ns + 1, dead_ns + 1).state == "dead"


def test_a_path_that_brings_only_refused_packets_is_dead_after_two_seconds() -> None:
    liveness = Liveness(START)
    since_ns = START + S // 2
    now_ns = START + S
    while (verdict := liveness.poll(now_ns, now_ns, since_ns)).state != "dead":  # consent is given all the while
        assert now_ns < since_ns + REFUSED_AFTER_NS
        now_ns = liveness.deadline_ns
    assert now_ns == since_ns + REFUSED_AFTER_NS
    assert not verdict.probe
    assert liveness.poll(now_ns + S, now_ns + S).state == "dead"


def test_a_path_whose_packets_are_accepted_again_lives_on() -> None:
    liveness = Liveness(START)
    assert liveness.poll(START + S, START + S, START).state == "alive"
    assert liveness.poll(START + 3 * S, START + 3 * S).state == "alive"
