"""Which fingers are down."""

import pytest

from streamer.control.fingers import Fingers
from streamer.control.frames import Motion, Point, Touch
from streamer.control.gestures import FINGERS_LIMIT
from streamer.errors import ConfigurationError


def test_fingers_get_the_lowest_free_numbers() -> None:
    fingers = Fingers()
    assert fingers.take(2) == (0, 1)
    assert fingers.take(1) == (2,)
    fingers.release((0, 1))
    assert fingers.take(3) == (0, 1, 3)


def test_too_many_fingers_are_an_error() -> None:
    fingers = Fingers()
    fingers.take(FINGERS_LIMIT - 1)
    with pytest.raises(ConfigurationError, match="expected at most 9 fingers at once, got 10"):
        fingers.take(2)


def test_a_finger_left_down_is_lifted_where_it_was_and_not_used_before() -> None:
    fingers = Fingers()
    ids = fingers.take(1)
    fingers.note(Touch(Motion.DOWN, (Point(0, 0.1, 0.2),)))
    fingers.note(Touch(Motion.MOVE, (Point(0, 0.3, 0.4),)))
    fingers.release(ids)
    assert fingers.take(1) == (1,)
    (lift,) = fingers.lifts()
    assert lift == Touch(Motion.UP, (Point(0, 0.3, 0.4),))
    fingers.note(lift)
    assert fingers.lifts() == []
    assert fingers.take(1) == (0,)


def test_a_move_of_a_finger_that_is_up_puts_none_down() -> None:
    fingers = Fingers()
    fingers.note(Touch(Motion.MOVE, (Point(0, 0.1, 0.2),)))
    assert fingers.lifts() == []
