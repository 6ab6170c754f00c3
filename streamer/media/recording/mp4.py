"""MP4 files as bytes (ISO/IEC 14496-12): in fragments while they grow, in the regular form when they are complete.

    head()      → ftyp moov        what a player needs before the first fragment
    add() …                        one more sample
    fragment()  → moof mdat        the samples since the last fragment
    whole()     → ftyp moov mdat…  the head of the regular file; the media of the fragments follows it unchanged

Samples come in decoding order, with decoding times. Their composition offsets give the times of presentation.

A file that ends after any fragment plays up to there. When a fragment is written, the duration of its last sample is an
estimate: it never reaches beyond the beginning of the next fragment. In the regular form every duration is exact.

The index of the regular form is kept in memory: eight bytes a sample, sixteen if the stream reorders. Beyond
INDEX_LIMIT samples the index is dropped, and the file stays in fragments. The same happens if a sample lasts longer
than 32 bits of ticks can say, 13 hours of video: the regular form cannot hold that, but each fragment has its own time.
"""

import itertools
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.codec_table import CODECS, Form
from streamer.tracks import Kind

INDEX_LIMIT: Final = 8_000_000  # samples of a file: 64 MB in memory, 20 hours of 60 frames a second and audio
_MOVIE_CLOCK: Final = 90_000
_UNITY_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED: Final = 0x55C4  # the language "und": three letters of five bits
_KEY_SAMPLE, _OTHER_SAMPLE = 0x02000000, 0x01010000  # depends on no other; depends on others, and is no key
# The columns of a fragment's run of samples.
_DATA, _DURATIONS, _SIZES, _FLAGS, _OFFSETS = 0x0001, 0x0100, 0x0200, 0x0400, 0x0800
_FRAGMENT_HEAD, _TRACK_HEAD = 24, 64  # bytes: `moof` without its tracks, and each track there without its run
_LONGEST_STEP: Final = 0xFFFFFFFF  # ticks, in a table
_OPUS_STEPS_PER_S: Final = 50  # packets of 20 ms, if the real duration is not known
_LONGEST_OPUS_S: Final = 0.12  # one packet (RFC 6716 section 2.1.4)

CHAPTERS_LIMIT: Final = 255  # of a file: a byte counts them

Chapter: TypeAlias = tuple[int, str]  # nanoseconds from the file's beginning, and the title
_Numbers = npt.NDArray[np.integer]


@dataclass(slots=True, kw_only=True)
class Track:
    """One track: what it is, the index of its samples, and the samples of the fragment under way."""

    kind: Kind
    clock_rate: int
    entry: bytes  # the sample entry: a box such as `avc1`
    width: int = 0
    height: int = 0
    first: int = 0  # the time of its first sample, in ticks
    newest: int = 0  # the decoding time of its newest sample, in ticks
    samples: int = 0
    step: int = 0  # the last known duration of a sample
    # The index: eight bytes a sample, four more for a keyframe, eight more if it is not shown when it is decoded.
    sizes: "array[int]" = field(default_factory=lambda: array("I"))
    steps: "array[int]" = field(default_factory=lambda: array("I"))  # ticks from each sample to the next
    keys: "array[int]" = field(default_factory=lambda: array("I"))  # numbers of the keyframes; the first sample is 1
    shifted: "array[int]" = field(default_factory=lambda: array("I"))  # numbers of samples not shown when decoded
    offsets: "array[int]" = field(default_factory=lambda: array("i"))  # how much later each of them is shown
    chunk_offsets: "array[int]" = field(default_factory=lambda: array("Q"))  # in the media, without the boxes around it
    chunk_counts: "array[int]" = field(default_factory=lambda: array("I"))
    # The fragment under way.
    begin: int = 0
    data: list[bytes] = field(default_factory=list)
    pending: list[list[int]] = field(default_factory=list)  # of each sample: duration, size, flags, offset

    def ticks(self, ns: int) -> int:
        """Return a time in ticks."""
        return ns * self.clock_rate // 1_000_000_000

    def end(self, now_ns: int) -> int:
        """Return when the newest sample ends if none follows: a frame lasts until now, audio as long as a packet."""
        if self.kind == "video":
            return max(self.ticks(now_ns), self.newest + 1)
        usual = self.step or self.clock_rate // _OPUS_STEPS_PER_S
        return self.newest + min(usual, int(_LONGEST_OPUS_S * self.clock_rate))

    def forget_index(self) -> None:
        """Drop the index."""
        for table in (self.sizes, self.steps, self.keys, self.shifted, self.offsets):
            del table[:]
        del self.chunk_offsets[:], self.chunk_counts[:]


