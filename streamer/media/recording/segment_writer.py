"""The thread's side of a recording: it places access units on one timeline and writes them into files."""

import contextlib
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, TypeAlias

from streamer.atomic_file import open_locked, refuse_existing
from streamer.errors import RecordingError
from streamer.events import Interruption
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.frame_reordering import Reordering
from streamer.media.recording.clips import Part
from streamer.media.recording.containers import MPEG_TS, Container, container_of, refusal
from streamer.media.recording.mp4 import Chapter
from streamer.media.recording.muxers import MediaFile, open_media
from streamer.media.recording.segments import Ending, FileNames, Limits, Manifest, Segment
from streamer.media.recording.timeline import Timeline
from streamer.tracks import Kind

_logger = logging.getLogger("streamer.record")

SEGMENTS_LIMIT: Final = 1000  # the last ones are kept; the manifest has them all
REARRANGE_S: Final = 60.0  # how long putting an MP4's index first may take at the end of a recording
REARRANGE_BETWEEN_S: Final = 5.0  # and between two files: units wait in the inbox meanwhile
FIRST_FRAME_S: Final = 10.0  # a recording with a time limit waits at least so long for its first frame
CODEC_EVERY_NS: Final = 10_000_000_000  # a change of codec begins a new file at most this often
_S: Final = 1_000_000_000

# Returns the interruptions of the stream between two moments, in monotonic seconds.
Between: TypeAlias = Callable[[float, float], Sequence[Interruption]]


class Destination:
    """Where a recording goes: into files of one name or pattern, or into a pipe as MPEG-TS.

    A file that exists is refused, unless `overwrite` allows replacing it. Raises ConfigurationError for an unknown kind
    of file, or a malformed pattern.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], *, overwrite: bool = False) -> None:
        self._overwrite = overwrite
        self._pipe: IO[bytes] | None = None
        if isinstance(target, str | os.PathLike):
            self.container: Container = container_of(Path(target))
            self._names = FileNames(target)
        else:
            self.container = MPEG_TS
            self._pipe = target

    @property
    def is_pipe(self) -> bool:
        """Whether it is a pipe: it has no end, and its maker closes it."""
        return self._pipe is not None

    def check(self) -> None:
        """Raise what `open` would raise now, and change nothing."""
        if self._pipe is not None:
            return
        path, is_new = self._next(time.time())
        is_there = path.exists()
        open_locked(path.resolve(), is_new=is_new, empty=False).close()
        if not is_there:
            path.unlink()

    def open(self, started_at: float) -> tuple[Path, IO[bytes]]:
        """Open and lock the next file, or return the pipe. Raises OSError."""
        if self._pipe is not None:
            return Path("-"), self._pipe
        while True:
            path, is_new = self._next(started_at)
            try:
                return path, open_locked(path.resolve(), is_new=is_new)  # a symbolic link keeps pointing to it
            except FileExistsError:
                if not self._names.goes_on:
                    raise

    def _next(self, started_at: float) -> tuple[Path, bool]:
        """Return the next file, and whether it must be new."""
        path = self._names.take(started_at)
        _refuse_pipes(path)
        if not (self._overwrite or self._names.goes_on):
            refuse_existing(path)
        return path, self._names.goes_on or not self._overwrite


def _refuse_pipes(path: Path) -> None:
    """Raise OSError for a directory, a named pipe or a device: opening a pipe may wait for its reader for ever."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a pipe or a device: open it, and record into what you opened", str(path))


