"""The decoder: one thread, one access unit in, one picture out, while somebody looks."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import av
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags

from streamer.errors import IncompatibleLibraryError
from streamer.media.limits import PIXELS_LIMIT, is_too_large, pixel_options
from streamer.media.units import AccessUnit
from streamer.media.worker import Worker

_logger = logging.getLogger("streamer.decode")

INBOX_LIMIT: Final = 60  # access units: a second or two; one more, and decoding goes on at the next keyframe

# libavcodec's names where they are not the SDP's. Its own "av1" decodes in hardware only.
_DECODERS: Final = {"h265": "hevc", "av1": "libdav1d"}


def open_decoder(codec_name: str) -> av.VideoCodecContext:
    """Return a decoder for a codec by its name in the SDP. Raises IncompatibleLibraryError if libavcodec has none."""
    name = _DECODERS.get(codec_name, codec_name)
    try:
        context = av.CodecContext.create(name, "r")
    except UnknownCodecError:
        context = None
    if not isinstance(context, av.VideoCodecContext):
        raise IncompatibleLibraryError(
            f"expected a libavcodec with the decoder {name}, found none in av {av.__version__}: install av from a wheel"
        )
    # One thread and low delay: a picture leaves with the access unit that holds it, where frame threads would
    # keep back as many pictures as there are threads.
    context.thread_count = 1
    context.options = pixel_options()
    context.flags |= Flags.low_delay
    return context


@dataclass(slots=True)
class DecoderCounters:
    """What one decoder has counted: pictures, and access units that became none. The first three are the thread's."""

    decoded: int = 0
    decode_ns: int = 0  # what they took
    errors: int = 0  # refused by the decoder
    too_large: int = 0  # refused for their size
    overflows: int = 0  # dropped because decoding was slower than the stream
    awaiting_keyframe: int = 0  # passed over after that


class Decoder:
    """Decode video access units in a thread; hand the pictures to `on_picture` in the event loop.

    `put` and `aclose` belong to the event loop. `on_trouble` is called there when pictures are lost on this side (the
    decoder refused one, or fell behind) and only a keyframe helps, `on_failure` when nothing does. `on_picture` gets
    the ns that decoding took, too.
    """

    def __init__(
        self,
        name: str,
        on_picture: Callable[[AccessUnit, av.VideoFrame, int], None],
        on_trouble: Callable[[], None],
        on_failure: Callable[[IncompatibleLibraryError], None],
    ) -> None:
        self.counters = DecoderCounters()
        self._loop = asyncio.get_running_loop()
        self._on_picture = on_picture
        self._on_trouble = on_trouble
        self._on_failure = on_failure
        self._needs_keyframe = True
        self._codec_name = ""
        self._has_gap = False  # the thread's: a unit came after a gap, and no picture has come since
        self._context: av.VideoCodecContext | None = None
        self._worker = Worker(name, self._decode, self._finish, limit=INBOX_LIMIT)

    def put(self, unit: AccessUnit) -> None:
        """Decode an access unit soon; never waits."""
        if self._needs_keyframe and not unit.is_keyframe:
            self.counters.awaiting_keyframe += 1
            return
        self._put((unit,))

    def catch_up(self, units: Sequence[AccessUnit]) -> None:
        """Decode units from a keyframe on, soon, and hand over the picture of the last one only."""
        self._put(tuple(units))

    async def aclose(self) -> None:
        """Decode what is in the inbox and end the thread."""
        await self._worker.aclose()

    def _put(self, units: tuple[AccessUnit, ...]) -> None:
        self._needs_keyframe = False
        if not self._worker.put(units):
            self.counters.overflows += 1 + self._worker.discard()
            self._lose()

    def _lose(self) -> None:
        self._needs_keyframe = True
        self._on_trouble()

    def _decode(self, units: tuple[AccessUnit, ...]) -> None:
        try:
            for unit in units:
                begin_ns = time.perf_counter_ns()
                pictures = self._context_for(unit.codec.name).decode(av.Packet(unit.data))
                decode_ns = time.perf_counter_ns() - begin_ns
                self.counters.decode_ns += decode_ns
                self.counters.decoded += bool(pictures)
                self._has_gap = self._has_gap or unit.discontinuity
                if pictures and unit is units[-1]:
                    if self._has_gap and not unit.discontinuity:
                        unit = replace(unit, discontinuity=True)  # noqa: PLW2901 - it was of one that gave no picture
                    self._has_gap = False
                    self._tell(self._on_picture, unit, pictures[-1], decode_ns)  # of several spatial layers the whole
        except av.FFmpegError as error:
            self._count(error)
            self._tell(self._lose)
        except IncompatibleLibraryError as error:
            self._tell(self._on_failure, error)

    def _count(self, error: av.FFmpegError) -> None:
        if self._context is None or not is_too_large(self._context, error):
            self.counters.errors += 1
            return
        if not self.counters.too_large:
            _logger.warning("= pictures of more than %d pixels are not decoded", PIXELS_LIMIT)
        self.counters.too_large += 1
        self._context = None  # VP9's is of no more use (libavcodec 62)

    def _context_for(self, codec_name: str) -> av.VideoCodecContext:
        if self._context is None or codec_name != self._codec_name:
            self._context, self._codec_name = open_decoder(codec_name), codec_name
        return self._context

    def _finish(self) -> None:
        self._context = None

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody looks any more
            self._loop.call_soon_threadsafe(callback, *arguments)