class Mp4:
    """The boxes of one file. Its time begins at zero."""

    def __init__(self, tracks: list[Track]) -> None:
        self._tracks = tracks
        self._fragments = 0
        self._media_size = 0
        self._positions = array("Q")  # of each fragment's media
        self._sizes = array("Q")
        self.chapters: Sequence[Chapter] = ()  # of the regular form
        self.is_indexed = True  # whether the index is complete, so that there is a regular form

    @property
    def samples(self) -> int:
        """How many samples were added."""
        return sum(track.samples for track in self._tracks)

    @property
    def index_size(self) -> int:
        """How many bytes the file has at most besides its media, in either form."""
        shifted = sum(len(track.shifted) for track in self._tracks)
        return 2048 + 20 * self.samples + 16 * shifted + 160 * (self._fragments + 1)

    def head(self) -> bytes:
        """Return what the file begins with."""
        tables = [_full_box(b"stts", bytes(4)), _full_box(b"stsc", bytes(4)), _full_box(b"stsz", bytes(8))]
        tables.append(_full_box(b"stco", bytes(4)))
        traks = [_trak(number, track, 0, tables) for number, track in enumerate(self._tracks, start=1)]
        extends = [
            _full_box(b"trex", struct.pack(">5I", number, 1, 0, 0, _KEY_SAMPLE))
            for number in range(1, len(self._tracks) + 1)
        ]
        movie = _movie_header(0, len(self._tracks) + 1)
        return _file_type(b"iso5") + _box(b"moov", movie, *traks, _box(b"mvex", *extends))

    def add(self, track: Track, data: list[bytes], ticks: int, *, is_key: bool, offset: int = 0) -> None:
        """Add a sample that consists of the pieces in `data`. It must be later than the track's newest.

        It is decoded at `ticks`, and shown `offset` later, which may be negative.
        """
        size = sum(map(len, data))
        if track.samples:
            self.settle(track, ticks)
        else:
            track.first = ticks
        track.samples += 1
        if not track.pending:
            track.begin = ticks
        track.data += data
        track.pending.append([0, size, _KEY_SAMPLE if is_key else _OTHER_SAMPLE, offset])
        track.newest = ticks
        if self.is_indexed:
            track.sizes.append(size)
            if is_key:
                track.keys.append(track.samples)
            if offset:
                track.shifted.append(track.samples)
                track.offsets.append(offset)

    def settle(self, track: Track, ticks: int) -> None:
        """Set the end of the newest sample."""
        if ticks - track.newest > _LONGEST_STEP:
            self._forget_index()
        track.step = step = min(ticks - track.newest, _LONGEST_STEP)
        if len(track.steps) < len(track.sizes):
            track.steps.append(step)
        elif track.steps:
            track.steps[-1] = step
        if track.pending:
            track.pending[-1][0] = step

    def fragment(self, position: int, now_ns: int) -> bytes:
        """Return a fragment of the samples since the last one, for `position` in the file; empty without samples."""
        tracks = [(number, track) for number, track in enumerate(self._tracks, start=1) if track.pending]
        if not tracks:
            return b""
        self._fragments += 1
        sizes = [sum(size for _, size, *_ in track.pending) for _, track in tracks]
        runs = [(number, track, *_run(track, now_ns)) for number, track in tracks]
        head_size = _FRAGMENT_HEAD + sum(_TRACK_HEAD + len(run) for *_, run in runs)  # where the data begins
        offsets = itertools.accumulate(sizes[:-1], initial=head_size + 8)
        head = _movie_fragment(self._fragments, runs, list(offsets))
        data = [piece for _, track in tracks for piece in track.data]
        if self.is_indexed:
            self._positions.append(position + head_size + 8)
            self._sizes.append(sum(sizes))
        for (_, track), size in zip(tracks, sizes, strict=True):
            if self.is_indexed:
                track.chunk_offsets.append(self._media_size)
                track.chunk_counts.append(len(track.pending))
            self._media_size += size
            track.data, track.pending = [], []
        if self.is_indexed and self.samples > INDEX_LIMIT:
            self._forget_index()
        return b"".join((head, struct.pack(">I4s", 8 + sum(sizes), b"mdat"), *data))

    def can_be_whole(self, now_ns: int) -> bool:
        """Whether there is a regular form if the newest samples last until `now_ns`."""
        return self.is_indexed and all(track.end(now_ns) - track.newest <= _LONGEST_STEP for track in self._tracks)

    def whole(self, now_ns: int) -> tuple[bytes, list[tuple[int, int]]]:
        """Return the head of the regular form, and the positions and sizes of the media in the fragmented file.

        Call it only if `can_be_whole`.
        """
        tracks = [track for track in self._tracks if track.sizes]
        for track in tracks:
            if len(track.steps) < len(track.sizes):
                self.settle(track, track.end(now_ns))
        tables = [_tables(track) for track in tracks]
        media = struct.pack(">I4sQ", 1, b"mdat", 16 + self._media_size)
        chapters = _chapters(self.chapters)
        head_size = len(_whole_head(tracks, tables, 0, chapters)) + len(media)
        return _whole_head(tracks, tables, head_size, chapters) + media, list(
            zip(self._positions, self._sizes, strict=True)
        )

    def _forget_index(self) -> None:
        self.is_indexed = False
        for track in self._tracks:
            track.forget_index()
        del self._positions[:], self._sizes[:]


