"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import os
import pathlib
import typing

import streamer
from streamer.sync.face import Face, run_alone


class Recording(Face[streamer.Recording]):
    """A recording under way. `Session.record` makes it, and a thread of its own writes the files.

    It begins with a keyframe. Relative names are relative to the working directory at its beginning. `stop`, or leaving
    the `with` block, ends it properly; so does reaching one of its limits. A write error ends it too: the files stay
    playable, `error` is the error, and `stop` raises it.
    """

    @property
    def path(self) -> pathlib.Path:
        """The file under way, or the last file."""
        return self._async.path

    @property
    def frames(self) -> int:
        """How many frames the recording has."""
        return self._async.frames

    @property
    def dropped(self) -> int:
        """How many access units are missing in the recording, because the disk was too slow or writing failed.

        Units before the first keyframe do not count. Frames that a slow `transcode` left out do.
        """
        return self._async.dropped

    @property
    def duration_s(self) -> float:
        """The length of the recording in seconds, up to now: the last frame is still on the screen."""
        return self._async.duration_s

    @property
    def size_bytes(self) -> int:
        """The size of all files so far, in bytes."""
        return self._async.size_bytes

    @property
    def segments(self) -> tuple[streamer.Segment, ...]:
        """The finished files, at most the last thousand."""
        return self._async.segments

    @property
    def error(self) -> streamer.RecordingError | None:
        """Why the recording could not be written on; None if nothing went wrong so far."""
        return self._async.error

    def clip(
        self,
        start_s: float,
        end_s: float,
        path: str | os.PathLike[str],
        *,
        width: int = 480,
        fps: float = 10.0,
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
        self._wait(self._async.clip, start_s, end_s, path, width=width, fps=fps, overwrite=overwrite)

    def stop(self) -> None:
        """End the recording, and wait until its file is closed. Leaving the `with` block does this.

        Raises:
            RecordingError: It could not be written, or no frame came (`reason` "empty"): then there is no file.
            StreamerError: The error that ended the stream earlier. The file has everything up to then.
        """
        self._end(self._async.stop)

    def end(self, reason: Exception | None) -> None:
        """Accept nothing more and begin to close the file, without waiting.

        Args:
            reason: The error that ended the stream, if one did.
        """
        self._end(self._async.end, reason)

    def closed(self) -> None:
        """Wait until the recording has ended, for any reason, and its file is closed."""
        self._end(self._async.closed)

    @property
    def is_closed(self) -> bool:
        """Whether the recording has ended and its file is closed."""
        return self._async.is_closed

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, exc_type: object, *_: object) -> None:
        self._end(self._async.__aexit__, exc_type, *_)


def clip(
    source: str | os.PathLike[str],
    start_s: float,
    end_s: float | None,
    target: str | os.PathLike[str],
    *,
    width: int = 480,
    fps: float = 10.0,
    overwrite: bool = False,
) -> None:
    """Write a few seconds of a video file as an animated `.webp` or `.gif`, or as an `.mp4`, without audio.

    It runs in a thread. The target appears when it is complete, or not at all.

    Args:
        source: The video file. It is only read.
        start_s: Where the clip begins, in seconds.
        end_s: Where it ends, at most a minute later; None is the end of the file.
        target: The file to write. Its suffix decides the format.
        width: The maximum width in pixels.
        fps: Frames per second, at most 30.
        overwrite: Replace a target that exists.

    Raises:
        ConfigurationError: The kind of file or the range is impossible, or the target is the source.
        RecordingError: The source cannot be read, or the target exists or cannot be written.
    """
    run_alone(streamer.clip, source, start_s, end_s, target, width=width, fps=fps, overwrite=overwrite)
