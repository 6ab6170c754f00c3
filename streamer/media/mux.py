"""Recording: access units into an MP4 file, as they came, without decoding or encoding anything."""

import asyncio
import contextlib
import fractions
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

import av
from av.container import OutputContainer

from streamer.errors import ConfigurationError, RecordingError
from streamer.media.units import AccessUnit
from streamer.media.worker import Worker

_logger = logging.getLogger("streamer.record")

INBOX_LIMIT: Final = 1200  # access units, some 15 s of picture and sound: what a slow disk may hold up
_AUDIO_WAIT_NS: Final = 1_000_000_000  # how long the header waits for the sound's first packet

# A regular file once it is closed properly, playable up to its last fragment if the process dies before.
_MP4_OPTIONS: Final = {"movflags": "+hybrid_fragmented", "frag_duration": "1000000"}


def check_path(path: Path) -> None:
    """Raise what a `Recording` into this file would raise at its beginning; whatever is there stays as it is."""
    try:
        _open_file(path, "xb").close()
    except FileExistsError:
        _open_file(path, "ab").close()
    else:
        path.unlink()


def _open_file(path: Path, mode: str) -> BinaryIO:
    if path.suffix.lower() != ".mp4":
        raise ConfigurationError(f"expected a file name that ends in .mp4, got {path.name!r}")
    try:
        return cast("BinaryIO", path.open(mode))
    except FileExistsError:
        raise
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror}") from error


