"""Waiting for the screen: what a wait gives, and what it raises when its time is up."""

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from streamer.aio import within
from streamer.control.places import Coordinate, check_place, resolve
from streamer.errors import ConfigurationError, ConnectionLostError, WaitTimeoutError
from streamer.media.playback.images import color_at
from streamer.media.playback.video_frames import FrameIterator, VideoFrame
from streamer.timeline.journal import unix_time
from streamer.timeline.records import Measured, Still
from streamer.watch.change import Look
from streamer.watch.region import Region
from streamer.watch.response import Response, percentile
from streamer.watch.still import Need, Stillness
from streamer.watcher import Watch, Watcher, area_of

Act: TypeAlias = Callable[[Callable[[int], None]], Awaitable[object]]  # calls back when its first frame was sent, in ns

Watching: TypeAlias = Callable[..., AbstractContextManager[Watch]]  # takes what `Watcher.watch` takes

TIMEOUT_S: Final = 10.0
QUIET_S: Final = 0.3  # a caret blinks every half a second
TOLERANCE: Final = 12  # of 255: what an encoder makes of a plain color
A_CHANGE: Final = "a change"  # `WaitTimeoutError.waited_for` of a wait in which nothing changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change on the screen.

    Attributes:
        after_s: Seconds from the beginning to the arrival of the last datagram of the first frame that differs. The
            beginning is the call of `wait_for_change`, or for an action the moment its first frame (a touch's DOWN, a
            key) was handed to the network.
        region: The smallest region with everything that changed in that frame, in pixels.
        frame: The first frame that differs.
    """

    after_s: float
    region: Region
    frame: VideoFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How the screen answered an action, up to its rest.

    A frame has changed when it differs from the last one that changed. Times run from the moment the action's first
    frame (a touch's DOWN, a key) was handed to the network to the arrival of the last datagram of a frame: what a user
    feels, network included. `round_trip_s` stands beside them, so that the phone's own share can be told.

    Gaps are differences of `rtp_time`, the phone's own clock, so the network's jitter is not in them. The quiet before
    the first and after the last changed frame is no gap. The encoder's frame rate bounds what can be seen. A frame that
    the encoder skipped and one that the app did not draw look the same.

    Attributes:
        first_change_s: Seconds to the first frame that changed.
        settled_s: Seconds to the last frame that changed; nothing moved after it.
        frames: How many frames changed.
        longest_gap_s: The longest time between two frames that changed one after the other; 0.0 if there is one only.
        p90_gap_s: Nine of ten gaps are no longer than this; 0.0 if there is one frame only.
        gaps_s: The gaps, in order; the newest 36,000.
        round_trip_s: The round-trip time to the phone, smoothed; None if it was not measured.
        region: The smallest region with everything that changed, in pixels.
        frame: The frame that is on the screen at the end.
    """

    first_change_s: float
    settled_s: float
    frames: int
    longest_gap_s: float
    p90_gap_s: float
    gaps_s: tuple[float, ...] = field(repr=False)
    round_trip_s: float | None
    region: Region
    frame: VideoFrame = field(repr=False)


