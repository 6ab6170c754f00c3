"""What is on the screen, as a program names it: a target is looked up anew each time, and waits by itself."""

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from streamer.actions import Action, perform
from streamer.control.places import DIRECTIONS, Place
from streamer.errors import ConfigurationError, SeveralMatchesError, WaitTimeoutError
from streamer.looking_back import Past, Seen
from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.matches import Finder, Match
from streamer.targets.query import Query, Sight
from streamer.targets.steady import Steadiness
from streamer.timeline.journal import Found
from streamer.verbs import Direction
from streamer.waiting import change_after
from streamer.watch.change import Look
from streamer.watch.region import Region
from streamer.watcher import Watch, Watcher, area_of, differ

if TYPE_CHECKING:  # it is above this module: it makes the targets
    from streamer.finding import Targets

TIMEOUT_S: Final = 5.0
SWIPE_S: Final = 0.3  # of scrolling: how long each swipe takes,
HOLD_S: Final = 0.15  # how long the finger then rests, so that nothing is flung,
CHANGE_S: Final = 2.0  # how long a swipe may change nothing, and
SETTLE_S: Final = 5.0  # how long the screen has to come to rest after it
MOST_SCROLLING_S: Final = 3600.0
UNCHANGED_EVERY_NS: Final = 200_000_000  # frames in which nothing changed are looked at no more often