def video_sample(codec_name: str, data: bytes) -> list[bytes]:
    """Return an access unit in the form of a sample, in pieces: NAL units with their lengths (ISO/IEC 14496-15), or
    OBUs without their temporal delimiter (AV1 in ISOBMFF section 2.4).
    """
    form = CODECS[codec_name].form
    if form is Form.ANNEX_B:
        nal_units = (unit.rstrip(b"\x00") for unit in data.split(b"\x00\x00\x01")[1:])
        return [piece for unit in nal_units if unit for piece in (len(unit).to_bytes(4), unit)]
    return [data.removeprefix(b"\x12\x00")] if form is Form.OBUS else [data]


def opus_entry(channels: int) -> bytes:
    """Return Opus's sample entry (Encapsulation of Opus in ISOBMFF section 4.3): nothing to skip, no gain."""
    audio = struct.pack(">6xH8xHHIHxx", 1, channels, 16, 0, 48_000)
    return _box(b"Opus", audio, _box(b"dOps", struct.pack(">BBHIhB", 0, channels, 0, 48_000, 0, 0)))


def find_box(data: bytes, *path: bytes) -> bytes:
    """Return the content of the box at that path, the first at each step. Raises ValueError if there is none."""
    for name in path:
        position = 0
        while position + 8 <= len(data):
            size, kind = struct.unpack_from(">I4s", data, position)
            if kind == name:
                data = data[position + 8 : position + size]
                break
            position += max(size, 8)
        else:
            raise ValueError(f"there is no box {name!r}")
    return data


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return (8 + len(body)).to_bytes(4) + kind + body


