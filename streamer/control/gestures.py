"""Gestures as timed frames: what is sent, when, and with what delivery. Times count from the gesture's beginning.

aiortc retransmits a lost frame when three later ones were acknowledged; alone, a frame would wait for a second. So a
finger moves on the spot while it is down, and three fillers follow each action: a loss shows within a round trip.
"""

import enum
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from streamer.control.frames import Key, Motion, Point, Raw, Touch
from streamer.errors import ConfigurationError

STEP_S: Final = 0.01  # between two MOVEs
HOLD_STEP_S: Final = 0.05  # between two MOVEs of a finger that rests
TAP_S: Final = 0.04  # DOWN, three MOVEs, UP
BETWEEN_TAPS_S: Final = 0.14  # of a double tap: Android takes 0.04 to 0.3 s; a lost UP shortens it
LONG_PRESS_S: Final = 0.7  # Android's 0.5 s, and 0.2 s in which a lost DOWN comes again
GESTURE_LIMIT_S: Final = 60.0
FINGERS_LIMIT: Final = 9  # down at once; Android's touch screens number them from 0
IDLE_FINGER: Final = 9  # never goes down: its MOVEs move nothing [assumed]
FILLERS: Final = 3

IDLE_MOVE: Final = Touch(Motion.MOVE, (Point(IDLE_FINGER, 0.0, 0.0),))

Path: TypeAlias = Sequence[tuple[float, float, float]]  # x, y and second of each corner, with straight lines between


class Delivery(enum.Enum):
    """How a frame travels."""

    RELIABLE = enum.auto()  # retransmitted, in order with the others that are
    UNRELIABLE = enum.auto()  # sent once
    FILLER = enum.auto()  # sent once, where nobody reads it: its acknowledgement shows what was lost before


@dataclass(frozen=True, slots=True)
class Step:
    """A frame to send `at_s` seconds after the gesture's beginning."""

    at_s: float
    frame: Touch | Key | Raw
    delivery: Delivery


def tap(x: float, y: float) -> list[Step]:
    """Return a tap: DOWN, three MOVEs on the spot, UP, three fillers."""
    return gesture([[(x, y, 0.0), (x, y, TAP_S)]])


def double_tap(x: float, y: float) -> list[Step]:
    """Return two taps, near enough in time for Android's double tap."""
    first, second = TAP_S, TAP_S + BETWEEN_TAPS_S
    steps = [*_finger(0, [(x, y, 0.0), (x, y, first)]), *_finger(0, [(x, y, second), (x, y, second + TAP_S)])]
    return [*steps, *fillers(second + TAP_S)]


def long_press(x: float, y: float, duration_s: float) -> list[Step]:
    """Return a finger that rests for `duration_s`, which is at least LONG_PRESS_S."""
    if not duration_s >= LONG_PRESS_S:
        raise ConfigurationError(
            f"expected duration_s of at least {LONG_PRESS_S:g} (Android's 0.5 s, and 0.2 s for a lost packet), "
            f"got {duration_s:g}"
        )
    return gesture([[(x, y, 0.0), (x, y, duration_s)]])


def swipe(start: tuple[float, float], end: tuple[float, float], duration_s: float, hold_s: float) -> list[Step]:
    """Return a finger's straight way. It is still moving when it lifts, a fling, unless it rests for `hold_s` first."""
    if not duration_s > 0:
        raise ConfigurationError(f"expected duration_s above 0, got {duration_s:g}")
    if not hold_s >= 0:
        raise ConfigurationError(f"expected hold_s of at least 0, got {hold_s:g}")
    path = [(*start, 0.0), (*end, duration_s)]
    return gesture([[*path, (*end, duration_s + hold_s)] if hold_s else path])


def pinch(center: tuple[float, float], scale: float, duration_s: float) -> list[Step]:
    """Return two fingers on a diagonal through `center`. They part for a scale above 1, and meet for one below."""
    if not (0.05 <= scale <= 20 and scale != 1):
        raise ConfigurationError(f"expected a scale from 0.05 to 20 other than 1, got {scale:g}")
    x, y = center
    widest_x, widest_y = 0.8 * min(x, 1 - x), 0.8 * min(y, 1 - y)
    if min(widest_x, widest_y) < 0.04:
        raise ConfigurationError("expected a center at least 0.05 away from the edges of the screen: fingers need room")
    begin, finish = (1 / scale, 1.0) if scale > 1 else (1.0, scale)

    def path(side: int) -> Path:
        return [
            (x + side * widest_x * share, y + side * widest_y * share, second)
            for share, second in ((begin, 0.0), (finish, duration_s))
        ]

    return gesture([path(-1), path(1)])


