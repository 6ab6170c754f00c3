"""Writes one file of a recording: MP4 by this package; Matroska, WebM and MPEG-TS by libavformat.

Every call blocks: make it in a thread.
"""

import contextlib
import fractions
import io
import logging
import os
import selectors
import struct
import time
from collections.abc import Iterator, Sequence
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
from streamer.media.recording.decode_times import DecodeTimes
from streamer.media.recording.mp4 import Chapter, Mp4, Track, find_box, opus_entry, video_sample
from streamer.tracks import Kind

_logger = logging.getLogger("streamer.record")

FRAGMENT_NS: Final = int(FRAGMENT_S * 1e9)  # an MP4's fragment ends with the first frame after this time
FRAGMENT_LIMIT_NS: Final = FRAGMENT_NS * 3 // 2  # or without a frame after this time
_COPY_BYTES: Final = 1024 * 1024
_SYNC_EVERY: Final = 64  # copies
_OPUS_CLOCK: Final = 48_000
_OPUS_CHANNELS: Final = 2  # as every offer says, whatever is in the packets (RFC 7587 section 7)


class MediaFile(Protocol):
    """A file under way. Times count from its beginning, in ticks of each codec's clock or in nanoseconds.

    Every method may raise OSError or av.FFmpegError. Then call `abandon`.
    """

    written: int  # frames that are safe in the file
    chapters: Sequence[Chapter]  # those that `close` writes, if the file can hold them

    @property
    def size(self) -> int:
        """About how many bytes the file would have if it ended now."""

    def write(self, unit: AccessUnit, ticks: int) -> None:
        """Write the next unit in decoding order. It is presented at `ticks`, a time that no other unit of its kind has.

        Only a frame may go back: it is then shown after the second-newest frame and before the newest.
        """

    def flush(self, now_ns: int) -> None:
        """Write what has waited long enough."""

    def close(self, end_ns: int, *, limit_s: float) -> None:
        """End the file properly; its last frame lasts until `end_ns`.

        `limit_s` limits the work that only makes the file easier to use, such as an index at the front.
        """

    def abandon(self) -> None:
        """End the file after an error, and keep what is complete. Raises nothing."""


def open_media(
    file: IO[bytes],
    container: Container,
    first: AccessUnit,
    *,
    has_audio: bool,
    is_ours: bool = True,
    may_reorder: bool = False,
) -> MediaFile:
    """Begin a file for the codec of the keyframe `first`, and for Opus with `has_audio`.

    A file that is not ours (`is_ours`) is never truncated: it may hold other data. `may_reorder` says that the frames'
    parameter sets allow reordering. Raises OSError or av.FFmpegError, also for a keyframe that libavformat cannot read.
    """
    if container.av_format:
        times = DecodeTimes(is_reordered=may_reorder and container.is_live)
        return AvFile(file, container, first, has_audio=has_audio, is_ours=is_ours, times=times)
    return Mp4File(file, first, has_audio=has_audio)


