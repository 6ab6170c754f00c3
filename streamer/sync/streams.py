"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import typing

import streamer
from streamer.sync.face import Face
from streamer.sync.iterators import AccessUnitIterator, AudioIterator, FrameIterator


class Streams(Face[streamer.Session]):
    """The media of a `Session`, as its consumers take it."""

    def __iter__(self) -> FrameIterator:
        """Iterate the decoded frames with the policy "latest"."""
        return FrameIterator(self._do(self._async.__aiter__), self)

    def frames(
        self,
        policy: typing.Literal["latest", "every"] = "latest",
        *,
        max_fps: float | None = None,
        repeat: bool = False,
        limit: int = 60,
        format: typing.Literal["rgb24", "bgr24", "gray", "yuv420p"] | None = None,
        size: tuple[int, int] | None = None,
    ) -> FrameIterator:
        """Return an iterator of decoded frames. Several may be read at once; each frame is decoded once.

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
            ConfigurationError: The policy, rate, limit, format or size is wrong. Iteration raises it for a frame that
                the format cannot hold, such as one of an odd size as "yuv420p".
        """
        return FrameIterator(
            self._do(self._async.frames, policy, max_fps=max_fps, repeat=repeat, limit=limit, format=format, size=size),
            self,
        )

    def audio(
        self,
        sample_format: typing.Literal["s16", "f32"] = "s16",
        *,
        rate: int = 48000,
        layout: typing.Literal["mono", "stereo"] = "stereo",
    ) -> AudioIterator:
        """Return an iterator of the phone's audio. Several may be read at once; it is decoded once.

        Lost packets and pauses are filled, so that there are as many samples as time has passed on the phone's clock. A
        gap of more than two seconds is not filled: the next chunk has `discontinuity` set. A consumer more than 5 s
        behind loses the oldest audio. Nothing is decoded while nobody iterates. A phone without audio gives nothing
        until the end.

        Args:
            sample_format: "s16" (int16) or "f32" (float32 from -1 to 1).
            rate: Samples a second, from 8000 to 48000.
            layout: "mono" or "stereo".

        Raises:
            ConfigurationError: The format, rate or layout is wrong.
        """
        return AudioIterator(self._do(self._async.audio, sample_format, rate=rate, layout=layout), self)

    def access_units(self) -> AccessUnitIterator:
        """Return an iterator of encoded frames and audio, for what forwards or decodes them itself.

        Nothing is decoded. Frames begin with the last keyframe, also on a still screen. H.264 and H.265 are in Annex B
        with the parameter sets before each keyframe, which say how the stream really orders its frames.
        """
        return AccessUnitIterator(self._do(self._async.access_units), self)

    def screenshot(self, *, timeout_s: float = 10.0) -> streamer.VideoFrame:
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
        return self._wait(self._async.screenshot, timeout_s=timeout_s)
