"""Watches the screen for the waits of a session: each frame is compared in the decoder's thread, while somebody waits.

decoder's thread   frame ── reduced to blocks, once ── compared with the reference of each watch
                     │
event loop         frame to the consumers, then each watch's Look to its wait
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from streamer.errors import ConfigurationError, ConnectionLostError
from streamer.media.frame_decoder import DecodedFrame
from streamer.media.playback.video import Delivery, VideoOutput
from streamer.media.playback.video_frames import VideoFrame
from streamer.own_loop import OwnLoop
from streamer.pubsub import Subscription
from streamer.reconnector import Reconnector
from streamer.timeline.journal import Journal, unix_time
from streamer.timeline.records import Area, Change
from streamer.watch.change import Blocks, Look, Reference, grid_of
from streamer.watch.region import Region

OnLook: TypeAlias = Callable[[Look, VideoFrame], None]

# For frames that may have been lost, while somebody waits; a round trip, if that is longer.
ASK_EVERY_S: Final = 0.05
KEPT_S: Final = 10.0  # how long a kept watch goes on if nobody asks
KEPT_FRAMES: Final = 60  # of a kept watch that nobody has asked: 85 MB at 720x1280
ASKS: Final = 4  # in a row: at 10 % loss one in 2,000 of them all are lost, or their answers
WATCHES_LIMIT: Final = 64  # waits at once: each costs the decoder's thread a comparison a frame
# The means of areas. Of chroma, libswscale reads every second row: SWS_SRC_V_CHR_DROP, for which PyAV has no name. With
# one row of four, what encoders do to a resting screen is a change more often.
_REDUCING: Final = Interpolation.AREA | 1 << 16


class BlockMeans:
    """Reduces frames to blocks, as `watch.change` wants them. It belongs to one thread."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, av_frame: av.VideoFrame) -> Blocks:
        """Return the mean luma and chroma of each block, whatever the frame's own format and range."""
        columns, rows = grid_of(av_frame.width, av_frame.height)
        # One thread: to wake others would take longer than the work.
        reduced = self._reformatter.reformat(
            av_frame,
            columns,
            rows,
            "yuv444p",
            dst_color_range=ColorRange.JPEG,
            interpolation=_REDUCING,
            threads=1,
        )
        # `to_ndarray` takes four times as long. Its planes are interleaved, which makes comparing slow, too.
        planes: Blocks = np.frombuffer(b"".join(reduced.planes), np.uint8).reshape(3, rows, -1)
        return planes[:, :, :columns]  # rows are padded


class Watch:
    """The screen as one wait sees it, from now on. `Watcher.watch` makes it.

    `on_look` is called in the event loop for each frame.
    """

    def __init__(self, reference: Reference, on_look: OnLook, last: VideoFrame | None, now_ns: int) -> None:
        self.subscription: Subscription[VideoFrame] = Subscription(_NoMailbox())
        self.newest = last  # the newest frame
        self._reference = reference
        self._on_look = on_look
        self._uncompared = last  # newer than the reference, and to become it
        self._compared_ns = -1  # when the reference, or a later frame, came
        self._error: ConfigurationError | None = None
        if last is not None:
            on_look(
                Look(
                    rtp_time=last.rtp_time,
                    arrival_ns=min(last.arrival_ns, now_ns),
                    size=(last.width, last.height),
                    is_first=True,
                ),
                last,
            )

    def compare(self, blocks: Blocks, decoded: DecodedFrame, means: BlockMeans) -> Look | None:
        """Compare a frame in the decoder's thread. None if there is an error, which `next` raises."""
        last, self._uncompared = self._uncompared, None
        try:
            if last is not None and last.arrival_ns > self._compared_ns:
                self._look(means(last.av_frame), last.av_frame, last.rtp_time, last.arrival_ns)
            self._compared_ns = decoded.unit.arrival_ns
            return self._look(blocks, decoded.av_frame, decoded.unit.rtp_time, decoded.unit.arrival_ns)
        except ConfigurationError as error:
            self._error = error
            return None

    def deliver(self, frame: VideoFrame, look: Look | None) -> None:
        """Take a frame in the event loop, with its comparison; None if it came before the watch."""
        self.newest = frame
        if look is None:
            self._uncompared = frame
            look = Look(
                rtp_time=frame.rtp_time, arrival_ns=frame.arrival_ns, size=(frame.width, frame.height), is_first=True
            )
        self._on_look(replace(look, follows_loss=True) if frame.discontinuity else look, frame)

    async def next(self, until_ns: int | None = None) -> None:
        """Return when a frame has come, or at `until_ns` (monotonic).

        Raises what ended the session, and ConfigurationError if there is nothing to watch on this screen.
        """
        subscription = self.subscription
        if self._error is not None:
            raise self._error
        if subscription.has_ended:
            raise subscription.error or ConnectionLostError("cannot watch the screen: the session is closed")
        timeout_s = None if until_ns is None else max(until_ns - time.monotonic_ns(), 0) / 1e9
        subscription.waiter = asyncio.get_running_loop().create_future()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await subscription.waiter
        finally:
            subscription.waiter = None

    def _look(self, blocks: Blocks, av_frame: av.VideoFrame, rtp_time: int, arrival_ns: int) -> Look:
        size = av_frame.width, av_frame.height
        return self._reference.compare(blocks, size, rtp_time=rtp_time, arrival_ns=arrival_ns)


