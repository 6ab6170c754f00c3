"""One file of a recording while it is written: MP4 by this package, Matroska, WebM and MPEG-TS by libavformat.

Everything here blocks, and belongs in a thread.
"""

import contextlib
import fractions
import io
import logging
import os
import selectors
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Protocol, cast

import av
from av.video.stream import VideoStream

from streamer.atomic_file import open_draft
from streamer.codec_table import CODECS
from streamer.errors import RecordingError
from streamer.media.access_unit import AccessUnit
from streamer.media.libav import PIXELS_LIMIT, pixel_options
from streamer.media.recording.containers import FRAGMENT_S, Container
from streamer.media.recording.mp4 import Mp4, Track, find_box, opus_entry, video_sample
from streamer.tracks import Kind

_logger = logging.getLogger("streamer.record")

FRAGMENT_NS: Final = int(FRAGMENT_S * 1e9)  # an MP4's fragment ends with the first frame after so much
FRAGMENT_LIMIT_NS: Final = FRAGMENT_NS * 3 // 2  # or without one after so much
DECODE_AHEAD: Final = 99_000  # ticks of video: more than a frame goes back on the timeline (TRUSTED_NS)
DECODE_STEP: Final = 90  # with less, libavformat takes the step to the next group of frames for a discontinuity
_COPY_BYTES: Final = 1024 * 1024
_SYNC_EVERY: Final = 64  # copies
_OPUS_CLOCK: Final = 48_000
_OPUS_CHANNELS: Final = 2  # as every offer says, whatever is in the packets (RFC 7587 section 7)


class MediaFile(Protocol):
    """A file under way. Times are in ticks of each codec's clock, or in nanoseconds, from its beginning.

    Every method may raise OSError or av.FFmpegError; then `abandon` is what is left to do.
    """

    written: int  # frames that are in the file, whatever happens

    @property
    def size(self) -> int:
        """The bytes that it would have if it ended now, about."""

    def write(self, unit: AccessUnit, ticks: int) -> None:
        """Write a unit, in the order of decoding; it is presented at `ticks`, which no other of its kind is.

        Only frames go back: those that are shown before the newest one, and after the one that was newest before it.
        """

    def flush(self, now_ns: int) -> None:
        """Write what has waited for long enough."""

    def close(self, end_ns: int, *, limit_s: float) -> None:
        """End the file properly; its last frame lasts until `end_ns`.

        `limit_s` bounds what only makes the file handier: then that is left out.
        """

    def abandon(self) -> None:
        """End the file after an error, with what is whole of it. Raises nothing."""


def open_media(
    file: IO[bytes],
    container: Container,
    first: AccessUnit,
    *,
    has_audio: bool,
    is_ours: bool = True,
    may_reorder: bool = False,
) -> MediaFile:
    """Begin a file for the codec of a keyframe, and maybe Opus. Raises OSError or av.FFmpegError, also for a keyframe
    that libavformat cannot read. What is not ours is never cut short: something else may be in it.

    `may_reorder` says that the frames' parameter sets allow reordering.
    """
    if container.av_format:
        times = DecodeTimes(is_reordered=may_reorder and container.is_live)
        return AvFile(file, container, first, has_audio=has_audio, is_ours=is_ours, times=times)
    return Mp4File(file, first, has_audio=has_audio)


class DecodeTimes:
    """When frames are decoded that come in the order of decoding: times that rise, none later than it is shown.

    That is when they are shown, unless the stream reorders. Then a frame is decoded right after the one that was the
    newest before it is shown, since those that come next may be shown soon after that: so nothing has to be known of
    what comes. It is not decoded more than DECODE_AHEAD earlier: a still screen would be an age between the two.
    If a frame is shown before it can be decoded, what comes out is later than it is shown.
    """

    def __init__(self, *, is_reordered: bool = False) -> None:
        self.is_reordered = is_reordered
        self.newest = self._last = -1

    def of(self, ticks: int) -> int:
        """Return when the next frame, which is shown at `ticks`, is decoded."""
        if ticks < self.newest:
            after = self._last
        elif self.is_reordered:
            after = max(self._last, self.newest, ticks - DECODE_AHEAD)
        else:
            return ticks
        return max(self._last + 1, min(after + DECODE_STEP, ticks))

    def take(self, ticks: int) -> int:
        """Return the same, and go on to the frame after it."""
        self.is_reordered |= ticks < self.newest
        self._last, self.newest = self.of(ticks), max(self.newest, ticks)
        return self._last


