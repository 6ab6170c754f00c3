"""The files of a recording: when the next one begins, what they are called, and the manifest that lists them."""

import datetime as dt
import errno
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from streamer.atomic_file import absolute
from streamer.errors import ConfigurationError

_LEAD_SHARE: Final = 16  # a keyframe is requested when 1/16 of the size is left; the next file begins with it

Ending = Literal["segment", "codec", "limit", "stopped", "lost", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a file and of the whole recording. Raises ConfigurationError for a value that is not above zero."""

    segment_s: float | None = None
    segment_bytes: int | None = None
    max_duration_s: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"expected {name} above 0, got {value}")

    @property
    def cut_at_bytes(self) -> int:
        """The size at which a file should end with the next keyframe."""
        return 0 if self.segment_bytes is None else self.segment_bytes - self.segment_bytes // _LEAD_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A finished file of a recording.

    `ended` is the reason: "segment" (it reached its duration or size), "codec" (the phone changed its codec), "limit"
    (the recording reached `max_duration_s` or `max_bytes`), "stopped", "lost" (the stream ended with an error) or
    "error" (writing failed).
    """

    path: Path  # the file
    started_at: float  # Unix seconds, of its first frame
    duration_s: float  # its length
    size_bytes: int  # its size
    frames: int  # how many frames it holds
    ended: Ending  # why it ended
    interruptions: int = 0  # how often the stream was interrupted meanwhile
    interrupted_s: float = 0.0  # for how long in total
    interruption_reasons: tuple[str, ...] = ()  # one reason for each

    def line(self) -> str:
        """Return the manifest's line: a JSON object, with the time of the first frame in UTC (ISO 8601)."""
        started = dt.datetime.fromtimestamp(self.started_at, dt.UTC)
        facts = {
            "file": str(self.path),
            "start": started.isoformat(timespec="milliseconds"),
            "duration_s": round(self.duration_s, 3),
            "bytes": self.size_bytes,
            "frames": self.frames,
            "ended": self.ended,
            "interruptions": self.interruptions,
            "interrupted_s": round(self.interrupted_s, 3),
            "interruption_reasons": self.interruption_reasons,
        }
        return json.dumps(facts, ensure_ascii=False) + "\n"


class FileNames:
    """The names of a recording's files, one after the other.

    A plain name is that of the first file, whether or not it exists; later files get a number (`clip-2.mp4`). In a
    pattern, `{}` or `{number}` is the file's number, from 1, and `{start}` the local time at which it begins. Both may
    have a format: `clip-{:04d}.mp4`, `{start:%Y%m%d-%H%M%S}.mp4`. Names of a pattern, and names with an added number,
    skip files that exist. Write braces that belong to the name twice, `{{` and `}}`, also without segments. A relative
    name is relative to the current working directory.

    Raises ConfigurationError for a malformed pattern.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = absolute(path)
        self._is_pattern = "{" in self._path.name or "}" in self._path.name
        now = dt.datetime.now().astimezone()
        self._is_numbered = self._format(1, now) != self._format(2, now)
        self._next = 1
        self.goes_on = self._is_pattern  # whether the last name is skipped if the file exists

    def take(self, started_at: float) -> Path:
        """Return the next file's name; `started_at` is in Unix seconds."""
        start = dt.datetime.fromtimestamp(started_at).astimezone()
        for number in itertools.count(self._next if self._is_numbered or not self._is_pattern else 1):
            path = self._format(number, start)
            if number > 1 and not self._is_numbered:
                path = path.with_stem(f"{path.stem}-{number}")
            self.goes_on = number > 1 or self._is_pattern
            if not (self.goes_on and path.exists()):
                self._next = number + 1
                return path
        raise AssertionError("numbers do not end")

    def _format(self, number: int, start: dt.datetime) -> Path:
        if not self._is_pattern:
            return self._path
        try:
            return self._path.with_name(self._path.name.format(number, number=number, start=start))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                "expected a file name with {number} or {start}, such as clip-{:04d}.mp4, "
                f"got {self._path.name!r}: write braces that belong to the name twice"
            ) from error


class Manifest:
    """A file of JSON lines, one for each finished file. One write writes the whole line, or nothing."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = absolute(path)
        self._path.open("ab").close()

    def add(self, segment: Segment) -> None:
        """Add a line. Raises OSError."""
        line = segment.line().encode()
        with self._path.open("ab", buffering=0) as file:
            size = file.tell()
            if file.write(line) != len(line):
                file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
