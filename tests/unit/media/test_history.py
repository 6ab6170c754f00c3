"""What is kept of a stream's last moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media import history as module
from streamer.media.access_unit import AccessUnit
from streamer.media.history import GROUP_LIMIT, KEYFRAME_EVERY_NS, STILL_NS, History
from tests.support.senders import MS, OPUS, access_unit

S = 1000 * MS


class Phone:
    """Stands where the session does: takes what the history asks for."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.asked = 0
        self.history = History(seconds, ask_keyframe=self._ask)

    def _ask(self) -> None:
        self.asked += 1

    def show(self, at_ns: int, *, key: bool = False, size: int = 10) -> AccessUnit:
        unit = access_unit(bytes(size), at_ns * 9 // 100_000, keyframe=key, arrival_ns=at_ns)
        self.history.put(unit)
        return unit

    def audio(self, at_ns: int) -> AccessUnit:
        unit = access_unit(b"audio", at_ns * 6 // 125_000, codec=OPUS, arrival_ns=at_ns)
        self.history.put(unit)
        return unit


def test_by_default_the_last_group_is_kept_and_no_audio() -> None:
    phone = Phone()
    phone.show(0)  # no keyframe has come
    assert phone.history.last_group == []
    phone.show(1, key=True)
    phone.show(2)
    phone.audio(3)
    second = [phone.show(4, key=True), phone.show(5)]
    assert phone.history.last_group == second
    assert phone.history.since(0) == second
    assert phone.asked == 0


@given(
    st.lists(st.tuples(st.integers(0, 3 * S), st.sampled_from(["key", "other", "audio"])), max_size=60),
    st.integers(0, 20),
)
def test_the_history_begins_with_a_keyframe_and_covers_the_requested_time_without_a_gap(
    steps: list[tuple[int, str]], seconds: int
) -> None:
    """Law: from the newest keyframe that is old enough on, every frame; and every audio of the time asked for."""
    phone = Phone(seconds)
    now_ns = 0
    units: list[AccessUnit] = []
    for step_ns, what in steps:
        now_ns += step_ns
        units.append(phone.audio(now_ns) if what == "audio" else phone.show(now_ns, key=what == "key"))
    frames = [unit for unit in units if unit.kind == "video"]
    keys = [place for place, unit in enumerate(frames) if unit.is_keyframe]
    since_ns = (frames[-1].arrival_ns if frames else 0) - seconds * S
    begin_ns = now_ns - seconds * S
    found = phone.history.since(begin_ns)
    if not keys:
        assert found == []
        return
    old_enough = [place for place in keys if frames[place].arrival_ns <= begin_ns]
    kept = [place for place in keys if frames[place].arrival_ns <= since_ns]
    first = max(max(old_enough, default=keys[0]), max(kept, default=keys[0]))
    assert [unit for unit in found if unit.kind == "video"] == frames[first:]
    if seconds:
        audio = [unit for unit in units if unit.kind == "audio" and unit.arrival_ns >= begin_ns]
        assert [unit for unit in found if unit.kind == "audio"] == audio
    assert [unit.arrival_ns for unit in found] == sorted(unit.arrival_ns for unit in found)


def test_a_part_of_the_history_begins_with_the_keyframe_before_it() -> None:
    phone = Phone(100)
    units = [phone.show(n * S, key=n % 3 == 0) for n in range(10)]
    assert phone.history.since(4 * S) == units[3:]
    assert phone.history.since(3 * S) == units[3:]
    assert phone.history.since(20 * S) == units[9:]
    assert phone.history.since(-5 * S) == units


def test_a_too_long_group_is_not_kept_and_a_keyframe_is_requested() -> None:
    phone = Phone()
    phone.show(0, key=True)
    for number in range(1, GROUP_LIMIT):
        phone.show(number)
    assert len(phone.history.last_group) == GROUP_LIMIT
    assert phone.asked == 0
    phone.show(GROUP_LIMIT)
    assert phone.history.last_group == []
    assert phone.asked == 1


def test_too_many_bytes_cost_the_oldest_groups_and_then_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_LIMIT", 1000)
    phone = Phone(1000)
    for number in range(5):
        phone.show(number, key=True, size=300)
    assert [unit.arrival_ns for unit in phone.history.since(0)] == [2, 3, 4]
    phone.show(5, size=900)
    assert phone.history.since(0) == []
    assert phone.asked == 1
    phone.show(6, key=True, size=1000)
    assert len(phone.history.last_group) == 1


def test_a_history_with_preroll_requests_each_keyframe_once() -> None:
    phone = Phone(10)
    phone.show(0, key=True)
    for number in range(1, 20):
        phone.show(number * KEYFRAME_EVERY_NS // 2)
        assert phone.asked == (number >= 2)
    phone.show(20 * KEYFRAME_EVERY_NS, key=True)
    phone.show(22 * KEYFRAME_EVERY_NS)
    assert phone.asked == 2


def test_a_screen_is_still_when_nothing_new_has_come_for_a_while() -> None:
    phone = Phone()
    assert not phone.history.is_still(10 * S)
    phone.show(10 * S, key=True)
    assert not phone.history.is_still(10 * S + STILL_NS)
    assert phone.history.is_still(10 * S + STILL_NS + 1)


def test_the_number_of_kept_units_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNITS_LIMIT", 50)
    phone = Phone(seconds=60)
    shown = [phone.show(n * MS, key=n % 10 == 0, size=0) for n in range(100)]
    assert phone.history.since(0) == shown[50:]


def test_kept_audio_is_bounded_in_bytes_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AUDIO_LIMIT", 30)
    monkeypatch.setattr(module, "AUDIO_BYTES_LIMIT", 100)
    phone = Phone(seconds=60)
    phone.show(0, key=True)
    heard = [phone.audio(n * MS) for n in range(1, 100)]  # of five bytes
    assert phone.history.since(0)[1:] == heard[-20:]


def test_it_covers_a_moment_while_nothing_since_then_is_forgotten() -> None:
    phone = Phone(1.0)
    phone.show(1 * S, key=True)
    assert phone.history.covers(0)  # nothing came before
    phone.show(2 * S, key=True)
    phone.show(4 * S, key=True)
    phone.show(5 * S)
    assert not phone.history.covers(1 * S)
    assert phone.history.covers(4 * S)
    assert phone.history.covers(5 * S)
    assert [unit.arrival_ns // S for unit in phone.history.frames_since(5 * S)] == [4, 5]