def gesture(paths: Sequence[Path]) -> list[Step]:
    """Return the free ways of one to ten fingers: each goes down at its first corner and up at its last.

    Raises ConfigurationError if a way has no corner, or its seconds do not rise from 0 to GESTURE_LIMIT_S.
    """
    if not 1 <= len(paths) <= FINGERS_LIMIT:
        raise ConfigurationError(f"expected the paths of 1 to {FINGERS_LIMIT} fingers, got {len(paths)}")
    for path in paths:
        seconds = [second for _, _, second in path]
        if not (seconds and seconds[0] >= 0 and seconds[-1] <= GESTURE_LIMIT_S):
            raise ConfigurationError(f"expected points from second 0 to {GESTURE_LIMIT_S:g} in each finger's path")
        if not all(earlier <= later for earlier, later in itertools.pairwise(seconds)):
            raise ConfigurationError("expected the seconds of each finger's path to rise")
    steps = [step for finger, path in enumerate(paths) for step in _finger(finger, path)]
    merged = _merged(sorted(steps, key=lambda step: step.at_s))
    return [*merged, *fillers(merged[-1].at_s)]


def keys(strokes: Iterable[Key], *, every_s: float = STEP_S) -> list[Step]:
    """Return keys one after another, and fillers behind them."""
    steps = [Step(number * every_s, key, Delivery.RELIABLE) for number, key in enumerate(strokes)]
    return [*steps, *fillers(len(steps) * every_s)]


def once(data: bytes) -> list[Step]:
    """Return a frame whose bytes are there already, and fillers behind it."""
    return [Step(0.0, Raw(data), Delivery.RELIABLE), *fillers(0.0)]


def fillers(after_s: float) -> list[Step]:
    """Return the frames that make a loss before them visible."""
    return [Step(after_s + number * STEP_S, IDLE_MOVE, Delivery.FILLER) for number in range(1, FILLERS + 1)]


def fingers_of(steps: Iterable[Step]) -> int:
    """Return how many fingers take part."""
    points = [
        point.finger
        for step in steps
        if isinstance(step.frame, Touch) and step.delivery is not Delivery.FILLER
        for point in step.frame.points
    ]
    return max(points, default=-1) + 1


def place_on(path: Path, second: float) -> tuple[float, float]:
    """Return where a finger is at a second of its way."""
    for (x0, y0, begin), (x1, y1, end) in itertools.pairwise(path):
        if begin <= second < end:
            share = (second - begin) / (end - begin)
            return x0 + share * (x1 - x0), y0 + share * (y1 - y0)
    return path[-1][:2]


def _finger(finger: int, path: Path) -> Iterator[Step]:
    """Yield one finger's way: DOWN, MOVEs, UP. The last MOVE comes a step before UP, so that the finger still moves."""
    begin, end = path[0][2], max(path[-1][2], path[0][2] + TAP_S)

    def step(motion: Motion, at_s: float, delivery: Delivery) -> Step:
        return Step(at_s, Touch(motion, (Point(finger, *place_on(path, at_s)),)), delivery)

    yield step(Motion.DOWN, begin, Delivery.RELIABLE)
    at_s = begin
    number = 0
    while True:
        rests = place_on(path, at_s) == place_on(path, min(at_s + HOLD_STEP_S, end)) and number >= FILLERS
        at_s += HOLD_STEP_S if rests else STEP_S
        number += 1
        if at_s > end - STEP_S / 2:
            break
        yield step(Motion.MOVE, at_s, Delivery.UNRELIABLE)
    yield step(Motion.UP, end, Delivery.RELIABLE)


def _merged(steps: list[Step]) -> list[Step]:
    """Return the steps with the MOVEs of one moment in one frame, as they belong together [assumed]."""
    merged: list[Step] = []
    for step in steps:
        last = merged[-1] if merged else None
        if last is not None and _is_move(step) and _is_move(last) and step.at_s - last.at_s < STEP_S / 2:
            assert isinstance(last.frame, Touch)  # noqa: S101 - a MOVE
            assert isinstance(step.frame, Touch)  # noqa: S101
            merged[-1] = Step(last.at_s, Touch(Motion.MOVE, last.frame.points + step.frame.points), last.delivery)
        else:
            merged.append(step)
    return merged


def _is_move(step: Step) -> bool:
    return isinstance(step.frame, Touch) and step.frame.motion is Motion.MOVE
