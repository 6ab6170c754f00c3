"""`Recording`: writes access units into files, unchanged or encoded again (`transcode`)."""

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, Self

from streamer.atomic_file import DISK_FULL, absolute, unwritable
from streamer.errors import ConfigurationError, RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.recording.clips import FPS, WIDTH, clip_parts
from streamer.media.recording.containers import refusal
from streamer.media.recording.segment_writer import REARRANGE_S, Between, Destination, Writer
from streamer.media.recording.segments import Ending, Limits, Manifest, Segment
from streamer.media.recording.transcode import Transcode, Transcoder
from streamer.media.worker import PacedWorker
from streamer.own_loop import OwnLoop

_logger = logging.getLogger("streamer.record")

INBOX_LIMIT: Final = 1200  # access units, some 10 s of video and audio: how far a slow disk may fall behind
INBOX_BYTES: Final = 128 * 1024 * 1024
EVERY_S: Final = 0.25  # how often the thread writes
LIVE_EVERY_S: Final = 0.02  # into a pipe
ENCODE_EVERY_S: Final = 0.05  # with `transcode`: small portions
AT_ONCE_NS: Final = 1_000_000  # two clocks count as read together if it took no longer
WRITTEN_LIMIT_S: Final = 3.0  # a frame is in the file after this time, unless it waits for the next one
CLOSE_LIMIT_S: Final = 30.0 + REARRANGE_S  # then a disk that takes nothing is given up
PIPE_LIMIT_S: Final = 10.0  # a pipe that nobody reads may block for this long


def check_target(target: str | os.PathLike[str] | IO[bytes], *, overwrite: bool = False) -> None:
    """Raise the error that a `Recording` into this target would raise, and change nothing."""
    with _named():
        Destination(target, overwrite=overwrite).check()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(error.filename, error, reason="begin") from error