class Mp4File:
    """An MP4 in fragments; its proper end makes it a regular one that begins with its index."""

    def __init__(self, file: IO[bytes], first: AccessUnit, *, has_audio: bool) -> None:
        self.written = 0
        self._taken = 0  # frames, also those that wait for their fragment to end
        self._file = file
        self._media_size = 0
        self._begin_ns: int | None = None  # of the fragment under way
        self._held: tuple[AccessUnit, int] | None = None  # the newest frame: the next one may be shown before it
        self._times = DecodeTimes()
        self._tracks: dict[Kind, Track] = {"video": _video_track(first)}
        if has_audio:
            self._tracks["audio"] = _opus_track()
        self._mp4 = Mp4(list(self._tracks.values()))
        head = self._mp4.head()
        _write_all(file, head)
        self._written = len(head)  # what of the file is whole
        self._is_new = True

    @property
    def size(self) -> int:
        """The size that the file would have if it ended now."""
        return self._media_size + self._mp4.index_size

    def write(self, unit: AccessUnit, ticks: int) -> None:
        """Take a unit into the fragment under way, or a frame that comes late enough into the next one."""
        track = self._tracks[unit.kind]
        if unit.kind == "video":
            if self._held is not None:
                self._times.is_reordered |= ticks < self._held[1]
            self._release()
        now_ns = ticks * 1_000_000_000 // track.clock_rate
        if self._begin_ns is None:
            self._begin_ns = now_ns
        elif unit.kind == "video" and now_ns - self._begin_ns >= FRAGMENT_NS:
            self._mp4.settle(track, self._times.of(ticks))
            self._cut(now_ns)
            self._begin_ns = now_ns
        if unit.kind == "video":
            self._held = (unit, ticks)
        else:
            self._mp4.add(track, [unit.data], ticks, is_key=False)
        self._media_size += len(unit.data)

    def flush(self, now_ns: int) -> None:
        """End the fragment under way if it is old; the first one at once, so that the file can be opened."""
        if self._begin_ns is not None and (self._is_new or now_ns - self._begin_ns >= FRAGMENT_LIMIT_NS):
            self._cut(now_ns)

    def close(self, end_ns: int, *, limit_s: float) -> None:
        """Write the last fragment, and put the index first. Until that is done, nobody else records into the file."""
        self._cut(end_ns)
        if self._mp4.can_be_whole(end_ns):
            self._rearrange(end_ns, time.monotonic() + limit_s)
        else:
            _logger.warning(
                "%s stays in fragments, which players can play: it is too long for an index", self._file.name
            )
        self._file.close()

    def abandon(self) -> None:
        """Leave the file with the fragments that are whole."""
        with contextlib.suppress(OSError, ValueError):
            self._file.truncate(self._written)
        with contextlib.suppress(OSError):
            self._file.close()

    def _release(self) -> None:
        if self._held is None:
            return
        (unit, ticks), self._held = self._held, None
        at = self._times.take(ticks)
        sample = video_sample(unit.codec.name, unit.data)
        self._mp4.add(self._tracks["video"], sample, at, is_key=unit.is_keyframe, offset=ticks - at)
        self._taken += 1

    def _cut(self, now_ns: int) -> None:
        """Write the fragment under way; until it is there it is `free` space: half a `moof` spoils a file."""
        self._release()
        data = memoryview(self._mp4.fragment(self._written, now_ns))
        self._begin_ns = None
        if not data:
            return
        _write_all(self._file, bytes(data[:4]) + b"free")
        _write_all(self._file, data[8:])
        self._file.seek(self._written + 4)
        _write_all(self._file, b"moof")
        self._written = self._file.seek(0, os.SEEK_END)
        self._is_new = False
        self.written = self._taken

    def _rearrange(self, end_ns: int, deadline: float) -> None:
        """Write the regular form beside the file, and let it take the file's place. Without it the file is good too."""
        path = Path(self._file.name).resolve()  # a link goes on pointing to it
        draft = path.with_name(f"{path.name}.part")
        head, media = self._mp4.whole(end_ns)
        try:
            with path.open("rb", buffering=0) as source, open_draft(draft, path, buffering=0) as target:
                _write_all(target, head)
                _copy(source, target, media, deadline)
            draft.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            _logger.warning(
                "%s stays in fragments, which players can play: its index could not be put first: %s", path, error
            )