class Waits:
    """Waiting for the screen: the waits of a `Session`.

    Frames are decoded while at least one wait goes on, and compared in the decoder's thread. Each frame is reduced to
    blocks of about 16 x 16 pixels. A block has changed when its mean luma, from 0 to 255, differs by more than 6, or
    its mean chroma by more than 12. A wait never ends well because its time is up.
    """

    _watcher: Watcher

    def _newest_frames(self) -> FrameIterator:
        """Return an iterator of the newest frames."""
        raise NotImplementedError

    async def wait_for_change(
        self,
        *,
        region: Region | None = None,
        ignore: Iterable[Region] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> Change:
        """Wait until the screen differs from the frame that is on it now.

        Args:
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen not to watch.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: Nothing changed in time.
            ConfigurationError: An argument is wrong, or nothing of the screen is left to watch.
            StreamerError: What ended the session.
        """
        _check_above_0(timeout_s=timeout_s)
        changes: list[tuple[Look, VideoFrame]] = []
        since_ns = time.monotonic_ns()

        def on_look(look: Look, frame: VideoFrame) -> None:
            if look.changed is not None and not changes:
                changes.append((look, frame))

        where = "the screen" if region is None else f"the region {region}"
        with (
            self._watcher.journal.waiting("a change") as found,
            self._watcher.watch(on_look, region=region, ignore=tuple(ignore)) as watch,
        ):
            async with within(timeout_s, lambda: _timed_out(f"{where} had not changed", watch, A_CHANGE, timeout_s)):
                while not changes:
                    await watch.next()
            look, frame = changes[0]
            found.region = area_of(look.region, look.size)
        return Change(after_s=max(look.arrival_ns - since_ns, 0) / 1e9, region=look.region, frame=frame)

    async def wait_until_still(
        self,
        *,
        quiet_s: float = QUIET_S,
        region: Region | None = None,
        ignore: Iterable[Region] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> VideoFrame:
        """Wait until nothing has moved for `quiet_s`; return the frame that is on the screen then.

        Each frame is compared with the one with which the quiet began, so a slow fade is not still. `quiet_s` is time
        on the phone's clock. Where no frame comes, the phone must answer after the quiet, and no packet may be known to
        be missing: a stalled network is not a still screen. A quiet from before the call does not count.

        A splash screen is still, too: wait for what should be there first.

        Args:
            quiet_s: How long nothing may move, in seconds. A caret blinks every half a second: 0.3 fits in between.
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen that may move, such as `[Region.STATUS_BAR]`.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: The screen did not come to rest in time; its `moving` says where.
            ConfigurationError: An argument is wrong, or nothing of the screen is left to watch.
            StreamerError: What ended the session.
        """
        _check_above_0(quiet_s=quiet_s, timeout_s=timeout_s)
        still = Stillness(round(quiet_s * 1e9), time.monotonic_ns())
        with (
            self._watcher.journal.waiting("a still screen"),
            self._watcher.watch(lambda look, _: still.receive(look), region=region, ignore=tuple(ignore)) as watch,
        ):
            async with within(timeout_s, lambda: not_still(self._watcher, watch, still, timeout_s)):
                while not still.is_still:
                    await step(self._watcher, watch, still)
        self._watcher.journal.tell_now(Still(quiet_s=quiet_s))
        assert watch.newest is not None  # noqa: S101 - what is still is a frame
        return watch.newest

    async def wait_for_color(
        self,
        x: Coordinate,
        y: Coordinate,
        color: str,
        *,
        tolerance: int = TOLERANCE,
        timeout_s: float = TIMEOUT_S,
    ) -> VideoFrame:
        """Wait until a pixel has a color; return the first frame in which it has.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).
            color: Such as "#00c853": red, green and blue.
            tolerance: How far each of the three may be off, from 0 to 255. An encoder changes colors a little.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: The pixel did not have the color in time.
            ConfigurationError: An argument is wrong, or the place is outside the screen.
            StreamerError: What ended the session.
        """
        wanted = _parse_color(color)
        place = check_place((x, y))
        if not 0 <= tolerance <= 255:
            raise ConfigurationError(f"expected a tolerance from 0 to 255, got {tolerance}")
        found = ""

        def has_color(frame: VideoFrame) -> bool:
            nonlocal found
            size = frame.width, frame.height
            column, row = (
                min(int(fraction * length), length - 1)
                for fraction, length in zip(resolve(place, size), size, strict=True)
            )
            got = color_at(frame.av_frame, column, row)
            found = "#" + bytes(got).hex()
            return all(abs(a - b) <= tolerance for a, b in zip(got, wanted, strict=True))

        return await self._wait_for(
            has_color, timeout_s, f"the color {color} at ({x}, {y})", lambda: f"the color at ({x}, {y}) was {found}"
        )

    async def wait_for(
        self, predicate: Callable[[VideoFrame], bool | Awaitable[bool]], *, timeout_s: float = TIMEOUT_S
    ) -> VideoFrame:
        """Wait until a predicate is true of the newest frame; return that frame.

        Args:
            predicate: A function, plain or async, that is called with the frame that is on the screen, then with each
                newer one. It runs in the event loop: it must be quick. What it raises ends the wait and reaches the
                caller.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: It was true of no frame in time.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        name = getattr(predicate, "__name__", "the predicate")
        return await self._wait_for(predicate, timeout_s, name, lambda: f"{name} was not true of any frame")

    async def _wait_for(
        self,
        predicate: Callable[[VideoFrame], bool | Awaitable[bool]],
        timeout_s: float,
        what: str,
        instead: Callable[[], str],
    ) -> VideoFrame:
        _check_above_0(timeout_s=timeout_s)
        frame: VideoFrame | None = None

        def timed_out() -> WaitTimeoutError:
            message = "no frame had come" if frame is None else instead()
            return WaitTimeoutError(
                f"after {timeout_s:g} s {message}", waited_for=what, waited_s=timeout_s, frame=frame
            )

        with self._watcher.journal.waiting(what), self._watcher.asking():
            async with within(timeout_s, timed_out), self._newest_frames() as frames:
                async for frame in frames:
                    is_true = predicate(frame)
                    if inspect.isawaitable(is_true):
                        is_true = await is_true
                    if is_true:
                        return frame
        raise ConnectionLostError("cannot watch the screen: the session is closed")


async def change_after(
    act: Act,
    watcher: Watcher,
    watching: Watching | None = None,
    *,
    region: Region | None,
    ignore: Iterable[Region],
    timeout_s: float,
) -> Change:
    """Watch the screen by `watching`, act, and return the first change after that.

    Raises what `act` raises, WaitTimeoutError, ConfigurationError, and what ended the session.
    """
    _check_above_0(timeout_s=timeout_s)
    response: Response | None = None
    changes: list[tuple[Look, VideoFrame]] = []

    def on_sent(sent_ns: int) -> None:
        nonlocal response
        response = Response(sent_ns)

    def on_look(look: Look, frame: VideoFrame) -> None:
        if response is not None and response.receive(look) and not changes:
            changes.append((look, frame))

    with (
        watcher.journal.waiting("a change") as found,
        (watching or watcher.watch)(on_look, region=region, ignore=tuple(ignore)) as watch,
    ):
        await _act(act, on_sent, watch, timeout_s)
        async with within(timeout_s, lambda: _timed_out("nothing had changed", watch, A_CHANGE, timeout_s)):
            while response is None or not changes:
                await watch.next()
        look, frame = changes[0]
        found.region = area_of(look.region, look.size)
    change = Change(after_s=response.after_s(look), region=look.region, frame=frame)
    watcher.journal.tell(
        Measured(at=unix_time(response.sent_ns), rtp_time=look.rtp_time, first_change_s=change.after_s)
    )
    return change


async def settle_after(
    act: Act,
    watcher: Watcher,
    watching: Watching | None = None,
    *,
    quiet_s: float,
    region: Region | None,
    ignore: Iterable[Region],
    timeout_s: float,
    change_timeout_s: float | None = None,
) -> Settled:
    """Watch the screen by `watching`, act, and return what came of it once the screen has changed and is still.

    Raises what `act` raises, WaitTimeoutError, ConfigurationError, and what ended the session.
    """
    change_timeout_s = timeout_s if change_timeout_s is None else min(change_timeout_s, timeout_s)
    _check_above_0(quiet_s=quiet_s, timeout_s=timeout_s, change_timeout_s=change_timeout_s)
    machines: tuple[Response, Stillness] | None = None

    def on_sent(sent_ns: int) -> None:
        nonlocal machines
        machines = Response(sent_ns), Stillness(round(quiet_s * 1e9), sent_ns)

    def on_look(look: Look, _: VideoFrame) -> None:
        if machines is not None:
            response, still = machines
            response.receive(look)
            still.receive(look)

    with (
        watcher.journal.waiting("a still screen"),
        (watching or watcher.watch)(on_look, region=region, ignore=tuple(ignore)) as watch,
    ):
        await _act(act, on_sent, watch, timeout_s)
        assert machines is not None  # noqa: S101 - it was sent
        response, still = machines
        still.begin_again(time.monotonic_ns())  # it may have taken longer than the quiet

        begun = time.monotonic()
        no_change = functools.partial(_timed_out, "nothing had changed", watch, A_CHANGE, change_timeout_s)
        async with within(change_timeout_s, no_change):
            while response.first is None:
                await step(watcher, watch, still)
        left_s = max(timeout_s - (time.monotonic() - begun), 0)
        async with within(left_s, lambda: not_still(watcher, watch, still, timeout_s)):
            while not still.is_still:
                await step(watcher, watch, still)
    first, last, gaps_s = response.first, response.last, response.gaps_s
    assert last is not None and response.region is not None and watch.newest is not None  # noqa: S101, PT018 - as is first
    settled = Settled(
        first_change_s=response.after_s(first),
        settled_s=response.after_s(last),
        frames=response.count,
        longest_gap_s=max(gaps_s, default=0.0),
        p90_gap_s=percentile(gaps_s, 0.9),
        gaps_s=gaps_s,
        round_trip_s=watcher.round_trip_s,
        region=response.region,
        frame=watch.newest,
    )
    watcher.journal.tell_now(Still(quiet_s=quiet_s))
    watcher.journal.tell(
        Measured(
            at=unix_time(response.sent_ns),
            rtp_time=first.rtp_time,
            first_change_s=settled.first_change_s,
            settled_s=settled.settled_s,
            longest_gap_s=settled.longest_gap_s,
            frames=settled.frames,
            round_trip_s=settled.round_trip_s,
        )
    )
    return settled


async def _act(act: Act, on_sent: Callable[[int], None], watch: Watch, timeout_s: float) -> None:
    """Act once there is a frame to compare with."""
    async with within(timeout_s, lambda: _timed_out("", watch, "a frame to compare with", timeout_s)):
        while watch.newest is None:
            await watch.next()
    await act(on_sent)


async def step(watcher: Watcher, watch: Watch, still: Stillness) -> None:
    """Give a machine what it needs, and wait until a frame has come or the machine is due; or until it is still."""
    was_still = still.is_still
    match still.poll(time.monotonic_ns(), is_compared=watcher.is_compared, is_missing=watcher.is_missing):
        case Need.ANSWER:
            asked_ns = time.monotonic_ns()
            came = await watcher.ask()
            still.answer(asked_ns, time.monotonic_ns(), came=came)
        case Need.KEYFRAME:
            watcher.request_keyframe()
    if was_still or not still.is_still:
        await watch.next(None if was_still else still.deadline_ns)


def not_still(watcher: Watcher, watch: Watch, still: Stillness, waited_s: float) -> WaitTimeoutError:
    """Return the error of a wait for a still screen."""
    moving = still.moving(time.monotonic_ns())
    if moving:
        more = f" and {len(moving) - 1} more" if len(moving) > 1 else ""
        message = f"the screen was not still: {moving[0]}{more} had moved"
    elif watcher.is_missing:
        message = "it was not known whether the screen was still: packets of the video were missing"
    else:
        message = "it was not known whether the screen was still: the phone did not answer"
    return _timed_out(message, watch, "a still screen", waited_s, moving)


def _timed_out(
    message: str, watch: Watch, waited_for: str, waited_s: float, moving: tuple[Region, ...] = ()
) -> WaitTimeoutError:
    if watch.newest is None:
        message = "no frame had come"
    return WaitTimeoutError(
        f"after {waited_s:g} s {message}", waited_for=waited_for, waited_s=waited_s, frame=watch.newest, moving=moving
    )


def _check_above_0(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigurationError(f"expected {name} above 0, got {value}")


def _parse_color(color: str) -> bytes:
    try:
        parsed = bytes.fromhex(color.removeprefix("#"))
    except ValueError:
        parsed = b""
    if len(parsed) != 3 or len(color) != 7:
        raise ConfigurationError(f'expected a color such as "#00c853", got {color!r}')
    return parsed
