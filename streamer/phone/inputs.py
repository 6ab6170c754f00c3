"""What comes in on the data channel `input`: touches, keys and text, all numbers big-endian [seen]."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from streamer.wire import INPUT_KEY, INPUT_TEXT, INPUT_TOUCH

_HEAD: Final = struct.Struct(">IB")  # total length, type
_TOUCH: Final = struct.Struct(">fHB")
_POINT: Final = struct.Struct(">Iff")
_KEY: Final = struct.Struct(">fHHH")


@dataclass(frozen=True, slots=True)
class TouchPoint:
    """One finger; x and y are in 0..1 of the picture."""

    id: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Touch:
    """Fingers went down (`action` 0), up (1) or moved (2); `time_ms` is modulo 100000."""

    time_ms: float
    action: int
    points: tuple[TouchPoint, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """An Android key went down (`action` 0) or up (1)."""

    time_ms: float
    action: int
    key_code: int
    modifiers: int


@dataclass(frozen=True, slots=True)
class Text:
    """A JSON message."""

    content: Any


Input: TypeAlias = Touch | Key | Text


def parse_inputs(message: bytes) -> Iterator[Input]:
    """Yield the input frames of one data-channel message, in order; frames of unknown type are skipped by their length.

    Raises ValueError where a frame is not what its length or its type says; those before it have been yielded.
    """
    at = 0
    while at < len(message):
        if len(message) - at < _HEAD.size:
            raise ValueError(f"expected a head of {_HEAD.size} bytes, got {len(message) - at}")
        length, kind = _HEAD.unpack_from(message, at)
        if not _HEAD.size <= length <= len(message) - at:
            raise ValueError(f"expected a frame of {_HEAD.size} to {len(message) - at} bytes, its length says {length}")
        body = message[at + _HEAD.size : at + length]
        try:
            if kind == INPUT_TOUCH:
                yield _touch(body)
            elif kind == INPUT_KEY:
                yield Key(*_KEY.unpack(body))
            elif kind == INPUT_TEXT:
                yield Text(json.loads(body))
        except (struct.error, RecursionError) as error:
            raise ValueError(f"a frame of type {kind} has the wrong length or shape: {len(body)} bytes") from error
        at += length


def _touch(body: bytes) -> Touch:
    time_ms, action, count = _TOUCH.unpack_from(body)
    points = tuple(TouchPoint(*point) for point in _POINT.iter_unpack(body[_TOUCH.size :]))
    if len(points) != count:
        raise ValueError(f"expected a touch of {count} points, got {len(points)}")
    return Touch(time_ms, action, points)
