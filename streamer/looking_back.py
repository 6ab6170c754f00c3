"""Looking back: what a target looked like in the frames that were kept, and in those that come.

event loop   kept access units ── those that come meanwhile ──┐               ┌── was it seen, when, what came nearest
                                                              │ a slice each  │
thread                                     decoded from a keyframe on ── each frame that differs is looked at
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import av
import numpy as np

from streamer.aio import first_event
from streamer.errors import ConfigurationError, ConnectionLostError, WaitTimeoutError
from streamer.media.access_unit import AccessUnit
from streamer.media.fanout import Fanout
from streamer.media.frame_decoder import DecodedFrame, FrameDecoder
from streamer.media.history import History
from streamer.media.playback.frame_times import frame_of
from streamer.media.playback.video_frames import VideoFrame
from streamer.own_loop import OwnLoop
from streamer.targets.matches import Match
from streamer.targets.query import Query, Sight

SLICE_S: Final = 0.1  # how long a thread decodes and looks before the event loop may cancel it


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When a target was on the screen, in seconds from the action or the moment that was looked back to.

    Attributes:
        first_s: When the first frame with it came; 0.0 if it was there already.
        last_s: When the first frame without it came, after the last one with it. If it is still there: until now.
        is_gone: Whether it has gone.
        match: Where it was, on the first frame with it.
    """

    first_s: float
    last_s: float
    is_gone: bool
    match: Match = field(repr=False)


class Past:
    """The last moments of a session, and those that come: its history, fan-out and task.

    `preroll_s` is how much is kept, in seconds. `complete` asks the phone for what was lost, and returns when it has
    come. `error` is called for what ended the session, once its task has ended.
    """

    def __init__(
        self,
        history: History,
        fanout: Fanout,
        preroll_s: float,
        *,
        loop: OwnLoop,
        complete: Callable[[], Awaitable[None]],
        task: "asyncio.Task[None]",
        error: Callable[[], Exception | None],
    ) -> None:
        self._history = history
        self._fanout = fanout
        self._preroll_s = preroll_s
        self._loop = loop
        self._complete = complete
        self._task = task
        self._error = error

    async def look(self, query: Query, since_ns: int, timeout_s: float) -> Seen:
        """Look for a query in all that came since a moment (monotonic), and then until `timeout_s` have passed.

        Raises WaitTimeoutError if it was not seen, ConfigurationError if too little is kept or in another loop, or what
        ended the session.
        """
        self._loop.check()
        begin_ns = time.monotonic_ns()
        if not self._preroll_s:
            raise ConfigurationError("expected connect(preroll_s=...) to look back, got none: say how long to keep")
        if not self._history.covers(since_ns):
            raise ConfigurationError(
                f"expected to look back {self._preroll_s:g} s at most, got {(begin_ns - since_ns) / 1e9:.1f} s: "
                "give connect a longer preroll_s, or look back sooner"
            )
        review = Review(query, since_ns)
        bell = _Bell()
        self._fanout.add(bell)
        try:
            await self._review(review, begin_ns, timeout_s, bell.has_rung)
        finally:
            self._fanout.remove(bell)
        if (first := review.match) is None:
            raise _not_seen(review, (begin_ns - since_ns) / 1e9 + timeout_s, timeout_s)
        return Seen(
            first_s=(review.first_ns - since_ns) / 1e9,
            last_s=((review.gone_ns or time.monotonic_ns()) - since_ns) / 1e9,
            is_gone=review.gone_ns is not None,
            match=first,
        )

    async def _review(self, review: "Review", begin_ns: int, timeout_s: float, has_rung: asyncio.Event) -> None:
        """Look at everything that came before `begin_ns`, and then at what comes until it is seen, or time is up."""
        past_ns, until_ns = begin_ns, begin_ns + round(timeout_s * 1e9)
        last: AccessUnit | None = None
        is_complete = False
        while True:
            has_rung.clear()
            units = deque(_after(self._history.frames_since(review.since_ns), last))
            while units:
                last = units[-1]
                if units[0].arrival_ns > past_ns and (review.match or time.monotonic_ns() >= until_ns):
                    return
                await asyncio.to_thread(review.receive, units, time.monotonic() + SLICE_S)
            await asyncio.to_thread(review.catch_up)
            if not is_complete and review.gone_ns is None:
                # The frame with it, or the one without it, may be lost with no other behind it to show that.
                await self._complete()
                is_complete, past_ns = True, time.monotonic_ns()
                continue
            left_s = (until_ns - time.monotonic_ns()) / 1e9
            if review.match or left_s <= 0:
                return
            await first_event(has_rung, self._task, timeout_s=left_s)
            if self._task.done():
                raise self._error() or ConnectionLostError("cannot look at the screen: the session is closed")


