"""What a journal tells of steps, waits and actions."""

import time
from typing import Any

import pytest

from streamer.errors import ConfigurationError, WaitTimeoutError
from streamer.timeline import records
from streamer.timeline.journal import POINTS_LIMIT, Journal, Trace
from streamer.timeline.records import Record


@pytest.mark.edge  # it sleeps
def test_steps_are_told_when_they_end_with_their_depth_and_outcome() -> None:
    journal, told = Journal(lambda: 7), list[Record]()
    with journal.heard_by(told.append):
        with journal.step("outer"), journal.step("inner"):
            time.sleep(0.01)
        with pytest.raises(ZeroDivisionError), journal.step("fails"):
            _ = 1 / 0
    with journal.step("nobody listens"):
        pass
    steps = [step for step in told if isinstance(step, records.Step)]
    assert [(step.name, step.depth, step.outcome) for step in steps] == [
        ("inner", 1, "passed"),
        ("outer", 0, "passed"),
        ("fails", 0, "failed"),
    ]
    assert steps[1].at <= steps[0].at
    assert steps[1].duration_s >= steps[0].duration_s >= 0.01
    assert steps[0].rtp_time == 7


@pytest.mark.parametrize(
    ("error", "outcome", "sentence"),
    [
        (None, "met", None),
        (
            WaitTimeoutError("after 5 s nothing had changed", waited_for="", waited_s=5),
            "timed out",
            "after 5 s nothing",
        ),
        (ConfigurationError("expected a region"), "failed", "expected a region"),
        (RuntimeError("what may hold a secret"), "failed", "RuntimeError"),
        (KeyboardInterrupt(), "cancelled", None),
    ],
)
def test_a_wait_is_told_with_what_came_of_it(error: BaseException | None, outcome: str, sentence: str | None) -> None:
    journal, told = Journal(), list[Record]()

    def wait() -> None:
        with journal.waiting("a change") as found:
            found.score, found.region = 0.75, (0.0, 0.0, 1.0, 0.5)
            if error is not None:
                raise error

    with journal.heard_by(told.append):
        if error is None:
            wait()
        else:
            with pytest.raises(type(error)):
                wait()
    (record,) = told
    assert isinstance(record, records.Wait)
    assert (record.what, record.outcome, record.score, record.region) == (
        "a change",
        outcome,
        0.75,
        (0.0, 0.0, 1.0, 0.5),
    )
    assert (record.error or "").startswith(sentence or "")
    assert bool(record.error) == bool(sentence)


def test_nothing_is_traced_while_nobody_listens() -> None:
    journal = Journal()
    with journal.acting(records.Touch(verb="tap")) as trace:
        assert trace is None
    assert not journal.is_heard


def test_a_finger_that_rests_and_a_long_path_are_cut_short() -> None:
    def traced(places: list[tuple[float, float]]) -> Any:
        trace = Trace(records.Touch(verb="finger"), 0.0, None)
        for number, place in enumerate(places):
            trace.note(10_000_000 * number, [(3, *place)])
        return trace.record()

    rest = traced([(0.5, 0.5)] * 100)
    assert rest.paths == (((0.5, 0.5, 0.0), (0.5, 0.5, 0.99)),)
    long = traced([(number / 10_000, 0.5) for number in range(POINTS_LIMIT + 500)])
    ((*_, last),) = long.paths
    assert (len(long.paths[0]), last[0]) == (POINTS_LIMIT, round((POINTS_LIMIT + 499) / 10_000, 4))
