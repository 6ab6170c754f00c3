"""What came of an action: changes counted from the moment it was sent."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.watch.change import Look
from streamer.watch.response import Response, percentile

MS = 1_000_000
CHANGED = np.ones((2, 2), np.bool_)


def look(at_ms: int, *, changed: bool = True, late_ms: int = 0) -> Look:
    return Look(
        rtp_time=90 * at_ms, arrival_ns=(at_ms + late_ms) * MS, size=(32, 32), changed=CHANGED if changed else None
    )


def test_frames_from_before_the_action_do_not_count() -> None:
    response = Response(20 * MS)
    for at_ms in (10, 20, 30):
        response.receive(look(at_ms))
    assert response.count == 2
    assert response.first is not None
    assert response.after_s(response.first) == 0.0


@given(st.lists(st.tuples(st.integers(1, 100), st.booleans(), st.integers(0, 50)), max_size=50))
def test_gaps_are_those_between_changed_frames_on_the_clock_of_the_phone(
    frames: list[tuple[int, bool, int]],
) -> None:
    response, at_ms, changes = Response(0), 0, []
    for gap, changed, late_ms in frames:
        at_ms += gap
        response.receive(look(at_ms, changed=changed, late_ms=late_ms))
        if changed:
            changes.append(at_ms)
    assert response.count == len(changes)
    assert [round(gap * 1000) for gap in response.gaps_s] == list(np.diff(changes))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_nine_of_ten_values_do_not_exceed_the_90th_percentile(values: list[float]) -> None:
    found = percentile(tuple(values), 0.9)
    assert found in values
    assert sum(value <= found for value in values) >= 0.9 * len(values)
    assert sum(value < found for value in values) < 0.9 * len(values)


def test_without_gaps_there_is_no_percentile() -> None:
    assert percentile((), 0.9) == 0.0
