"""Decodes video once for all consumers, and only while there are any."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from streamer.audio_ports import AudioPort
from streamer.media.access_unit import AccessUnit
from streamer.media.frame_decoder import DecodedFrame, DecoderCounters, FrameDecoder
from streamer.media.history import History
from streamer.media.meters import DecodingMeter
from streamer.media.playback.video_decoder import Decoder
from streamer.media.playback.video_frames import Converted, FrameHub, VideoFrame, frame_of
from streamer.own_loop import OwnLoop

Delivery: TypeAlias = Callable[[VideoFrame], None]


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
        loop: OwnLoop | None = None,
    ) -> None:
        self._name = name
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
        self.meter = DecodingMeter()
        self.hub = FrameHub(self._watch, loop=loop)

    @property
    def counters(self) -> DecoderCounters:
        """The counters of the decoder."""
        return self._decoder.counters if self._decoder else DecoderCounters()

    @property
    def is_up_to_date(self) -> bool:
        """Whether every unit that came is decoded, and none is missing up to a keyframe."""
        return self._decoder is not None and self._decoder.is_up_to_date and not self._is_behind

    def put(self, unit: AccessUnit) -> None:
        """Decode a video access unit, if anybody watches."""
        if unit.kind != "video":
            return
        if not self.hub.is_watched or self._decoder is None:
            self.hub.forget_last()  # the screen changed
            self._unseen_ns = unit.arrival_ns
            self._unseen_time = unit.rtp_time if unit.is_keyframe else max(unit.rtp_time, self._unseen_time)
            self._is_behind = True
            self._discontinuity = self._discontinuity or unit.discontinuity
            return
        if unit.is_keyframe:
            self._is_behind = False
        elif self._is_behind:
            self._decoder.counters.awaiting_keyframe += 1
            return
        if unit.is_keyframe or self._got is not None:
            self._got = unit
        self._decoder.put(unit)

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
        if self._decoder is not None:
            await self._decoder.aclose()

    def _watch(self, watched: bool) -> None:
        group = self._history.last_group
        if not group:
            self._request_keyframe()
        if not watched:
            return
        if self._decoder is None:
            self._decoder = Decoder(
                f"decode {self._name}",
                self._publish,
                self._on_loss,
                self.hub.end,
                inspect=self._inspect,
            )
        if group and self._is_behind:
            self._decoder.catch_up(self._missed(group))
            self._got, self._is_behind = group[-1], False

    def _missed(self, group: list[AccessUnit]) -> list[AccessUnit]:
        """Return the units of the last group that the decoder missed: those since the last consumer left."""
        got = next((number for number, unit in enumerate(group, start=1) if unit is self._got), 0)
        return group[got:] or group

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
