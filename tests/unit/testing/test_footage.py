"""What is kept of a test's frames, and how they are counted."""

import itertools
from dataclasses import replace

import pytest

from streamer.media.access_unit import AccessUnit
from streamer.testing import footage
from streamer.testing.footage import Footage
from tests.support.access_units import units

S = 1_000_000_000


def at(unit: AccessUnit, seconds: float) -> AccessUnit:
    return replace(unit, arrival_ns=round(seconds * S), rtp_time=round(seconds * 90_000))


STREAM = [at(unit, 10 + number / 10) for number, unit in enumerate(units())]  # keyframes are number 0 and 6


def test_what_came_before_the_test_and_in_it_is_kept_from_a_keyframe_on() -> None:
    kept = Footage(STREAM[:2], begin_ns=10 * S, now_ns=11 * S)
    for unit in STREAM[2:]:
        kept.put(unit)
    assert kept.units == STREAM
    assert kept.last_group == STREAM[6:]
    late = Footage([], begin_ns=10 * S, now_ns=11 * S)
    for unit in STREAM[3:]:
        late.put(unit)
    assert late.units == STREAM[6:]


def test_the_oldest_frames_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "UNITS_LIMIT", 8)
    kept = Footage([], begin_ns=0, now_ns=0)
    for unit in STREAM:
        kept.put(unit)
    assert kept.units == STREAM[6:]
    monkeypatch.setattr(footage, "UNITS_LIMIT", 5)
    kept = Footage([], begin_ns=0, now_ns=0)
    for unit in STREAM:
        kept.put(unit)
    assert kept.units == []


def test_frames_are_counted_for_each_second_also_where_none_come() -> None:
    kept = Footage([], begin_ns=5 * S, now_ns=10 * S)
    for unit in [*STREAM[:6], *(at(unit, 13.25 + number / 4) for number, unit in enumerate(STREAM[6:8]))]:
        kept.put(unit)
    seconds = kept.seconds(14 * S)
    assert [second.frames for second in seconds] == [6, 0, 0, 2]
    assert [second.longest_gap_s for second in seconds] == [0.1, 0.0, 0.0, 2.75]
    assert seconds[0].bytes == sum(len(unit.data) for unit in STREAM[:6])
    assert [second.rtp_time for second in seconds] == [945_000, 945_000, 945_000, 1_215_000]
    assert [round(later.at - earlier.at, 2) for earlier, later in itertools.pairwise(seconds)] == [1, 1, 1]
