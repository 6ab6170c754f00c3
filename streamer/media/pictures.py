"""The decoded side of the fan-out: pictures for whoever looks, decoded once, and only while somebody looks."""

import time
from collections.abc import Callable
from typing import Final

import av

from streamer.media.decode import Decoder, DecoderCounters
from streamer.media.frames import FrameHub, FrameIterator, Policy, VideoFrame
from streamer.media.meter import DecodingMeter
from streamer.media.units import AccessUnit
from streamer.ports import AudioPort

GROUP_LIMIT: Final = 600  # access units kept since the last keyframe: a second of decoding, at the most
GROUP_BYTES_LIMIT: Final = 16 * 1024 * 1024


class Pictures:
    """A sink that decodes video for its consumers. `aclose` ends the decoder's thread and the iterators.

    `request_keyframe` is called whenever decoding can only begin, or go on, with one. `audio_port` is asked with each
    picture.
    """

    def __init__(
        self, name: str, *, request_keyframe: Callable[[], None], audio_port: Callable[[], AudioPort | None]
    ) -> None:
        self._name = name
        self._request_keyframe = request_keyframe
        self._audio_port = audio_port
        self._decoder: Decoder | None = None
        self._discontinuity = False
        self._unseen_ns = 0  # when the latest unit came that nobody looked at
        self._is_behind = False  # whether units came that the decoder did not get
        self._group: list[AccessUnit] = []  # the last keyframe and what followed it
        self._group_bytes = 0
        self.meter = DecodingMeter()
        self.hub = FrameHub(self._watch)

    @property
    def counters(self) -> DecoderCounters:
        """What the decoder has counted."""
        return self._decoder.counters if self._decoder else DecoderCounters()

    def put(self, unit: AccessUnit) -> None:
        """Decode a video access unit, if anybody looks."""
        if unit.kind != "video":
            return
        self._remember(unit)
        if not self.hub.is_watched or self._decoder is None:
            self.hub.forget_last()  # the screen has changed, unseen
            self._unseen_ns = unit.arrival_ns
            self._is_behind = True
            return
        self._decoder.put(unit)

    def frames(self, policy: Policy, *, max_fps: float | None, limit: int) -> FrameIterator:
        """Return a new consumer."""
        return self.hub.subscribe(policy, max_fps=max_fps, limit=limit)

    async def aclose(self, error: BaseException | None = None) -> None:
        """End the iterators, with `error` if there is one, and the thread."""
        self.hub.end(error)
        if self._decoder is not None:
            await self._decoder.aclose()

    def _remember(self, unit: AccessUnit) -> None:
        """Keep what a later consumer's picture is decoded from: a still screen may answer no request for a keyframe."""
        if unit.is_keyframe:
            self._group, self._group_bytes = [], 0
        elif not self._group:
            return
        self._group.append(unit)
        self._group_bytes += len(unit.data)
        if len(self._group) > GROUP_LIMIT or self._group_bytes > GROUP_BYTES_LIMIT:
            self._group, self._group_bytes = [], 0
            if not self.hub.is_watched:
                self._request_keyframe()

    def _watch(self, watched: bool) -> None:
        if not watched:
            if not self._group:
                self._request_keyframe()
            return
        if self._decoder is None:
            self._decoder = Decoder(f"decode {self._name}", self._publish, self._trouble)
        if self._group and self._is_behind:
            self._decoder.catch_up(self._group)
        elif not self._group:
            self._request_keyframe()
        self._is_behind = False

    def _trouble(self) -> None:
        self._discontinuity = True
        self._request_keyframe()

    def _publish(self, unit: AccessUnit, picture: av.VideoFrame, decode_ns: int) -> None:
        if unit.arrival_ns < self._unseen_ns:
            return  # it was still in the decoder when the last consumer went, and is on the screen no more
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        self.meter.add(now_ns, wall_ns, unit, decode_ns)
        discontinuity, self._discontinuity = unit.discontinuity or self._discontinuity, False
        self.hub.publish(
            VideoFrame(
                width=picture.width,
                height=picture.height,
                sequence=self.hub.published,
                rtp_time=unit.rtp_time,
                arrival_ns=unit.arrival_ns,
                decoded_ns=now_ns,
                received_at=(wall_ns - (now_ns - unit.arrival_ns)) / 1e9,
                captured_at=None if unit.captured_ns is None else unit.captured_ns / 1e9,
                is_keyframe=unit.is_keyframe,
                discontinuity=discontinuity,
                audio_port=self._audio_port(),
                picture=picture,
            )
        )
