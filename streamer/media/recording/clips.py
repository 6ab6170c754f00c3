"""Clips: a few seconds of a recording, small and without audio, as an animation or an MP4."""

import asyncio
import contextlib
import io
import itertools
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.stream import VideoStream

from streamer.atomic_file import absolute, check_writable, write_atomically
from streamer.codec_table import ENCODERS
from streamer.errors import ConfigurationError, RecordingError
from streamer.media.recording.frame_rate import Pace
from streamer.media.recording.letterbox import Letterbox, fitted_size, framed

WIDTH: Final = 480
FPS: Final = 10.0
FPS_LIMIT: Final = 30
LENGTH_LIMIT_S: Final = 60.0
TOLERANCE_S: Final = 0.1  # how far the end may lie behind the end of the recording
_S: Final = 1_000_000_000
_H264: Final = ENCODERS["h264"]
_ENCODERS: Final = {  # libavcodec's encoder, its options, and libavformat's options
    ".webp": ("libwebp_anim", {"quality": "75"}, {"loop": "0"}),
    ".gif": ("gif", {}, {"loop": "0"}),
    ".mp4": (_H264.name, {"preset": _H264.options["preset"], "crf": str(_H264.crf)}, {}),
}


class _StoppedError(Exception):
    """The caller no longer waits for the clip."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a recording, and the recording's time at which it begins."""

    path: Path
    begin_s: float = 0.0


