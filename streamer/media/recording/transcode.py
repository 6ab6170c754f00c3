"""Encodes a recording again: another codec, a constant frame rate, another size, the time on every frame.

A stage between the phone's access units and a recording's files. It takes the phone's access units and returns those of
the file: newly encoded frames, and the phone's audio unchanged. It decodes and encodes, so call it in a thread.

1. The transcoder decodes every frame. Each step of the constant rate gets one frame; a still screen repeats its last.
2. It copies audio, and holds it back until the frames of the same time are written.
3. If encoding is slower than the rate, it falls behind by up to `BEHIND_NS`. Then it leaves out steps, evenly.
4. The encoder has a thread of its own (`encoder_thread`), for it may stand still.
"""

import contextlib
import datetime as dt
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from streamer.codec_table import ENCODERS
from streamer.errors import ConfigurationError, RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.frame_decoder import MOST_STILL_S, DecodedFrame, FrameDecoder
from streamer.media.recording.encoder_thread import EncoderThread
from streamer.media.recording.frame_rate import Pace
from streamer.media.recording.letterbox import Letterbox, fitted_size, framed
from streamer.media.recording.overlay import draw_stamp
from streamer.media.recording.thread_priority import ordinary_priority
from streamer.media.recording.timeline import Timeline
from streamer.tracks import Codec