class Writer:
    """Writes one recording. Every method may raise RecordingError, OSError or av.FFmpegError: then call `abandon`.

    `start_ns` is the time of arrival at which the recording begins; None means at its first frame, which must be a
    keyframe. `now_ns` is the current time of that clock. `wall_ns` is the difference of Unix time and that clock: set
    it again whenever the wall clock is set. The writer calls `ask_keyframe` in this thread when a file should end, and
    `interruptions` when it has ended.
    """

    def __init__(
        self,
        target: Destination,
        *,
        has_audio: bool,
        limits: Limits,
        manifest: Manifest | None,
        start_ns: int | None,
        now_ns: int,
        wall_ns: int,
        ask_keyframe: Callable[[], None],
        interruptions: Between = lambda *_: (),
    ) -> None:
        self.frames = 0
        self.dropped = 0
        self.duration_s = 0.0
        self.ended: Ending | None = None
        self.chapters: Sequence[Chapter] = ()  # times of arrival, and titles; only MP4 files hold them
        self.segments: deque[Segment] = deque(maxlen=SEGMENTS_LIMIT)
        self._target = target
        self._has_audio = has_audio
        self._limits = limits
        self._manifest = manifest
        self._start_ns = start_ns
        self.wall_ns = wall_ns
        self._ask_keyframe = ask_keyframe
        self._interruptions = interruptions
        self._opened_ns = now_ns
        self._timeline: Timeline | None = None
        self._shown_ns = 0  # the newest frame's time in the recording
        self._newest_ns = 0  # when the newest unit arrived
        self._finished_bytes = 0
        self._current: _File | None = None
        self._parts: deque[Part] = deque(maxlen=SEGMENTS_LIMIT)
        self._codec_name = ""  # of the newest frame
        self._reordering = Reordering("")
        self._refused_codec = False  # whether a keyframe came in another codec too soon after the last change
        self._unused: IO[bytes] | None  # an open file without a frame
        self.path, self._unused = target.open(self._unix_s(now_ns if start_ns is None else start_ns))

    @property
    def size_bytes(self) -> int:
        """The size of all files so far."""
        return self._finished_bytes + (self._current.media.size if self._current is not None else 0)

    @property
    def written(self) -> int:
        """How many frames are safe in the files."""
        current = self._current
        return self.frames - (0 if current is None else current.frames - current.media.written)

    @property
    def parts(self) -> list[Part]:
        """The last SEGMENTS_LIMIT files, and when each begins."""
        return list(self._parts)

    def put(self, unit: AccessUnit) -> None:
        """Write a unit."""
        if self.ended is not None:
            return
        if self._timeline is None:
            if unit.kind == "audio":
                return  # a recording begins with a frame
            self._start_ns = unit.arrival_ns if self._start_ns is None else self._start_ns
            self._timeline = Timeline(self._start_ns)
        ticks = self._timeline.place(unit)
        now_ns = ticks * _S // unit.codec.clock_rate
        self._newest_ns = unit.arrival_ns
        if unit.kind == "video":
            self._follow_order(unit)
            self._shown_ns = max(self._shown_ns, now_ns)
        elif now_ns < 0:
            return
        if self._is_over(now_ns, len(unit.data)):
            return
        self.duration_s = max(self.duration_s, now_ns / _S)
        current = self._file_for(unit, ticks, now_ns)
        goes_back = unit.kind == "video" and self._reordering.goes_back and now_ns < self._shown_ns
        if current is None or (goes_back and current.frames == 1):  # it refers to frames of another file, or of none
            self.dropped += 1
            return
        self.frames += unit.kind == "video"
        current.write(unit, ticks, goes_back=goes_back)
        self._look_ahead(current, now_ns)

    def tick(self, now_ns: int) -> None:
        """Do what is due without a new unit. Call it a few times a second."""
        if self.ended is not None:
            return
        if self._current is None:
            longest_s = self._limits.max_duration_s
            if longest_s is not None and now_ns - self._opened_ns >= max(longest_s, FIRST_FRAME_S) * _S:
                self._end(0, "limit")
            return
        now_ns = self._time_of(now_ns)
        self.duration_s = max(self.duration_s, now_ns / _S)
        if not self._is_over(now_ns, 0):
            self._current.media.flush(now_ns - self._current.begin_ns)
            self._look_ahead(self._current, now_ns)

    def close(self, now_ns: int, ending: Ending) -> None:
        """End the recording. Its last frame lasts until now, or until the last unit of a stream that was lost."""
        if self.ended is None:
            self._end(self._time_of(self._newest_ns if ending == "lost" else now_ns), ending)

    def abandon(self) -> None:
        """End the recording after an error, and keep what is complete. Raises nothing."""
        self.ended = "error"
        current, self._current = self._current, None
        if current is None:
            self._remove_empty()
            return
        lost = current.frames - current.media.written
        self.frames -= lost
        current.frames -= lost
        self.dropped += lost
        current.media.abandon()
        if not current.frames:
            self._unused = current.file
            self._remove_empty()
            return
        with contextlib.suppress(OSError):  # the disk may be full
            self._close_file(current, int(self.duration_s * _S), "error")

    def _follow_order(self, unit: AccessUnit) -> None:
        if unit.codec.name != self._codec_name:
            self._codec_name, self._reordering = unit.codec.name, Reordering(unit.codec.name)
        if unit.discontinuity:
            self._reordering.begin()
        self._reordering.add(unit.data)

    def _time_of(self, arrival_ns: int) -> int:
        """Return the recording's time for a time of arrival, at least the newest frame's."""
        return self._shown_ns if self._timeline is None else max(self._timeline.time_of(arrival_ns), self._shown_ns)

    def _unix_s(self, arrival_ns: int) -> float:
        return (arrival_ns + self.wall_ns) / _S

    def _is_over(self, now_ns: int, size: int) -> bool:
        """End the recording if it has reached one of its limits; return whether it has ended."""
        limits = self._limits
        if limits.max_duration_s is not None and now_ns >= limits.max_duration_s * _S:
            self._end(int(limits.max_duration_s * _S), "limit")
        elif limits.max_bytes is not None and self.size_bytes + size > limits.max_bytes:
            self._end(now_ns, "limit")
        return self.ended is not None

    def _file_for(self, unit: AccessUnit, ticks: int, now_ns: int) -> "_File | None":
        """Return the file that a unit belongs to, a new one if need be; None if it belongs to none."""
        if (why := refusal(self._target.container, unit.codec.name)) is not None:
            raise RecordingError(f"cannot record into {self.path}: {why}", reason="codec")
        current = self._current
        if unit.kind == "audio":
            return current if self._has_audio else None
        changed = current is not None and unit.codec.name != current.codec_name
        if not unit.is_keyframe:
            return None if changed or self._refused_codec else current
        if current is not None and changed and now_ns < current.next_change_ns:
            if not current.is_warned:
                current.is_warned = True
                _logger.warning("%s: the phone changes its codec too often: the recording leaves frames out", self.path)
            self._refused_codec = True
            return None
        self._refused_codec = False
        if current is not None and (changed or self._is_full(current, now_ns)):
            self._end_file(now_ns, "codec" if changed else "segment")
            current = None
        if current is not None:
            return current
        return self._begin_file(unit, ticks, now_ns, next_change_ns=now_ns + CODEC_EVERY_NS if changed else 0)

    def _is_full(self, current: "_File", now_ns: int) -> bool:
        """Whether a file should end with the next keyframe."""
        limits = self._limits
        segment_s = limits.segment_s
        if not self._target.is_pipe:
            segment_s = min(filter(None, (segment_s, self._target.container.longest_s)), default=None)
        if segment_s is not None and now_ns - current.begin_ns >= segment_s * _S:
            return True
        return limits.segment_bytes is not None and current.media.size >= limits.cut_at_bytes

    def _look_ahead(self, current: "_File", now_ns: int) -> None:
        if not current.is_ending and self._is_full(current, now_ns):
            current.is_ending = True
            self._ask_keyframe()
        elif self._refused_codec and now_ns >= current.next_change_ns > 0:
            current.next_change_ns = 0
            self._ask_keyframe()

    def _begin_file(self, keyframe: AccessUnit, ticks: int, now_ns: int, *, next_change_ns: int) -> "_File":
        assert self._timeline is not None  # noqa: S101 - `put` made it
        begin_ns, begin = (0, 0) if self._unused is not None else (now_ns, ticks)
        opened_ns = self._timeline.arrival_of(begin_ns)
        started_at = self._unix_s(opened_ns)
        if self._unused is None:
            self.path, self._unused = self._target.open(started_at)
        media = open_media(
            self._unused,
            self._target.container,
            keyframe,
            has_audio=self._has_audio,
            is_ours=not self._target.is_pipe,
            may_reorder=self._reordering.is_allowed,
        )
        self._current = _File(
            path=self.path,
            file=self._unused,
            media=media,
            codec_name=keyframe.codec.name,
            started_at=started_at,
            opened_ns=opened_ns,
            begin_ns=begin_ns,
            begin=begin,
            next_change_ns=next_change_ns,
        )
        self._unused = None
        self._parts.append(Part(self.path, begin_ns / _S))
        return self._current

    def _end(self, end_ns: int, ending: Ending) -> None:
        if self._current is None:
            self._remove_empty()
        else:
            self.duration_s = end_ns / _S
            self._end_file(end_ns, ending)
        self.ended = ending

    def _end_file(self, end_ns: int, ending: Ending) -> None:
        current = self._current
        assert current is not None  # noqa: S101 - the caller has looked
        if self._timeline is not None:
            marks = [(self._timeline.time_of(at_ns), title) for at_ns, title in self.chapters]
            current.media.chapters = [(at - current.begin_ns, title) for at, title in marks if at < end_ns]
        is_between = ending in {"segment", "codec"}
        current.media.close(end_ns - current.begin_ns, limit_s=REARRANGE_BETWEEN_S if is_between else REARRANGE_S)
        self._current = None
        self._close_file(current, end_ns, ending)

    def _close_file(self, file: "_File", end_ns: int, ending: Ending) -> None:
        """Close a complete file, and add its segment to the list and the manifest."""
        size = file.media.size
        if not self._target.is_pipe:
            file.file.close()
            size = file.path.stat().st_size
        self._finished_bytes += size
        assert self._timeline is not None  # noqa: S101 - the file has frames
        begin, end = (self._timeline.arrival_of(ns) / _S for ns in (file.begin_ns, end_ns))
        interruptions = self._interruptions(begin, end)
        segment = Segment(
            path=file.path,
            started_at=file.started_at + begin - file.opened_ns / _S,  # a quicker frame has moved the beginning back
            duration_s=(end_ns - file.begin_ns) / _S,
            size_bytes=size,
            frames=file.frames,
            ended=ending,
            interruptions=len(interruptions),
            interrupted_s=sum(each.until - each.since for each in interruptions),
            interruption_reasons=tuple(each.reason for each in interruptions),
        )
        self.segments.append(segment)
        if self._manifest is not None:
            self._manifest.add(segment)

    def _remove_empty(self) -> None:
        """Remove the open file that has no frame."""
        if self._unused is not None and not self._target.is_pipe:
            self._unused.close()
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