async def clip(
    source: str | os.PathLike[str],
    start_s: float,
    end_s: float | None,
    target: str | os.PathLike[str],
    *,
    width: int = WIDTH,
    fps: float = FPS,
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
    path, target = absolute(source), absolute(target)
    length_s = await asyncio.to_thread(_length_s, path)
    end_s = length_s if end_s is None else end_s
    await clip_parts([Part(path)], start_s, end_s, target, length_s=length_s, width=width, fps=fps, overwrite=overwrite)


async def clip_parts(
    parts: Sequence[Part],
    start_s: float,
    end_s: float,
    target: str | os.PathLike[str],
    *,
    length_s: float,
    width: int,
    fps: float,
    overwrite: bool = False,
) -> None:
    """Do what `clip` does, with the consecutive files of a recording that lasts `length_s`."""
    path = Path(target)
    if path.suffix.lower() not in _ENCODERS:
        raise ConfigurationError(f"expected a file name that ends in .webp, .gif or .mp4, got {path.name or '.'!r}")
    if not (math.isfinite(start_s) and 0 <= start_s < end_s <= length_s + TOLERANCE_S):
        raise ConfigurationError(
            f"expected a start and a later end within the recording's {length_s:.1f} s, "
            f"got {round(start_s, 2):g} s and {round(end_s, 2):g} s"
        )
    if end_s - start_s > LENGTH_LIMIT_S + TOLERANCE_S:
        raise ConfigurationError(
            f"expected a clip of at most {LENGTH_LIMIT_S:g} s, got {end_s - start_s:.1f} s: choose a start and an end"
        )
    if not 0 < fps <= FPS_LIMIT:
        raise ConfigurationError(f"expected fps above 0 and up to {FPS_LIMIT}, got {fps}")
    if not width >= 16:
        raise ConfigurationError(f"expected a width of at least 16 pixels, got {width}")
    if start_s < parts[0].begin_s:
        raise ConfigurationError(
            f"expected a start at {parts[0].begin_s:.1f} s or later, got {start_s:g}: clip older files by name"
        )
    for part in parts:
        _refuse_same(part.path, path)
    check_writable(path, overwrite=overwrite)  # before the work
    stopped = threading.Event()
    making = _Making(parts, start_s, end_s, width=width, rate=Fraction(fps).limit_denominator(1001), stopped=stopped)
    try:
        write_atomically(path, await asyncio.to_thread(making.make, path.suffix.lower()), overwrite=overwrite)
    finally:
        stopped.set()  # if cancelled: the thread checks it at each frame


def _refuse_same(source: Path, target: Path) -> None:
    """Raise ConfigurationError if a clip would replace its own source, also under another name."""
    with contextlib.suppress(OSError):  # one of them does not exist
        if source.samefile(target):
            raise ConfigurationError(
                f"expected a file for the clip other than the recording {source}: choose another name"
            )


def _length_s(path: Path) -> float:
    """Return the length of a file's video."""
    try:
        with av.open(path) as container:
            if container.duration:
                return container.duration / av.time_base
            stream = container.streams.video[0]
            ends = [
                float((packet.pts + (packet.duration or 0) - (stream.start_time or 0)) * packet.time_base)
                for packet in container.demux(stream)
                if packet.pts is not None
            ]
            return max(ends, default=0.0)
    except (OSError, av.FFmpegError, IndexError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RecordingError:
    match error:
        case IndexError():
            why = "it holds no frame"
        case av.InvalidDataError():
            why = "it is not a video file"
        case _:
            why = getattr(error, "strerror", None) or str(error)
    return RecordingError(f"cannot read {path}: {why}", reason="read")


class _Making:
    """Makes one clip, in a thread."""

    def __init__(
        self,
        parts: Sequence[Part],
        start_s: float,
        end_s: float,
        *,
        width: int,
        rate: Fraction,
        stopped: threading.Event,
    ) -> None:
        ends = [*(part.begin_s for part in parts[1:]), math.inf]
        self._parts = [part for part, end in zip(parts, ends, strict=True) if end > start_s and part.begin_s < end_s]
        self._start_s, self._end_s = start_s, end_s
        self._width = width
        self._rate = rate
        self._stopped = stopped
        self._size: tuple[int, int] | None = None
        self._letterbox = Letterbox()

    def make(self, suffix: str) -> bytes:
        """Return the bytes of the clip's file."""
        frames = self._with_palette() if suffix == ".gif" else self._frames()
        codec, options, file_options = _ENCODERS[suffix]
        made = io.BytesIO()
        try:
            first = next(frames)
            with av.open(made, "w", format=suffix[1:], options=file_options) as output:
                stream = output.add_stream(codec, rate=self._rate, options=options)
                assert isinstance(stream, VideoStream)  # noqa: S101 - what these encoders make
                stream.width, stream.height = first.width, first.height
                stream.pix_fmt = "pal8" if suffix == ".gif" else "yuv420p"
                stream.time_base = 1 / self._rate
                for frame in itertools.chain([first], frames):
                    output.mux(stream.encode(frame))
                output.mux(stream.encode(None))
        except StopIteration:
            raise RecordingError(
                f"{self._parts[0].path} has no frame in this range: choose another start or end", reason="read"
            ) from None
        except av.FFmpegError as error:
            raise RecordingError(f"cannot encode the clip: {error.strerror}", reason="encode") from error
        return made.getvalue()

    def _frames(self) -> Iterator[av.VideoFrame]:
        """Yield the clip's frames, at its rate and size."""
        pace: Pace[av.VideoFrame] = Pace(self._rate)
        for frame, time_s in self._decoded():
            yield from map(self._fitted, pace.put(frame, round((time_s - self._start_s) * _S)))
        length_ns = round((self._end_s - self._start_s) * _S)
        yield from map(self._fitted, pace.advance(max(length_ns, pace.time_ns(1))))

    def _fitted(self, step: tuple[int, av.VideoFrame]) -> av.VideoFrame:
        number, image = step
        if self._size is None:
            self._size = fitted_size(image.width, image.height, (min(self._width, image.width), 8192))
        frame = framed(self._letterbox.fit(image, *self._size), image)
        frame.pts, frame.time_base = number, 1 / self._rate
        return frame

    def _decoded(self) -> Iterator[tuple[av.VideoFrame, float]]:
        """Yield the frames of the range and their times, from the keyframe before its start on."""
        for part in self._parts:
            try:
                frames = self._decoded_from(part, max(self._start_s - part.begin_s, 0.0))
                first = next(frames, None)
                if first is None or first[1] > max(self._start_s, part.begin_s):
                    # The file has no index to seek by, as in MPEG-TS or in a file that still grows.
                    frames, first = self._decoded_from(part, 0.0), None
                yield from frames if first is None else itertools.chain([first], frames)
            except (OSError, av.FFmpegError, IndexError) as error:
                raise _unreadable(part.path, error) from error

    def _decoded_from(self, part: Part, offset_s: float) -> Iterator[tuple[av.VideoFrame, float]]:
        """Yield the frames of a file from the keyframe before `offset_s` to the end of the range."""
        with av.open(part.path) as container:
            stream = container.streams.video[0]
            base = stream.time_base or Fraction(1)
            begin = stream.start_time or 0
            if offset_s:
                container.seek(begin + int(offset_s / base), stream=stream)
            for frame in container.decode(stream):
                if self._stopped.is_set():
                    raise _StoppedError
                time_s = part.begin_s + float(((frame.pts or 0) - begin) * base)
                if time_s >= self._end_s:
                    break
                yield frame, time_s

    def _with_palette(self) -> Iterator[av.VideoFrame]:
        """Yield the frames in the 256 colors that suit them best. They are decoded twice, and not kept in memory."""
        finding: _Filter | None = None
        for frame in self._frames():
            finding = finding or _Filter(frame, "palettegen")
            finding.push(frame)
        if finding is None:
            return
        (palette,) = finding.end()
        using: _Filter | None = None
        for frame in self._frames():
            using = using or _Filter(frame, "paletteuse", "dither=bayer:bayer_scale=5:diff_mode=rectangle", palette)
            yield from using.push(frame)
        if using is not None:
            yield from using.end()


class _Filter:
    """A filter of libavfilter for frames like `first`; `beside` is one frame for its second input."""

    def __init__(self, first: av.VideoFrame, name: str, options: str = "", beside: av.VideoFrame | None = None) -> None:
        self._graph = Graph()
        self._source = self._buffer(first, "rgb24")
        chosen, self._sink = self._graph.add(name, options), self._graph.add("buffersink")
        self._source.link_to(chosen)
        other = None if beside is None else self._buffer(beside, beside.format.name)
        if other is not None:
            other.link_to(chosen, 0, 1)
        chosen.link_to(self._sink)
        self._graph.configure()
        if other is not None:
            other.push(beside)
            other.push(None)

    def push(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        """Filter a frame; return the frames that are ready."""
        self._source.push(frame.reformat(format="rgb24"))
        return self._ready()

    def end(self) -> list[av.VideoFrame]:
        """Return the rest."""
        self._source.push(None)
        return self._ready()

    def _buffer(self, like: av.VideoFrame, kind: str) -> FilterContext:
        return self._graph.add_buffer(
            width=like.width, height=like.height, format=av.VideoFormat(kind), time_base=like.time_base
        )

    def _ready(self) -> list[av.VideoFrame]:
        ready = []
        with contextlib.suppress(av.BlockingIOError, av.EOFError):
            while True:
                frame = self._sink.pull()
                assert isinstance(frame, av.VideoFrame)  # noqa: S101 - a video filter gives these
                ready.append(frame)
        return ready
