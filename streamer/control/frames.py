"""Frames of the data channel `input`: touches, keys and messages as bytes, and what the phone sends.

A frame is `u32 length` (of the whole frame), `u8 type`, body. Numbers are big-endian, floats are binary32 [seen]. A
data channel message carries one frame; a message of several is split by their lengths.

| type | body | standing |
|---|---|---|
| 205 touch | f32 time, u16 action, u8 n, n times (u32 finger, f32 x, f32 y) | seen, ran |
| 207 key | f32 time, u16 action, u16 key code, u16 modifiers | seen |
| 211 message | a JSON object in UTF-8 with a `type` | seen; from the phone it ran |
"""

import enum
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from streamer.errors import ConfigurationError
from streamer.protocol_constants import INPUT_KEY, INPUT_TEXT, INPUT_TOUCH
from streamer.untrusted_text import UnreadableJsonError, decode_json

BODY_LIMIT: Final = 16 * 1024 - 5  # bytes of a frame's body
_CLOCK_MS: Final = 100_000  # the clock in a frame is the sender's, in milliseconds modulo this [seen]

_HEAD: Final = struct.Struct("!IB")
_TOUCH: Final = struct.Struct("!fHB")
_POINT: Final = struct.Struct("!Iff")
_KEY: Final = struct.Struct("!fHHH")


class Motion(enum.IntEnum):
    """What a touch or key frame says [seen]. Keys have no MOVE."""

    DOWN = 0
    UP = 1
    MOVE = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One finger and where it is: x and y are fractions of the frame, from 0 to 1."""

    finger: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Touch:
    """Fingers that go down, go up or move.

    DOWN and UP carry the finger that changed, MOVE all that move [assumed].
    """

    motion: Motion
    points: tuple[Point, ...]

    def with_fingers(self, ids: Sequence[int]) -> "Touch":
        """Return the touch with the finger numbers `ids[finger]`."""
        return replace(self, points=tuple(replace(point, finger=ids[point.finger]) for point in self.points))

    def encode(self, now_ms: float) -> bytes:
        """Return the frame of type 205; `now_ms` is our clock in milliseconds."""
        head = _TOUCH.pack(now_ms % _CLOCK_MS, self.motion, len(self.points))
        points = b"".join(_POINT.pack(point.finger, point.x, point.y) for point in self.points)
        return encode_frame(INPUT_TOUCH, head + points)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that goes down or up; `code` is Android's [seen], `modifiers` Android's meta state [assumed]."""

    motion: Motion
    code: int
    modifiers: int = 0

    def __repr__(self) -> str:
        return f"Key({self.motion.name}, ...)"  # typed text could be read from the codes

    def encode(self, now_ms: float) -> bytes:
        """Return the frame of type 207; `now_ms` is our clock in milliseconds."""
        return encode_frame(INPUT_KEY, _KEY.pack(now_ms % _CLOCK_MS, self.motion, self.code, self.modifiers))


@dataclass(frozen=True, slots=True)
class Raw:
    """A frame whose bytes are there already."""

    data: bytes

    def __repr__(self) -> str:
        return f"Raw({len(self.data)} bytes)"

    def encode(self, now_ms: float) -> bytes:
        """Return the frame."""
        return self.data


def encode_frame(frame_type: int, body: bytes) -> bytes:
    """Return a frame of any type from 0 to 255. Raises ConfigurationError if the body is over BODY_LIMIT."""
    if not 0 <= frame_type <= 255:
        raise ConfigurationError(f"expected a frame type from 0 to 255, got {frame_type}")
    if len(body) > BODY_LIMIT:
        raise ConfigurationError(f"expected at most {BODY_LIMIT} bytes in a frame, got {len(body)}")
    return _HEAD.pack(_HEAD.size + len(body), frame_type) + body


def encode_message(message: Mapping[str, object]) -> bytes:
    """Return the frame of type 211 for a JSON object. Raises ConfigurationError if it is not JSON, or too long."""
    try:
        body = msgspec.json.encode(dict(message))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"expected a message that JSON can hold, got {type(error).__name__}: {error}"
        ) from None
    return encode_frame(INPUT_TEXT, body)


def split_frames(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and body of each whole frame in a data channel message; what has a wrong length ends it."""
    position = 0
    while position + _HEAD.size <= len(message):
        length, frame_type = _HEAD.unpack_from(message, position)
        if not _HEAD.size <= length <= len(message) - position:
            return
        yield frame_type, message[position + _HEAD.size : position + length]
        position += length


def parse_messages(message: bytes) -> Iterator[dict[str, object]]:
    """Yield the JSON objects of type 211 in a data channel message; frames of other types are passed over."""
    for frame_type, body in split_frames(message):
        if frame_type == INPUT_TEXT and len(body) <= BODY_LIMIT:
            try:
                yield decode_json(body, dict[str, object])
            except UnreadableJsonError:
                continue
