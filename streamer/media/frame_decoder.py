"""Decodes access units with libavcodec in the caller's thread. Each frame comes with the unit that it was sent in."""

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import av

from streamer.bounded import Budget
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.frame_reordering import Reordering
from streamer.media.libav import PIXELS_LIMIT, Device, is_too_large, open_decoder

_logger = logging.getLogger("streamer.decode")

WAITING_LIMIT: Final = 32  # units without a frame so far: H.264 and H.265 hold back at most 16
GROUP_LIMIT: Final = 600  # units since a keyframe, kept to decode them again: as many as in the history
GROUP_BYTES_LIMIT: Final = 64 * 1024 * 1024
# Color matrices that libswscale converts (AVColorSpace): others are refused, and a stream may declare anything.
_MATRICES: Final = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
_UNSPECIFIED: Final = 2
# A screen is still if no frame came for three intervals, within these limits.
LEAST_STILL_S, MOST_STILL_S = 0.04, 0.25


@dataclass(slots=True)
class DecoderCounters:
    """The counters of one decoder: frames, and access units without a frame. The event loop writes the last two."""

    decoded: int = 0
    decode_ns: int = 0  # the time that took
    errors: int = 0  # refused by the decoder
    too_large: int = 0  # refused for their size
    corrupt: int = 0  # the decoder made up parts of them: dropped
    passed_over: int = 0  # skipped after one of these, up to the next keyframe
    overflows: int = 0  # dropped because decoding was slower than the stream
    awaiting_keyframe: int = 0  # skipped after that, up to the next keyframe


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A decoded frame, and the access unit that it was sent in."""

    unit: AccessUnit
    av_frame: av.VideoFrame
    decode_ns: int


class FrameDecoder:
    """Decodes a stream's access units in the caller's thread, and returns each frame with its own unit.

    A frame is returned with its unit at once, unless the stream reorders frames (see `codecs.frame_reordering`). Then
    frames come in the order in which they are shown, some of them late. `release` returns the frames that are held back
    while no unit comes; `drain` returns them at the end. A serial number that passes through libavcodec tells which
    unit belongs to a frame.

    If libavcodec refuses a unit or makes up a part of a frame, the decoder calls `on_damage` and skips units up to the
    next keyframe: frames that refer to a damaged frame are damaged, too. libavcodec reports the damage when the frame
    is shown. If the stream reorders, frames that refer to it and are shown before it were already returned.

    With `device="auto"` it goes on with the CPU once a GPU refuses a unit.

    `decode` and `release` raise IncompatibleLibraryError if libavcodec lacks a decoder, and ConfigurationError if there
    is no GPU for "cuda". No method raises anything else.
    """

    def __init__(self, on_damage: Callable[[], None], device: Device = "cpu") -> None:
        self.counters = DecoderCounters()
        self._device = device
        self._on_damage = on_damage
        self.needs_keyframe = True  # units are passed over up to the next one
        self._has_given = False  # whether a frame came since the last keyframe that was needed
        self._codec_name = ""
        self._context: av.VideoCodecContext | None = None
        self._reordering = Reordering("")
        self._serial = 0
        self._waiting: dict[int, AccessUnit] = {}  # units without a frame so far
        self._gap: int | None = None  # the first unit after a gap, until a frame comes
        self._groups: list[_Group] = []  # units to decode again for the frames that are held back

    @property
    def is_holding(self) -> bool:
        """Whether frames are held back."""
        return bool(self._waiting)

    @property
    def reorders(self) -> bool:
        """Whether the stream shows frames in another order than it sends them, so far."""
        return self._reordering.is_reordered

    def decode(self, unit: AccessUnit) -> list[DecodedFrame]:
        """Decode the next unit; return the frames that are ready."""
        if self.needs_keyframe and not unit.is_keyframe:
            self.counters.passed_over += 1
            return []
        frames: list[DecodedFrame] = []
        if self._context is None or unit.codec.name != self._codec_name:
            frames = self.drain()
            self._open(unit.codec.name)
        starts = unit.discontinuity or self.needs_keyframe
        if starts:
            self._reordering.begin()
            self._has_given = False
        has_changed = self._reordering.add(unit.data)
        # At a recovery point, only a new decoder withholds frames until the refresh is complete.
        recovers = starts and self._reordering.can_delay and not self._reordering.begins_sequence
        if recovers or (self._reordering.begins_sequence and self._waiting):
            frames += self.drain()
        if recovers or (has_changed and not self._reordering.is_reordered):
            self._context = open_decoder(self._codec_name, self._device)  # the old one would go on holding frames back
        self._serial += 1
        if unit.discontinuity and self._gap is None:
            self._gap = self._serial
        self._keep(unit)
        if has_changed and self._reordering.is_reordered and not self._replay():
            self.counters.passed_over += 1
            self._damage()
            return frames
        self.needs_keyframe = False
        self._waiting[self._serial] = unit
        while len(self._waiting) > WAITING_LIMIT:
            self._waiting.pop(next(iter(self._waiting)))
        return frames + self._decoded(self._serial, unit)

    def drain(self) -> list[DecodedFrame]:
        """Return the frames that are held back: at the end of the stream, or before a unit that restarts it."""
        if self._context is None or not self._waiting:
            return []
        with contextlib.suppress(av.FFmpegError):
            frames = self._taken(self._context.decode(None), 0)
            self._context.flush_buffers()
            self._waiting.clear()
            return frames
        self._context = None
        self._waiting.clear()
        return []

    def release(self, is_wanted: Callable[[], bool]) -> list[DecodedFrame]:
        """Return the frames that are held back, without an end of the stream: decoding can go on afterwards.

        libavcodec returns them only at the end of a stream, and then forgets the frames that later ones refer to. So a
        second decoder decodes them again, from the last keyframe on. It calls `is_wanted` before each unit, and stops
        when that returns false.
        """
        frames: list[DecodedFrame] = []
        with contextlib.suppress(av.FFmpegError):
            context = open_decoder(self._codec_name, self._device)
            for serial, unit in self._kept():
                if not is_wanted():
                    return frames
                frames += self._taken(context.decode(self._packet(serial, unit)), 0)
            frames += self._taken(context.decode(None), 0)
        self._waiting.clear()  # the units that are left have no frame
        return frames

    def _open(self, codec_name: str) -> None:
        self._context = open_decoder(codec_name, self._device)
        if codec_name != self._codec_name:
            self._codec_name, self._reordering = codec_name, Reordering(codec_name)
        self._waiting.clear()
        self._groups.clear()

    def _keep(self, unit: AccessUnit) -> None:
        """Keep the units from the last keyframe on, for `release` and `_replay`.

        While frames are held back, the group before the keyframe is kept, too: they may belong to it.
        """
        if not self._reordering.can_delay:
            return
        if unit.is_keyframe:
            self._groups = [*(self._groups[-1:] if self._waiting else ()), _Group()]
        if self._groups and not self._groups[-1].put((self._serial, unit)):
            self._groups.clear()

    def _kept(self) -> list[tuple[int, AccessUnit]]:
        return [entry for group in self._groups for entry in group.units]

    def _replay(self) -> bool:
        """Decode the last units again when the stream turns out to reorder; return whether they were kept."""
        kept = self._kept()[:-1]
        if not kept:
            return False
        self._context = open_decoder(self._codec_name, self._device)
        with contextlib.suppress(av.FFmpegError):
            for serial, unit in kept:
                self._context.decode(self._packet(serial, unit))
        return True

    def _packet(self, serial: int, unit: AccessUnit) -> "av.Packet[Any]":
        packet = av.Packet(self._reordering.prepared(unit.data))
        packet.pts = serial
        return packet

    def _decoded(self, serial: int, unit: AccessUnit) -> list[DecodedFrame]:
        assert self._context is not None  # noqa: S101 - opened by the caller
        begin_ns = time.perf_counter_ns()
        try:
            av_frames = self._context.decode(self._packet(serial, unit))
        except av.FFmpegError as error:
            self._count(error)
            if self._device == "auto" and self._context.is_hwaccel:
                _logger.warning("= the GPU refused a frame (%s): the CPU decodes from the next keyframe on", error)
                self._device = "cpu"
            return self._refused(serial)
        decode_ns = time.perf_counter_ns() - begin_ns
        self.counters.decode_ns += decode_ns
        frames = self._taken(av_frames, decode_ns)
        if not av_frames and self._has_given and self._reordering.gives_at_once:
            # H.265's decoder skips a unit that it cannot read without an error, and then all up to a keyframe.
            self.counters.errors += 1
            return self._refused(serial)
        self._has_given = self._has_given or bool(frames)
        return frames

    def _refused(self, serial: int) -> list[DecodedFrame]:
        """Give up a unit without a frame; return the frames before it."""
        del self._waiting[serial]
        frames = self.drain()
        self._context = None  # it may be unusable after an error
        self._damage()
        return frames

    def _taken(self, av_frames: "list[av.VideoFrame]", decode_ns: int) -> list[DecodedFrame]:
        """Return the frames that are undamaged and new, each with its unit."""
        frames: list[DecodedFrame] = []
        # A superframe of several spatial layers gives one frame a layer, with the same number: the last has all layers.
        for serial, av_frame in {av_frame.pts: av_frame for av_frame in av_frames}.items():
            unit = None if serial is None else self._waiting.pop(serial, None)
            if unit is None or serial is None:
                continue
            if av_frame.is_corrupt:
                self.counters.corrupt += 1
                for later in [later for later in self._waiting if later > serial]:
                    del self._waiting[later]
                    self.counters.passed_over += 1
                self._damage()
                continue
            follows_gap = self._gap is not None and serial >= self._gap
            if follows_gap:
                self._gap = None
            if unit.discontinuity != follows_gap:  # the unit after the gap had no frame
                unit = replace(unit, discontinuity=follows_gap)
            self.counters.decoded += 1
            if av_frame.colorspace not in _MATRICES:
                av_frame.colorspace = _UNSPECIFIED
            frames.append(DecodedFrame(unit, av_frame, decode_ns))
            decode_ns = 0
        return frames

    def _damage(self) -> None:
        self.needs_keyframe = True
        self._on_damage()

    def _count(self, error: av.FFmpegError) -> None:
        if self._context is None or not is_too_large(self._codec_name, self._context, error):
            self.counters.errors += 1
            return
        if not self.counters.too_large:
            _logger.warning("= the decoder drops frames of more than %d pixels", PIXELS_LIMIT)
        self.counters.too_large += 1


class _Group:
    """A keyframe and the units after it, each with its serial number."""

    def __init__(self) -> None:
        self.units: list[tuple[int, AccessUnit]] = []
        self._budget = Budget(max_items=GROUP_LIMIT, max_bytes=GROUP_BYTES_LIMIT)

    def put(self, entry: tuple[int, AccessUnit]) -> bool:
        """Keep a unit; return false if the group is full."""
        size = len(entry[1].data)
        if not self._budget.fits(size):
            return False
        self._budget.add(size)
        self.units.append(entry)
        return True
