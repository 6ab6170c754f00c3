"""The files that the tools write, all in one directory, under names of their own."""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from streamer.agent.strip import strip_of
from streamer.errors import ConfigurationError, RecordingError, StreamerError
from streamer.media.recording.recording import Recording
from streamer.session import Session

RECORD_LIMIT_S: Final = 3600.0  # a recording that nobody stops ends by itself


class Files:
    """Clips and recordings. Without a directory they go into a temporary one, which is made when it is needed."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._recording: Recording | None = None

    async def clip(self, session: Session, seconds: float) -> tuple[Mapping[str, Any], bytes]:
        """Write the last seconds; return the facts of the file, and a strip of its frames as a JPEG.

        Raises:
            RecordingError: The file cannot be written, or no frame came.
            StreamerError: What ended the session.
        """
        clip = session.record(self._new("clip", ".mp4"), before_s=seconds)
        await clip.stop()
        strip, before_end_s = await asyncio.to_thread(strip_of, clip.path)
        return {**_facts_of(clip), "strip_before_end_s": before_end_s}, strip

    async def record(self, session: Session, *, begin: bool) -> Mapping[str, Any]:
        """Begin a recording, or end it; return its facts.

        Raises:
            ConfigurationError: There is a recording already, or none.
            RecordingError: The file cannot be written.
            StreamerError: What ended the session.
        """
        recording = self._recording
        if begin:
            if recording is not None and not recording.is_closed:
                raise ConfigurationError(f"{recording.path} is being recorded already: stop that first")
            self._recording = session.record(self._new("recording", ".mp4"), max_duration_s=RECORD_LIMIT_S)
            return {"recording": str(self._recording.path)}
        if recording is None:
            raise ConfigurationError("nothing is being recorded: start a recording first")
        self._recording = None
        try:
            await recording.stop()
        except StreamerError as error:
            if not recording.frames:
                raise
            return {**_facts_of(recording), "note": str(error)}  # it ended early, and is there
        return _facts_of(recording)

    def _new(self, what: str, suffix: str) -> Path:
        """Return the name of a new file; the directory is there then."""
        try:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="streamer-mcp-"))
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"cannot write into {self._directory}: {error.strerror}", reason="begin") from error
        stem = f"{what}-{time.strftime('%Y%m%d-%H%M%S')}"
        names = (f"{stem}{number}{suffix}" for number in ("", *(f"-{count}" for count in range(2, 1000))))
        return next(path for name in names if not (path := self._directory / name).exists())


def _facts_of(recording: Recording) -> dict[str, Any]:
    return {
        "file": str(recording.path),
        "duration_s": round(recording.duration_s, 3),
        "size_bytes": recording.size_bytes,
    }
