"""What a program can look for on the screen: images and texts."""

import asyncio
import os
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.errors import ConfigurationError
from streamer.looking_back import Past
from streamer.media.fanout import Fanout
from streamer.media.history import History
from streamer.media.playback.images import decode_image
from streamer.media.playback.video_frames import VideoFrame
from streamer.target import Target
from streamer.targets.image import THRESHOLD, image_finder
from streamer.targets.matches import Finder
from streamer.targets.reading import CallingReader, IncrementalReader, Reader, ReadText, TextLine
from streamer.targets.text import TextFinder
from streamer.verbs import Verbs
from streamer.waiting import Waits
from streamer.watch.region import Region


class Targets(Verbs, Waits):
    """Finding things on the screen: the targets of a `Session`."""

    _history: History
    _fanout: Fanout
    _preroll_s: float
    _task: "asyncio.Task[None]"
    _error: Exception | None
    _read_text: ReadText | None
    _reader: "_SharedReader | None" = None

    def get_by_image(
        self,
        image: str | os.PathLike[str] | bytes | Any,
        *,
        threshold: float = THRESHOLD,
        name: str | None = None,
    ) -> Target:
        """Return a target that looks like an image. It needs the extra `vision`.

        Args:
            image: An image file or its bytes; a `PIL.Image.Image`; or an array of uint8: RGB or RGBA pixels of shape
                (height, width, 3 or 4), or gray ones of shape (height, width).
            threshold: How alike it has to be, above 0.0 and up to 1.0.
            name: What messages call it; by default the file's name, or "the image".

        Raises:
            MissingExtraError: The extra `vision` is not installed.
            ConfigurationError: The image cannot be read, is too small or of one color, or the threshold is wrong.
        """
        self._loop.check()
        pixels, called = _pixels_of(image)
        return self._target(image_finder(pixels, threshold, name or called))

    def get_by_text(self, text: str | re.Pattern[str], *, exact: bool = False) -> Target:
        """Return a target that is a text, read from the screen. It needs the extra `ocr`, or `connect(read_text=...)`.

        The text is looked for within each line. Its place is the part of the line that it takes. Spaces do not count,
        nor do differences that Unicode calls compatible. What reads the screen takes some characters for others that
        look alike: 0, O and o, and 1, I, l and |. In a text of four characters or more, one in four may be such a one.
        A regular expression is searched for in the line as it was read.

        Args:
            text: The text, or a compiled regular expression. A part of a line matches, in upper or lower case.
            exact: The whole line must be the text, in the same case. It does not matter for a regular expression.

        Raises:
            MissingExtraError: The extra `ocr` is not installed, and `connect` was given no `read_text`.
            ConfigurationError: `text` is something else, or has no visible character.
        """
        self._loop.check()
        if self._reader is None:
            self._reader = _SharedReader(
                IncrementalReader() if self._read_text is None else CallingReader(self._read_text)
            )
        return self._target(TextFinder(self._reader, text, exact=exact))

    def _target(self, finder: Finder) -> Target:
        past = Past(
            self._history,
            self._fanout,
            self._preroll_s,
            loop=self._loop,
            complete=self._watcher.complete,
            task=self._task,
            error=lambda: self._error,
        )
        return Target(self, self._watcher, past, finder)


class _SharedReader:
    """Lets the targets of a session read the same frames, one at a time: each thread has what the others have read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lock = threading.Lock()

    def read(self, frame: VideoFrame, within: Region | None) -> tuple[TextLine, ...]:
        """Return the lines on a frame, or at least those in a part of it."""
        with self._lock:
            return self._reader.read(frame, within)


def _pixels_of(image: str | os.PathLike[str] | bytes | Any) -> tuple[npt.NDArray[Any], str]:
    """Return an image's pixels, and what to call it."""
    if isinstance(image, bytes):
        return decode_image(image), "the image"
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ConfigurationError(
                f"there is no image {path.absolute()}: check its name; a relative one starts at the working directory"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"cannot read the image {path}: {error.strerror or error}") from error
        return decode_image(data, str(path)), path.name
    if hasattr(image, "convert"):  # one of PIL's
        image = image.convert("RGBA")
    return np.asarray(image), "the image"
