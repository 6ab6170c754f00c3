"""The verbs by which a program acts on the phone."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from streamer.actions import Action
from streamer.cloud.phone import Apps, PhoneCalls
from streamer.control import gestures, keys
from streamer.control.frames import Motion, Point, Touch, encode_frame, encode_message
from streamer.control.gestures import Delivery, Step
from streamer.control.places import DIRECTIONS, Coordinate, Place, check_place, needs_size, resolve
from streamer.errors import ConfigurationError
from streamer.input_driver import Hand, InputDriver, MessageIterator
from streamer.media.playback.video_frames import VideoFrame
from streamer.own_loop import OwnLoop
from streamer.timeline import records
from streamer.timeline.journal import Act, Journal
from streamer.watcher import Watcher

READY_TIMEOUT_S: Final = 10.0

Direction: TypeAlias = Literal["up", "down", "left", "right"]

_Fractions: TypeAlias = list[tuple[float, float]]
_Resolve: TypeAlias = Callable[[Place], Awaitable[tuple[float, float]]]


class Finger:
    """A finger of `Session.finger`: it goes down, moves and goes up as the program says, at once.

    Leaving the block lifts it, also after an error.
    """

    def __init__(self, hand: Hand, resolve_place: _Resolve) -> None:
        self._hand = hand
        self._resolve = resolve_place
        self._at: tuple[float, float] | None = None

    @property
    def is_down(self) -> bool:
        """Whether the finger is down."""
        return self._at is not None

    async def down(self, x: Coordinate, y: Coordinate) -> None:
        """Put the finger down.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).

        Raises:
            ActionLostError: The connection was lost since the block was entered.
            ConfigurationError: The place is outside the screen, or the finger is down already.
        """
        if self._at is not None:
            raise ConfigurationError("expected a finger that is up, got one that is down: call up() first")
        await self._send(Motion.DOWN, (x, y))

    async def move(self, x: Coordinate, y: Coordinate) -> None:
        """Move the finger that is down. A move that is lost on the way is not sent again.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).

        Raises:
            ActionLostError: The connection was lost since the block was entered.
            ConfigurationError: The place is outside the screen, or the finger is not down.
        """
        if self._at is None:
            raise ConfigurationError("expected a finger that is down, got one that is up: call down() first")
        await self._send(Motion.MOVE, (x, y))

    async def up(self) -> None:
        """Lift the finger where it is.

        Raises:
            ActionLostError: The connection was lost since the block was entered. The finger is lifted first on the next
                one.
            ConfigurationError: The finger is not down.
        """
        if self._at is None:
            raise ConfigurationError("expected a finger that is down, got one that is up: call down() first")
        await self._send(Motion.UP, self._at)
        self._at = None
        begin = asyncio.get_running_loop().time()
        for step in gestures.fillers(0.0):
            await self._hand.wait_until(begin + step.at_s)
            self._hand.send(step.frame, step.delivery)

    async def _send(self, motion: Motion, place: tuple[object, ...]) -> None:
        at = await self._resolve(check_place(place))
        delivery = Delivery.UNRELIABLE if motion is Motion.MOVE else Delivery.RELIABLE
        self._hand.send(Touch(motion, (Point(0, *at),)), delivery)
        self._at = at
        await asyncio.sleep(0)  # aiortc sends in a task of its own


class Verbs:
    """Acting on the phone: what a `Session` can do besides showing.

    Places are x and y. An `int` is a pixel of the newest frame, a `float` a fraction of it from 0.0 to 1.0: `tap(1, 1)`
    is a pixel in the corner, `tap(1.0, 1.0)` the far corner. `frame` is the frame in which a place was found: an action
    on a screen that has another size by now is refused, because the phone has turned.

    Actions are sent one after another, in the order in which they are awaited. Each waits up to `timeout_s` seconds for
    a data channel. None is sent again by itself after the connection was lost.
    """

    _input: InputDriver
    _phone_calls: PhoneCalls
    _watcher: Watcher
    _journal: Journal
    _loop: OwnLoop

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Name what the block does: `with phone.step("sign in")`. Nothing is sent.

        The timeline of a test has it, with the time that it took, and the video of a test has a chapter for it. If the
        program has imported `allure`, Allure's report has the step, too.

        Args:
            name: What people call it. Steps may be within steps.
        """
        allure = sys.modules.get("allure")
        with allure.step(name) if allure else contextlib.nullcontext(), self._journal.step(name):
            yield

    async def _screen_size(self, timeout_s: float) -> tuple[int, int]:
        """Return the newest frame's width and height."""
        raise NotImplementedError

    def tap(
        self, x: Coordinate, y: Coordinate, *, frame: VideoFrame | None = None, timeout_s: float = READY_TIMEOUT_S
    ) -> Action:
        """Tap a place for 0.04 s.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).
            frame: The frame in which the place was found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The place is outside the screen, or the screen has turned; nothing was sent.
        """
        return self._touch("tap", [(x, y)], lambda at: gestures.tap(*at[0]), frame, timeout_s)

    def double_tap(
        self, x: Coordinate, y: Coordinate, *, frame: VideoFrame | None = None, timeout_s: float = READY_TIMEOUT_S
    ) -> Action:
        """Tap a place twice, within the time of Android's double tap.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).
            frame: The frame in which the place was found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The place is outside the screen, or the screen has turned; nothing was sent.
        """
        return self._touch("double_tap", [(x, y)], lambda at: gestures.double_tap(*at[0]), frame, timeout_s)

    def long_press(
        self,
        x: Coordinate,
        y: Coordinate,
        *,
        duration_s: float = 0.8,
        frame: VideoFrame | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> Action:
        """Press a place and hold it.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).
            duration_s: How long, from 0.7 to 60 s: Android's long press takes 0.5 s, and a lost packet comes again
                within 0.2 s.
            frame: The frame in which the place was found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The place is outside the screen, the screen has turned, or the time is wrong; nothing
                was sent.
        """
        gestures.long_press(0.0, 0.0, duration_s)  # raises at once if the time is wrong
        return self._touch("long_press", [(x, y)], lambda at: gestures.long_press(*at[0], duration_s), frame, timeout_s)

    def swipe(
        self,
        start: Direction | Place,
        end: Place | None = None,
        *,
        duration_s: float = 0.3,
        hold_s: float = 0.0,
        frame: VideoFrame | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> Action:
        """Move a finger in a straight line over the screen.

        Args:
            start: Where the finger goes down, as (x, y); or "up", "down", "left" or "right" for half a screen through
                the middle. "up" moves the finger up, which scrolls a list down.
            end: Where it goes up, as (x, y); not with a direction.
            duration_s: How long the way takes, in seconds.
            hold_s: How long the finger rests at the end. 0 lifts it in motion, which flings a list; 0.1 does not.
            frame: The frame in which the places were found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: A place is outside the screen, the screen has turned, or a time is wrong; nothing was
                sent.
        """
        if isinstance(start, str):
            if start not in DIRECTIONS or end is not None:
                raise ConfigurationError(
                    f"expected one of {', '.join(DIRECTIONS)} alone, or two places such as (540, 1600), (540, 400)"
                )
            start, end = DIRECTIONS[start]
        if end is None:
            raise ConfigurationError("expected two places, got one: say where the finger goes up")
        gestures.swipe((0.0, 0.0), (1.0, 1.0), duration_s, hold_s)  # raises at once if a time is wrong
        return self._touch(
            "swipe", [start, end], lambda at: gestures.swipe(at[0], at[1], duration_s, hold_s), frame, timeout_s
        )

    def pinch(
        self,
        center: Place,
        *,
        scale: float,
        duration_s: float = 0.4,
        frame: VideoFrame | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> Action:
        """Move two fingers towards a place, or away from it.

        Args:
            center: The place between the fingers, as (x, y).
            scale: How far apart the fingers are at the end, over the beginning: 0.5 zooms out, 2 zooms in.
            duration_s: How long it takes, in seconds.
            frame: The frame in which the place was found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The place is outside the screen or too near to its edge, the screen has turned, or the
                scale or time is wrong; nothing was sent.
        """
        gestures.pinch((0.5, 0.5), scale, duration_s)  # raises at once if one is wrong
        return self._touch("pinch", [center], lambda at: gestures.pinch(at[0], scale, duration_s), frame, timeout_s)

    def gesture(
        self,
        paths: Sequence[Sequence[tuple[Coordinate, Coordinate, float]]],
        *,
        frame: VideoFrame | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> Action:
        """Move up to nine fingers on paths of your own.

        Args:
            paths: For each finger its corners as (x, y, second): it goes down at the first, up at the last, and moves
                in straight lines between. Seconds count from the gesture's beginning, to 60 at the most.
            frame: The frame in which the places were found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: A place is outside the screen, the screen has turned, or the seconds of a finger do not
                rise; nothing was sent.
        """
        gestures.gesture([[(0.0, 0.0, second) for *_, second in path] for path in paths])  # raises at once
        places = [(x, y) for path in paths for x, y, _ in path]

        def plan(at: _Fractions) -> list[Step]:
            fractions = iter(at)
            return gestures.gesture([[(*next(fractions), second) for *_, second in path] for path in paths])

        return self._touch("gesture", places, plan, frame, timeout_s)

    @contextlib.asynccontextmanager
    async def finger(self, *, timeout_s: float = READY_TIMEOUT_S) -> AsyncIterator[Finger]:
        """Hold a finger to move as it goes, such as for a game: `async with phone.finger() as finger`.

        It does not wait for other actions. Several may be held at once. Leaving the block lifts it.

        Args:
            timeout_s: How long to wait for a data channel, in seconds.

        Entering the block raises InputNotReadyError, or ConfigurationError if nine fingers are in use.
        """
        self._loop.check()
        _check_timeout(timeout_s)

        async def resolve_place(place: Place) -> tuple[float, float]:
            return (await self._resolved([place], None, timeout_s))[0]

        async with self._input.hand(1, timeout_s=timeout_s, draft=records.Touch(verb="finger")) as hand:
            yield Finger(hand, resolve_place)

    def press(self, key: str | int, *, modifiers: Iterable[str] = (), timeout_s: float = READY_TIMEOUT_S) -> Action:
        """Press a key and let it go.

        Args:
            key: A name, such as "BACK", "HOME", "APP_SWITCH", "ENTER" or "A", or an Android key code. That the phone
                takes key codes was seen in a public client; that it acts on them was not.
            modifiers: "SHIFT", "ALT" and "CTRL", held meanwhile [assumed].
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: No such key; nothing was sent.
        """
        steps = gestures.keys(keys.press(key, modifiers))
        name = keys.silent_name(keys.key_code(key))
        draft = records.Key(name=name or str(key), types_text=name is None)
        return self._act("press", steps, timeout_s, draft)

    def type(self, text: str, *, timeout_s: float = READY_TIMEOUT_S) -> Action:
        """Type a text key by key into the field that has the phone's focus.

        Keys can type printable ASCII, line feeds and tabs, for a phone with Android's US key layout [assumed]. The text
        reaches no log, repr or error of streamer.

        Args:
            text: Up to 2000 characters.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            TypingError: Keys cannot type all of it; nothing was typed.
        """
        steps = gestures.keys(keys.keys_of(text))
        return self._act("type", steps, timeout_s, records.Text(length=len(text), text=text))

    def start_app(self, package: str, *, activity: str | None = None) -> Action:
        """Start an app, or bring it to the front, as `apps.start` does, and with the errors of that.

        `phone.start_app("com.example.shop").settled()` tells how long the app takes to be there.

        Args:
            package: The package's name, such as com.example.shop.
            activity: The activity, such as ".Main"; None is the one that the launcher starts.
        """
        self._loop.check()

        async def perform(on_sent: Callable[[int], None]) -> None:
            on_sent(time.monotonic_ns())
            await Apps(self._phone_calls).start(package, activity=activity)

        return Action("start_app", perform, watcher=self._watcher)

    def send_message(self, message: Mapping[str, object], *, timeout_s: float = READY_TIMEOUT_S) -> Action:
        """Send a JSON object to the phone, as frame type 211. The vendor's client tells the phone of its camera so.

        That an app on the phone gets such a message is [assumed].

        Args:
            message: What JSON can hold; as JSON at most 16 KiB. The phone looks at its `type`.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: It is no JSON or too long; nothing was sent.
        """
        draft = records.Message(by_phone=False, kind=records.kind_of(message))
        return self._act("send_message", gestures.once(encode_message(message)), timeout_s, draft)

    def messages(self) -> MessageIterator:
        """Return an async iterator of the JSON objects that the phone sends from now on, as dicts (frame type 211).

        Seen were "app_message", with which an app speaks, and "camera_state". Objects of other types come, too. A
        consumer more than 100 messages behind loses the oldest ones. Several may be read at once.
        """
        self._loop.check()
        return self._input.iterate_messages()

    def send_frame(self, frame_type: int, body: bytes, *, timeout_s: float = READY_TIMEOUT_S) -> Action:
        """Send a frame of any type, for what you know about your phone and no public source tells.

        Args:
            frame_type: The number of its type, from 0 to 255.
            body: What follows the head of length and type, at most 16 KiB; all numbers big-endian.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The type or length is impossible; nothing was sent.
        """
        draft = records.Message(by_phone=False, kind=str(frame_type))
        return self._act("send_frame", gestures.once(encode_frame(frame_type, body)), timeout_s, draft)

    def _act(self, verb: str, steps: list[Step], timeout_s: float, draft: Act) -> Action:
        async def planned() -> list[Step]:
            return steps

        return self._action(verb, planned, timeout_s, draft)

    def _touch(
        self,
        verb: str,
        places: Sequence[tuple[object, ...]],
        plan: Callable[[_Fractions], list[Step]],
        frame: VideoFrame | None,
        timeout_s: float,
    ) -> Action:
        checked = [check_place(place) for place in places]

        async def planned() -> list[Step]:
            return plan(await self._resolved(checked, frame, timeout_s))

        return self._action(verb, planned, timeout_s, records.Touch(verb=verb))

    def _action(self, verb: str, plan: Callable[[], Awaitable[list[Step]]], timeout_s: float, draft: Act) -> Action:
        self._loop.check()
        _check_timeout(timeout_s)
        return Action(
            verb,
            lambda on_sent: self._input.perform(plan, timeout_s=timeout_s, on_sent=on_sent, draft=draft),
            watcher=self._watcher,
        )

    async def _resolved(self, places: Sequence[Place], frame: VideoFrame | None, timeout_s: float) -> _Fractions:
        size = (1, 1)
        if frame is not None or needs_size(*places):
            size = await self._screen_size(timeout_s)
        if frame is not None and (frame.width, frame.height) != size:
            raise ConfigurationError(
                f"expected a screen of {frame.width}x{frame.height} pixels, as in the frame of the place, got "
                f"{size[0]}x{size[1]}: the phone has turned; find the place again"
            )
        return [resolve(place, size) for place in places]


def _check_timeout(timeout_s: float) -> None:
    if not timeout_s > 0:
        raise ConfigurationError(f"expected timeout_s above 0, got {timeout_s}")