class Recording:
    """A recording under way. `Session.record` makes it, and a thread of its own writes the files.

    It begins with a keyframe. Relative names are relative to the working directory at its beginning. `stop`, or leaving
    the `async with` block, ends it properly; so does reaching one of its limits. A write error ends it too: the files
    stay playable, `error` is the error, and `stop` raises it.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | IO[bytes],
        *,
        overwrite: bool = False,
        has_audio: bool,
        on_end: Callable[["Recording"], None],
        video_codecs: Collection[str] = (),
        request_keyframe: Callable[[], None] = lambda: None,
        interruptions: Between = lambda *_: (),
        limits: Limits | None = None,
        manifest: str | os.PathLike[str] | None = None,
        before: Sequence[AccessUnit] = (),
        start_ns: int = 0,
        transcode: Transcode | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Begin to record.

        `video_codecs` are the codecs that the phone may send. If the file can hold none of them, this raises
        ConfigurationError; if it can hold only some, an error ends the recording when another one comes. `before` are
        earlier access units, from a keyframe on. The recording then begins at `start_ns`, or with the first of them if
        that is later. Without them it begins with the next keyframe.
        """
        self._error: RecordingError | None = None
        self._on_end = on_end
        self._request_keyframe = request_keyframe
        self._clock_ns = clock_ns
        self._unix_ns = unix_ns
        self._loop = OwnLoop()
        self._loop.check()
        where = Destination(target, overwrite=overwrite)
        self._is_pipe = where.is_pipe
        if transcode is not None:
            video_codecs = {transcode.codec}
        self._close_limit_s = PIPE_LIMIT_S if where.is_pipe else CLOSE_LIMIT_S
        refusals = [refusal(where.container, name) for name in video_codecs]
        if refusals and all(refusals):
            raise ConfigurationError(refusals[0])
        now_ns = clock_ns()
        wall_ns = unix_ns() - now_ns
        begin_ns = max(start_ns, before[0].arrival_ns) if before else None
        ask_keyframe = functools.partial(self._loop.call_soon, request_keyframe)
        self._transcoder: Transcoder | None = None
        if transcode is not None:
            self._transcoder = Transcoder(transcode, start_ns=begin_ns, wall_ns=wall_ns, ask_keyframe=ask_keyframe)
        with _named():
            self._writer = Writer(
                where,
                has_audio=has_audio,
                interruptions=interruptions,
                limits=limits or Limits(),
                manifest=None if manifest is None else Manifest(manifest),
                start_ns=begin_ns,
                now_ns=now_ns,
                wall_ns=wall_ns,
                ask_keyframe=self._transcoder.make_keyframe if self._transcoder else ask_keyframe,
            )
        self._has_failed = False  # set by the writing thread
        self._put_bytes = 0  # put into the inbox so far
        self._taken_bytes = 0  # taken out of it so far, by the writing thread
        self._before = before
        self._refused = 0  # access units for which the inbox was full, and the frames after them up to a keyframe
        self._has_begun = bool(before)
        self._needs_keyframe = not before
        self._is_asked = True  # whether that keyframe was requested
        self._ending: Ending = "stopped"
        self._ended_by: Exception | None = None
        self._end_ns = 0
        self._closing: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[None] = self._loop.check().create_future()
        self._worker = PacedWorker(
            f"record {self.path.name}",
            self._take,
            self._tick,
            self._finish,
            limit=INBOX_LIMIT,
            every_s=LIVE_EVERY_S if where.container.is_live else ENCODE_EVERY_S if transcode else EVERY_S,
        )
        if self._needs_keyframe:
            request_keyframe()

    def __repr__(self) -> str:
        return f"<Recording {self.path}: {self.frames} frames>"

    @property
    def path(self) -> Path:
        """The file under way, or the last file."""
        return self._writer.path

    @property
    def frames(self) -> int:
        """How many frames the recording has."""
        return self._writer.frames

    @property
    def dropped(self) -> int:
        """How many access units are missing in the recording, because the disk was too slow or writing failed.

        Units before the first keyframe do not count. Frames that a slow `transcode` left out do.
        """
        return self._refused + self._writer.dropped + (self._transcoder.dropped if self._transcoder else 0)

    @property
    def duration_s(self) -> float:
        """The length of the recording in seconds, up to now: the last frame is still on the screen."""
        return self._writer.duration_s

    @property
    def size_bytes(self) -> int:
        """The size of all files so far, in bytes."""
        return self._writer.size_bytes

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The finished files, at most the last thousand."""
        return tuple(self._writer.segments)

    @property
    def error(self) -> RecordingError | None:
        """Why the recording could not be written on; None if nothing went wrong so far."""
        return self._error

    async def clip(
        self,
        start_s: float,
        end_s: float,
        path: str | os.PathLike[str],
        *,
        width: int = WIDTH,
        fps: float = FPS,
        overwrite: bool = False,
    ) -> None:
        """Write some seconds of the recording, finished or not, as a small `.webp`, `.gif` or `.mp4`.

        Args:
            start_s: Where the clip begins, in seconds from the recording's beginning, over all of its files.
            end_s: Where it ends, at most a minute later.
            path: The file to write. It must not be one of the recording's own.
            width: The maximum width in pixels.
            fps: Frames a second, at most 30.
            overwrite: Replace a file that exists.

        Raises:
            ConfigurationError: The kind of file or the range is impossible, or the recording goes into a pipe.
            RecordingError: The file exists or cannot be written.
        """
        if self._is_pipe:
            raise ConfigurationError(
                "expected a recording into files, got one into a pipe: streamer cannot read a pipe back"
            )
        path = absolute(path)
        length_s, frames = self.duration_s, self.frames
        try:
            async with asyncio.timeout(WRITTEN_LIMIT_S):
                while self._writer.written < frames and not self.is_closed:  # noqa: ASYNC110 - a thread counts
                    await asyncio.sleep(0.05)
        except TimeoutError:
            _logger.debug("= the newest frame of %s waits for the next one", self.path)
        parts = self._writer.parts
        if not parts:
            raise ConfigurationError("nothing is recorded yet: wait for the first frame")
        await clip_parts(parts, start_s, end_s, path, length_s=length_s, width=width, fps=fps, overwrite=overwrite)

    def put(self, unit: AccessUnit) -> None:
        """Write an access unit soon; never waits. If the inbox is full, frames are left out up to the next keyframe."""
        if self._closing is not None:
            return
        if unit.kind == "video" and self._needs_keyframe:
            if not unit.is_keyframe:
                self._refused += self._has_begun
                self._ask_again()
                return
            self._needs_keyframe, self._has_begun = False, True
        size = len(unit.data)
        if self._waiting_bytes + size <= INBOX_BYTES and self._worker.put(unit):
            self._put_bytes += size
        else:
            self._refused += 1
            if unit.kind == "video":
                self._needs_keyframe, self._is_asked = True, False

    async def stop(self) -> None:
        """End the recording, and wait until its file is closed. Leaving the `async with` block does this.

        Raises:
            RecordingError: It could not be written, or no frame came (`reason` "empty"): then there is no file.
            StreamerError: The error that ended the stream earlier. The file has everything up to then.
        """
        self.end(None)
        await self.closed()
        if error := self._error or self._ended_by:
            raise error
        if not self.frames:
            raise RecordingError(f"no frame came: {self.path} was not written", reason="empty")

    def end(self, reason: Exception | None) -> None:
        """Accept nothing more and begin to close the file, without waiting.

        Args:
            reason: The error that ended the stream, if one did.
        """
        self._loop.check()
        if self._closing is None:
            self._ended_by = reason
            self._ending = "stopped" if reason is None else "lost"
            self._end_ns = self._clock_ns()
            self._on_end(self)
            self._closing = asyncio.create_task(self._close(), name=f"close {self.path.name}")

    async def closed(self) -> None:
        """Wait until the recording has ended, for any reason, and its file is closed."""
        self._loop.check()
        await asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        """Whether the recording has ended and its file is closed."""
        return self._closed.done()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object, *_: object) -> None:
        if exc_type is None:
            await self.stop()
            return
        self.end(None)
        await self.closed()  # and raise nothing: the block's own error says more

    def _ask_again(self) -> None:
        """Request the keyframe with which the recording goes on, once the inbox has room."""
        has_room = self._worker.waiting < INBOX_LIMIT // 2 and self._waiting_bytes < INBOX_BYTES // 2
        if not self._is_asked and has_room:
            self._is_asked = True
            self._request_keyframe()

    @property
    def _waiting_bytes(self) -> int:
        return self._put_bytes - self._taken_bytes

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(self._close_limit_s):
                await self._worker.aclose()
        except TimeoutError:
            self._error = RecordingError(
                f"timed out writing {self.path}: the disk, or the reader of the pipe, takes no more", reason="stalled"
            )
        finally:
            self._closed.set_result(None)

    # What follows runs in the worker's thread.

    def _take(self, unit: AccessUnit) -> None:
        self._taken_bytes += len(unit.data)
        if self._before:
            self._take_before()
        if self._has_failed:
            self._writer.dropped += 1
        self._attempt(self._write, unit, self._clock_ns())

    def _take_before(self) -> None:
        units, self._before = self._before, ()
        for unit in units:
            self._attempt(self._write, unit, unit.arrival_ns)  # its own arrival: it is early on purpose, not late

    def _tick(self) -> None:
        self._take_before()
        self._follow_wall_clock()
        self._attempt(self._advance, self._clock_ns())
        if self._writer.ended is not None:
            self._loop.call_soon(self.end, None)

    def _follow_wall_clock(self) -> None:
        """Measure the difference of the two clocks again: the wall clock may be set, and the monotonic one may stop."""
        now_ns, unix_ns = self._clock_ns(), self._unix_ns()
        if self._clock_ns() - now_ns > AT_ONCE_NS:
            return  # the thread was held up between the two
        self._writer.wall_ns = unix_ns - now_ns
        if self._transcoder is not None:
            self._transcoder.wall_ns = unix_ns - now_ns

    def _finish(self) -> None:
        self._take_before()
        self._attempt(self._end_writer, self._end_ns)
        if self._transcoder is not None:
            self._transcoder.release()

    def _write(self, unit: AccessUnit, now_ns: int) -> None:
        if self._transcoder is None:
            self._writer.put(unit)
        elif self._writer.ended is None:
            for made in self._transcoder.put(unit, now_ns):
                self._writer.put(made)

    def _advance(self, now_ns: int) -> None:
        if self._transcoder is not None and self._writer.ended is None:
            for made in self._transcoder.tick(now_ns):
                self._writer.put(made)
            now_ns = self._transcoder.now_ns or now_ns
        self._writer.tick(now_ns)

    def _end_writer(self, end_ns: int) -> None:
        if self._transcoder is not None and self._writer.ended is None:
            units, end_ns = self._transcoder.close(end_ns)
            for made in units:
                self._writer.put(made)
        self._writer.close(end_ns, self._ending)

    def _attempt(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._has_failed:
            return
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - our own bugs, too, must end the recording with an error
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._has_failed = True
        self._keep(error)
        if isinstance(error, RecordingError):
            self._error = error
        else:
            what = getattr(error, "strerror", None) or (str(error) if isinstance(error, OSError) else repr(error))
            self._error = RecordingError(
                f"writing {self.path} failed after {self.frames} frames: {what}",
                reason="disk-full" if getattr(error, "errno", None) in DISK_FULL else "write",
            )
            self._error.__cause__ = error
        _logger.error("%s", self._error)

    def _keep(self, error: Exception) -> None:
        """End the file. If only the encoder failed, the file gets what it gave, too."""
        if self._transcoder is not None and isinstance(error, RecordingError) and error.reason == "encode":
            with contextlib.suppress(Exception):
                for made in self._transcoder.take():
                    self._writer.put(made)
                self._writer.close(self._transcoder.now_ns or self._clock_ns(), "error")
                return
        self._writer.abandon()
