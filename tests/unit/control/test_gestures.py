"""Gestures as timed frames."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.control import gestures
from streamer.control.frames import Key, Motion, Touch
from streamer.control.gestures import Delivery, Step
from streamer.errors import ConfigurationError

FRACTIONS = st.floats(0, 1)
PATHS = st.lists(st.tuples(FRACTIONS, FRACTIONS, st.floats(0, 2)), min_size=1, max_size=5).map(
    lambda path: sorted(path, key=lambda corner: corner[2])
)


def touches(steps: list[Step]) -> list[tuple[Motion, tuple[int, ...]]]:
    """Return each touch of a gesture without its fillers: what it does, and with which fingers."""
    return [
        (step.frame.motion, tuple(point.finger for point in step.frame.points))
        for step in steps
        if isinstance(step.frame, Touch) and step.delivery is not Delivery.FILLER
    ]


def test_a_tap_is_down_three_moves_up_and_three_fillers() -> None:
    steps = gestures.tap(0.5, 0.25)
    assert [step.delivery for step in steps] == [
        Delivery.RELIABLE,
        *[Delivery.UNRELIABLE] * 3,
        Delivery.RELIABLE,
        *[Delivery.FILLER] * 3,
    ]
    assert [motion for motion, _ in touches(steps)] == [Motion.DOWN, *[Motion.MOVE] * 3, Motion.UP]
    assert [round(step.at_s, 3) for step in steps] == [0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07]
    places = {(point.x, point.y) for step in steps[:5] if isinstance(step.frame, Touch) for point in step.frame.points}
    assert places == {(0.5, 0.25)}


def test_the_taps_of_a_double_tap_are_as_far_apart_as_android_takes_them() -> None:
    steps = gestures.double_tap(0.5, 0.5)
    ends = [step.at_s for step in steps if isinstance(step.frame, Touch) and step.frame.motion is not Motion.MOVE]
    down, up, second_down, second_up = ends
    assert [up - down, second_up - second_down] == pytest.approx([gestures.TAP_S] * 2)
    assert 0.04 < second_down - up < 0.3


@given(st.floats(gestures.LONG_PRESS_S, 60))
def test_a_long_press_lasts_as_long_as_asked_and_moves_all_the_time(duration_s: float) -> None:
    steps = [step for step in gestures.long_press(0.5, 0.5, duration_s) if step.delivery is not Delivery.FILLER]
    assert steps[-1].at_s - steps[0].at_s == pytest.approx(duration_s)
    assert all(later.at_s - earlier.at_s <= gestures.HOLD_STEP_S * 1.1 for earlier, later in pairwise(steps))


@pytest.mark.parametrize("duration_s", [0.5, 0.69, -1, float("nan"), 61])
def test_a_long_press_that_a_lost_packet_could_shorten_is_refused(duration_s: float) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        gestures.long_press(0.5, 0.5, duration_s)


@given(st.tuples(FRACTIONS, st.just(0.9)), st.tuples(FRACTIONS, st.just(0.1)), st.floats(0.02, 2))
def test_a_swipe_is_still_moving_when_it_lifts(
    start: tuple[float, float], end: tuple[float, float], duration_s: float
) -> None:
    steps = gestures.swipe(start, end, duration_s, 0.0)
    *_, last, up = [step for step in steps if step.delivery is not Delivery.FILLER]
    assert isinstance(up.frame, Touch)
    assert up.frame.points[0].x == end[0]
    assert up.frame.points[0].y == end[1]
    assert up.at_s - last.at_s <= gestures.STEP_S * 1.6


def test_a_swipe_that_is_held_rests_before_it_lifts() -> None:
    steps = gestures.swipe((0.5, 0.9), (0.5, 0.1), 0.2, 0.1)
    resting = [
        step.at_s
        for step in steps
        if isinstance(step.frame, Touch) and step.delivery is not Delivery.FILLER and step.frame.points[0].y == 0.1
    ]
    assert resting[-1] - resting[0] == pytest.approx(0.1, abs=gestures.STEP_S)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_pinch_ends_with_its_fingers_at_its_scale(scale: float) -> None:
    steps = gestures.pinch((0.4, 0.6), scale, 0.3)
    spans = []
    for step in steps:
        if isinstance(step.frame, Touch) and len(step.frame.points) == 2:
            first, second = step.frame.points
            spans.append(second.x - first.x)
            assert (first.x + second.x) / 2 == pytest.approx(0.4)
            assert (first.y + second.y) / 2 == pytest.approx(0.6)
    down = [step.frame.points[0].x for step in steps if isinstance(step.frame, Touch) and not step.frame.motion]
    up = [step.frame.points[0].x for step in steps if isinstance(step.frame, Touch) and step.frame.motion == 1]
    assert (up[1] - up[0]) / (down[1] - down[0]) == pytest.approx(scale)
    assert spans == sorted(spans, reverse=scale < 1)


@given(st.lists(PATHS, min_size=1, max_size=gestures.FINGERS_LIMIT))
def test_each_finger_of_a_gesture_goes_down_once_and_up_once_and_moves_between(paths: list[gestures.Path]) -> None:
    steps = gestures.gesture(paths)
    times = [step.at_s for step in steps]
    assert times == sorted(times)
    down: set[int] = set()
    seen: Counter[tuple[Motion, int]] = Counter()
    for motion, fingers in touches(steps):
        for finger in fingers:
            seen[motion, finger] += 1
            assert (finger in down) is (motion is not Motion.DOWN)
            down = down | {finger} if motion is Motion.DOWN else down - {finger} if motion is Motion.UP else down
    assert not down
    assert all(seen[motion, finger] == 1 for motion in (Motion.DOWN, Motion.UP) for finger in range(len(paths)))
    assert all(seen[Motion.MOVE, finger] >= 3 for finger in range(len(paths)))
    assert gestures.fingers_of(steps) == len(paths)


@pytest.mark.parametrize(
    "paths",
    [
        [],
        [[]],
        [[(0.5, 0.5, 0.0)]] * (gestures.FINGERS_LIMIT + 1),
        [[(0.5, 0.5, 1.0), (0.5, 0.5, 0.5)]],
        [[(0.5, 0.5, -1.0)]],
        [[(0.5, 0.5, 0.0), (0.5, 0.5, 60.1)]],
        [[(0.5, 0.5, float("nan"))]],
    ],
)
def test_impossible_paths_are_refused(paths: list[gestures.Path]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        gestures.gesture(paths)


@pytest.mark.parametrize(
    ("center", "scale"), [((0.5, 0.5), 1.0), ((0.5, 0.5), 0.0), ((0.5, 0.5), 21), ((0.01, 0.5), 2)]
)
def test_an_impossible_pinch_is_refused(center: tuple[float, float], scale: float) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        gestures.pinch(center, scale, 0.3)


@given(st.lists(st.builds(Key, st.sampled_from([Motion.DOWN, Motion.UP]), st.integers(1, 300)), max_size=20))
def test_keys_go_reliably_and_in_order_with_fillers_behind(strokes: list[Key]) -> None:
    steps = gestures.keys(strokes)
    assert [step.frame for step in steps if step.delivery is Delivery.RELIABLE] == strokes
    assert [step.delivery for step in steps[len(strokes) :]] == [Delivery.FILLER] * 3


def test_fillers_move_a_finger_that_never_goes_down() -> None:
    assert all(
        point.finger >= gestures.FINGERS_LIMIT
        for step in gestures.tap(0.5, 0.5)
        if step.delivery is Delivery.FILLER and isinstance(step.frame, Touch)
        for point in step.frame.points
    )
