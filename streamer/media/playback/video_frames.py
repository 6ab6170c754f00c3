"""Decoded frames, and the iterators that consumers read them from."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Self, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from streamer.atomic_file import write_atomically
from streamer.audio_ports import AudioPort
from streamer.errors import ConfigurationError, FramesOverflowError, MissingExtraError
from streamer.mailbox import Every, Latest, Mailbox, OverflowedError
from streamer.media.playback import jpeg
from streamer.media.playback.images import QUALITY, ImageFormat, check_image, image_format_of
from streamer.media.playback.pixels import Conversion, PixelFormat, Pixels, luma_of, planes_of
from streamer.media.playback.png import encode_png
from streamer.own_loop import OwnLoop
from streamer.pubsub import Hub, HubIterator, Subscription, two_readers

Policy: TypeAlias = Literal["latest", "every"]

EVERY_LIMIT: Final = 60  # how many frames a consumer of "every" may be behind: 85 MB at 720x1280
IDLE_AFTER: Final = 600  # unread frames of a consumer of "latest" after which decoding stops until it reads again


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoFrame:
    """One decoded frame of the phone's screen. It never changes, and any thread may use it.

    Each iterator sets `discontinuity` for itself: on its first frame, and on the first frame after frames were lost or
    the stream restarted. Frames that a consumer skips itself do not count.
    """

    width: int  # in pixels
    height: int  # in pixels
    sequence: int  # counts the decoded frames of a session from 0; a jump means that the consumer skipped some
    rtp_time: int  # 90 kHz ticks, extended: the phone's own clock, origin unknown
    arrival_ns: int  # monotonic, of the datagram that completed the frame
    received_at: float  # the same moment as Unix time in seconds
    decoded_ns: int  # monotonic, when it was decoded
    captured_at: float | None  # Unix time in seconds on the phone's own clock; None before its first sender report
    is_keyframe: bool  # whether it was decoded from a keyframe
    discontinuity: bool  # frames were lost, or the stream restarted, since the consumer's last frame
    is_repeat: bool = False  # the same frame as before: `frames(repeat=True)` on a still screen
    audio_port: AudioPort | None = None  # the audio port when this frame came
    pixels: Pixels | None = field(default=None, repr=False)  # what `frames(format=...)` converted; this consumer's own
    av_frame: av.VideoFrame = field(repr=False)  # PyAV's own frame: its planes are the decoder's, without a copy

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of `to_ndarray()` and `numpy.asarray(frame)`: (height, width, 3)."""
        return self.height, self.width, 3

    @property
    def age_s(self) -> float:
        """How long ago the frame came, in seconds. A still screen's last frame is old, and still on the screen."""
        return (time.monotonic_ns() - self.arrival_ns) / 1e9

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """The decoder's own planes, without a copy: luma, then the two planes of chroma, at half of its size each way.

        Each is a read-only view of shape (height, width) and uint8, or uint16 if the stream has more than 8 bits. Rows
        lie further apart than they are long: `view.strides[0]` says how far in bytes. Code that needs rows without gaps
        copies first, by `numpy.ascontiguousarray(view)`. A view keeps the decoder's memory, some 3 MB at 1080p, for as
        long as it is held. Values are as they were sent: black is 16 and white 235, unless the stream says that it
        uses the full range.
        """
        return planes_of(self.av_frame)

    @property
    def luma(self) -> npt.NDArray[Any]:
        """The plane of luma, as in `planes`: the brightness of each pixel, without a copy.

        Raises ConfigurationError for a stream of RGB.
        """
        return luma_of(self.av_frame)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the pixels as `to_ndarray()` does, for `numpy.asarray(frame)`.

        `dtype` converts the values; the default is uint8. `copy=False` raises ValueError, as NumPy requires: each call
        converts the pixels.
        """
        if copy is False:
            raise ValueError("cannot give an array without a copy: each call converts the pixels")
        return self.to_ndarray().astype(np.uint8 if dtype is None else dtype, copy=False)

    def __dlpack__(self, *, copy: bool | None = None, **options: Any) -> Any:
        """Return the pixels as `to_ndarray()` does, for `torch.from_dlpack(frame)` and `numpy.from_dlpack(frame)`.

        `copy=False` raises BufferError, as DLPack requires: each call converts the pixels. Other options are NumPy's.
        """
        if copy is False:
            raise BufferError("cannot give a tensor without a copy: each call converts the pixels")
        chosen = {name: value for name, value in options.items() if value is not None}  # older NumPy knows few of them
        return self.to_ndarray().__dlpack__(**chosen)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Say that the pixels are in the memory of the processor."""
        return 1, 0  # kDLCPU

    def __copy__(self) -> Self:
        return self  # it is immutable

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "cannot pickle a VideoFrame, whose pixels belong to the decoder: "
            "send frame.to_ndarray() or frame.encode() instead"
        )

    def _repr_png_(self) -> bytes:
        """Show the frame in a notebook."""
        return self.encode("png")

    def to_ndarray(
        self,
        format: PixelFormat = "rgb24",  # noqa: A002 - PyAV's and PIL's word
        *,
        size: tuple[int, int] | None = None,
        out: Pixels | None = None,
    ) -> Pixels:
        """Return the pixels as an array, which is yours.

        Each call converts again, in the caller's thread. To keep the event loop free, iterate `frames(format=...)`, or
        use `await asyncio.to_thread(frame.to_ndarray, ...)`. The conversion respects the frame's range (full or
        limited), color space and depth. Once nobody holds the array or a view of it, its memory is used for another
        one.

        Args:
            format: "rgb24" and "bgr24" give the shape (height, width, 3); "gray" gives (height, width), the frame's
                luma from 0 to 255 within one level; "yuv420p" gives (height * 3 // 2, width), planes one below the
                other. All are C-contiguous uint8.
            size: Scale to this width and height in the same pass.
            out: Write into this array and return it: uint8, of the shape above, in any memory layout. A C-contiguous
                one is written at once, another one through a copy.

        Raises:
            ConfigurationError: The format is unknown, the size is impossible, such as an odd one for "yuv420p", or
                `out` has another shape or type, or cannot be written.
        """
        return Conversion(format, size)(self.av_frame, out)

    def to_image(self, *, size: tuple[int, int] | None = None) -> Any:
        """Return a `PIL.Image.Image` in RGB.

        Args:
            size: Scale to this width and height.

        Raises:
            MissingExtraError: The extra `image` is not installed.
        """
        try:
            from PIL import Image  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("VideoFrame.to_image()", "image") from error
        return Image.fromarray(self.to_ndarray("rgb24", size=size))

    def encode(
        self, image_format: ImageFormat = "png", *, quality: int = QUALITY, size: tuple[int, int] | None = None
    ) -> bytes:
        """Return the frame as an image file. It takes a few milliseconds, in the caller's thread.

        A JPEG is made of the frame's own luma and chroma, without a detour through RGB. The extra `fast` makes that two
        to four times as fast.

        Args:
            image_format: "png" or "jpeg".
            quality: From 1 to 100, for "jpeg".
            size: Scale to this width and height.

        Raises:
            ConfigurationError: The format, quality or size is impossible.
        """
        check_image(image_format, quality)
        if image_format == "png":
            return encode_png(self.to_ndarray("rgb24", size=size))
        return jpeg.encode_frame(self.av_frame, quality, size)

    def save(
        self, path: str | os.PathLike[str], *, quality: int = QUALITY, size: tuple[int, int] | None = None
    ) -> None:
        """Write the frame into an image file, completely or not at all.

        It blocks: use `await asyncio.to_thread(frame.save, path)` to keep the event loop free.

        Args:
            path: A `.png`, `.jpg` or `.jpeg` file. An existing file is replaced.
            quality: From 1 to 100, for JPEG.
            size: Scale to this width and height.

        Raises:
            ConfigurationError: It is another kind of file, or the size is impossible.
            RecordingError: The file cannot be written.
        """
        write_atomically(path, self.encode(image_format_of(Path(path)), quality=quality, size=size))


