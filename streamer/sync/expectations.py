"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc
import os
import re
import typing

import streamer
from streamer.sync.face import Face, unwrapped
from streamer.sync.session import Session
from streamer.sync.targets import Target


class PhoneExpectation(Face[streamer.PhoneExpectation]):
    """What is expected of a phone's screen. `expect` makes it.

    Each method waits until it is so. If it does not become so in time, that is an ExpectationError, which is an
    AssertionError.
    """

    def to_have_text(self, text: str | re.Pattern[str], *, exact: bool = False, timeout_s: float = 5.0) -> None:
        """Wait until a text is on the screen, once or more often.

        It needs the extra `ocr`, or `connect(read_text=...)`; see `Session.get_by_text`.

        Args:
            text: The text, or a compiled regular expression. A part of a line matches, in upper or lower case.
            exact: The whole line must be the text, in the same case. It does not matter for a regular expression.
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: The text was not there in time; `nearby` has the texts that were.
            MissingExtraError: The extra `ocr` is not installed, and `connect` was given no `read_text`.
            ConfigurationError: `text` has no visible character, or `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        self._wait(self._async.to_have_text, text, exact=exact, timeout_s=timeout_s)

    def to_match_image(
        self,
        path: str | os.PathLike[str],
        *,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        max_difference: float = 0.0,
        update: bool | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        """Wait until the screen is still and looks like a golden image.

        What the encoder made of the screen does not count: edges that are a little different, noise around text. A
        changed letter counts, and a changed color. If the screen does not come to look so, `<name>.actual.png` shows
        the screen, and `<name>.diff.png` what differs, in red. They are in the test's folder if the pytest plugin runs
        the test, else next to the golden image.

        Args:
            path: The golden image, a PNG as large as the screen.
            ignore: Parts of the screen that do not count, and may move, such as `[Region.STATUS_BAR]`.
            max_difference: How much of what counts may differ, as a share of its pixels from 0.0 to 1.0.
            update: Write the image if it is missing or the screen does not look like it. By default
                `--phone-update-images` of pytest says so, or STREAMER_PHONE_UPDATE_IMAGES=1 in the environment.
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: The screen looked otherwise, or was not still, all the time. `files` are the images.
            ConfigurationError: There is no such image, it cannot be read, or an argument is wrong.
            RecordingError: An image cannot be written.
            StreamerError: What ended the session.
        """
        self._wait(
            self._async.to_match_image,
            path,
            ignore=ignore,
            max_difference=max_difference,
            update=update,
            timeout_s=timeout_s,
        )


class TargetExpectation(Face[streamer.TargetExpectation]):
    """What is expected of a target. `expect` makes it.

    Each method waits until it is so. If it does not become so in time, that is an ExpectationError, which is an
    AssertionError.
    """

    def to_be_visible(self, *, timeout_s: float = 5.0) -> None:
        """Wait until the target is on the screen.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: It was not there in time; `best` says what came nearest.
            SeveralMatchesError: It is there more than once.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        self._wait(self._async.to_be_visible, timeout_s=timeout_s)

    def to_be_hidden(self, *, timeout_s: float = 5.0) -> None:
        """Wait until the target is not on the screen, not even once.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: It was still there.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        self._wait(self._async.to_be_hidden, timeout_s=timeout_s)

    def to_have_text(self, text: str | re.Pattern[str], *, exact: bool = False, timeout_s: float = 5.0) -> None:
        """Wait until a text stands in the target's place, once or more often.

        It needs the extra `ocr`, or `connect(read_text=...)`; see `Session.get_by_text`.

        Args:
            text: The text, or a compiled regular expression. A part of a line matches, in upper or lower case.
            exact: The whole line must be the text, in the same case. It does not matter for a regular expression.
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: The text was not there in time; `nearby` has the texts that were.
            SeveralMatchesError: The target is on the screen more than once.
            MissingExtraError: The extra `ocr` is not installed, and `connect` was given no `read_text`.
            ConfigurationError: `text` has no visible character, or `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        self._wait(self._async.to_have_text, text, exact=exact, timeout_s=timeout_s)

    def to_match_image(
        self,
        path: str | os.PathLike[str],
        *,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        max_difference: float = 0.0,
        update: bool | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        """Wait until the target's place is still and looks like a golden image. The rest of the screen may move.

        The image is as large as the target's place when it was written. What counts as a difference, and what shows it,
        is as for `expect(phone)`.

        Args:
            path: The golden image, a PNG.
            ignore: Parts of the image that do not count, and may move: `Region(0.8, 0.0, 0.2, 1.0)` is its right fifth.
            max_difference: How much of what counts may differ, as a share of its pixels from 0.0 to 1.0.
            update: Write the image if it is missing or the target does not look like it. By default
                `--phone-update-images` of pytest says so, or STREAMER_PHONE_UPDATE_IMAGES=1 in the environment.
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: The target was not there, looked otherwise, or was not still. `files` are the images.
            SeveralMatchesError: It is there more than once.
            ConfigurationError: There is no such image, it cannot be read, or an argument is wrong.
            RecordingError: An image cannot be written.
            StreamerError: What ended the session.
        """
        self._wait(
            self._async.to_match_image,
            path,
            ignore=ignore,
            max_difference=max_difference,
            update=update,
            timeout_s=timeout_s,
        )


@typing.overload
def expect(thing: Target) -> TargetExpectation: ...
@typing.overload
def expect(thing: Session) -> PhoneExpectation: ...
def expect(thing: Target | Session) -> TargetExpectation | PhoneExpectation:
    """Expect something of a target or of a phone's screen: `expect(phone).to_match_image("home.png")`.

    Args:
        thing: A target, such as `phone.get_by_image("pay.png")`, or a session.

    Raises:
        ConfigurationError: It is neither.
    """
    made = streamer.expect(unwrapped(thing))
    if not isinstance(thing, Face):
        raise streamer.ConfigurationError(
            "expected a Session or a Target of streamer.sync, got one of streamer: await streamer.expect of it"
        )
    if isinstance(made, streamer.PhoneExpectation):
        return PhoneExpectation(made, thing)
    return TargetExpectation(made, thing)