class Mp4File:
    """An MP4 in fragments. `close` turns it into a regular MP4 that begins with its index."""

    def __init__(self, file: IO[bytes], first: AccessUnit, *, has_audio: bool) -> None:
        self.written = 0
        self.chapters: Sequence[Chapter] = ()
        self._taken = 0  # frames, with those in the fragment under way
        self._file = file
        self._media_size = 0
        self._begin_ns: int | None = None  # when the fragment under way began
        self._held: list[tuple[AccessUnit, int]] = []  # the newest frame, and those that came since: shown before it
        self._times = DecodeTimes()
        self._tracks: dict[Kind, Track] = {"video": video_track(first)}
        if has_audio:
            self._tracks["audio"] = _opus_track()
        self._mp4 = Mp4(list(self._tracks.values()))
        head = self._mp4.head()
        _write_all(file, head)
        self._written = len(head)  # bytes of the file that are complete
        self._is_new = True

    @property
    def size(self) -> int:
        """How many bytes the file would have if it ended now."""
        return self._media_size + self._mp4.index_size

    def write(self, unit: AccessUnit, ticks: int) -> None:
        """Add a unit to the fragment under way. A frame FRAGMENT_NS after its beginning begins the next one."""
        track = self._tracks[unit.kind]
        if unit.kind == "video" and self._held:
            if ticks < max(self._held[0][1], self._times.newest):
                self._times.is_reordered = True
            else:
                self._release(following=ticks)
        now_ns = ticks * 1_000_000_000 // track.clock_rate
        if self._begin_ns is None:
            self._begin_ns = now_ns
        elif unit.kind == "video" and now_ns - self._begin_ns >= FRAGMENT_NS:
            self._mp4.settle(track, self._times.of(ticks))
            self._cut(now_ns)
            self._begin_ns = now_ns
        if unit.kind == "video":
            self._held.append((unit, ticks))
        else:
            self._mp4.add(track, [unit.data], ticks, is_key=False)
        self._media_size += len(unit.data)

    def flush(self, now_ns: int) -> None:
        """End the fragment under way if it is old, the first one at once: then players can open the file."""
        if self._begin_ns is not None and (self._is_new or now_ns - self._begin_ns >= FRAGMENT_LIMIT_NS):
            self._cut(now_ns)

    def close(self, end_ns: int, *, limit_s: float) -> None:
        """Write the last fragment, and put the index first. The file stays locked until that is done."""
        self._release(following=self._tracks["video"].ticks(end_ns))
        self._cut(end_ns)
        if self._mp4.can_be_whole(end_ns):
            self._rearrange(end_ns, time.monotonic() + limit_s)
        else:
            _logger.warning(
                "%s stays in fragments, which players can play: it is too long for an index", self._file.name
            )
        self._file.close()

    def abandon(self) -> None:
        """Keep the complete fragments, and close the file."""
        with contextlib.suppress(OSError, ValueError):
            self._file.truncate(self._written)
        with contextlib.suppress(OSError):
            self._file.close()

    def _release(self, following: int | None = None) -> None:
        """Add the frames that are held. `following` is when the next one is shown; None if that is not known."""
        held, self._held = self._held, []
        if not held:
            return
        for (unit, ticks), at in zip(held, self._times.take_all([ticks for _, ticks in held], following), strict=True):
            sample = video_sample(unit.codec.name, unit.data)
            self._mp4.add(self._tracks["video"], sample, at, is_key=unit.is_keyframe, offset=ticks - at)
        self._taken += len(held)

    def _cut(self, now_ns: int) -> None:
        """Write the fragment under way, marked as `free` space until it is complete: half a `moof` spoils a file."""
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
        """Write the regular form next to the file, and replace the file with it; on failure the file stays as it is."""
        path = Path(self._file.name).resolve()  # a symbolic link keeps pointing to it
        draft = path.with_name(f"{path.name}.part")
        self._mp4.chapters = self.chapters
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
    """A file that libavformat writes. libavformat wants a decoding time for each frame, no later than it is shown.

    MPEG-TS stores the decoding time, and every frame is written at once. So its frames are decoded early as soon as
    their parameter sets allow reordering. Matroska stores only when frames are shown. The newest frame waits for the
    next one, which tells whether the stream reorders.
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
        self.chapters: Sequence[Chapter] = ()
        self._times = times
        self._is_ours = is_ours
        self._muxed = 0  # frames
        self._estimate = 4096
        self._is_live = container.is_live
        # With two streams, libavformat holds back the newest packet.
        self._is_at_once = container.is_live and not has_audio
        self._held: tuple[AccessUnit, int] | None = None  # the newest frame: its duration is not known yet
        self._whole = 0  # bytes of the file that are complete
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
        """About how many bytes the file would have if it ended now."""
        return self._sink.size if self._is_live else max(self._estimate, self._sink.size)

    def write(self, unit: AccessUnit, ticks: int) -> None:
        """Hand a unit to libavformat; a frame of Matroska waits until its duration is known."""
        self._estimate += len(unit.data) + 24
        if unit.kind == "audio" or self._is_live:
            self._mux(unit, ticks, 0)
            return
        held, self._held = self._held, (unit, ticks)
        if held is not None:
            self._times.is_reordered |= ticks < held[1]
            self._mux(*held, self._duration(held[1], ticks))

    def _duration(self, ticks: int, following: int) -> int:
        """Return how long a frame is shown, given the time of the frame sent after it; 0 if that is not known yet."""
        if not self._times.is_reordered:
            return following - ticks
        newest = self._times.newest
        if ticks > newest:
            return 0
        return min(newest, following if following > ticks else newest) - ticks

    def flush(self, now_ns: int) -> None:
        """Do nothing: libavformat writes with each packet."""

    def close(self, end_ns: int, *, limit_s: float) -> None:
        """Write the last frame and the end of the file."""
        if self._held is not None:
            unit, ticks = self._held
            self._mux(unit, ticks, max(end_ns * unit.codec.clock_rate // 1_000_000_000 - ticks, 1))
        self._output.close()

    def abandon(self) -> None:
        """Keep what libavformat has written completely."""
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
            self.written = max(self._muxed - (not self._is_at_once), 0)  # at least so many; one more may be there


class _Sink:
    """The file that libavformat writes into. Each write is complete. Once `closed` is set, it discards everything."""

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
    """Yield a keyframe as a stream that libavformat has read: a file's header needs its size and profile."""
    codec = CODECS[keyframe.codec.name]
    data = keyframe.data
    if codec.demuxer == "ivf":  # this codec has no format without a container
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
        # A video parameter set that ends too early keeps the muxers busy for minutes, and they hold the interpreter's
        # lock (libavformat 62.12, PyAV 18.1, while they write `hvcC`). A strict decoder refuses such a set.
        strict = av.CodecContext.create("hevc", "r")
        strict.extradata = stream.codec_context.extradata
        strict.options = {"err_detect": "explode", **pixel_options()}
        strict.open()
    return stream


def video_track(keyframe: AccessUnit) -> Track:
    """Return an MP4 track for a keyframe's stream. libavformat makes the sample entry: it knows every codec.

    Raises RecordingError or av.FFmpegError for a keyframe that libavformat cannot read.
    """
    made = io.BytesIO()
    with _demuxed(keyframe) as stream:
        width, height = stream.width, stream.height
        with av.open(made, "w", format="mp4", options={"movflags": "empty_moov"}) as output:
            output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
    entry = find_box(made.getvalue(), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")[8:]
    if entry[4:8] == b"hev1":  # some players know only `hvc1`; the two differ in where parameter sets may be
        entry = entry[:4] + b"hvc1" + entry[8:]
    return Track(kind="video", clock_rate=keyframe.codec.clock_rate, entry=entry, width=width, height=height)


def _opus_track() -> Track:
    return Track(kind="audio", clock_rate=_OPUS_CLOCK, entry=opus_entry(_OPUS_CHANNELS))


def _write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write everything: an unbuffered file may take only a part, and a full pipe takes nothing for a while."""
    rest = memoryview(data)
    while rest:
        if (taken := cast("int | None", file.write(rest))) is None:  # the pipe is non-blocking, and full
            with selectors.DefaultSelector() as selector:
                selector.register(file, selectors.EVENT_WRITE)
                selector.select()
        else:
            rest = rest[taken:]


def _copy(source: IO[bytes], target: IO[bytes], ranges: list[tuple[int, int]], deadline: float) -> None:
    """Append parts of a file to another, and sync it to the disk. Raises TimeoutError at the deadline."""
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