BEHIND_NS: Final = 3_000_000_000
STILL_AFTER_NS: Final = 500_000_000  # without a new frame for so long, the last one is repeated
KEYFRAME_EVERY_S: Final = 2
FPS_LIMIT: Final = 120
_CLOCK: Final = 90_000
_S: Final = 1_000_000_000
_SIZES: Final = range(16, 8193, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcode:
    """How to encode a recording again.

    The size holds for the whole recording. If the phone is turned, its frames are shown whole, between black bars.

    Attributes:
        codec: "h264", "h265", "vp9" or "av1".
        fps: The constant frame rate, at most 120.
        height: Scale to this height in pixels and keep the frame's aspect ratio. An even number.
        size: Scale to exactly this width and height in pixels, both even. Without `height` and `size` the recording has
            the first frame's size.
        bitrate_bps: The mean bit rate, in bits per second. Without it the quality is constant.
        crf: The constant quality, as the encoder counts it: 0 to 51, or to 63 for VP9 and AV1. A lower number gives a
            better picture and a larger file.
        timestamps: Draw the local date and time into every frame.

    Raises:
        ConfigurationError: A value is out of range, or two values exclude each other.
    """

    codec: str = "h264"
    fps: float = 30.0
    height: int | None = None
    size: tuple[int, int] | None = None
    bitrate_bps: int | None = None
    crf: int | None = None
    timestamps: bool = False

    def __post_init__(self) -> None:
        encoder = ENCODERS.get(self.codec)
        if encoder is None:
            raise ConfigurationError(f"expected one of the codecs {', '.join(ENCODERS)}, got {self.codec!r}")
        if not 0 < self.fps <= FPS_LIMIT:
            raise ConfigurationError(f"expected fps above 0 and up to {FPS_LIMIT}, got {self.fps}")
        if self.size is not None and self.height is not None:
            raise ConfigurationError("expected a size or a height, got both")
        for side in (*(self.size or ()), *(() if self.height is None else (self.height,))):
            if side not in _SIZES:
                raise ConfigurationError(
                    f"expected an even width and height of {_SIZES[0]} to {_SIZES[-1]} pixels, got {side}"
                )
        if self.bitrate_bps is not None and not self.bitrate_bps > 0:
            raise ConfigurationError(f"expected bitrate_bps above 0, got {self.bitrate_bps}")
        if self.crf is not None and self.bitrate_bps is not None:
            raise ConfigurationError("expected a bitrate_bps or a crf, got both")
        if self.crf is not None and not 0 <= self.crf <= encoder.crf_limit:
            raise ConfigurationError(f"expected a crf of 0 to {encoder.crf_limit} for {self.codec}, got {self.crf}")
        try:
            av.Codec(encoder.name, "w")
        except av.codec.codec.UnknownCodecError as error:
            raise ConfigurationError(
                f"expected an encoder for {self.codec} in PyAV, found no {encoder.name}: install av from a wheel"
            ) from error

    @property
    def rate(self) -> Fraction:
        """The rate as an exact number."""
        return Fraction(self.fps).limit_denominator(1001)

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of a recording whose first frame has this width and height."""
        if self.size is not None:
            return self.size
        if self.height is not None:
            return fitted_size(width, height, (_SIZES[-1], self.height))
        return max(width // 2 * 2, _SIZES[0]), max(height // 2 * 2, _SIZES[0])


@dataclass(slots=True)
class _Frame:
    """A decoded frame, its time in the recording, and its pixels in the recording's size, scaled at the first use."""

    av_frame: av.VideoFrame
    unit: AccessUnit
    time_ns: int
    pixels: npt.NDArray[np.uint8] | None = None


class Transcoder:
    """Returns the access units of a recording that is encoded again.

    Every method may raise RecordingError: encoding failed, and the transcoder is unusable. `start_ns` is the time of
    arrival at which the recording begins; None means at the first frame. `wall_ns` is the difference of Unix time and
    the clock of arrivals: set it again whenever the wall clock is set. `ask_keyframe` is called when the decoder needs
    a keyframe. End it with `release`, also after `close` and after an error.
    """

    def __init__(
        self, options: Transcode, *, start_ns: int | None, wall_ns: int, ask_keyframe: Callable[[], None]
    ) -> None:
        self._left_out = 0  # steps without a frame: encoding was behind
        self._options = options
        self._start_ns = start_ns
        self.wall_ns = wall_ns
        self._codec = Codec(name=options.codec, clock_rate=_CLOCK)
        self._timeline: Timeline | None = None
        self._pace: Pace[_Frame] = Pace(options.rate)
        self._units: list[AccessUnit] = []  # what can be written
        self._audio: deque[AccessUnit] = deque()  # waits for the frames of its time: some STILL_AFTER_NS
        self._decoder = FrameDecoder(ask_keyframe)
        self._latest_ns = 0  # the arrival of the newest frame
        self._encoder: av.VideoCodecContext | None = None
        self._thread = EncoderThread(options.codec)
        self._letterbox = Letterbox()
        self._wants_keyframe = False
        self._captured: dict[int, int | None] = {}  # capture times of the steps in the encoder

    @property
    def dropped(self) -> int:
        """How many frames could not be decoded, and how many steps were left out."""
        counted = self._decoder.counters
        return self._left_out + counted.errors + counted.too_large + counted.corrupt + counted.passed_over

    @property
    def now_ns(self) -> int | None:
        """The time of arrival up to which all frames were returned; None before the first frame."""
        if self._start_ns is None or not self._pace.has_begun:
            return None
        return self._arrival_ns(next(iter(self._captured), self._pace.next))

    def put(self, unit: AccessUnit, now_ns: int) -> list[AccessUnit]:
        """Take one of the phone's units; return what can be written. `now_ns` shows how far encoding is behind."""
        if unit.kind == "audio":
            self._audio.append(unit)
            self._release_audio()
        else:
            self._latest_ns = unit.arrival_ns
            self._show(self._decoder.decode(unit), now_ns)
        return self.take()

    def tick(self, now_ns: int) -> list[AccessUnit]:
        """Return what is due without a new unit. Call it a few times a second, after every unit so far was put."""
        if self._decoder.is_holding and now_ns - self._latest_ns > MOST_STILL_S * _S:
            self._show(self._decoder.release(lambda: True), now_ns)
        elif self._timeline is not None:
            self._encode_steps(self._pace.advance(self._timeline.time_of(now_ns) - STILL_AFTER_NS), now_ns)
        return self.take()

    def close(self, end_ns: int) -> tuple[list[AccessUnit], int]:
        """Return the rest, and the time of arrival at which its last frame ends, a whole number of steps."""
        self._show(self._decoder.drain(), end_ns)
        if self._start_ns is not None and self._timeline is not None and self._pace.has_begun:
            least_ns = self._pace.time_ns(max(self._pace.next, 1))
            self._encode_steps(self._pace.advance(max(self._timeline.time_of(end_ns), least_ns)), end_ns)
            if self._encoder is not None:
                with self._encoding():
                    self._add(None)
            end_ns = self._start_ns + self._pace.time_ns(self._pace.next)
        self._units += map(self._beside_frames, self._audio)
        self._audio.clear()
        return self.take(), end_ns

    def take(self) -> list[AccessUnit]:
        """Return what can be written. After an error, it is what was made before."""
        units, self._units = self._units, []
        return units

    def release(self) -> None:
        """End the encoder's thread. Nothing but the counters can be used after that."""
        self._thread.close()

    def make_keyframe(self) -> None:
        """Make the next frame a keyframe."""
        self._wants_keyframe = True

    def _show(self, frames: list[DecodedFrame], now_ns: int) -> None:
        """Give decoded frames to their steps."""
        for frame in frames:
            unit = frame.unit
            if self._timeline is None:
                self._start_ns = unit.arrival_ns if self._start_ns is None else self._start_ns
                self._timeline = Timeline(self._start_ns)
            time_ns = self._timeline.place(unit) * _S // unit.codec.clock_rate
            self._encode_steps(self._pace.put(_Frame(frame.av_frame, unit, time_ns), time_ns), now_ns)
        self._release_audio()

    def _encode_steps(self, steps: Iterator[tuple[int, _Frame]], now_ns: int) -> None:
        for step, shown in steps:
            late_ns = now_ns - self._arrival_ns(step + 1)
            if late_ns > BEHIND_NS and self._encoder is not None:  # the first step is never left out
                self._left_out += 1
            else:
                self._encode(step, shown)
        self._release_audio()

    def _encode(self, step: int, shown: _Frame) -> None:
        with self._encoding():
            if self._encoder is None:
                self._encoder = self._thread.call(partial(open_encoder, self._options, shown.av_frame))
            encoder = self._encoder
            if shown.pixels is None:
                shown.pixels = self._letterbox.fit(shown.av_frame, encoder.width, encoder.height)
            pixels = shown.pixels
            if self._options.timestamps:
                pixels = pixels.copy()
                draw_stamp(pixels, self._time_text(step))
            frame = framed(pixels, shown.av_frame)
            frame.pts, frame.time_base = step, encoder.time_base
            frame.pict_type = PictureType.I if self._wants_keyframe else PictureType.NONE
            self._wants_keyframe = False
            captured_ns = shown.unit.captured_ns
            step_ns = self._pace.time_ns(step)
            self._captured[step] = None if captured_ns is None else captured_ns + step_ns - shown.time_ns
            self._add(frame)

    @contextlib.contextmanager
    def _encoding(self) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as error:
            raise RecordingError(f"encoding {self._options.codec} failed: {error.strerror}", reason="encode") from error

    def _add(self, frame: av.VideoFrame | None) -> None:
        """Add what the encoder makes of a frame, or at the end what it still has."""
        assert self._encoder is not None  # noqa: S101 - the callers see to it
        for packet in self._thread.call(partial(self._encoder.encode, frame)):
            self._units.append(self._unit(packet))
            self._release_audio()

    def _unit(self, packet: "av.Packet[Any]") -> AccessUnit:
        step = packet.pts or 0
        rate = self._options.rate
        return AccessUnit(
            kind="video",
            codec=self._codec,
            data=bytes(packet),
            rtp_time=round(step * _CLOCK / rate),
            ssrc=0,
            is_keyframe=packet.is_keyframe,
            discontinuity=False,
            arrival_ns=self._arrival_ns(step),
            captured_ns=self._captured.pop(step, None),
        )

    def _release_audio(self) -> None:
        """Add the audio of the time up to the last frame."""
        now_ns = self.now_ns if self._audio else None
        while self._audio and (now_ns is None or self._arrival_beside_frames(self._audio[0]) < now_ns):
            self._units.append(self._beside_frames(self._audio.popleft()))

    def _beside_frames(self, unit: AccessUnit) -> AccessUnit:
        """Return audio with the arrival that its time in the recording has: encoded frames have it, too."""
        arrival_ns = self._arrival_beside_frames(unit)
        return unit if arrival_ns == unit.arrival_ns else replace(unit, arrival_ns=arrival_ns)

    def _arrival_beside_frames(self, unit: AccessUnit) -> int:
        if self._timeline is None or self._start_ns is None:
            return unit.arrival_ns
        return self._start_ns + self._timeline.time_of(unit.arrival_ns)

    def _arrival_ns(self, step: int) -> int:
        return (self._start_ns or 0) + self._pace.time_ns(step)

    def _time_text(self, step: int) -> str:
        milliseconds = (self._arrival_ns(step) + self.wall_ns) // 1_000_000
        moment = dt.datetime.fromtimestamp(milliseconds // 1000).astimezone()
        return f"{moment:%Y-%m-%d %H:%M:%S}.{milliseconds % 1000:03d}"


def open_encoder(options: Transcode, first: av.VideoFrame) -> av.VideoCodecContext:
    """Return an encoder for frames like the first."""
    encoder = ENCODERS[options.codec]
    os.environ.setdefault("SVT_LOG", "1")  # errors only: libsvtav1 writes to stderr, and has no other setting
    context = av.CodecContext.create(encoder.name, "w")
    assert isinstance(context, av.VideoCodecContext)  # noqa: S101 - what these are
    context.width, context.height = options.size_for(first.width, first.height)
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = 1 / options.rate, options.rate
    context.gop_size = max(round(KEYFRAME_EVERY_S * options.rate), 1)
    context.max_b_frames = 0
    context.color_range, context.colorspace = 1, first.colorspace
    context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
    if options.bitrate_bps is None:
        context.options = {**encoder.options, "crf": str(encoder.crf if options.crf is None else options.crf)}
    else:
        context.options = encoder.options | encoder.bitrate_options
        context.bit_rate = options.bitrate_bps
    with ordinary_priority():
        context.open()
    return context