def _full_box(kind: bytes, content: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    return (12 + len(content)).to_bytes(4) + kind + (version << 24 | flags).to_bytes(4) + content


def _file_type(brand: bytes) -> bytes:
    return _box(b"ftyp", brand, struct.pack(">I", 0x200), b"isomiso5iso6mp41")


def _movie_header(duration: int, next_track: int) -> bytes:
    fields = struct.pack(">QQIQIHxx8x", 0, 0, _MOVIE_CLOCK, duration, 0x10000, 0x100)
    return _full_box(b"mvhd", fields + _UNITY_MATRIX + bytes(24) + struct.pack(">I", next_track), version=1)


def _movie_time(track: Track, ticks: int) -> int:
    return ticks * _MOVIE_CLOCK // track.clock_rate


def _trak(number: int, track: Track, length: int, tables: Iterable[bytes]) -> bytes:
    """Return a track's box; `length` is in its ticks."""
    is_video = track.kind == "video"
    begin, duration = _movie_time(track, track.first), _movie_time(track, length)
    end, volume = begin + duration if length else 0, 0 if is_video else 0x100
    header = struct.pack(">QQI4xQ8xHHHxx", 0, 0, number, end, 0, 0, volume)
    size = struct.pack(">II", track.width << 16, track.height << 16)
    edits = b""
    if begin and length:  # the track is empty until its first sample
        edits = _full_box(b"elst", struct.pack(">IQqIQqI", 2, begin, -1, 0x10000, duration, 0, 0x10000), version=1)
        edits = _box(b"edts", edits)
    media_header = struct.pack(">QQIQHxx", 0, 0, track.clock_rate, length, _UNDETERMINED)
    handler = struct.pack(">4x4s12x", b"vide" if is_video else b"soun") + b"\x00"
    about = _full_box(b"vmhd", bytes(8), flags=1) if is_video else _full_box(b"smhd", bytes(4))
    here = _full_box(b"dref", struct.pack(">I", 1) + _full_box(b"url ", b"", flags=1))
    description = _full_box(b"stsd", struct.pack(">I", 1) + track.entry)
    return _box(
        b"trak",
        _full_box(b"tkhd", header + _UNITY_MATRIX + size, version=1, flags=3),
        edits,
        _box(
            b"mdia",
            _full_box(b"mdhd", media_header, version=1),
            _full_box(b"hdlr", handler),
            _box(b"minf", about, _box(b"dinf", here), _box(b"stbl", description, *tables)),
        ),
    )


def _whole_head(tracks: list[Track], tables: list[list[bytes]], start: int, chapters: bytes) -> bytes:
    """Return the head of the regular form, whose media is at `start`."""
    lengths = [int(np.array(track.steps).sum()) for track in tracks]
    ends = [_movie_time(track, track.first + length) for track, length in zip(tracks, lengths, strict=True)]
    traks = [
        _trak(number, track, length, [*table, _chunk_offsets(track, start)])
        for number, (track, length, table) in enumerate(zip(tracks, lengths, tables, strict=True), start=1)
    ]
    return _file_type(b"isom") + _box(b"moov", _movie_header(max(ends, default=0), len(tracks) + 1), *traks, chapters)


def _chapters(chapters: Sequence[Chapter]) -> bytes:
    """Return the box of chapters, which players know by custom, not by a standard; nothing without chapters."""
    if not chapters:
        return b""
    titles = [(max(at_ns, 0) // 100, _cut(title.encode())) for at_ns, title in sorted(chapters)[:CHAPTERS_LIMIT]]
    rows = [struct.pack(">QB", at, len(title)) + title for at, title in titles]
    return _box(b"udta", _full_box(b"chpl", struct.pack(">IB", 0, len(rows)) + b"".join(rows), version=1))


def _cut(text: bytes) -> bytes:
    """Return as much of a text in UTF-8 as a byte can count."""
    return text if len(text) <= 255 else text[:255].decode(errors="ignore").encode()


def _movie_fragment(number: int, runs: list[tuple[int, Track, int, bytes]], offsets: list[int]) -> bytes:
    parts = [
        _track_fragment(track_number, track, flags, run, offset)
        for (track_number, track, flags, run), offset in zip(runs, offsets, strict=True)
    ]
    return _box(b"moof", _full_box(b"mfhd", struct.pack(">I", number)), *parts)


def _run(track: Track, now_ns: int) -> tuple[int, bytes]:
    """Return the flags and the table of a run with the samples of the fragment under way."""
    newest = track.pending[-1]
    newest[0] = newest[0] or min(track.end(now_ns) - track.newest, _LONGEST_STEP)
    flags, columns = _DATA | _DURATIONS | _SIZES, "II"
    if track.kind == "video":
        flags, columns = flags | _FLAGS, "III"
        if any(offset for *_, offset in track.pending):
            flags, columns = flags | _OFFSETS, "IIIi"
    fields = [number for sample in track.pending for number in sample[: len(columns)]]
    return flags, struct.pack(">" + columns * len(track.pending), *fields)


def _track_fragment(number: int, track: Track, flags: int, run: bytes, position: int) -> bytes:
    return _box(
        b"traf",
        _full_box(b"tfhd", struct.pack(">I", number), flags=0x020000),  # offsets count from the moof box
        _full_box(b"tfdt", struct.pack(">Q", track.begin), version=1),
        _full_box(
            b"trun",
            struct.pack(">II", len(track.pending), position) + run,
            version=int(any(offset < 0 for *_, offset in track.pending)),
            flags=flags,
        ),
    )


def _tables(track: Track) -> list[bytes]:
    """Return the sample tables of the regular form, except the chunk offsets."""
    sizes, keys = np.array(track.sizes), np.array(track.keys)
    steps, counts = np.array(track.steps), np.array(track.chunk_counts)
    first_steps, first_chunks = _changes(steps), _changes(counts)
    lengths = np.diff(first_steps, append=len(steps))
    of_chunks = (first_chunks + 1, counts[first_chunks], np.ones_like(first_chunks))
    tables = [
        _full_box(b"stts", struct.pack(">I", len(first_steps)) + _rows(lengths, steps[first_steps])),
        _full_box(b"stsc", struct.pack(">I", len(first_chunks)) + _rows(*of_chunks)),
        _full_box(b"stsz", struct.pack(">II", 0, len(sizes)) + _rows(sizes)),
    ]
    if track.kind == "video":
        tables.append(_full_box(b"stss", struct.pack(">I", len(keys)) + _rows(keys)))
    if track.shifted:
        offsets = np.zeros(len(sizes), dtype=np.int64)
        offsets[np.array(track.shifted) - 1] = track.offsets
        firsts = _changes(offsets)
        rows = _rows(np.diff(firsts, append=len(offsets)), offsets[firsts] % 2**32)
        tables.append(_full_box(b"ctts", struct.pack(">I", len(firsts)) + rows, version=int(offsets.min() < 0)))
    return tables


def _chunk_offsets(track: Track, start: int) -> bytes:
    offsets = np.array(track.chunk_offsets) + np.uint64(start)
    return _full_box(b"co64", struct.pack(">I", len(offsets)) + offsets.astype(">u8").tobytes())


def _changes(numbers: _Numbers) -> _Numbers:
    """Return the indices of numbers that differ from the one before; the first counts."""
    return np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))


def _rows(*columns: _Numbers) -> bytes:
    """Return a table in the form of a box: 32 bits a number."""
    return np.stack(columns, axis=1).astype(">u4").tobytes()
