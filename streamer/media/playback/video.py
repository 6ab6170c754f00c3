"""Decodes video once for all consumers, and only while there are any.

While every consumer wants its next frame at a later time (`max_fps`), access units are held. They are decoded shortly
before that time, without those that nobody would see (see `deferral`).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from streamer.audio_ports import AudioPort
from streamer.media.access_unit import AccessUnit
from streamer.media.frame_decoder import DecodedFrame, DecoderCounters, FrameDecoder
from streamer.media.history import History
from streamer.media.libav import Device
from streamer.media.meters import DecodingMeter
from streamer.media.playback.deferral import Deferral, needed
from streamer.media.playback.frame_times import frame_of
from streamer.media.playback.video_decoder import Decoder
from streamer.media.playback.video_frames import Converted, FrameHub, VideoFrame
from streamer.own_loop import OwnLoop

Delivery: TypeAlias = Callable[[VideoFrame], None]

# How long before a frame is wanted the held units are decoded: this, and a multiple of what decoding them took so far.
_AHEAD_S: Final = 0.01
_AHEAD_FACTOR: Final = 2.0
_BACKLOG_S: Final = 0.1  # of decoding may be held at most: a consumer that comes in between waits for it
_GUESSED_DECODE_S: Final = 0.01  # of a unit, before any was decoded


class _Inspected(NamedTuple):
    """What the decoder's thread made of a frame."""

    deliver: Delivery
    converted: Converted


