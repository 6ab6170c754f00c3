"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc
import contextlib
import typing

import streamer
from streamer.sync.actions import Action, Finger
from streamer.sync.face import Face
from streamer.sync.iterators import MessageIterator


class Verbs(Face[streamer.Session]):
    """Acting on the phone: what a `Session` can do besides showing.

    Places are x and y. An `int` is a pixel of the newest frame, a `float` a fraction of it from 0.0 to 1.0: `tap(1, 1)`
    is a pixel in the corner, `tap(1.0, 1.0)` the far corner. `frame` is the frame in which a place was found: an action
    on a screen that has another size by now is refused, because the phone has turned.

    Actions are sent one after another, in the order of the calls. Each waits up to `timeout_s` seconds for a data
    channel. None is sent again by itself after the connection was lost.
    """

    def step(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Name what the block does: `with phone.step("sign in")`. Nothing is sent.

        The timeline of a test has it, with the time that it took, and the video of a test has a chapter for it. If the
        program has imported `allure`, Allure's report has the step, too.

        Args:
            name: What people call it. Steps may be within steps.
        """
        return self._async.step(name)

    def tap(
        self, x: int | float, y: int | float, *, frame: streamer.VideoFrame | None = None, timeout_s: float = 10.0
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
        return Action(self._act(self._async.tap, x, y, frame=frame, timeout_s=timeout_s), self)

    def double_tap(
        self, x: int | float, y: int | float, *, frame: streamer.VideoFrame | None = None, timeout_s: float = 10.0
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
        return Action(self._act(self._async.double_tap, x, y, frame=frame, timeout_s=timeout_s), self)

    def long_press(
        self,
        x: int | float,
        y: int | float,
        *,
        duration_s: float = 0.8,
        frame: streamer.VideoFrame | None = None,
        timeout_s: float = 10.0,
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
        return Action(
            self._act(self._async.long_press, x, y, duration_s=duration_s, frame=frame, timeout_s=timeout_s), self
        )

    def swipe(
        self,
        start: typing.Literal["up", "down", "left", "right"] | tuple[int | float, int | float],
        end: tuple[int | float, int | float] | None = None,
        *,
        duration_s: float = 0.3,
        hold_s: float = 0.0,
        frame: streamer.VideoFrame | None = None,
        timeout_s: float = 10.0,
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
        return Action(
            self._act(
                self._async.swipe, start, end, duration_s=duration_s, hold_s=hold_s, frame=frame, timeout_s=timeout_s
            ),
            self,
        )

    def pinch(
        self,
        center: tuple[int | float, int | float],
        *,
        scale: float,
        duration_s: float = 0.4,
        frame: streamer.VideoFrame | None = None,
        timeout_s: float = 10.0,
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
        return Action(
            self._act(self._async.pinch, center, scale=scale, duration_s=duration_s, frame=frame, timeout_s=timeout_s),
            self,
        )

    def gesture(
        self,
        paths: collections.abc.Sequence[collections.abc.Sequence[tuple[int | float, int | float, float]]],
        *,
        frame: streamer.VideoFrame | None = None,
        timeout_s: float = 10.0,
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
        return Action(self._act(self._async.gesture, paths, frame=frame, timeout_s=timeout_s), self)

    def finger(self, *, timeout_s: float = 10.0) -> contextlib.AbstractContextManager[Finger]:
        """Hold a finger to move as it goes, such as for a game: `with phone.finger() as finger`.

        It does not wait for other actions. Several may be held at once. Leaving the block lifts it.

        Args:
            timeout_s: How long to wait for a data channel, in seconds.

        Entering the block raises InputNotReadyError, or ConfigurationError if nine fingers are in use.
        """
        return self._block(Finger, self._async.finger, timeout_s=timeout_s)

    def press(
        self, key: str | int, *, modifiers: collections.abc.Iterable[str] = (), timeout_s: float = 10.0
    ) -> Action:
        """Press a key and let it go.

        Args:
            key: A name, such as "BACK", "HOME", "APP_SWITCH", "ENTER" or "A", or an Android key code. That the phone
                takes key codes was seen in a public client; that it acts on them was not.
            modifiers: "SHIFT", "ALT" and "CTRL", held meanwhile [assumed].
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: No such key; nothing was sent.
        """
        return Action(self._act(self._async.press, key, modifiers=modifiers, timeout_s=timeout_s), self)

    def type(self, text: str, *, timeout_s: float = 10.0) -> Action:
        """Type a text key by key into the field that has the phone's focus.

        Keys can type printable ASCII, line feeds and tabs, for a phone with Android's US key layout [assumed]. The text
        reaches no log, repr or error of streamer.

        Args:
            text: Up to 2000 characters.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            TypingError: Keys cannot type all of it; nothing was typed.
        """
        return Action(self._act(self._async.type, text, timeout_s=timeout_s), self)

    def start_app(self, package: str, *, activity: str | None = None) -> Action:
        """Start an app, or bring it to the front, as `apps.start` does, and with the errors of that.

        `phone.start_app("com.example.shop").settled()` tells how long the app takes to be there.

        Args:
            package: The package's name, such as com.example.shop.
            activity: The activity, such as ".Main"; None is the one that the launcher starts.
        """
        return Action(self._act(self._async.start_app, package, activity=activity), self)

    def send_message(self, message: collections.abc.Mapping[str, object], *, timeout_s: float = 10.0) -> Action:
        """Send a JSON object to the phone, as frame type 211. The vendor's client tells the phone of its camera so.

        That an app on the phone gets such a message is [assumed].

        Args:
            message: What JSON can hold; as JSON at most 16 KiB. The phone looks at its `type`.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: It is no JSON or too long; nothing was sent.
        """
        return Action(self._act(self._async.send_message, message, timeout_s=timeout_s), self)

    def messages(self) -> MessageIterator:
        """Return an iterator of the JSON objects that the phone sends from now on, as dicts (frame type 211).

        Seen were "app_message", with which an app speaks, and "camera_state". Objects of other types come, too. A
        consumer more than 100 messages behind loses the oldest ones. Several may be read at once.
        """
        return MessageIterator(self._do(self._async.messages), self)

    def send_frame(self, frame_type: int, body: bytes, *, timeout_s: float = 10.0) -> Action:
        """Send a frame of any type, for what you know about your phone and no public source tells.

        Args:
            frame_type: The number of its type, from 0 to 255.
            body: What follows the head of length and type, at most 16 KiB; all numbers big-endian.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The type or length is impossible; nothing was sent.
        """
        return Action(self._act(self._async.send_frame, frame_type, body, timeout_s=timeout_s), self)
