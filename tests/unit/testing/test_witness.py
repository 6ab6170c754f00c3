"""What a test sees of a session: records in bounds, and interruptions."""

from types import SimpleNamespace
from typing import Any

import pytest

from streamer.events import EventHub
from streamer.media.fanout import Fanout
from streamer.media.history import History
from streamer.testing import witness
from streamer.testing.witness import Witness
from streamer.timeline import records
from streamer.timeline.journal import Journal
from tests.support.access_units import units


def session() -> Any:
    """Return what a witness asks of a session."""
    history = History(10.0, ask_keyframe=lambda: None)
    for unit in units():
        history.put(unit)
    return SimpleNamespace(
        _history=history, _events=EventHub(), _fanout=Fanout(), _journal=Journal(), instance_id="phone"
    )


def test_it_sees_what_came_before_and_hears_everything_within_the_block_only() -> None:
    seen = session()
    test = Witness(seen, test="test_it.py::test_a", run=2)
    with test.watching():
        assert seen._journal.is_heard
        seen._journal.tell(records.Measured(at=2.0, first_change_s=0.1))
        seen._fanout.put(units()[0])
    seen._journal.tell(records.Measured(at=3.0, first_change_s=0.2))
    seen._fanout.put(units()[1])
    assert not seen._journal.is_heard
    assert len(test.footage.units) == len(units()[6:]) + 1  # from the last keyframe on
    assert [record.at for record in test.measured] == [2.0]
    start, measured, *frames, end = test.records("failed", "no")
    assert isinstance(start, records.Start)
    assert (start.test, start.phone, start.run, start.rtp_time) == ("test_it.py::test_a", "phone", 2, 33_000)
    assert measured == records.Measured(at=2.0, first_change_s=0.1)
    assert {type(frame) for frame in frames} == {records.Frames}
    assert isinstance(end, records.End)
    assert (end.outcome, end.error) == ("failed", "no")


def test_an_interruption_is_one_record_with_its_length_if_it_ended() -> None:
    seen = session()
    test = Witness(seen, test="test_a", run=1)
    with test.watching():
        seen._events.emit("interrupted", "no packets")
        seen._events.emit("interrupted", "still none")
        seen._events.emit("resumed")
        seen._events.emit("interrupted", "again")
    ended, open_ = (each for each in test.records("passed", None) if isinstance(each, records.Interrupted))
    assert (ended.reason, open_.reason, open_.duration_s) == ("no packets", "again", None)
    assert (ended.duration_s or 0.0) > 0


def test_the_oldest_records_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "RECORDS_LIMIT", 3)
    seen = session()
    test = Witness(seen, test="test_a", run=1)
    with test.watching():
        for number in range(5):
            seen._journal.tell(records.Still(at=float(number), quiet_s=0.3))
    told = test.records("passed", None)
    assert told[1] == records.LeftOut(at=2.0, records=2)
    assert [record.at for record in told if isinstance(record, records.Still)] == [2.0, 3.0, 4.0]