class Recording:
    """One MP4 file being written by a thread of its own: H.264 and Opus, copied.

    It begins with the next keyframe. `stop` (or leaving `async with`) closes the file properly. A write error ends it:
    what was written stays playable, `error` says why, and `stop` raises it.
    """

    def __init__(self, path: str | os.PathLike[str], *, has_audio: bool, on_end: Callable[["Recording"], None]) -> None:
        self.path = Path(path)
        self.pictures = 0
        self.dropped = 0  # access units that the inbox had no room for
        self.error: RecordingError | None = None
        self._file = _open_file(self.path, "wb")
        self._on_end = on_end
        self._has_audio = has_audio
        self._container: OutputContainer | None = None
        self._waiting: list[AccessUnit] = []  # until the header can be written; bounded by _AUDIO_WAIT_NS
        self._needs_keyframe = True
        self._has_begun = False  # whether a keyframe has come
        self._clocks: dict[str, _Clock] = {}
        self._start_ns = 0
        self._end_s = 0.0
        self._stopping: asyncio.Future[None] | None = None
        self._ended_by: Exception | None = None
        self._worker = Worker(f"record {self.path.name}", self._take, self._close, limit=INBOX_LIMIT)

    @property
    def duration_s(self) -> float:
        """From the first picture to the last access unit written."""
        return self._end_s

    @property
    def size_bytes(self) -> int:
        """The file's size so far."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def put(self, unit: AccessUnit) -> None:
        """Write an access unit soon; never waits. With the inbox full, pictures are left out up to a keyframe."""
        if unit.kind == "video":
            if self._needs_keyframe and not unit.is_keyframe:
                self.dropped += self._has_begun
                return
            self._needs_keyframe, self._has_begun = False, True
        if not self._worker.put(unit):
            self.dropped += 1
            self._needs_keyframe = self._needs_keyframe or unit.kind == "video"

    async def stop(self) -> None:
        """Write what is left and close the file.

        Raises RecordingError if it could not be written, and the session's error if the stream ended before: the file
        then holds all that came.
        """
        self.end(None)
        await self.closed()
        if error := self.error or self._ended_by:
            raise error

    def end(self, reason: Exception | None) -> None:
        """Take no more and begin to close the file; `reason` is the error that ended the stream, if one did."""
        if self._stopping is None:
            self._ended_by = reason
            self._on_end(self)
            self._stopping = asyncio.ensure_future(self._worker.aclose())

    async def closed(self) -> None:
        """Wait until the file is closed, after `end`."""
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object, *_: object) -> None:
        if exc_type is None:
            await self.stop()
            return
        self.end(None)
        await self.closed()  # and no error of ours: the one under way says more

    # What follows runs in the worker's thread.

    def _take(self, unit: AccessUnit) -> None:
        if self.error is not None:
            return
        if unit.kind == "video" and unit.codec.name != "h264":
            self._fail(ValueError(f"expected H264 video, got {unit.codec.name.upper()}"))
            return
        try:
            if self._container is None:
                self._waiting.append(unit)
                self._begin()
            else:
                self._write(unit)
        except (av.FFmpegError, OSError) as error:
            self._fail(error)

    def _begin(self) -> None:
        """Write the header once it is known what the file holds, and what came meanwhile."""
        first = next((unit for unit in self._waiting if unit.kind == "video"), None)
        if first is None:
            self._waiting = self._waiting[-100:]
            return
        audio = next((unit for unit in self._waiting if unit.kind == "audio"), None)
        waited_ns = self._waiting[-1].arrival_ns - first.arrival_ns
        if audio is None and self._has_audio and waited_ns < _AUDIO_WAIT_NS:
            return
        self._open(first, audio)

    def _open(self, first: AccessUnit, audio: AccessUnit | None) -> None:
        container = av.open(self._file, "w", format="mp4", options=_MP4_OPTIONS)
        # The demuxer reads the keyframe's parameter sets: the file's header needs the picture's size and profile.
        with av.open(io.BytesIO(first.data), format=first.codec.name) as template:
            container.add_stream_from_template(template.streams.video[0], opaque=True)
        self._clocks["video"] = _Clock(0, first.codec.clock_rate)
        if audio is not None:
            container.add_stream("libopus", rate=audio.codec.clock_rate, layout="stereo")
            self._clocks["audio"] = _Clock(1, audio.codec.clock_rate)
        self._container = container
        self._start_ns = first.arrival_ns
        waiting, self._waiting = self._waiting, []
        for unit in waiting:
            self._write(unit)

    def _write(self, unit: AccessUnit) -> None:
        clock = self._clocks.get(unit.kind)
        if clock is None or self._container is None:
            return
        pts = clock.pts(unit, self._start_ns)
        if pts is None:
            return
        packet = av.Packet(unit.data)
        packet.stream = self._container.streams[clock.stream_index]
        packet.time_base = clock.time_base
        packet.pts = packet.dts = pts
        packet.is_keyframe = unit.is_keyframe
        self._container.mux(packet)
        self._end_s = max(self._end_s, float(pts * clock.time_base))
        self.pictures += unit.kind == "video"

    def _fail(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        self.error = RecordingError(f"writing {self.path} failed after {self.pictures} pictures: {reason}")
        self.error.__cause__ = error
        _logger.error("%s", self.error)

    def _close(self) -> None:
        try:
            if self._container is None and self._waiting and self.error is None:
                first = next((unit for unit in self._waiting if unit.kind == "video"), None)
                if first is not None:  # stopped while still waiting for the sound
                    self._open(first, next((unit for unit in self._waiting if unit.kind == "audio"), None))
            if self._container is not None:
                self._container.close()
            self._file.close()
        except (av.FFmpegError, OSError) as error:
            if self.error is None:
                self._fail(error)
        finally:
            self._container = None
            with contextlib.suppress(OSError):
                self._file.close()


class _Clock:
    """One stream's time in the file: by its RTP timestamps, laid beside the other's by when the first of each came."""

    def __init__(self, stream_index: int, clock_rate: int) -> None:
        self.stream_index = stream_index
        self.time_base = fractions.Fraction(1, clock_rate)
        self._clock_rate = clock_rate
        self._source: int | None = None
        self._offset = 0
        self._last = -1

    def pts(self, unit: AccessUnit, start_ns: int) -> int | None:
        """Return the unit's time in ticks from the first picture; None if it is before that."""
        if unit.ssrc != self._source:  # the first unit, or the phone began a new stream
            self._source = unit.ssrc
            self._offset = (unit.arrival_ns - start_ns) * self._clock_rate // 1_000_000_000 - unit.rtp_time
        pts = unit.rtp_time + self._offset
        if pts < 0:
            return None
        self._last = max(self._last + 1, pts)
        return self._last