class KeptWatch(Watch):
    """A watch from the moment at which an action was sent, for a program that asks afterwards what came of it.

    It keeps the frames until somebody asks. It compares them in the event loop.
    """

    def __init__(self, last: VideoFrame | None, now_ns: int) -> None:
        super().__init__(Reference(), lambda *_: None, last, now_ns)
        self.is_over = False
        self._sent_ns = now_ns
        self._kept = [] if last is None else [last]
        self._means = BlockMeans()
        self.is_asked = False
        self.on_full: Callable[[], None] = lambda: None

    def compare(self, blocks: Blocks, decoded: DecodedFrame, means: BlockMeans) -> Look | None:
        """Compare nothing yet."""
        return None

    def deliver(self, frame: VideoFrame, look: Look | None) -> None:
        """Take a frame in the event loop."""
        self.newest = frame
        if self.is_asked:
            self._take(frame)
        elif not self.is_over:
            self._kept.append(frame)
            if len(self._kept) > KEPT_FRAMES:
                self.on_full()

    def end(self) -> None:
        """Keep nothing more: it can no longer be asked."""
        self.is_over = True
        self._kept.clear()

    @contextlib.contextmanager
    def watch(self, on_look: OnLook, *, region: Region | None, ignore: Sequence[Region]) -> Iterator[Watch]:
        """Look at the frames as `Watcher.watch` does, from the moment of the action on, once `act` is awaited."""
        self._reference, self._on_look = Reference(region=region, ignore=ignore), on_look
        if self.newest is not None:
            self._reference.check((self.newest.width, self.newest.height))
        yield self

    async def act(self, on_sent: Callable[[int], None]) -> None:
        """Act as if the action were sent now: tell when it was, then look at the frames that were kept."""
        on_sent(self._sent_ns)
        self.is_asked = True
        kept, self._kept = self._kept, []
        for frame in kept:
            self._take(frame)

    def _take(self, frame: VideoFrame) -> None:
        try:
            look = self._look(self._means(frame.av_frame), frame.av_frame, frame.rtp_time, frame.arrival_ns)
        except ConfigurationError as error:
            self._error = error
        else:
            self._on_look(replace(look, follows_loss=True) if frame.discontinuity else look, frame)


