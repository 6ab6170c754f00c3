"""The decoder's thread: it takes access units and hands frames to the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from streamer.media.access_unit import AccessUnit
from streamer.media.frame_decoder import (
    LEAST_STILL_S,
    MOST_STILL_S,
    DecodedFrame,
    DecoderCounters,
    FrameDecoder,
)
from streamer.media.libav import Device
from streamer.media.worker import Worker

T = TypeVar("T")

INBOX_LIMIT: Final = 60  # access units: a second or two; beyond it, decoding goes on at the next keyframe


class Decoder(Generic[T]):
    """Decodes video access units in a thread, and hands the frames to `on_frame` in the event loop.

    Call `put` and `aclose` in the event loop. It calls `on_loss` when frames were lost and it needs a keyframe: the
    decoder refused a unit, concealed a part of a frame, or fell behind. It calls `on_failure` when it cannot go on.
    It calls `inspect` in the thread with each frame, and hands what that returns to `on_frame` with the frame.
    """

    def __init__(
        self,
        name: str,
        on_frame: Callable[[DecodedFrame, T], None],
        on_loss: Callable[[], None],
        on_failure: Callable[[Exception], None],
        *,
        inspect: Callable[[DecodedFrame], T],
        device: Device = "cpu",
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        self._on_failure = on_failure
        self._on_loss = on_loss
        self._inspect = inspect
        self._undecided = 0  # items in the inbox or in work
        self._needs_keyframe = True  # because the inbox was emptied
        self._frames = FrameDecoder(lambda: self._worker.call_in_loop(on_loss), device)
        self._latest_ns = 0  # the arrival of the newest unit; the thread's
        self._still: asyncio.TimerHandle | None = None
        self._worker: Worker[tuple[AccessUnit, ...]] = Worker(name, self._decode, self._finish, limit=INBOX_LIMIT)

    @property
    def counters(self) -> DecoderCounters:
        """The counters of the decoder."""
        return self._frames.counters

    @property
    def is_up_to_date(self) -> bool:
        """Whether the frames of all units that came were handed over, and none is missing up to a keyframe."""
        return not (self._undecided or self._needs_keyframe or self._frames.is_holding or self._frames.needs_keyframe)

    @property
    def reorders(self) -> bool:
        """Whether the stream shows frames in another order than it sends them. Any thread may ask."""
        return self._frames.reorders

    def put(self, unit: AccessUnit) -> None:
        """Decode an access unit soon; never waits."""
        if self._needs_keyframe and not unit.is_keyframe:
            self.counters.awaiting_keyframe += 1
            return
        self._put((unit,))

    def put_held(self, units: Sequence[AccessUnit]) -> None:
        """Decode units that follow those it has got, or begin with a keyframe, and hand over the frame shown last."""
        if self._needs_keyframe and not units[0].is_keyframe:
            self.counters.awaiting_keyframe += len(units)
            return
        self._put(tuple(units))

    def catch_up(self, units: Sequence[AccessUnit]) -> None:
        """Decode units from a keyframe on soon, and hand over only the frame that is shown last."""
        self._put(tuple(units))

    async def aclose(self) -> None:
        """Decode what is in the inbox and end the thread."""
        self._moves()
        await self._worker.aclose()

    def _put(self, units: tuple[AccessUnit, ...]) -> None:
        self._needs_keyframe = False
        self._moves()
        self._undecided += 1
        if not self._worker.put(units):
            discarded = 1 + self._worker.discard()
            self._undecided -= discarded
            self.counters.overflows += discarded
            self._needs_keyframe = True
            self._on_loss()

    def _moves(self) -> None:
        if self._still is not None:
            self._still.cancel()
            self._still = None

    def _stands_still(self, after_s: float) -> None:
        """Release the frames that are held back, unless another unit comes before."""
        self._moves()
        if not self._worker.waiting:
            self._still = self._loop.call_later(after_s, self._release)

    def _release(self) -> None:
        self._undecided += self._worker.put(())

    def _decode(self, units: tuple[AccessUnit, ...]) -> None:
        frames: list[DecodedFrame] = []
        try:
            for unit in units:
                frames += self._frames.decode(unit)
            if not units or (len(units) > 1 and self._frames.is_holding):
                frames += self._frames.release(lambda: not self._worker.waiting)
            if len(units) > 1 and frames:
                frames = [_last_of(frames)]
            inspected = [(frame, self._inspect(frame)) for frame in frames]
        except Exception as error:  # noqa: BLE001 - our own bugs, too, must end the iterators
            self._worker.call_in_loop(self._hand_over, [])
            self._worker.call_in_loop(self._on_failure, error)
            return
        self._worker.call_in_loop(self._hand_over, inspected)
        if units:
            interval_s = (units[-1].arrival_ns - self._latest_ns) / 1e9
            self._latest_ns = units[-1].arrival_ns
            if self._frames.is_holding and not self._worker.waiting:
                self._worker.call_in_loop(self._stands_still, min(max(3 * interval_s, LEAST_STILL_S), MOST_STILL_S))

    def _finish(self) -> None:
        for frame in self._frames.drain():
            self._worker.call_in_loop(self._on_frame, frame, self._inspect(frame))

    def _hand_over(self, frames: list[tuple[DecodedFrame, T]]) -> None:
        self._undecided -= 1
        for frame, inspected in frames:
            self._on_frame(frame, inspected)


def _last_of(frames: list[DecodedFrame]) -> DecodedFrame:
    """Return the frame that is shown last, marked if any of them came after a gap."""
    last = max(reversed(frames), key=lambda frame: frame.unit.rtp_time)
    if any(frame.unit.discontinuity for frame in frames) and not last.unit.discontinuity:
        return replace(last, unit=replace(last.unit, discontinuity=True))
    return last