Converted: TypeAlias = Mapping[Subscription[VideoFrame], Pixels]


class FrameHub(Hub[VideoFrame]):
    """Hands each decoded frame to every consumer, and keeps the last one for consumers that come later.

    A consumer that wants pixels and waits gets the next frame for certain: the decoder's thread converts it by
    `convert`, and `publish` hands both over. While the consumer is busy, a newer frame may replace one that it has not
    taken. It has such a frame converted when it takes it.

    It calls `on_look` when a consumer came, went or read.
    """

    def __init__(
        self,
        on_watch: Callable[[bool], None],
        on_look: Callable[[], None] = lambda: None,
        *,
        loop: OwnLoop | None = None,
    ) -> None:
        super().__init__(on_watch, loop=loop)
        self.published = 0
        self.last_size: tuple[int, int] | None = None  # of the last frame that was decoded
        self._on_look = on_look
        self._last: VideoFrame | None = None
        self._is_held = False  # whether a newer frame is not decoded yet
        self._waiting: dict[Subscription[VideoFrame], Conversion] = {}  # its own calls are all that two threads need

    @property
    def last(self) -> VideoFrame | None:
        """The frame that is on the screen, if it is decoded."""
        return None if self._is_held else self._last

    @property
    def due_s(self) -> float:
        """When the first consumer wants its next frame, by the event loop's clock; 0 if one wants every frame."""
        return min((each.due_s for each in self._subscriptions if not each.is_idle), default=0.0)

    def convert(self, av_frame: av.VideoFrame) -> Converted:
        """Return a frame's pixels for each consumer that waits for them. Call it in the decoder's thread.

        Each wait is for one frame: those that come before the consumer has run are not converted here.
        """
        converted = {}
        for subscription in list(self._waiting):
            if (conversion := self._waiting.pop(subscription, None)) is not None:
                # At an error the consumer tries it itself, and gets the error.
                with contextlib.suppress(ConfigurationError, MemoryError, av.FFmpegError):
                    converted[subscription] = conversion(av_frame)
        return converted

    @contextlib.contextmanager
    def waiting_for(self, subscription: Subscription[VideoFrame], conversion: Conversion | None) -> Iterator[None]:
        """Have `convert` convert the next frame for a consumer that waits for it, for the length of the block."""
        if conversion is not None:
            self._waiting[subscription] = conversion
        try:
            yield
        finally:
            self._waiting.pop(subscription, None)

    def publish(self, item: VideoFrame, converted: Converted | None = None) -> None:
        """Hand a frame to every consumer, with its pixels to those that `convert` made them for."""
        self.published += 1
        self._last = item
        self.last_size = item.width, item.height
        for subscription in tuple(self._subscriptions):
            pixels = converted.get(subscription) if converted else None
            subscription.put(item if pixels is None else replace(item, pixels=pixels))
        self.look()

    def look(self) -> None:
        """Check whether anybody reads, and when the next frame is wanted."""
        super().look()
        self._on_look()

    def hold_last(self) -> None:
        """Forget the last frame, and others from before `forget_last`: a newer one will be decoded."""
        self.forget_last()
        self._is_held = True

    def forget_last(self) -> None:
        """Forget the last frame, also for consumers of "latest": the screen has changed."""
        self._last, self._is_held = None, False
        for subscription in self._subscriptions:
            if isinstance(subscription.mailbox, Latest):
                subscription.mailbox.clear()

    def iterate(
        self,
        policy: Policy,
        *,
        max_fps: float | None = None,
        repeat: bool = False,
        limit: int = EVERY_LIMIT,
        conversion: Conversion | None = None,
    ) -> "FrameIterator":
        """Return a new consumer. It gets the last frame at once if that is still on the screen."""
        self.loop.check()
        if policy not in {"latest", "every"}:
            raise ConfigurationError(f'expected the policy "latest" or "every", got {policy!r}')
        if limit < 1:
            raise ConfigurationError(f"expected a limit of at least 1 frame, got {limit}")
        if max_fps is not None and not max_fps > 0:
            raise ConfigurationError(f"expected max_fps above 0, got {max_fps}")
        if repeat and (max_fps is None or policy != "latest"):
            raise ConfigurationError(
                'expected max_fps and the policy "latest" with repeat=True, '
                f"got max_fps={max_fps} and {policy!r}: name the rate, such as max_fps=2"
            )
        mailbox: Latest[VideoFrame] | Every[VideoFrame]
        mailbox = (
            Latest(_inherit, idle_after=IDLE_AFTER) if policy == "latest" else Every(limit, forget_after=EVERY_LIMIT)
        )
        if self.last is not None:
            mailbox.put(self.last)
        return FrameIterator(self, mailbox, max_fps=max_fps, repeat=repeat, conversion=conversion)