class Target:
    """Something on the screen, such as `phone.get_by_image("pay.png")`.

    It is lazy: nothing is looked for before it is asked, and each call looks at the screen anew. It is strict: where
    one place is wanted and there are several, that is a SeveralMatchesError; `first`, `last`, `nth` and `within` say
    which one is meant.
    """

    def __init__(self, phone: "Targets", watcher: Watcher, past: Past, finder: Finder) -> None:
        self._phone = phone
        self._watcher = watcher
        self._past = past
        self._query = Query(finder)

    def __repr__(self) -> str:
        return f"<Target {self.name}>"

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._query.name

    @property
    def first(self) -> "Target":
        """The uppermost of several; of those beside each other, the leftmost."""
        return self.nth(0)

    @property
    def last(self) -> "Target":
        """The lowest of several; of those beside each other, the rightmost."""
        return self.nth(-1)

    def nth(self, number: int) -> "Target":
        """Return one of several, from top to bottom and from left to right.

        Args:
            number: From 0; -1 is the last one.
        """
        return self._with(replace(self._query, number=number))

    def within(self, around: "Region | Target") -> "Target":
        """Return the target as it is looked for in a part of the screen only. It has to lie there wholly.

        Args:
            around: A region, or another target, which is looked up each time, too.

        Raises:
            ConfigurationError: The target is looked for in a part of the screen already, or `around` is something else.
        """
        if self._query.within is not None:
            raise ConfigurationError(f"expected one place to look in, got a second one for {self.name}")
        if not isinstance(around, Region | Target):
            raise ConfigurationError(f"expected a Region or a Target to look in, got {type(around).__name__}")
        place = around if isinstance(around, Region) else around._query
        return self._with(replace(self._query, within=place))

    async def wait(self, *, timeout_s: float = TIMEOUT_S) -> Match:
        """Wait until it is on the screen; return where.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: It was not there in time; `best` says what came nearest.
            SeveralMatchesError: It is there more than once.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        return await self._find_one(timeout_s, steadily=False)

    async def wait_gone(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until it is not on the screen, not even once.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: It was still there.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        with self._lookout(timeout_s, f"{self.name} to be gone", still_there) as lookout:
            while (await lookout.next()).found.matches:
                pass

    async def seen(self, *, since: Action | float, timeout_s: float = TIMEOUT_S) -> Seen:
        """Return when it was on the screen since an action, also if it has gone: a toast, a spinner, a splash screen.

        It looks at every frame that came since then, as far as `connect(preroll_s=...)` has kept them, and at the one
        that was on the screen at that moment. Several matches are no error. It takes the time of a look at each frame
        in which something differs; `within` makes that shorter for a text.

        Args:
            since: An action that was sent, or how many seconds ago.
            timeout_s: If it was not seen so far, wait for it until so many seconds have passed. 0 only looks back.

        Raises:
            WaitTimeoutError: It was not seen; `best` says what came nearest.
            ConfigurationError: `connect` was given no `preroll_s`, or one that is too short; the action was not sent;
                or a time is below 0.
            StreamerError: What ended the session.
        """
        if not 0 <= timeout_s < math.inf:
            raise ConfigurationError(f"expected timeout_s from 0 on, got {timeout_s}")
        if isinstance(since, Action):
            since_ns = since.sent_ns
            if since_ns is None:
                raise ConfigurationError("expected an action that was sent, got one that was not: await it first")
        elif 0 < since < math.inf:
            since_ns = time.monotonic_ns() - round(since * 1e9)
        else:
            raise ConfigurationError(f"expected an action, or how many seconds ago, got {since}")
        with self._watcher.journal.waiting(f"{self.name} since then") as place:
            seen = await self._past.look(self._query, since_ns, timeout_s)
            place.score = seen.match.score
            place.region = area_of(seen.match.region, (seen.match.frame.width, seen.match.frame.height))
            return seen

    async def is_visible(self) -> bool:
        """Return whether it is on the screen now, once or more often. It does not wait for it.

        Raises:
            WaitTimeoutError: No frame came.
            StreamerError: What ended the session.
        """
        return bool(await self.find_all())

    async def find_all(self) -> list[Match]:
        """Return each place at which it is now, from top to bottom and from left to right. It does not wait for it.

        Raises:
            WaitTimeoutError: No frame came.
            SeveralMatchesError: The target that it is looked for in is there more than once.
            StreamerError: What ended the session.
        """
        with self._lookout(TIMEOUT_S, "a frame", not_there) as lookout:
            sight = await lookout.next()
        if sight.query is self._query:
            return list(sight.found.matches)
        if sight.found.matches:
            raise several(sight)
        return []

    def tap(self, *, timeout_s: float = TIMEOUT_S, again_if_unchanged_s: float | None = None) -> Action:
        """Tap the middle of it, once it is on the screen, alone, and its place is steady.

        Its place is steady when nothing on the screen has moved for 0.1 s, or it has not moved for 0.5 s: phones lose
        touches while one app slides over another. A screen that has turned since is not touched.

        Args:
            timeout_s: How long to wait for it, and then for a data channel, in seconds.
            again_if_unchanged_s: Tap a second time if nothing on the screen has changed for so many seconds. By default
                there is one tap.

        Awaiting the action raises what `wait` raises, too; then nothing was tapped.

        Raises:
            ConfigurationError: A time is not above 0.
        """
        check_above_0(timeout_s=timeout_s)
        if again_if_unchanged_s is not None:
            check_above_0(again_if_unchanged_s=again_if_unchanged_s)

        async def find_and_tap(on_sent: Callable[[int], None]) -> None:
            with self._watcher.watch(lambda *_: None, region=None, ignore=()):  # so that nothing is missed in between
                match = await self._find_one(timeout_s, steadily=True)
                x, y = match.center
                tap = self._phone.tap(x, y, frame=match.frame, timeout_s=timeout_s)
                if again_if_unchanged_s is None:
                    await perform(tap, on_sent)
                elif not await self._changes(tap, on_sent, again_if_unchanged_s):
                    await self._phone.tap(x, y, frame=match.frame, timeout_s=timeout_s)

        return Action("tap", find_and_tap, watcher=self._watcher, of="target", keeps_watch=True)

    async def scroll_to(self, direction: Direction = "up", *, max_swipes: int = 10) -> Match:
        """Swipe until it is on the screen and the screen is still; return where. It does not swipe if it is there.

        Each swipe goes over half of the screen, or of what the target is looked for `within`. It flings nothing, so
        that nothing is passed over.

        Args:
            direction: Where the finger moves: "up" scrolls a list down. Or "down", "left" or "right".
            max_swipes: How many swipes to make at most.

        Raises:
            WaitTimeoutError: It was not there after so many swipes, or a swipe moved nothing any more.
            SeveralMatchesError: It is there more than once.
            ConfigurationError: `max_swipes` is below 1, or there is no such direction.
            StreamerError: What ended the session, or what the swipe raised.
        """
        if direction not in DIRECTIONS or max_swipes < 1:
            raise ConfigurationError(
                f"expected one of {', '.join(DIRECTIONS)} and at least 1 swipe, got {direction!r} and {max_swipes}"
            )
        began = time.monotonic()
        with self._lookout(MOST_SCROLLING_S, self.name, not_there) as lookout:
            sight, swipes, has_moved = await lookout.next(), 0, True
            while sight.query is not self._query or not sight.found.matches:
                if swipes == max_swipes or not has_moved:
                    lookout.note(sight.found.nearest)
                    raise not_scrolled_to(sight, f"{swipes} swipes {direction}", time.monotonic() - began, has_moved)
                area = sight.place if sight.place is not None else Region(0.0, 0.0, 1.0, 1.0)
                start, end = swipe_within(area, direction, sight.frame)
                swipe = self._phone.swipe(start, end, duration_s=SWIPE_S, hold_s=HOLD_S, frame=sight.frame)
                with contextlib.suppress(WaitTimeoutError):  # a screen that never rests is looked at as it is
                    await swipe.settled(timeout_s=SETTLE_S, change_timeout_s=CHANGE_S)
                swipes, before = swipes + 1, sight.frame
                sight = await lookout.again()
                has_moved = differ(before, sight.frame)
            if len(sight.found.matches) > 1:
                raise several(sight)
            lookout.note(sight.found.matches[0])
            return sight.found.matches[0]

    async def _changes(self, action: Action, on_sent: Callable[[int], None], limit_s: float) -> bool:
        """Perform an action, and return whether something on the screen has changed within `limit_s` after that."""

        def act(note: Callable[[int], None]) -> Awaitable[None]:
            def sent(sent_ns: int) -> None:
                note(sent_ns)
                on_sent(sent_ns)

            return perform(action, sent)

        try:
            await change_after(act, self._watcher, region=None, ignore=(), timeout_s=limit_s)
        except WaitTimeoutError:
            if action.sent_ns is None:
                raise
            return False
        return True

    def _with(self, query: Query) -> "Target":
        target = Target(self._phone, self._watcher, self._past, query.finder)
        target._query = query
        return target

    async def _find_one(self, timeout_s: float, *, steadily: bool) -> Match:
        """Wait for the one match, steady if wanted. Several are an error once they are steady."""
        with self._lookout(timeout_s, self.name, not_there) as lookout:
            steady = lookout.steady
            until_ns: int | None = None
            while True:
                sight = await lookout.next(until_ns)
                matches = sight.found.matches
                is_one = sight.query is self._query and len(matches) == 1
                is_steady = steady.is_steady(lookout.seen_until_ns)
                if is_one and (is_steady or not steadily):
                    lookout.note(matches[0])
                    return matches[0]
                if is_steady and len(matches) > 1:
                    raise several(sight)
                until_ns = steady.deadline_ns if matches else None

    @contextlib.contextmanager
    def _lookout(self, timeout_s: float, waited_for: str, outcome: "Callable[[Sight], str]") -> "Iterator[Lookout]":
        """Look at the screen within the block. `outcome` says what was there instead when the time is up."""
        check_above_0(timeout_s=timeout_s)

        def timed_out(lookout: Lookout) -> WaitTimeoutError:
            sight = lookout.sight
            lookout.note(None if sight is None else sight.found.nearest)
            return WaitTimeoutError(
                f"after {timeout_s:g} s {'no frame had come' if sight is None else outcome(sight)}",
                waited_for=waited_for,
                waited_s=timeout_s,
                frame=lookout.watch.newest,
                best=None if sight is None else sight.found.nearest,
                nearby=() if sight is None else sight.found.nearby,
            )

        lookout = Lookout(self._query, timed_out, time.monotonic_ns() + round(timeout_s * 1e9))
        with (
            self._watcher.journal.waiting(waited_for) as lookout.place,
            self._watcher.watch(lookout.on_look, region=None, ignore=()) as lookout.watch,
        ):
            yield lookout


class Lookout:
    """Looks for a query on the newest frame, again and again, in a thread, while a `watch` goes on.

    It looks at what came in time, however long the looks take: when the time is up, one more look may follow.
    """

    watch: Watch
    place: Found  # what a timeline says of the wait

    def __init__(self, query: Query, timed_out: "Callable[[Lookout], WaitTimeoutError]", deadline_ns: int) -> None:
        self.sight: Sight | None = None  # what was found at the last look
        self.steady = Steadiness()
        self._query = query
        self._timed_out = timed_out
        self._deadline_ns = deadline_ns
        self._has_changed, self._changed_ns = True, 0  # since the last look, and when the first such frame came
        self._looked_ns = 0

    @property
    def seen_until_ns(self) -> int:
        """Up to when it is known what is on the screen (monotonic)."""
        assert self.sight is not None  # noqa: S101 - after a look
        is_due = self._has_changed and self.watch.newest is not self.sight.frame
        return self.sight.frame.arrival_ns if is_due else time.monotonic_ns()

    def on_look(self, look: Look, _: VideoFrame) -> None:
        """Take the comparison of a frame."""
        if look.changed is not None or look.is_first or look.follows_loss:
            if not self._has_changed:
                self._has_changed, self._changed_ns = True, look.arrival_ns
            self.steady.change(look.arrival_ns)

    def note(self, match: Match | None) -> None:
        """Let a timeline say of the wait what it found, or nearly found."""
        if match is not None:
            size = match.frame.width, match.frame.height
            self.place.score, self.place.region = match.score, area_of(match.region, size)

    async def next(self, until_ns: int | None = None) -> Sight:
        """Return what is on the newest frame, once that differs from the last look's; the last look at `until_ns`.

        Raises WaitTimeoutError if the time is up.
        """
        while True:
            newest, sight, now_ns = self.watch.newest, self.sight, time.monotonic_ns()
            wake_ns = self._deadline_ns if until_ns is None else min(until_ns, self._deadline_ns)
            if newest is not None and (sight is None or newest is not sight.frame):
                again_ns = 0 if sight is None else self._looked_ns + UNCHANGED_EVERY_NS
                came_in_time = self._has_changed and self._changed_ns < self._deadline_ns
                if sight is None or came_in_time or again_ns <= now_ns < self._deadline_ns:
                    return await self._look(newest)
                wake_ns = min(wake_ns, again_ns)
            if now_ns >= self._deadline_ns:
                raise self._timed_out(self)
            if sight is not None and until_ns is not None and now_ns >= until_ns:
                return sight
            await self.watch.next(wake_ns)

    async def again(self) -> Sight:
        """Return what is on the newest frame."""
        assert self.watch.newest is not None  # noqa: S101 - after a look
        return await self._look(self.watch.newest)

    async def _look(self, frame: VideoFrame) -> Sight:
        self._has_changed = False
        self.sight = sight = await asyncio.to_thread(self._query.look, frame)
        self._looked_ns = time.monotonic_ns()
        self.steady.receive(sight.found.matches, frame.arrival_ns)
        return sight


def text_in(target: Target, text: str | re.Pattern[str], *, exact: bool) -> Target:
    """Return the target that is a text within another target's place. It raises what `get_by_text` does."""
    return target._phone.get_by_text(text, exact=exact).within(target)


