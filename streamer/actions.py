"""The verbs by which a program acts on the phone, and what it gets of each."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from types import CoroutineType
from typing import Any, Final, Self, TypeAlias

from streamer.control import gestures, keys
from streamer.control.gestures import Step
from streamer.control.places import Coordinate, Place, check_place, needs_size, resolve
from streamer.errors import ConfigurationError
from streamer.input_driver import InputDriver
from streamer.media.playback.video_frames import VideoFrame
from streamer.own_loop import OwnLoop

READY_TIMEOUT_S: Final = 10.0

_Fractions: TypeAlias = list[tuple[float, float]]


class Action:
    """One action on the phone. `await` it: it is sent, and ends when its last frame is handed to the network.

    It is sent once, however often it is awaited; one that is never awaited is never sent, and Python warns of it.
    Cancelling lifts the fingers that are down.

    Awaiting raises InputNotReadyError, ActionLostError, or what ended the session.

    Attributes:
        sent_ns: When its first frame was handed to the network, on the clock of `time.monotonic_ns` and of
            `VideoFrame.arrival_ns`; None before.
    """

    def __init__(self, verb: str, perform: Callable[[Callable[[int], None]], Coroutine[Any, Any, None]]) -> None:
        self.sent_ns: int | None = None
        self._verb = verb
        self._performing: Coroutine[Any, Any, None] | None = perform(self._note_sent)
        if isinstance(self._performing, CoroutineType):
            self._performing.__qualname__ = f"Session.{verb}"  # what Python names if it is never awaited
        self._has_ended = asyncio.Event()
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Action {self._verb}, {'not sent' if self.sent_ns is None else f'sent at {self.sent_ns} ns'}>"

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self._perform().__await__()
        return self

    async def _perform(self) -> None:
        performing, self._performing = self._performing, None
        if performing is None:
            await self._has_ended.wait()
            if self._error is not None:
                raise self._error
            return
        try:
            await performing
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._has_ended.set()

    def _note_sent(self, sent_ns: int) -> None:
        self.sent_ns = sent_ns


class Actions:
    """Acting on the phone: the verbs of a `Session`.

    Places are x and y. An `int` is a pixel of the newest frame, a `float` a fraction of it from 0.0 to 1.0: `tap(1, 1)`
    is a pixel in the corner, `tap(1.0, 1.0)` the far corner. `frame` is the frame in which a place was found: an action
    on a screen that has another size by now is refused, because the phone has turned.

    Actions are sent one after another, in the order in which they are awaited. Each waits up to `timeout_s` seconds for
    a data channel. None is sent again by itself after the connection was lost.
    """

    _input: InputDriver
    _loop: OwnLoop

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
        strokes = keys.press(key, modifiers)
        return self._act("press", lambda: gestures.keys(strokes), timeout_s)

    def _act(self, verb: str, plan: Callable[[], list[Step]], timeout_s: float) -> Action:
        async def planned() -> list[Step]:
            return plan()

        return self._action(verb, planned, timeout_s)

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

        return self._action(verb, planned, timeout_s)

    def _action(self, verb: str, plan: Callable[[], Awaitable[list[Step]]], timeout_s: float) -> Action:
        self._loop.check()
        if not timeout_s > 0:
            raise ConfigurationError(f"expected timeout_s above 0, got {timeout_s}")
        return Action(verb, lambda on_sent: self._input.perform(plan, timeout_s=timeout_s, on_sent=on_sent))

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
