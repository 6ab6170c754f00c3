"""Decoded pictures, and the iterators that consumers read them from."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from streamer.errors import ConfigurationError, FramesOverflowError, MissingExtraError
from streamer.media.consumer import Consumer
from streamer.media.images import QUALITY, ImageFormat, encode_image, image_format_of
from streamer.media.mailbox import Every, Latest, Mailbox, OverflowedError
from streamer.media.whole import write_whole
from streamer.ports import AudioPort

Policy: TypeAlias = Literal["latest", "every"]
PixelFormat: TypeAlias = Literal["rgb24", "bgr24", "gray", "yuv420p"]

EVERY_LIMIT: Final = 60  # frames a consumer of "every" may be behind: 85 MB at 720x1280
_SIZE_LIMIT: Final = 16384
_FORMATS: Final = ("rgb24", "bgr24", "gray", "yuv420p")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoFrame:
    """One decoded picture of the phone's screen.

    `sequence` counts the decoded pictures of a session from 0: a consumer that sees it jump has skipped some.
    `discontinuity` is of each consumer's own: set with the first picture it gets, and with the first one it gets after
    pictures were lost on the way or the stream began anew, also if it skipped the one right after that. What a consumer
    skips itself is none.
    """

    width: int
    height: int
    sequence: int
    rtp_time: int  # 90 kHz ticks, extended: the phone's own clock, origin unknown
    arrival_ns: int  # monotonic, of the datagram that completed the picture
    received_at: float  # the same moment as Unix time in seconds
    decoded_ns: int  # monotonic, when the decoder had handed it over
    captured_at: float | None  # Unix time in seconds on the phone's own clock; None before its first sender report
    is_keyframe: bool
    discontinuity: bool  # pictures were lost, or the stream began anew, since the picture that was got before
    audio_port: AudioPort | None = None  # the one in force when this picture came
    picture: av.VideoFrame = field(repr=False)  # PyAV's own frame: its planes are the decoder's, without a copy

    def to_ndarray(
        self,
        format: PixelFormat = "rgb24",  # noqa: A002 - PyAV's and PIL's word
        *,
        size: tuple[int, int] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return the pixels, scaled to `size` (width, height) in the same pass if it is given.

        Shapes: (height, width, 3) uint8 for "rgb24" and "bgr24", (height, width) for "gray", (height * 3 // 2, width)
        for "yuv420p", planes one below the other; all C-contiguous. The picture's own range (full or limited),
        colours and depth are honoured.

        Every call converts anew, in the caller's thread: `await asyncio.to_thread(frame.to_ndarray, ...)` keeps a loop
        free. Raises ConfigurationError for another format or an impossible size, as an odd one is for "yuv420p".
        """
        if format not in _FORMATS:
            raise ConfigurationError(f"expected a pixel format of {', '.join(_FORMATS)}, got {format!r}")
        width, height = size or (self.width, self.height)
        if not (0 < width <= _SIZE_LIMIT and 0 < height <= _SIZE_LIMIT):
            raise ConfigurationError(f"expected a size of 1 to {_SIZE_LIMIT} pixels each way, got {width}x{height}")
        if format == "yuv420p" and (width % 2 or height % 2):
            raise ConfigurationError(f'expected an even size for "yuv420p", got {width}x{height}: name one')
        if size is None:
            return np.ascontiguousarray(self.picture.to_ndarray(format=format), dtype=np.uint8)
        scaled = self.picture.to_ndarray(format=format, width=width, height=height, interpolation="AREA")
        return np.ascontiguousarray(scaled, dtype=np.uint8)

    def to_image(self, *, size: tuple[int, int] | None = None) -> Any:
        """Return a `PIL.Image.Image` in RGB, scaled as `to_ndarray` does. Raises MissingExtraError without `image`."""
        try:
            from PIL import Image  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("VideoFrame.to_image()", "image") from error
        return Image.fromarray(self.to_ndarray("rgb24", size=size))

    def encode(
        self, image_format: ImageFormat = "png", *, quality: int = QUALITY, size: tuple[int, int] | None = None
    ) -> bytes:
        """Return the picture as an image file, scaled as `to_ndarray` does; `quality`, 1 to 100, is for "jpeg".

        It takes some milliseconds of the caller's thread. Raises ConfigurationError for what cannot be.
        """
        return encode_image(self.to_ndarray("rgb24", size=size), image_format, quality=quality)

    def save(
        self, path: str | os.PathLike[str], *, quality: int = QUALITY, size: tuple[int, int] | None = None
    ) -> None:
        """Write the picture into a `.png`, `.jpg` or `.jpeg` file, as `encode` makes it: whole, or not at all.

        It blocks: `await asyncio.to_thread(frame.save, path)`. Raises ConfigurationError for another kind of file,
        RecordingError if it cannot be written.
        """
        write_whole(path, self.encode(image_format_of(Path(path)), quality=quality, size=size))


