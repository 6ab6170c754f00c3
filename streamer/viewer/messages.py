"""What the server and the page say to each other over one WebSocket.

The page says JSON objects, whose "do" names a command. The server says JSON objects, and binary messages with media:

    0       1       2               8                              16
    | channel | flags | zeros       | microseconds, signed           | data …

Numbers are in network order. Channel 1 is an encoded frame, channel 2 a packet of encoded audio, channel 3 a JPEG
image, channel 4 the head of an MP4, channel 5 an MP4 fragment with one frame. Flag 1 says that a decoder may begin
here, flag 2 that something before it is missing, flag 4 that the frame is older than the page: it comes at once with
those after it, and is decoded only so that they can be. The microseconds are of the phone's RTP clock.

The page says when the frame of a fragment is shown: it writes that time, 64 bits of 90 kHz, at byte 60 of the data
(`tfdt` in ISO/IEC 14496-12). The frame lasts until the next one.
"""

import json
import struct
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from streamer import AccessUnit, VideoFrame

_HEADER: Final = struct.Struct("!BB6xq")
_VIDEO, _AUDIO, _JPEG, _HEAD, _FRAGMENT = 1, 2, 3, 4, 5
_KEYFRAME, _DISCONTINUITY, _OLD = 1, 2, 4
_VIDEO_CLOCK: Final = 90_000  # Hz, of a frame's RTP time
FINGERS: Final = 10  # of one page, on the screen at once
TEXT_LIMIT: Final = 1000  # characters of a text to be typed


Motion: TypeAlias = Literal["down", "move", "up"]
Form: TypeAlias = Literal["units", "mp4", "jpeg"]  # of the video: for WebCodecs, for Media Source Extensions, for any


class RefusedError(Exception):
    """The page said something that is no command. The text tells what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Touch:
    """A finger of the page's goes down, moves or goes up. x and y are fractions of the screen."""

    finger: int
    motion: Motion
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Press:
    """A key by its name."""

    key: str
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Type:
    """A text, typed key by key. It may be a password: it has no repr."""

    text: str

    def __repr__(self) -> str:
        return f"Type({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Show:
    """Whether the page can be seen, and the best form of video that it can play."""

    is_visible: bool
    form: Form = "units"


@dataclass(frozen=True, slots=True)
class Refresh:
    """The page's decoder needs a keyframe."""


@dataclass(frozen=True, slots=True)
class Record:
    """Begin a recording, or end it."""

    is_on: bool


@dataclass(frozen=True, slots=True)
class Save:
    """Save the seconds before now as a file."""

    seconds: float


Command: TypeAlias = Touch | Press | Type | Show | Refresh | Record | Save


def read_command(message: str | bytes) -> Command:
    """Return what a message asks for. Raises RefusedError."""
    if isinstance(message, bytes):
        raise RefusedError("expected text with a JSON object, got a binary message")
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        raise RefusedError("expected a JSON object, got text that is no JSON") from None
    if not isinstance(said, dict):
        raise RefusedError(f"expected a JSON object, got {type(said).__name__}")
    if (name := str(said.pop("do", None))) not in _COMMANDS:
        raise RefusedError(f'expected "do" to be one of {", ".join(_COMMANDS)}')
    try:
        command: Command = _COMMANDS[name](**said)
    except (TypeError, ValueError) as error:
        raise RefusedError(f"{name}: {_without_python(error)}") from None
    return command


def _without_python(error: Exception) -> str:
    return "expected other facts" if isinstance(error, TypeError) else str(error)


def _touch(*, finger: int, motion: Motion, x: float, y: float) -> Touch:
    if motion not in get_args(Motion):
        raise ValueError("expected the motion down, move or up")
    if type(finger) is not int or not 0 <= finger < FINGERS:
        raise ValueError(f"expected a finger from 0 to {FINGERS - 1}")
    return Touch(finger, motion, _fraction(x), _fraction(y))


def _press(*, key: str, modifiers: list[str] | tuple[()] = ()) -> Press:
    return Press(_text(key, 40), tuple(_text(each, 40) for each in modifiers[:4]))


def _type(*, text: str) -> Type:
    return Type(_text(text, TEXT_LIMIT))


def _show(*, visible: bool, form: Form = "units") -> Show:
    if form not in get_args(Form):
        raise ValueError("expected the form units, mp4 or jpeg")
    return Show(visible is True, form)


def _record(*, on: bool) -> Record:
    return Record(on is True)


def _save(*, seconds: float) -> Save:
    if type(seconds) in {int, float} and 0 < seconds <= 3600:
        return Save(float(seconds))
    raise ValueError("expected seconds above 0, and at most 3600")


_COMMANDS: Final[dict[str, Any]] = {
    "touch": _touch,
    "press": _press,
    "type": _type,
    "show": _show,
    "refresh": Refresh,
    "record": _record,
    "save": _save,
}


def _fraction(value: Any) -> float:
    if type(value) in {int, float} and 0 <= value <= 1:
        return float(value)
    raise ValueError("expected x and y from 0 to 1")


def _text(value: Any, limit: int) -> str:
    if isinstance(value, str) and 0 < len(value) <= limit:
        return value
    raise ValueError(f"expected text of 1 to {limit} characters")


def said(what: str, **facts: Any) -> str:
    """Return what the server says as text."""
    return json.dumps({"say": what, **facts})


def media_message(unit: AccessUnit, *, is_old: bool = False) -> bytes:
    """Return the message with an encoded frame, or a packet of audio."""
    return _message(_VIDEO if unit.kind == "video" else _AUDIO, unit, unit.data, is_old)


def fragment_message(unit: AccessUnit, fragment: bytes, *, is_old: bool = False) -> bytes:
    """Return the message with an MP4 fragment of an encoded frame."""
    return _message(_FRAGMENT, unit, fragment, is_old)


def head_message(head: bytes) -> bytes:
    """Return the message with the head of an MP4."""
    return _HEADER.pack(_HEAD, _KEYFRAME, 0) + head


def image_message(jpeg: bytes, frame: VideoFrame) -> bytes:
    """Return the message with a frame as a JPEG image."""
    return _HEADER.pack(_JPEG, _KEYFRAME, frame.rtp_time * 1_000_000 // _VIDEO_CLOCK) + jpeg


def _message(channel: int, unit: AccessUnit, data: bytes, is_old: bool) -> bytes:
    flags = _KEYFRAME * unit.is_keyframe | _DISCONTINUITY * unit.discontinuity | _OLD * is_old
    return _HEADER.pack(channel, flags, unit.rtp_time * 1_000_000 // unit.codec.clock_rate) + data


def codec_string(unit: AccessUnit) -> str:
    """Return the codec of a keyframe as a browser names it (RFC 6381, and the registry of WebCodecs)."""
    if unit.codec.name == "h264":
        sps = unit.data.find(b"\x00\x00\x01\x67")
        sps = sps if sps >= 0 else unit.data.find(b"\x00\x00\x01\x27")
        profile = unit.data[sps + 4 : sps + 7] if sps >= 0 else b""
        return f"avc1.{profile.hex()}" if len(profile) == 3 else "avc1.42e01f"
    return {"h265": "hev1.1.6.L120.B0", "vp8": "vp8", "vp9": "vp09.00.40.08", "av1": "av01.0.08M.08"}[unit.codec.name]