class FrameIterator(HubIterator[VideoFrame]):
    """An async iterator of frames. It ends when the session does; `aclose` (or `async with`) ends it before.

    One task reads it at a time. Under "latest" a slow consumer gets the newest frame; `skipped` counts the others.
    Under "every" a consumer more than the limit behind gets FramesOverflowError after the frames that were kept.
    An iterator that the program drops, such as by `break`, is closed.
    """

    def __init__(
        self,
        hub: FrameHub,
        mailbox: Mailbox[VideoFrame],
        *,
        max_fps: float | None,
        repeat: bool = False,
        conversion: Conversion | None = None,
    ) -> None:
        super().__init__(hub, mailbox)
        self._frames = hub
        self._conversion = conversion
        self._unconverted: VideoFrame | None = None  # taken, and not given to the consumer yet
        self._is_converting = False
        self._interval_s = 1 / max_fps if max_fps else 0.0
        self._next_s = 0.0
        self._is_first = True
        self._repeats = repeat
        # With `repeat`, a frame that is decoded late would be missing at its time: the last one is repeated then.
        self._can_wait = isinstance(mailbox, Latest) and not repeat
        self._shown: VideoFrame | None = None  # what to repeat

    async def __anext__(self) -> VideoFrame:
        """Return the next frame.

        Raises StopAsyncIteration once the session is closed, or the error that ended it.
        """
        frame = await self._next_frame()
        if self._conversion is None or frame.pixels is not None:
            return frame
        self._unconverted, self._is_converting = frame, True
        try:
            pixels = await asyncio.to_thread(self._conversion, frame.av_frame)
        except asyncio.CancelledError:
            raise  # the next call begins with this frame
        except BaseException:
            self._unconverted = None
            raise
        finally:
            self._is_converting = False
        self._unconverted = None
        return replace(frame, pixels=pixels)

    async def _next_frame(self) -> VideoFrame:
        loop = self._hub.loop.check()
        if self._is_converting:
            raise two_readers()
        if self._unconverted is not None:
            return self._not_given()
        while self._interval_s and not self._has_ended and self._next_s > loop.time():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_s):
                    await self._change()
        while True:
            frame = self._next()
            if frame is not None:
                if self._interval_s:
                    on_time_s = self._next_s + self._interval_s
                    self._next_s = on_time_s if on_time_s > loop.time() else loop.time() + self._interval_s
                    if self._can_wait:
                        self._subscription.due_s = self._next_s
                return frame
            if self._has_ended:
                self._raise_end()
            with self._frames.waiting_for(self._subscription, self._conversion):
                await self._change()

    def _not_given(self) -> VideoFrame:
        """Return the frame whose conversion was cancelled, or a newer one under "latest"."""
        frame, self._unconverted = self._unconverted, None
        assert frame is not None  # noqa: S101 - looked at before
        if isinstance(self._mailbox, Latest) and (newer := self._take()) is not None:
            self._mailbox.dropped += 1
            return _inherit(frame, newer)
        return frame

    def _next(self) -> VideoFrame | None:
        """Return the next frame, or the last one again with `repeat`; None if there is none."""
        try:
            frame = self._take()
        except OverflowedError:
            limit = getattr(self._mailbox, "limit", 0)
            self.close()
            raise FramesOverflowError(
                f"the consumer of every frame fell behind by more than {limit} frames: read faster, "
                'or use policy="latest"',
                limit=limit,
            ) from None
        if frame is None:
            return None if self._has_ended else self._shown
        if self._is_first:
            self._is_first, frame = False, _marked(frame)
        if self._repeats:
            self._shown = replace(frame, is_repeat=True, discontinuity=False, pixels=None)
        return frame


def _marked(frame: VideoFrame) -> VideoFrame:
    """Return a frame with `discontinuity` set: a copy with the same pixels, since consumers share the frame."""
    return frame if frame.discontinuity else replace(frame, discontinuity=True)


def _inherit(skipped: VideoFrame, newest: VideoFrame) -> VideoFrame:
    return _marked(newest) if skipped.discontinuity else newest
