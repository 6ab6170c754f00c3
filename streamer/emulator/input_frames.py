"""What a client does to the screen: the frames of the data channel `input`, as the phone reads them.

This is the phone's own reading of the layouts, apart from the client's writing of them.
"""

import math
import struct
from typing import Final, NamedTuple

from streamer.protocol_constants import INPUT_KEY, INPUT_TEXT, INPUT_TOUCH

MESSAGE_LIMIT: Final = 16 * 1024  # bytes; a longer message is passed over
FINGERS_LIMIT: Final = 32  # of one touch; a frame that has more is passed over
DOWN, UP, MOVE = 0, 1, 2  # actions [seen]; keys have the first two
_HEAD: Final = struct.Struct("!IB")  # the length of the whole frame, its type
_TOUCH: Final = struct.Struct("!fHB")  # time, action, number of points
_POINT: Final = struct.Struct("!Iff")  # finger, x and y as shares of the frame
_KEY: Final = struct.Struct("!fHHH")  # time, action, key code, modifiers


class Point(NamedTuple):
    """Where a finger is."""

    finger: int
    x: float  # 0.0 is the frame's left edge, 1.0 its right one
    y: float  # 0.0 is the top


class Touch(NamedTuple):
    """Fingers that go down, go up or move."""

    action: int
    points: tuple[Point, ...]
    time_ms: float = 0.0  # the client's clock, modulo 100 s


class Key(NamedTuple):
    """A key that goes down or up."""

    action: int
    code: int  # of Android
    modifiers: int = 0
    time_ms: float = 0.0


class Text(NamedTuple):
    """A message to the phone, JSON by convention."""

    text: str


Input = Touch | Key | Text


def read_input(message: bytes) -> list[Input]:
    """Return what a message of the data channel says, frame by frame.

    Frames of unknown types, and frames whose body does not fit their type, are skipped by their length. A wrong length
    ends the message: what follows it cannot be found.
    """
    inputs: list[Input] = []
    offset = 0
    while len(message) <= MESSAGE_LIMIT and len(message) - offset >= _HEAD.size:
        length, kind = _HEAD.unpack_from(message, offset)
        if not _HEAD.size <= length <= len(message) - offset:
            break
        if (read := _read(kind, message[offset + _HEAD.size : offset + length])) is not None:
            inputs.append(read)
        offset += length
    return inputs


def _read(kind: int, body: bytes) -> Input | None:
    try:
        if kind == INPUT_TOUCH:
            return _touch(body)
        if kind == INPUT_KEY:
            time_ms, action, code, modifiers = _KEY.unpack(body)
            return Key(action, code, modifiers, time_ms) if action in {DOWN, UP} else None
        if kind == INPUT_TEXT:
            return Text(body.decode())
    except (struct.error, UnicodeDecodeError):
        pass
    return None


def _touch(body: bytes) -> Touch | None:
    time_ms, action, count = _TOUCH.unpack_from(body)
    points = tuple(Point(*values) for values in _POINT.iter_unpack(body[_TOUCH.size :]))
    if action not in {DOWN, UP, MOVE} or count != len(points) or count > FINGERS_LIMIT:
        return None
    if not all(math.isfinite(point.x) and math.isfinite(point.y) for point in points):
        return None
    return Touch(action, points, time_ms)