@dataclass(slots=True, kw_only=True)
class _File:
    """A file under way, and its place on the recording's timeline."""

    path: Path
    file: IO[bytes]
    media: MediaFile
    codec_name: str
    started_at: float
    opened_ns: int  # the same, on the clock of arrivals, as it seemed then
    begin_ns: int
    begin: int  # the same, in ticks of the video's clock
    frames: int = 0
    is_ending: bool = False  # whether a keyframe was requested to end it
    is_warned: bool = False  # whether a warning said that the codec changes too often
    next_change_ns: int = 0  # before this time another codec does not begin a new file
    last: dict[Kind, int] = field(default_factory=lambda: {"video": -1, "audio": -1})
    before_last: int = -1  # the newest frame before `last`

    def write(self, unit: AccessUnit, ticks: int, *, goes_back: bool) -> None:
        """Write a unit at `ticks` of the recording. Times in the file rise, whatever the phone's clock does.

        Only a frame that `goes_back` may be shown before the newest one: the stream itself reorders it.
        """
        if unit.kind == "video":
            ticks -= self.begin
            self.frames += 1
        else:
            ticks -= self.begin_ns * unit.codec.clock_rate // _S
        if not (goes_back and self.before_last < ticks < self.last[unit.kind]):
            ticks = max(ticks, self.last[unit.kind] + 1)
            if unit.kind == "video":
                self.before_last = self.last["video"]
            self.last[unit.kind] = ticks
        self.media.write(unit, ticks)
