"""What a session gives: iterators of frames, audio and encoded units, and screenshots."""

import asyncio
import contextlib
import time
from typing import Final

from streamer.aio import within
from streamer.errors import ConfigurationError, ConnectionFailedError, ConnectionLostError
from streamer.events import Event, EventHub
from streamer.media.playback.audio import AudioOutput
from streamer.media.playback.audio_frames import AudioIterator, Layout, SampleFormat
from streamer.media.playback.encoded import AccessUnitIterator, EncodedOutput
from streamer.media.playback.pixels import Conversion, PixelFormat
from streamer.media.playback.video import VideoOutput
from streamer.media.playback.video_frames import EVERY_LIMIT, FrameIterator, Policy, VideoFrame
from streamer.own_loop import OwnLoop
from streamer.reconnector import Reconnector
from streamer.stats_collector import StatsCollector

STILL_AFTER_S: Final = 3.0  # after an interruption: a screen that answers no request for a keyframe by then is still


class Streams:
    """The media of a `Session`, as its consumers take it."""

    _frames: VideoOutput
    _audio: AudioOutput
    _encoded: EncodedOutput
    _events: EventHub
    _stats: StatsCollector
    _reconnector: Reconnector
    _loop: OwnLoop
    _error: Exception | None
    _is_over: bool

    def __aiter__(self) -> FrameIterator:
        """Iterate the decoded frames with the policy "latest"."""
        return self.frames()

    def frames(
        self,
        policy: Policy = "latest",
        *,
        max_fps: float | None = None,
        repeat: bool = False,
        limit: int = EVERY_LIMIT,
        format: PixelFormat | None = None,  # noqa: A002 - PyAV's and PIL's word
        size: tuple[int, int] | None = None,
    ) -> FrameIterator:
        """Return an async iterator of decoded frames. Several may be read at once; each frame is decoded once.

        The first frame comes at once if one is known, also on a still screen. Nothing is decoded while nobody iterates.
        An iterator that the program drops, such as by `break`, is closed. An iterator that the program keeps and does
        not read stops the decoder after 600 frames; the next read starts it again.

        Args:
            policy: "latest": a slow consumer gets the newest frame and skips the others. "every": it gets all of them.
            max_fps: At most so many frames a second, the newest each time. None sets no limit. A still screen gives
                nothing new, so the iterator waits. Frames that nobody would see are not decoded, where the stream
                allows that: see `Stats.frames_not_decoded`.
            repeat: Exactly `max_fps` frames a second from the first one on, also while the stream is interrupted. Where
                nothing new came, the last frame comes again, with `is_repeat` set. It needs `max_fps` and "latest".
            limit: For "every": how many frames the consumer may be behind before it gets FramesOverflowError.
            format: Convert each frame that the consumer gets, as `VideoFrame.to_ndarray(format, size=size)` does:
                "rgb24", "bgr24", "gray" or "yuv420p". `frame.pixels` is the array, which is the consumer's own. The
                decoder's thread does it while the consumer waits, another one if a frame has waited for the consumer.
                Skipped frames are not converted. None converts nothing.
            size: With `format`: scale to this width and height. None keeps the frame's own.

        Raises:
            ConfigurationError: The policy, rate, limit, format or size is wrong, or this is not the session's event
                loop. Iteration raises it for a frame that the format cannot hold, such as one of an odd size as
                "yuv420p".
        """
        if size is not None and format is None:
            raise ConfigurationError(f'expected a format with size={size}: pass one, such as format="bgr24"')
        conversion = None if format is None else Conversion(format, size)
        return self._frames.hub.iterate(policy, max_fps=max_fps, repeat=repeat, limit=limit, conversion=conversion)

    def audio(
        self,
        sample_format: SampleFormat = "s16",
        *,
        rate: int = 48_000,
        layout: Layout = "stereo",
    ) -> AudioIterator:
        """Return an async iterator of the phone's audio. Several may be read at once; it is decoded once.

        Lost packets and pauses are filled, so that there are as many samples as time has passed on the phone's clock. A
        gap of more than two seconds is not filled: the next chunk has `discontinuity` set. A consumer more than 5 s
        behind loses the oldest audio. Nothing is decoded while nobody iterates. A phone without audio gives nothing
        until the end.

        Args:
            sample_format: "s16" (int16) or "f32" (float32 from -1 to 1).
            rate: Samples a second, from 8000 to 48000.
            layout: "mono" or "stereo".

        Raises:
            ConfigurationError: The format, rate or layout is wrong, or this is not the session's event loop.
        """
        return self._audio.hub.iterate(sample_format, rate=rate, layout=layout)

    def access_units(self) -> AccessUnitIterator:
        """Return an async iterator of encoded frames and audio, for what forwards or decodes them itself.

        Nothing is decoded. Frames begin with the last keyframe, also on a still screen. H.264 and H.265 are in Annex B
        with the parameter sets before each keyframe, which say how the stream really orders its frames.
        """
        return self._encoded.iterate()

    async def screenshot(self, *, timeout_s: float = 10.0) -> VideoFrame:
        """Return the frame that is on the screen, also on a still one, and whether or not anybody iterates.

        While somebody iterates, that is the last frame decoded, at once; with `max_fps` alone, what was put off is
        decoded first, in 0.1 s or so. Otherwise what came since the last keyframe is decoded first. While the stream is
        interrupted, this waits for it to resume, and then for a new frame; a screen that sends none within 3 s is
        still, and its last frame is returned.

        Args:
            timeout_s: How long all of it may take, in seconds.

        Raises:
            ConnectionFailedError: No frame came in time.
            StreamerError: What ended the session, if it has ended.
        """
        self._loop.check()
        if not timeout_s > 0:
            raise ConfigurationError(f"expected timeout_s above 0, got {timeout_s}")
        async with within(timeout_s, lambda: self._no_frame(timeout_s)):
            async for _ in self._events.iterate():
                if not self._reconnector.is_interrupted:
                    break
            if self._is_over:
                raise self._error or ConnectionLostError("cannot get a frame: the session is closed")
            async with self.frames() as frames:
                try:
                    return await self._present(frames)
                except StopAsyncIteration:
                    raise ConnectionLostError("cannot get a frame: the session is closed") from None

    async def _present(self, frames: FrameIterator) -> VideoFrame:
        """Return the first frame; but not one from before an interruption that has ended just now."""
        frame = await anext(frames)
        status = self._status
        left_s = status.at + STILL_AFTER_S - time.time()
        if status.kind == "resumed" and frame.received_at < status.at and left_s > 0:
            self._reconnector.connection.request_keyframe()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    while frame.received_at < status.at:
                        frame = await anext(frames)
        return frame

    async def _screen_size(self, timeout_s: float) -> tuple[int, int]:
        if (size := await self._frames.size()) is not None:
            return size
        frame = await self.screenshot(timeout_s=timeout_s)
        return frame.width, frame.height

    @property
    def _status(self) -> Event:
        assert self._events.state is not None  # noqa: S101 - told before there is a session
        return self._events.state

    def _no_frame(self, timeout_s: float) -> ConnectionFailedError:
        if self._reconnector.is_interrupted:
            message = f"no frame came within {timeout_s:g} s: the stream is interrupted"
            return ConnectionFailedError(": ".join(filter(None, [message, self._status.reason])), stage="media")
        stats = self._stats.stats(self._status.kind)
        return ConnectionFailedError(
            f"no frame came within {timeout_s:g} s: the session received {stats.packets_received} packets and "
            f"{stats.frames_received} frames, and requested {stats.pli_count + stats.fir_count} keyframes",
            stage="media",
        )

    def _newest_frames(self) -> FrameIterator:
        return self.frames()