class VideoOutput:
    """A sink that decodes video for the consumers of `hub`. `aclose` ends the decoder's thread and the iterators.

    `history` must get each access unit first: the first frame of a late consumer is decoded from it.
    `request_keyframe` is called when decoding needs a keyframe to begin or go on. `audio_port` is called for each
    frame.

    Attributes:
        inspect: Called in the decoder's thread with each frame. What it returns is called in the event loop, with the
            frame as the consumers have got it.
    """

    def __init__(
        self,
        name: str,
        history: History,
        *,
        request_keyframe: Callable[[], None],
        audio_port: Callable[[], AudioPort | None],
        device: Device = "cpu",
        loop: OwnLoop | None = None,
    ) -> None:
        self._name = name
        self._device = device
        self._history = history
        self._request_keyframe = request_keyframe
        self._audio_port = audio_port
        self.inspect: Callable[[DecodedFrame], Delivery] = lambda _: _deliver_nothing
        self._decoder: Decoder[_Inspected] | None = None
        self._discontinuity = False
        self._unseen_ns = 0  # the arrival of the latest unit that was not decoded
        self._unseen_time = 0  # the latest RTP time of such a unit; a stream that reorders sends earlier ones after it
        self._is_behind = False  # whether the decoder missed units
        self._size: tuple[int, int] | None = None
        self._measured: AccessUnit | None = None  # the keyframe of this size
        self._got: AccessUnit | None = None  # the newest unit that it got, if it can go on from there
        self._deferral = Deferral()
        self._timer: asyncio.TimerHandle | None = None  # decodes the held units
        self._unseen = 0  # units that came unwatched and may still be decoded
        self._left_out = 0  # units that came unwatched and will not
        self.meter = DecodingMeter()
        self.hub = FrameHub(self._watch, self._reconsider, loop=loop)

    @property
    def counters(self) -> DecoderCounters:
        """The counters of the decoder."""
        return self._decoder.counters if self._decoder else DecoderCounters()

    @property
    def is_up_to_date(self) -> bool:
        """Whether every unit that came is decoded, and none is missing up to a keyframe."""
        return self._decoder is not None and self._decoder.is_up_to_date and not self._is_behind and not self._deferral

    @property
    def not_decoded(self) -> int:
        """How many units were not decoded and will not be, because nobody would have seen their frames."""
        return self._deferral.left_out + self._left_out

    def put(self, unit: AccessUnit) -> None:
        """Decode a video access unit, if anybody watches."""
        if unit.kind != "video":
            return
        if not self.hub.is_watched or self._decoder is None:
            self._miss(unit)
            return
        if unit.is_keyframe:
            self._is_behind = False
        elif self._is_behind:
            self._decoder.counters.awaiting_keyframe += 1
            return
        if not self._deferral and not self._can_defer(unit, self._decoder):
            if unit.is_keyframe or self._got is not None:
                self._got = unit
            self._decoder.put(unit)
            return
        has_room = self._deferral.put(unit)
        self.hub.hold_last()
        if has_room and self._decoding_s(len(self._deferral)) <= _BACKLOG_S:
            self._reconsider()
        else:
            self._decode_held()

    def _can_defer(self, unit: AccessUnit, decoder: Decoder[_Inspected]) -> bool:
        """Whether nobody wants the frame of this unit yet, and the decoder can take it later.

        Frames of a stream that reorders come with later units, so nothing of it is held.
        """
        if (due_s := self.hub.due_s) <= 0 or decoder.reorders or not (unit.is_keyframe or self._got is not None):
            return False
        return asyncio.get_running_loop().time() < due_s - self._ahead_s(1)

    def _ahead_s(self, units: int) -> float:
        return _AHEAD_S + _AHEAD_FACTOR * self._decoding_s(units)

    def _decoding_s(self, units: int) -> float:
        """Return how long decoding so many units takes, as far as that is known."""
        counters = self.counters
        return units * (counters.decode_ns / 1e9 / counters.decoded if counters.decoded else _GUESSED_DECODE_S)

    def _reconsider(self) -> None:
        """Decode the units that are held if somebody wants a frame now or soon; otherwise later."""
        self._stop_timer()
        if not self._deferral:
            return
        loop, at_s = asyncio.get_running_loop(), self.hub.due_s - self._ahead_s(len(self._deferral))
        if loop.time() >= at_s:
            self._decode_held()
        else:
            self._timer = loop.call_at(at_s, self._reconsider)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _decode_held(self) -> None:
        """Decode the units that are held, and hand over the frame that is shown last."""
        if self._decoder is None:
            return
        newest, units = self._deferral.newest, self._deferral.take()
        if units[0].is_keyframe or self._got is not None:
            self._got = newest
        self._decoder.put_held(units)
        self.hub.forget_last()

    def _miss(self, unit: AccessUnit) -> None:
        """Note a unit that is not decoded: nobody watches."""
        self.hub.forget_last()  # the screen changed
        self._unseen_ns = unit.arrival_ns
        self._unseen_time = unit.rtp_time if unit.is_keyframe else max(unit.rtp_time, self._unseen_time)
        self._is_behind = True
        self._discontinuity = self._discontinuity or unit.discontinuity
        if unit.is_keyframe:
            self._left_out, self._unseen = self._left_out + self._unseen, 0
        self._unseen += 1

    async def size(self) -> tuple[int, int] | None:
        """Return the newest frame's width and height; None before the first keyframe.

        While nobody looks, that is the last keyframe's, which is decoded alone, once.
        """
        if (last := self.hub.last) is not None:
            return last.width, last.height
        keyframe = next(iter(self._history.last_group), None)
        if keyframe is not None and keyframe is not self._measured:
            self._size = await asyncio.to_thread(_size_of, keyframe) or self._size
            self._measured = keyframe
        return self._size

    async def aclose(self, error: BaseException | None = None) -> None:
        """End the iterators, with `error` if there is one, and the thread."""
        self.hub.end(error)
        self._deferral.take()
        self._stop_timer()
        if self._decoder is not None:
            await self._decoder.aclose()

    def _watch(self, watched: bool) -> None:
        if not watched:
            for unit in self._deferral.take():
                self._miss(unit)
            return
        group = self._history.last_group
        if not group:
            self._request_keyframe()
        if self._decoder is None:
            self._decoder = Decoder(
                f"decode {self._name}",
                self._publish,
                self._on_loss,
                self.hub.end,
                inspect=self._inspect,
                device=self._device,
            )
        missed = self._missed(group) if group and self._is_behind else []
        self._left_out, self._unseen = self._left_out + max(self._unseen - len(missed), 0), 0
        if missed:
            self._decoder.catch_up(missed)
            self._got, self._is_behind = group[-1], False

    def _missed(self, group: list[AccessUnit]) -> list[AccessUnit]:
        """Return the units of the last group that the decoder missed and needs: of those since the last one it got."""
        got = next((number for number, unit in enumerate(group, start=1) if unit is self._got), 0)
        return needed(group[got:] or group)

    def _on_loss(self) -> None:
        self._discontinuity = True
        self._got = None
        self._request_keyframe()

    def _inspect(self, decoded: DecodedFrame) -> _Inspected:
        return _Inspected(self.inspect(decoded), self.hub.convert(decoded.av_frame))

    def _publish(self, decoded: DecodedFrame, inspected: _Inspected) -> None:
        unit = decoded.unit
        if unit.arrival_ns < self._unseen_ns and unit.rtp_time < self._unseen_time:
            return  # out of date: it was still in the decoder when the last consumer left
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        self.meter.add(now_ns, wall_ns, unit, decoded.decode_ns)
        discontinuity, self._discontinuity = unit.discontinuity or self._discontinuity, False
        frame = frame_of(
            decoded,
            now_ns,
            wall_ns,
            sequence=self.hub.published,
            discontinuity=discontinuity,
            audio_port=self._audio_port(),
        )
        self.hub.publish(frame, inspected.converted)
        inspected.deliver(frame)


def _size_of(keyframe: AccessUnit) -> tuple[int, int] | None:
    """Return the width and height of what a keyframe decodes to; None if it decodes to nothing."""
    decoder = FrameDecoder(lambda: None)
    frames = [*decoder.decode(keyframe), *decoder.drain()]
    return (frames[-1].av_frame.width, frames[-1].av_frame.height) if frames else None


def _deliver_nothing(_: VideoFrame) -> None:
    """Deliver nothing: nobody inspects frames."""
