"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc
import typing

import streamer
from streamer.sync.face import Face


class WatchedAction(Face[streamer.Action]):
    """An action that is sent when it is asked what came of it: `changed` and `settled` look at the screen first.

    It is sent once. One that is never asked is never sent, and Python warns of it.
    """

    @property
    def sent_ns(self) -> int | None:
        """When its first frame was handed to the network; None before.

        The clock is that of `time.monotonic_ns`, as of `VideoFrame.arrival_ns`.
        """
        return self._async.sent_ns

    def changed(
        self,
        *,
        region: streamer.Region | None = None,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        timeout_s: float = 10.0,
    ) -> streamer.Change:
        """Act, if that was not done, and return the first change on the screen after that.

        The newest frame from before the action is what others are compared with. On a screen that moves by itself, any
        movement is a change: watch a region, or ignore some.

        Args:
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen not to watch.
            timeout_s: How long to wait for a change once the action is sent, in seconds.

        Raises:
            WaitTimeoutError: Nothing changed in time, or no frame came to compare with; then nothing was sent.
            ConfigurationError: An argument is wrong, nothing of the screen is left to watch, or the action was sent
                before.
            StreamerError: What sending the action raises.
        """
        return self._wait(self._async.changed, region=region, ignore=ignore, timeout_s=timeout_s)

    def settled(
        self,
        *,
        quiet_s: float = 0.3,
        region: streamer.Region | None = None,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        timeout_s: float = 10.0,
        change_timeout_s: float | None = None,
    ) -> streamer.Settled:
        """Act, if that was not done, wait until the screen has changed and is still, and return how it went.

        It is still as `Session.wait_until_still` says: nothing has moved for `quiet_s`.

        Args:
            quiet_s: How long nothing may move, in seconds.
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen that may move, such as `[Region.STATUS_BAR]`.
            timeout_s: How long to wait once the action is sent, in seconds.
            change_timeout_s: How long of it to wait for the first change, in seconds; None is all of it. It ends the
                wait early after an action that did nothing.

        Raises:
            WaitTimeoutError: Nothing changed in time, the screen did not come to rest, or no frame came to compare
                with; then nothing was sent.
            ConfigurationError: An argument is wrong, nothing of the screen is left to watch, or the action was sent
                before.
            StreamerError: What sending the action raises.
        """
        return self._wait(
            self._async.settled,
            quiet_s=quiet_s,
            region=region,
            ignore=ignore,
            timeout_s=timeout_s,
            change_timeout_s=change_timeout_s,
        )


class Watched(Face[streamer.Session]):
    """The verbs of a `Session`, for actions that are asked what came of them: `phone.watched.tap(0.5, 0.5).settled()`.

    Nothing is sent before `changed` or `settled` is called.
    """

    def tap(
        self, x: int | float, y: int | float, *, frame: streamer.VideoFrame | None = None, timeout_s: float = 10.0
    ) -> WatchedAction:
        """Tap a place for 0.04 s.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).
            frame: The frame in which the place was found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The place is outside the screen, or the screen has turned; nothing was sent.
        """
        return WatchedAction(self._do(self._async.tap, x, y, frame=frame, timeout_s=timeout_s), self)

    def double_tap(
        self, x: int | float, y: int | float, *, frame: streamer.VideoFrame | None = None, timeout_s: float = 10.0
    ) -> WatchedAction:
        """Tap a place twice, within the time of Android's double tap.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).
            frame: The frame in which the place was found. The screen must still have its size.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The place is outside the screen, or the screen has turned; nothing was sent.
        """
        return WatchedAction(self._do(self._async.double_tap, x, y, frame=frame, timeout_s=timeout_s), self)

    def long_press(
        self,
        x: int | float,
        y: int | float,
        *,
        duration_s: float = 0.8,
        frame: streamer.VideoFrame | None = None,
        timeout_s: float = 10.0,
    ) -> WatchedAction:
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
        return WatchedAction(
            self._do(self._async.long_press, x, y, duration_s=duration_s, frame=frame, timeout_s=timeout_s), self
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
    ) -> WatchedAction:
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
        return WatchedAction(
            self._do(
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
    ) -> WatchedAction:
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
        return WatchedAction(
            self._do(self._async.pinch, center, scale=scale, duration_s=duration_s, frame=frame, timeout_s=timeout_s),
            self,
        )

    def gesture(
        self,
        paths: collections.abc.Sequence[collections.abc.Sequence[tuple[int | float, int | float, float]]],
        *,
        frame: streamer.VideoFrame | None = None,
        timeout_s: float = 10.0,
    ) -> WatchedAction:
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
        return WatchedAction(self._do(self._async.gesture, paths, frame=frame, timeout_s=timeout_s), self)

    def press(
        self, key: str | int, *, modifiers: collections.abc.Iterable[str] = (), timeout_s: float = 10.0
    ) -> WatchedAction:
        """Press a key and let it go.

        Args:
            key: A name, such as "BACK", "HOME", "APP_SWITCH", "ENTER" or "A", or an Android key code. That the phone
                takes key codes was seen in a public client; that it acts on them was not.
            modifiers: "SHIFT", "ALT" and "CTRL", held meanwhile [assumed].
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: No such key; nothing was sent.
        """
        return WatchedAction(self._do(self._async.press, key, modifiers=modifiers, timeout_s=timeout_s), self)

    def type(self, text: str, *, timeout_s: float = 10.0) -> WatchedAction:
        """Type a text key by key into the field that has the phone's focus.

        Keys can type printable ASCII, line feeds and tabs, for a phone with Android's US key layout [assumed]. The text
        reaches no log, repr or error of streamer.

        Args:
            text: Up to 2000 characters.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            TypingError: Keys cannot type all of it; nothing was typed.
        """
        return WatchedAction(self._do(self._async.type, text, timeout_s=timeout_s), self)

    def start_app(self, package: str, *, activity: str | None = None) -> WatchedAction:
        """Start an app, or bring it to the front, as `apps.start` does, and with the errors of that.

        `phone.start_app("com.example.shop").settled()` tells how long the app takes to be there.

        Args:
            package: The package's name, such as com.example.shop.
            activity: The activity, such as ".Main"; None is the one that the launcher starts.
        """
        return WatchedAction(self._do(self._async.start_app, package, activity=activity), self)

    def send_message(self, message: collections.abc.Mapping[str, object], *, timeout_s: float = 10.0) -> WatchedAction:
        """Send a JSON object to the phone, as frame type 211. The vendor's client tells the phone of its camera so.

        That an app on the phone gets such a message is [assumed].

        Args:
            message: What JSON can hold; as JSON at most 16 KiB. The phone looks at its `type`.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: It is no JSON or too long; nothing was sent.
        """
        return WatchedAction(self._do(self._async.send_message, message, timeout_s=timeout_s), self)

    def send_frame(self, frame_type: int, body: bytes, *, timeout_s: float = 10.0) -> WatchedAction:
        """Send a frame of any type, for what you know about your phone and no public source tells.

        Args:
            frame_type: The number of its type, from 0 to 255.
            body: What follows the head of length and type, at most 16 KiB; all numbers big-endian.
            timeout_s: How long to wait for a data channel, in seconds.

        Raises:
            ConfigurationError: The type or length is impossible; nothing was sent.
        """
        return WatchedAction(self._do(self._async.send_frame, frame_type, body, timeout_s=timeout_s), self)