class FrameHub:
    """Hand each decoded picture to every consumer; keep the last one for who comes later.

    `on_watch(True)` is called when the first consumer comes and `on_watch(False)` when the last one goes.
    """

    def __init__(self, on_watch: Callable[[bool], None]) -> None:
        self.published = 0
        self.last: VideoFrame | None = None
        self._skipped_before = 0
        self._on_watch = on_watch
        self._consumers: set[FrameIterator] = set()
        self._ended = False
        self._error: BaseException | None = None

    @property
    def skipped(self) -> int:
        """Pictures that were decoded and that some consumer did not get."""
        return self._skipped_before + sum(consumer.skipped for consumer in self._consumers)

    @property
    def is_watched(self) -> bool:
        """Whether anybody consumes pictures."""
        return bool(self._consumers)

    def publish(self, frame: VideoFrame) -> None:
        """Hand a picture to every consumer."""
        self.published += 1
        self.last = frame
        for consumer in self._consumers:
            consumer.put(frame)

    def forget_last(self) -> None:
        """Forget the last picture: the screen has changed since."""
        self.last = None

    def end(self, error: BaseException | None) -> None:
        """End every iterator, after what it has not read yet; with `error` if there is one."""
        self._ended, self._error = True, error
        for consumer in list(self._consumers):
            consumer.end(error)

    def subscribe(self, policy: Policy, *, max_fps: float | None, limit: int) -> "FrameIterator":
        """Return a new consumer, which gets the last picture at once if it is still on the screen."""
        if policy not in {"latest", "every"}:
            raise ConfigurationError(f'expected the policy "latest" or "every", got {policy!r}')
        if max_fps is not None and not max_fps > 0:
            raise ConfigurationError(f"expected max_fps above 0, got {max_fps}")
        mailbox: Mailbox[VideoFrame] = Latest(_inherit) if policy == "latest" else Every(limit)
        consumer = FrameIterator(mailbox, self._unsubscribe, max_fps=max_fps)
        if self.last is not None:
            consumer.put(self.last)
        if self._ended:
            consumer.end(self._error)
            return consumer
        self._consumers.add(consumer)
        if len(self._consumers) == 1:
            self._on_watch(True)
        return consumer

    def _unsubscribe(self, consumer: "FrameIterator") -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)
            self._skipped_before += consumer.skipped
            if not self._consumers and not self._ended:
                self._on_watch(False)


class FrameIterator(Consumer[VideoFrame]):
    """An async iterator of pictures. It ends when the session does; `aclose` (or `async with`) ends it before.

    One task reads it at a time. Under "latest" a slow consumer gets the newest picture; `skipped` counts the others.
    Under "every" none is left out; who falls behind by more than the limit gets FramesOverflowError after the pictures
    that were kept.
    """

    def __init__(
        self,
        mailbox: Mailbox[VideoFrame],
        unsubscribe: Callable[["FrameIterator"], None],
        *,
        max_fps: float | None,
    ) -> None:
        super().__init__(mailbox, unsubscribe)
        self._interval_s = 1 / max_fps if max_fps else 0.0
        self._next_s = 0.0
        self._is_first = True

    async def __anext__(self) -> VideoFrame:
        """Return the next picture.

        Raises StopAsyncIteration after the session was left, the error that ended it otherwise.
        """
        while self._interval_s and not self._ended and (early_s := self._next_s - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(early_s):
                    await self._change()
        while True:
            try:
                frame = self._mailbox.take()
            except OverflowedError:
                limit = getattr(self._mailbox, "limit", 0)
                self.close()
                raise FramesOverflowError(
                    f"the consumer of every frame fell behind by more than {limit} frames: read faster, "
                    'or use policy="latest"',
                    limit=limit,
                ) from None
            if frame is not None:
                if self._interval_s:
                    now_s = time.monotonic()
                    on_time_s = self._next_s + self._interval_s
                    self._next_s = on_time_s if on_time_s > now_s else now_s + self._interval_s
                if self._is_first:
                    self._is_first, frame = False, _marked(frame)
                return frame
            if self._ended:
                self._raise_end()
            await self._change()


def _marked(frame: VideoFrame) -> VideoFrame:
    """Return a picture with its `discontinuity` set: another object with the same pixels, as consumers share it."""
    return frame if frame.discontinuity else replace(frame, discontinuity=True)


def _inherit(skipped: VideoFrame, newest: VideoFrame) -> VideoFrame:
    return _marked(newest) if skipped.discontinuity else newest
