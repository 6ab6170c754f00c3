"""What a timeline says that a run did, step by step."""

import pytest

from streamer.timeline.records import End, Key, Message, Record, Start, Step, Text, Touch, Video
from streamer.timeline.runs import UNKNOWN, name_of, run_of

START = Start(at=100.0, test="test_pay", phone="demo-phone")


def tap(at: float) -> Touch:
    return Touch(at=at, verb="tap", paths=(((0.5, 0.25, 0.0),),))


def test_steps_are_in_the_order_of_their_ends_and_inner_ones_come_first() -> None:
    run = run_of(
        [
            START,
            Step(at=100.0, name="buy", duration_s=5.0, outcome="passed"),
            Step(at=101.0, name="pay", duration_s=4.0, outcome="failed", depth=1),
            Step(at=100.5, name="find", duration_s=0.5, outcome="passed", depth=1),
            tap(103.0),
            tap(105.5),
            End(at=106.0, outcome="failed", duration_s=6.0, error="no"),
        ]
    )
    assert [(stage.name, stage.depth, stage.outcome) for stage in run.stages] == [
        ("find", 1, "passed"),
        ("pay", 1, "failed"),
        ("buy", 0, "passed"),
    ]
    assert [stage.duration_s for stage in run.stages] == pytest.approx([0.5, 4.0, 5.0])
    assert [stage.shown_at for stage in run.stages] == [101.0, 105.5, 105.5]  # what the next step or action found
    assert (run.begin, run.end, run.outcome, run.error) == (100.0, 106.0, "failed", "no")


def test_without_steps_each_action_is_one_up_to_the_next() -> None:
    run = run_of([START, tap(101.0), Key(at=102.5, name="BACK"), Text(at=103.0, length=3, duration_s=0.5)])
    assert [(stage.name, stage.at, stage.end) for stage in run.stages] == [
        ("tap at (0.50, 0.25)", 101.0, 102.5),
        ("press BACK", 102.5, 103.0),
        ("type 3 characters", 103.0, 103.5),
    ]
    assert run.outcome is None


def test_nothing_is_a_run_too() -> None:
    run = run_of([])
    assert (run.test, run.stages, run.begin, run.end) == (UNKNOWN, (), 0.0, 0.0)


def test_the_video_does_not_lengthen_a_run() -> None:
    video = Video(at=95.0, path="video.mp4", duration_s=60.0)
    run = run_of([START, video, End(at=101.0, outcome="passed", duration_s=1.0)])
    assert run.video == video
    assert (run.begin, run.end) == (100.0, 101.0)


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (Touch(verb="swipe"), "swipe"),
        (Key(name=None, types_text=True), "press a key"),
        (Text(length=3, text="abc"), "type abc"),
        (Message(by_phone=False, kind="my_app"), "message my_app to the phone"),
        (Message(by_phone=True, kind=None), "message from the phone"),
    ],
)
def test_each_action_has_a_name(act: Record, name: str) -> None:
    assert isinstance(act, Touch | Key | Text | Message)
    assert name_of(act) == name