def several(sight: Sight) -> SeveralMatchesError:
    """Return the error for a sight with several matches where one is wanted."""
    matches = sight.found.matches
    places = [f"({x}, {y})" for x, y in (match.center for match in matches[:4])]
    more = f" and {len(matches) - 4} more" if len(matches) > 4 else ""
    return SeveralMatchesError(
        f"expected {sight.query.name} once on the screen, got it {len(matches)} times, at {', '.join(places)}{more}: "
        "say which one by first, last, nth() or within()",
        matches=matches,
    )


def still_there(sight: Sight) -> str:
    """Return what was there instead of nothing."""
    x, y = sight.found.matches[0].center
    return f"{sight.query.name} was still on the screen, at ({x}, {y})"


def not_there(sight: Sight) -> str:
    """Return what was there instead of one match."""
    found = sight.found
    if len(found.matches) > 1:
        return f"{sight.query.name} was on the screen {len(found.matches)} times"
    if found.matches:
        return f"{sight.query.name} was on the screen, and its place was not steady"
    if sight.count:
        return f"{sight.query.name} was not on the screen: there were {sight.count} of them"
    if found.nearest is None:
        return f"{sight.query.name} was not on the screen"
    return f"{sight.query.name} was not on the screen; nearest: {found.nearest}"


def not_scrolled_to(sight: Sight, after: str, waited_s: float, has_moved: bool) -> WaitTimeoutError:
    """Return the error of scrolling in vain."""
    return WaitTimeoutError(
        f"after {after} {not_there(sight)}{'' if has_moved else '; the last swipe moved nothing'}",
        waited_for=sight.query.name,
        waited_s=waited_s,
        frame=sight.frame,
        best=sight.found.nearest,
        nearby=sight.found.nearby,
    )


def swipe_within(area: Region, direction: Direction, frame: VideoFrame) -> tuple[Place, Place]:
    """Return where a swipe over half of a part of the screen begins and ends, in pixels."""
    left, top, right, bottom = area.pixels(frame.width, frame.height)
    start, end = ((int(left + x * (right - left)), int(top + y * (bottom - top))) for x, y in DIRECTIONS[direction])
    return start, end


def check_above_0(**values: float) -> None:
    """Raise ConfigurationError if a value is not above 0."""
    for name, value in values.items():
        if not value > 0:
            raise ConfigurationError(f"expected {name} above 0, got {value}")
