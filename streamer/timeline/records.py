"""The records of a timeline, and the file that holds them: `timeline.jsonl`, one JSON object a line.

Every object has `event`, which names its kind, and these two times:

- `at`: Unix time in seconds, of this machine: when it happened, or when it began.
- `rtp_time`: the phone's own clock in ticks of 90 kHz, which are those of the video: of the frame that the record is
  about, else of the newest frame that had arrived by then. It is null before the first frame. A new connection may
  begin another clock.

Places and regions are fractions of the screen, from 0 to 1: `[x, y]`, and `[x, y, width, height]`. Durations are
seconds and end in `_s`. What is not known is null. The classes below say what else each kind has. The lines of a file
are in the order of `at`. A reader passes over kinds and fields that it does not know.

What was typed is not in a file, unless its writer was told to write it: `encode(..., with_text=True)`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from streamer.errors import ConfigurationError

VERSION: Final = 1  # of this format; a change that old readers misread raises it
KIND_LIMIT: Final = 100  # characters of a message's kind

Area: TypeAlias = tuple[float, float, float, float]  # x, y, width and height, as fractions of the screen
Outcome: TypeAlias = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What all records have. One that is not finished yet has no times."""

    event: ClassVar[str] = ""

    at: float = 0.0  # see above
    rtp_time: int | None = None  # see above


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Record):
    """`start`: the test begins."""

    event: ClassVar = "start"

    test: str  # its name; for pytest the node id
    phone: str  # the instance id
    run: int = 1  # 2 for its first repetition
    version: int = VERSION  # of the format


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Record):
    """`end`: the test, or a part of it (set-up, tear-down), ended so."""

    event: ClassVar = "end"

    outcome: Outcome  # "passed", "failed" or "skipped"
    duration_s: float  # since the test began
    error: str | None = None  # a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Video(Record):
    """`video`: a video of it. `at` is the moment that its first frame shows."""

    event: ClassVar = "video"

    path: str  # relative to the folder of the timeline
    duration_s: float  # how long it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Record):
    """`step`: a step of the test, `with phone.step("sign in")`."""

    event: ClassVar = "step"

    name: str  # what the test calls it
    duration_s: float  # how long it took
    outcome: Outcome  # "passed", or "failed" if it ended with an error
    depth: int = 0  # how many steps it is in


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch(Record):
    """`touch`: fingers touched the screen. `at` is when the first one went down.

    Each path has a finger's places: x, y, and seconds since `at`. It went down at the first, and up at the last.
    """

    event: ClassVar = "touch"

    verb: str  # "tap", "swipe", "finger" and so on
    paths: tuple[tuple[tuple[float, float, float], ...], ...] = ()  # of each finger
    duration_s: float = 0.0  # from its first frame to its last one
    error: str | None = None  # why it was not sent, or not all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Record):
    """`key`: a key was pressed."""

    event: ClassVar = "key"

    name: str | None = field(repr=False)  # such as "BACK"; null in a file for a key that types something
    types_text: bool = False  # whether the key types something
    duration_s: float = 0.0  # from its first frame to its last one
    error: str | None = None  # why it was not sent, or not all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Record):
    """`text`: a text was typed."""

    event: ClassVar = "text"

    length: int  # in characters
    text: str | None = field(default=None, repr=False)  # null in a file
    duration_s: float = 0.0  # from its first frame to its last one
    error: str | None = None  # why it was not sent, or not all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Record):
    """`message`: a message or a frame of another type went to the phone, or came from it. Its content is not kept."""

    event: ClassVar = "message"

    by_phone: bool  # whether the phone sent it
    kind: str | None  # the `type` of the JSON object, else the number of the frame's type
    duration_s: float = 0.0  # from its first frame to its last one
    error: str | None = None  # why it was not sent, or not all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Record):
    """`change`: a frame differs from the last one that did. Frames are compared while something waits."""

    event: ClassVar = "change"

    region: Area  # the smallest with everything that changed
    share: float  # of the screen that changed, from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Still(Record):
    """`still`: the screen was found still. `at` is when that was known."""

    event: ClassVar = "still"

    quiet_s: float  # how long nothing had to move


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Record):
    """`wait`: something was waited for. `at` is when the wait began."""

    event: ClassVar = "wait"

    what: str  # in words: "a still screen", "Sign in", "pay.png"
    duration_s: float  # how long
    outcome: Literal["met", "timed out", "failed", "cancelled"]  # how it ended
    score: float | None = None  # how well it was found, from 0 to 1; after a time-out, the nearest miss
    region: Area | None = None  # where
    error: str | None = None  # a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Record):
    """`measured`: what came of an action that was asked (`changed`, `settled`). `at` is when the action was sent.

    The times are those of `Settled` and `Change`; `changed` measures the first one alone.
    """

    event: ClassVar = "measured"

    first_change_s: float  # to the first frame that changed
    settled_s: float | None = None  # to the last one
    longest_gap_s: float | None = None  # between two of them
    frames: int | None = None  # how many changed
    round_trip_s: float | None = None  # to the phone


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Record):
    """`interrupted`: the stream was interrupted."""

    event: ClassVar = "interrupted"

    reason: str  # a sentence or a part of one
    duration_s: float | None  # null if it did not go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames(Record):
    """`frames`: the frames of a second; there is one each second, also without any. `at` is the end of that second."""

    event: ClassVar = "frames"

    frames: int  # how many came
    longest_gap_s: float  # between two of them, by the phone's clock; 0.0 without two frames
    bytes: int  # of these frames


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut(Record):
    """`left_out`: earlier records were left out: there were more than are kept."""

    event: ClassVar = "left_out"

    records: int  # how many


def kind_of(message: Mapping[str, object]) -> str | None:
    """Return the kind of a JSON object that is sent or came: its `type`, cut off after KIND_LIMIT characters."""
    kind = message.get("type")
    return kind[:KIND_LIMIT] if isinstance(kind, str) else None


_KINDS: Final[dict[str, type[Record]]] = {
    kind.event: kind
    for kind in (
        *(Start, End, Video, Step, Touch, Key, Text, Message),
        *(Change, Still, Wait, Measured, Interrupted, Frames, LeftOut),
    )
}


def encode(records: Iterable[Record], *, with_text: bool = False) -> bytes:
    """Return records as lines of JSON, in the order of their times. `with_text` keeps what was typed."""
    lines = []
    for record in sorted(records, key=attrgetter("at")):
        shown = record if with_text else without_text(record)
        lines.append(msgspec.json.encode({"event": record.event} | msgspec.to_builtins(shown)))
    return b"".join(line + b"\n" for line in lines)


def without_text(record: Record) -> Record:
    """Return a record without what was typed."""
    match record:
        case Key(types_text=True):
            return replace(record, name=None)
        case Text():
            return replace(record, text=None)
    return record


def decode(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records in lines of JSON. Unknown kinds and fields are passed over.

    Raises ConfigurationError, with the number of the line, for what is no record.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = msgspec.json.decode(line, type=dict[str, object])
            kind = _KINDS.get(str(fields.pop("event", "")))
            record = None if kind is None else msgspec.convert(fields, kind)
        except msgspec.MsgspecError as error:
            raise ConfigurationError(
                f"expected a record of a timeline in line {number}, got something else: {error}"
            ) from None
        if record is not None:
            yield record