class Review:
    """Decode access units, and find out when a query was on the screen, from `since_ns` (monotonic) on.

    The frame that was on the screen at that moment counts. It belongs to one thread at a time.

    Attributes:
        match: The match on the first frame with one; None before. `first_ns` is when it came.
        gone_ns: When the first frame without a match came, after the last one with it; None while there is one.
        looks: How many frames were looked at: not those that are the same, pixel by pixel, as the one before.
        newest: The newest frame; None before the first.
        nearest: What was found on the frame that came nearest.
    """

    def __init__(self, query: Query, since_ns: int) -> None:
        self.since_ns = since_ns
        self.match: Match | None = None
        self.first_ns = 0
        self.gone_ns: int | None = None
        self.looks = 0
        self.newest: VideoFrame | None = None
        self.nearest: Sight | None = None
        self.query = query
        self._decoder = FrameDecoder(lambda: None)
        self._before: VideoFrame | None = None  # the newest frame from before that moment
        self._looked_at: VideoFrame | None = None
        self._came_ns = since_ns

    def receive(self, units: deque[AccessUnit], until_s: float) -> None:
        """Take units, from a keyframe on, until none is left or it is so late (`time.monotonic`)."""
        while units and time.monotonic() < until_s:
            for decoded in self._decoder.decode(units.popleft()):
                self._take(decoded)

    def catch_up(self) -> None:
        """Take the frames that the decoder holds back, and look at what was on the screen at the beginning."""
        if self._decoder.is_holding:
            for decoded in self._decoder.release(lambda: True):
                self._take(decoded)
        self._look_at_beginning()

    def _take(self, decoded: DecodedFrame) -> None:
        frame = frame_of(decoded, time.monotonic_ns(), time.time_ns())
        self.newest = frame
        if frame.arrival_ns <= self.since_ns:
            self._before = frame
            return
        self._look_at_beginning()
        self._came_ns = max(self._came_ns, frame.arrival_ns)  # one that was sent again comes after those behind it
        self._look(frame, self._came_ns)

    def _look_at_beginning(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            self._look(before, self.since_ns)

    def _look(self, frame: VideoFrame, at_ns: int) -> None:
        if self._looked_at is not None and _is_same(frame.av_frame, self._looked_at.av_frame):
            return
        self._looked_at = frame
        self.looks += 1
        sight = self.query.look(frame)
        matches = sight.found.matches if sight.query is self.query else ()
        if matches:
            self.gone_ns = None
            if self.match is None:
                self.match, self.first_ns = matches[0], at_ns
        elif self.match is not None:
            self.gone_ns = self.gone_ns or at_ns
        elif self.nearest is None or _score(sight) > _score(self.nearest):
            self.nearest = sight


class _Bell:
    """A sink that says that a frame has come."""

    def __init__(self) -> None:
        self.has_rung = asyncio.Event()

    def put(self, unit: AccessUnit) -> None:
        """Take an access unit."""
        if unit.kind == "video":
            self.has_rung.set()


def _after(units: list[AccessUnit], last: AccessUnit | None) -> list[AccessUnit]:
    """Return the units behind one of them; all of them, which begin with a keyframe, if that is not there any more."""
    place = next((number for number, unit in enumerate(units, start=1) if unit is last), 0)
    return units[place:]


def _is_same(one: av.VideoFrame, other: av.VideoFrame) -> bool:
    """Whether two frames are the same, pixel by pixel. That some are not found to be costs a look."""
    if (one.width, one.height, one.format.name) != (other.width, other.height, other.format.name):
        return False
    planes: Any = zip(one.planes, other.planes, strict=True)
    return all(np.array_equal(np.frombuffer(a, np.uint8), np.frombuffer(b, np.uint8)) for a, b in planes)


def _score(sight: Sight) -> float:
    return sight.found.nearest.score if sight.found.nearest is not None else 0.0


def _not_seen(review: Review, looked_s: float, timeout_s: float) -> WaitTimeoutError:
    """Return the error for what was not seen."""
    sight, name = review.nearest, review.query.name
    nearest = sight.found.nearest if sight is not None else None
    message = f"{name} was not on the screen within {looked_s:.1f} s from then on, in {review.looks} different frames"
    return WaitTimeoutError(
        message if nearest is None else f"{message}; nearest: {nearest}",
        waited_for=name,
        waited_s=timeout_s,
        frame=review.newest,
        best=nearest,
        nearby=() if sight is None else sight.found.nearby,
    )