class Watcher:
    """Compare frames for the waits of a session. Nothing is decoded for it while nobody waits."""

    def __init__(self, frames: VideoOutput, reconnector: Reconnector, journal: Journal) -> None:
        self.journal = journal
        self._frames = frames
        self._reconnector = reconnector
        self._watches: tuple[Watch, ...] = ()  # replaced as a whole: the decoder's thread reads it
        self._means = BlockMeans()  # the decoder's thread's
        self._end_kept: Callable[[], None] = lambda: None  # ends the watch that is kept, unless it was asked
        self._teller: Watch | None = None  # of the whole screen, for the journal, while there are other watches
        self._askers = 0  # waits that go on
        self._timer: asyncio.TimerHandle | None = None
        self._is_quiet = False  # no frame has come since the timer rang
        frames.inspect = self._inspect

    @property
    def loop(self) -> OwnLoop:
        """The event loop of the session."""
        return self._frames.hub.loop

    @property
    def is_compared(self) -> bool:
        """Whether the stream is up, and each frame that came is decoded and compared."""
        return self._frames.is_up_to_date and not self._reconnector.is_interrupted

    @property
    def is_missing(self) -> bool:
        """Whether packets of the video are known to be missing."""
        return any(receiver.is_video_incomplete for receiver in self._reconnector.receivers)

    @property
    def round_trip_s(self) -> float | None:
        """The round-trip time to the phone, smoothed; None before it is measured."""
        measured = (receiver.round_trip for receiver in self._reconnector.receivers if receiver.round_trip.is_measured)
        return next((round_trip.smoothed_ns / 1e9 for round_trip in measured), None)

    def request_keyframe(self) -> None:
        """Ask the phone for a keyframe."""
        self._reconnector.connection.request_keyframe()

    async def ask(self) -> bool:
        """Ask the phone for an answer; return whether it came. It takes up to 1.5 s for each transport."""
        peer = self._reconnector.connection.peer
        return peer is not None and await peer.probe()

    async def complete(self) -> None:
        """Ask for frames that were lost with nothing behind them, and for what is missing; return when that has come.

        It asks a few times, since a question or its answer may be lost, too. It gives up if the phone does not answer.
        """
        for _ in range(ASKS):
            if self._reconnector.is_interrupted:
                return
            self._reconnector.connection.request_following()
            if not await self.ask():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_EVERY_S):
                    while self.is_missing:  # noqa: ASYNC110 - a receiver tells nobody
                        await asyncio.sleep(ASK_EVERY_S / 10)

    @contextlib.contextmanager
    def watch(self, on_look: OnLook, *, region: Region | None, ignore: Sequence[Region]) -> Iterator[Watch]:
        """Watch the screen, or a region of it, within the block. The newest frame, if it is known, is the reference.

        Raises ConfigurationError if too many wait, in another loop, or if there is nothing to watch on this screen.
        """
        hub = self._frames.hub
        reference = Reference(region=region, ignore=ignore)
        if hub.last is not None:
            reference.check((hub.last.width, hub.last.height))  # a still screen sends no frame for the thread to do it
        watch = Watch(reference, on_look, hub.last, time.monotonic_ns())
        with self._added(watch):
            yield watch

    def keep_watch(self) -> tuple[KeptWatch, Callable[[], None]]:
        """Watch the screen from now on; return the watch, and what ends it.

        A watch that nobody has asked ends by itself: after KEPT_S, with KEPT_FRAMES, and with the next call.

        Raises ConfigurationError if too many wait, or in another loop.
        """
        self._end_kept()
        stack, kept = contextlib.ExitStack(), KeptWatch(self._frames.hub.last, time.monotonic_ns())
        stack.enter_context(self._added(kept))
        stack.callback(kept.end)

        def end_unasked() -> None:
            if not kept.is_asked:
                stack.close()

        stack.callback(asyncio.get_running_loop().call_later(KEPT_S, end_unasked).cancel)
        self._end_kept = kept.on_full = end_unasked
        return kept, stack.close

    @contextlib.contextmanager
    def _added(self, watch: Watch) -> Iterator[None]:
        hub = self._frames.hub
        hub.loop.check()
        if len(self._watches) >= WATCHES_LIMIT:
            raise ConfigurationError(f"expected at most {WATCHES_LIMIT} waits at once, got more: wait for fewer things")
        if self._teller is None and self.journal.is_heard:
            self._teller = Watch(Reference(), self._tell_change, hub.last, time.monotonic_ns())
            self._watches = (self._teller, watch)
        else:
            self._watches = (*self._watches, watch)
        hub.add(watch.subscription)
        try:
            with self.asking():
                yield
        finally:
            self._watches = tuple(other for other in self._watches if other is not watch)
            if self._watches == (self._teller,):
                self._watches, self._teller = (), None
            hub.unsubscribe(watch.subscription)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Within the block, while no frame comes, ask for frames that may have been lost with nothing behind them."""
        self._askers += 1
        if self._timer is None:
            self._ask_later()
        try:
            yield
        finally:
            self._askers -= 1
            if not self._askers and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _ask_later(self) -> None:
        self._is_quiet = True
        pause_s = max(ASK_EVERY_S, self.round_trip_s or 0.0)
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._ring)

    def _ring(self) -> None:
        if self._is_quiet and not self._reconnector.is_interrupted:
            self._reconnector.connection.request_following()
        self._ask_later()

    def _tell_change(self, look: Look, _: VideoFrame) -> None:
        if look.changed is not None:
            self.journal.tell(
                Change(
                    at=unix_time(look.arrival_ns),
                    rtp_time=look.rtp_time,
                    region=area_of(look.region, look.size),
                    share=round(float(look.changed.mean()), 4),
                )
            )

    def _inspect(self, decoded: DecodedFrame) -> Delivery:
        """Compare a frame, in the decoder's thread; return how its comparisons get to the waits."""
        watches = self._watches
        looks: dict[Watch, Look | None] = {}
        if watches:
            blocks = self._means(decoded.av_frame)
            looks = {watch: watch.compare(blocks, decoded, self._means) for watch in watches}

        def deliver(frame: VideoFrame) -> None:
            self._is_quiet = False
            for watch in self._watches:
                watch.deliver(frame, looks.get(watch))

        return deliver


def differ(frame: VideoFrame, other: VideoFrame) -> bool:
    """Whether two frames differ anywhere."""
    means, reference = BlockMeans(), Reference()
    looks = [
        reference.compare(means(each.av_frame), (each.width, each.height), rtp_time=0, arrival_ns=0)
        for each in (frame, other)
    ]
    return looks[1].changed is not None


def area_of(region: Region, size: tuple[int, int]) -> Area:
    """Return a region of a screen of this width and height as fractions: x, y, width and height."""
    (width, height), (left, top, right, bottom) = size, region.pixels(*size)
    return (
        round(left / width, 4),
        round(top / height, 4),
        round((right - left) / width, 4),
        round((bottom - top) / height, 4),
    )


class _NoMailbox:
    """Keeps nothing: while it is subscribed, frames are decoded."""

    dropped = 0
    is_idle = False

    def put(self, item: VideoFrame) -> None:
        """Let the frame pass."""

    def take(self) -> VideoFrame | None:
        """Return nothing."""
        return None


class Watches(Protocol):
    """A session, or a target on its screen."""

    _watcher: Watcher


def watcher_of(thing: Watches) -> Watcher:
    """Return what watches the screen of a session or a target, for waits that are defined elsewhere."""
    return thing._watcher
