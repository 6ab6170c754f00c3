"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

from __future__ import annotations

import os
import re
import typing

import streamer
from streamer.sync.actions import Action
from streamer.sync.face import Face, unwrapped
from streamer.sync.verbs import Verbs
from streamer.sync.waits import Waits


class Target(Face[streamer.Target]):
    """Something on the screen, such as `phone.get_by_image("pay.png")`.

    It is lazy: nothing is looked for before it is asked, and each call looks at the screen anew. It is strict: where
    one place is wanted and there are several, that is a SeveralMatchesError; `first`, `last`, `nth` and `within` say
    which one is meant.
    """

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._async.name

    @property
    def first(self) -> Target:
        """The uppermost of several; of those beside each other, the leftmost."""
        return Target(self._async.first, self)

    @property
    def last(self) -> Target:
        """The lowest of several; of those beside each other, the rightmost."""
        return Target(self._async.last, self)

    def nth(self, number: int) -> Target:
        """Return one of several, from top to bottom and from left to right.

        Args:
            number: From 0; -1 is the last one.
        """
        return Target(self._do(self._async.nth, number), self)

    def within(self, around: streamer.Region | Target) -> Target:
        """Return the target as it is looked for in a part of the screen only. It has to lie there wholly.

        Args:
            around: A region, or another target, which is looked up each time, too.

        Raises:
            ConfigurationError: The target is looked for in a part of the screen already, or `around` is something else.
        """
        return Target(self._do(self._async.within, unwrapped(around)), self)

    def wait(self, *, timeout_s: float = 5.0) -> streamer.Match:
        """Wait until it is on the screen; return where.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: It was not there in time; `best` says what came nearest.
            SeveralMatchesError: It is there more than once.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        return self._wait(self._async.wait, timeout_s=timeout_s)

    def wait_gone(self, *, timeout_s: float = 5.0) -> None:
        """Wait until it is not on the screen, not even once.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: It was still there.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        self._wait(self._async.wait_gone, timeout_s=timeout_s)

    def seen(self, *, since: Action | float, timeout_s: float = 5.0) -> streamer.Seen:
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
        return self._wait(self._async.seen, since=unwrapped(since), timeout_s=timeout_s)

    def is_visible(self) -> bool:
        """Return whether it is on the screen now, once or more often. It does not wait for it.

        Raises:
            WaitTimeoutError: No frame came.
            StreamerError: What ended the session.
        """
        return self._wait(self._async.is_visible)

    def find_all(self) -> list[streamer.Match]:
        """Return each place at which it is now, from top to bottom and from left to right. It does not wait for it.

        Raises:
            WaitTimeoutError: No frame came.
            SeveralMatchesError: The target that it is looked for in is there more than once.
            StreamerError: What ended the session.
        """
        return self._wait(self._async.find_all)

    def tap(self, *, timeout_s: float = 5.0, again_if_unchanged_s: float | None = None) -> Action:
        """Tap the middle of it, once it is on the screen, alone, and its place is steady.

        Its place is steady when nothing on the screen has moved for 0.1 s, or it has not moved for 0.5 s: phones lose
        touches while one app slides over another. A screen that has turned since is not touched.

        Args:
            timeout_s: How long to wait for it, and then for a data channel, in seconds.
            again_if_unchanged_s: Tap a second time if nothing on the screen has changed for so many seconds. By default
                there is one tap.

        It raises what `wait` raises, too; then nothing was tapped.

        Raises:
            ConfigurationError: A time is not above 0.
        """
        return Action(self._act(self._async.tap, timeout_s=timeout_s, again_if_unchanged_s=again_if_unchanged_s), self)

    def scroll_to(
        self, direction: typing.Literal["up", "down", "left", "right"] = "up", *, max_swipes: int = 10
    ) -> streamer.Match:
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
        return self._wait(self._async.scroll_to, direction, max_swipes=max_swipes)


class Targets(Verbs, Waits, Face[streamer.Session]):
    """Finding things on the screen: the targets of a `Session`."""

    def get_by_image(
        self, image: str | os.PathLike[str] | bytes | typing.Any, *, threshold: float = 0.8, name: str | None = None
    ) -> Target:
        """Return a target that looks like an image. It needs the extra `vision`.

        Args:
            image: An image file or its bytes; a `PIL.Image.Image`; or an array of uint8: RGB or RGBA pixels of shape
                (height, width, 3 or 4), or gray ones of shape (height, width).
            threshold: How alike it has to be, above 0.0 and up to 1.0.
            name: What messages call it; by default the file's name, or "the image".

        Raises:
            MissingExtraError: The extra `vision` is not installed.
            ConfigurationError: The image cannot be read, is too small or of one color, or the threshold is wrong.
        """
        return Target(self._do(self._async.get_by_image, image, threshold=threshold, name=name), self)

    def get_by_text(self, text: str | re.Pattern[str], *, exact: bool = False) -> Target:
        """Return a target that is a text, read from the screen. It needs the extra `ocr`, or `connect(read_text=...)`.

        The text is looked for within each line. Its place is the part of the line that it takes. Spaces do not count,
        nor do differences that Unicode calls compatible. What reads the screen takes some characters for others that
        look alike: 0, O and o, and 1, I, l and |. In a text of four characters or more, one in four may be such a one.
        A regular expression is searched for in the line as it was read.

        Args:
            text: The text, or a compiled regular expression. A part of a line matches, in upper or lower case.
            exact: The whole line must be the text, in the same case. It does not matter for a regular expression.

        Raises:
            MissingExtraError: The extra `ocr` is not installed, and `connect` was given no `read_text`.
            ConfigurationError: `text` is something else, or has no visible character.
        """
        return Target(self._do(self._async.get_by_text, text, exact=exact), self)