class AvFile:
    """A file that libavformat writes. It wants a time of decoding for each frame, no later than it is shown.

    MPEG-TS holds that time, and is written at once: there frames are decoded early as soon as their parameter sets
    allow reordering. Matroska holds only when they are shown; the newest one waits for the next, which tells whether
    the stream reorders.
    """

    def __init__(
        self,
        file: IO[bytes],
        container: Container,
        first: AccessUnit,
        *,
        has_audio: bool,
        is_ours: bool,
        times: DecodeTimes,
    ) -> None:
        self.written = 0
        self._times = times
        self._is_ours = is_ours
        self._muxed = 0  # frames
        self._estimate = 4096
        self._is_live = container.is_live
        self._is_at_once = (
            container.is_live and not has_audio
        )  # between two streams, libavformat holds the newest packet
        self._held: tuple[AccessUnit, int] | None = None  # the newest frame: how long it lasts is not known yet
        self._whole = 0  # what of the file is whole
        self._sink = _Sink(file)
        self._output = av.open(self._sink, "w", format=container.av_format, options=container.av_options)
        try:
            with _demuxed(first) as stream:
                self._output.add_stream_from_template(stream, opaque=True)
            if has_audio:
                with av.open(io.BytesIO(Mp4([_opus_track()]).head())) as template:
                    self._output.add_stream_from_template(template.streams.audio[0], opaque=True)
            self._output.start_encoding()
        except BaseException:
            self.abandon()
            raise
        self._whole = self._sink.size

    @property
    def size(self) -> int:
        """The size that the file would have if it ended now, about."""
        return self._sink.size if self._is_live else max(self._estimate, self._sink.size)

    def write(self, unit: AccessUnit, ticks: int) -> None:
        """Hand a unit to libavformat, a frame with its duration once that is known, if there is a place for it."""
        self._estimate += len(unit.data) + 24
        if unit.kind == "audio":
            self._mux(unit, ticks, 0)
            return
        if self._is_live:
            self._mux(unit, ticks, 0)
            return
        held, self._held = self._held, (unit, ticks)
        if held is not None:
            self._times.is_reordered |= ticks < held[1]
            self._mux(*held, self._duration(held[1], ticks))

    def _duration(self, ticks: int, following: int) -> int:
        """Return how long a frame is shown, by the one that came after it; 0 if others may come in between."""
        if not self._times.is_reordered:
            return following - ticks
        newest = self._times.newest
        if ticks > newest:
            return 0
        return min(newest, following if following > ticks else newest) - ticks

    def flush(self, now_ns: int) -> None:
        """Nothing: libavformat writes when a packet comes."""

    def close(self, end_ns: int, *, limit_s: float) -> None:
        """Write the last frame and what belongs at the end."""
        if self._held is not None:
            unit, ticks = self._held
            self._mux(unit, ticks, max(end_ns * unit.codec.clock_rate // 1_000_000_000 - ticks, 1))
        self._output.close()

    def abandon(self) -> None:
        """Leave the file with what libavformat has written whole."""
        self._sink.closed = True
        with contextlib.suppress(av.FFmpegError):
            self._output.close()
        if self._is_ours:
            self._sink.truncate(self._whole)

    def _mux(self, unit: AccessUnit, ticks: int, duration: int) -> None:
        packet = av.Packet(unit.data)
        packet.stream = self._output.streams[0 if unit.kind == "video" else 1]
        packet.time_base = _TIME_BASES[unit.codec.clock_rate]
        packet.dts = self._times.take(ticks) if unit.kind == "video" else ticks
        packet.pts = max(ticks, packet.dts)
        packet.duration = duration
        packet.is_keyframe = unit.is_keyframe
        self._output.mux(packet)
        self._muxed += unit.kind == "video"
        if self._sink.size > self._whole:  # by this packet, or by the cluster before it
            self._whole = self._sink.size
            self.written = max(self._muxed - (not self._is_at_once), 0)  # one more may be there, none less


class _Sink:
    """The file that libavformat writes into: each write is whole; after `close` it discards what comes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.closed = False
        self.size = 0
        self._file = file
        self._position = 0
        self.seekable = file.seekable

    def write(self, data: bytes) -> int:
        if not self.closed:
            _write_all(self._file, data)
            self._file.flush()
            self._position += len(data)
            self.size = max(self.size, self._position)
        return len(data)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = self._file.seek(offset, whence)
        return self._position

    def truncate(self, size: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.truncate(size)


_TIME_BASES: Final = {rate: fractions.Fraction(1, rate) for rate in (90_000, _OPUS_CLOCK)}


@contextlib.contextmanager
def _demuxed(keyframe: AccessUnit) -> Iterator[VideoStream]:
    """Give a keyframe as a stream that libavformat has read: its size and profile are what a file's header needs."""
    codec = CODECS[keyframe.codec.name]
    data = keyframe.data
    if codec.demuxer == "ivf":  # these have no form of their own without a container
        head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, codec.fourcc, 0, 0, 90_000, 1, 1, 0)
        data = head + struct.pack("<IQ", len(data), 0) + data
    try:
        with av.open(io.BytesIO(data), format=codec.demuxer, options=pixel_options()) as container:
            yield _checked(container.streams.video[0])
    except (av.InvalidDataError, IndexError, ValueError) as error:
        raise RecordingError(f"cannot parse the {codec.name.upper()} keyframe", reason="codec") from error


def _checked(stream: VideoStream) -> VideoStream:
    if not 0 < stream.width * stream.height <= PIXELS_LIMIT:
        raise ValueError("the stream has no size, or one over the limit")
    if stream.codec_context.name == "hevc":
        # With a video parameter set that ends too early the muxers count for minutes, and nothing else in the process
        # runs (libavformat 62.12, PyAV 18.1, while they write `hvcC`). The decoder can be told to refuse it.
        strict = av.CodecContext.create("hevc", "r")
        strict.extradata = stream.codec_context.extradata
        strict.options = {"err_detect": "explode", **pixel_options()}
        strict.open()
    return stream


def _video_track(keyframe: AccessUnit) -> Track:
    """Return an MP4 track for a keyframe's stream; libavformat, which knows every codec, makes the sample entry."""
    made = io.BytesIO()
    with _demuxed(keyframe) as stream:
        width, height = stream.width, stream.height
        with av.open(made, "w", format="mp4", options={"movflags": "empty_moov"}) as output:
            output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
    entry = find_box(made.getvalue(), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")[8:]
    if entry[4:8] == b"hev1":  # some players know the other name only; the difference is where parameter sets may be
        entry = entry[:4] + b"hvc1" + entry[8:]
    return Track(kind="video", clock_rate=keyframe.codec.clock_rate, entry=entry, width=width, height=height)


def _opus_track() -> Track:
    return Track(kind="audio", clock_rate=_OPUS_CLOCK, entry=opus_entry(_OPUS_CHANNELS))


def _write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write everything: a file without a buffer may take a part at a time, and a full pipe nothing for a while."""
    rest = memoryview(data)
    while rest:
        if (taken := cast("int | None", file.write(rest))) is None:  # its maker set the pipe to non-blocking
            with selectors.DefaultSelector() as selector:
                selector.register(file, selectors.EVENT_WRITE)
                selector.select()
        else:
            rest = rest[taken:]


def _copy(source: IO[bytes], target: IO[bytes], ranges: list[tuple[int, int]], deadline: float) -> None:
    """Copy parts of a file behind what is in another, on to the disk. Raises TimeoutError at the deadline."""
    copies = 0
    for position, size in ranges:
        source.seek(position)
        for begin in range(0, size, _COPY_BYTES):
            part = min(size - begin, _COPY_BYTES)
            data = source.read(part)
            if len(data) != part:
                raise OSError("the file has become shorter")
            _write_all(target, data)
            copies += 1
            if copies % _SYNC_EVERY == 0:
                os.fsync(target.fileno())
            if time.monotonic() > deadline:
                raise TimeoutError("it takes too long")
    os.fsync(target.fileno())
