"""`expect`: assertions that wait for the screen to fulfill them."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Awaitable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, overload

from streamer.aio import within
from streamer.errors import ConfigurationError, ExpectationError, SeveralMatchesError, WaitTimeoutError
from streamer.golden import Golden, Mismatch
from streamer.media.playback.video_frames import VideoFrame
from streamer.session import Session
from streamer.target import Target, check_above_0, text_in
from streamer.timeline.journal import Journal
from streamer.timeline.records import Still
from streamer.waiting import QUIET_S, not_still, step
from streamer.watch.region import Region
from streamer.watch.still import Stillness
from streamer.watcher import watcher_of

TIMEOUT_S: Final = 5.0
LEAST_S: Final = 0.001  # when the time is up, what is known already counts


class TargetExpectation:
    """What is expected of a target. `expect` makes it.

    Each method waits until it is so. If it does not become so in time, that is an ExpectationError, which is an
    AssertionError.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    async def to_be_visible(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the target is on the screen.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: It was not there in time; `best` says what came nearest.
            SeveralMatchesError: It is there more than once.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        await _expected(self._target.wait(timeout_s=timeout_s))

    async def to_be_hidden(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the target is not on the screen, not even once.

        Args:
            timeout_s: How long to wait, in seconds.

        Raises:
            ExpectationError: It was still there.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        await _expected(self._target.wait_gone(timeout_s=timeout_s))

    async def to_have_text(
        self, text: str | re.Pattern[str], *, exact: bool = False, timeout_s: float = TIMEOUT_S
    ) -> None:
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
        await _expected(text_in(self._target, text, exact=exact).first.wait(timeout_s=timeout_s))

    async def to_match_image(
        self,
        path: str | os.PathLike[str],
        *,
        ignore: Iterable[Region] = (),
        max_difference: float = 0.0,
        update: bool | None = None,
        timeout_s: float = TIMEOUT_S,
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
        check_above_0(timeout_s=timeout_s)
        ignored = tuple(ignore)
        golden = await asyncio.to_thread(Golden, path, ignore=ignored, max_difference=max_difference, update=update)
        await _match(golden, self._look(golden, ignored, timeout_s), watcher_of(self._target).journal, timeout_s)

    async def _look(self, golden: Golden, ignore: tuple[Region, ...], timeout_s: float) -> Mismatch | None:
        """Return None once the target is still and looks so, or is written; else, in the end, how it differed last."""
        watcher = watcher_of(self._target)
        until, left_s = time.monotonic() + timeout_s, timeout_s
        mismatch: Mismatch | None = None
        try:
            while True:
                place = (await self._target.wait(timeout_s=left_s)).region
                still = Stillness(round(QUIET_S * 1e9), time.monotonic_ns())
                with watcher.watch(
                    lambda look, _, still=still: still.receive(look),  # type: ignore[misc]
                    region=place,
                    ignore=[_moved(region, place) for region in ignore],
                ) as watch:
                    async with within(
                        max(until - time.monotonic(), LEAST_S), partial(not_still, watcher, watch, still, timeout_s)
                    ):
                        while not still.is_still or watch.newest is None:
                            await step(watcher, watch, still)
                        frame = watch.newest
                        mismatch = await asyncio.to_thread(golden.compare, frame, place, what=self._target.name)
                        if mismatch is None:
                            return None
                        if golden.is_update:
                            await asyncio.to_thread(golden.save, frame, place)
                            return None
                        await step(watcher, watch, still)  # up to the next frame
                left_s = max(until - time.monotonic(), LEAST_S)
        except WaitTimeoutError as error:
            if mismatch is None:
                raise _as_expectation(error) from None
            return mismatch


class PhoneExpectation:
    """What is expected of a phone's screen. `expect` makes it.

    Each method waits until it is so. If it does not become so in time, that is an ExpectationError, which is an
    AssertionError.
    """

    def __init__(self, phone: Session) -> None:
        self._phone = phone

    async def to_have_text(
        self, text: str | re.Pattern[str], *, exact: bool = False, timeout_s: float = TIMEOUT_S
    ) -> None:
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
        with contextlib.suppress(SeveralMatchesError):
            await _expected(self._phone.get_by_text(text, exact=exact).wait(timeout_s=timeout_s))

    async def to_match_image(
        self,
        path: str | os.PathLike[str],
        *,
        ignore: Iterable[Region] = (),
        max_difference: float = 0.0,
        update: bool | None = None,
        timeout_s: float = TIMEOUT_S,
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
        check_above_0(timeout_s=timeout_s)
        ignored = tuple(ignore)
        golden = await asyncio.to_thread(Golden, path, ignore=ignored, max_difference=max_difference, update=update)
        await _match(golden, self._look(golden, ignored, timeout_s), watcher_of(self._phone).journal, timeout_s)

    async def _look(self, golden: Golden, ignore: tuple[Region, ...], timeout_s: float) -> Mismatch | None:
        """Return None once the screen is still and looks so, or is written; else, in the end, how it differed last."""
        watcher = watcher_of(self._phone)
        still = Stillness(round(QUIET_S * 1e9), time.monotonic_ns())
        compared: VideoFrame | None = None
        mismatch: Mismatch | None = None
        with watcher.watch(lambda look, _: still.receive(look), region=None, ignore=ignore) as watch:
            try:
                async with within(timeout_s, lambda: not_still(watcher, watch, still, timeout_s)):
                    while True:
                        if not still.is_still or watch.newest is compared or watch.newest is None:
                            await step(watcher, watch, still)
                            continue
                        compared = watch.newest
                        mismatch = await asyncio.to_thread(golden.compare, compared)
                        if mismatch is None:
                            watcher.journal.tell_now(Still(quiet_s=QUIET_S))
                            return None
                        if golden.is_update:
                            await asyncio.to_thread(golden.save, compared)
                            return None
            except WaitTimeoutError as error:
                if mismatch is None:
                    raise _as_expectation(error) from None
                return mismatch


@overload
def expect(thing: Target) -> TargetExpectation: ...
@overload
def expect(thing: Session) -> PhoneExpectation: ...
def expect(thing: Target | Session) -> TargetExpectation | PhoneExpectation:
    """Expect something of a target or of a phone's screen: `await expect(phone).to_match_image("home.png")`.

    Args:
        thing: A target, such as `phone.get_by_image("pay.png")`, or a session.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(thing, Target):
        return TargetExpectation(thing)
    if isinstance(thing, Session):
        return PhoneExpectation(thing)
    raise ConfigurationError(
        f"expected a Session or a Target of this face, got {type(thing).__name__}: streamer.sync has its own expect"
    )


def _relative(path: Path) -> str:
    """Return a path as it is reached from the working directory, if it is in there."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


async def _match(golden: Golden, look: Awaitable[Mismatch | None], journal: Journal, timeout_s: float) -> None:
    """Await a look, which waits for a golden image. Write what shows a mismatch, and raise the error that says so."""
    with journal.waiting(golden.path.name) as found:
        mismatch = await look
        if mismatch is None:
            return
        files = await asyncio.to_thread(golden.show, mismatch)
        share = None if mismatch.difference is None else mismatch.difference.share
        found.score = None if share is None else round(1 - share, 4)
        shown = " and ".join(map(_relative, reversed(files)))
        raise ExpectationError(
            f"after {timeout_s:g} s {mismatch.sentence}: see {shown}; to accept it as it is, update the image with "
            "--phone-update-images or update=True",
            waited_for=golden.path.name,
            waited_s=timeout_s,
            frame=mismatch.frame,
            difference=share,
            files=files,
        )


def _moved(region: Region, place: Region) -> Region:
    """Return a part of a place, which has whole pixels, as a part of the screen."""
    left, top, right, bottom = region.pixels(int(place.width), int(place.height))
    return Region(int(place.x) + left, int(place.y) + top, right - left, bottom - top)


async def _expected(wait: Awaitable[object]) -> None:
    try:
        await wait
    except WaitTimeoutError as error:
        raise _as_expectation(error) from None


def _as_expectation(error: WaitTimeoutError) -> ExpectationError:
    return ExpectationError(
        str(error),
        waited_for=error.waited_for,
        waited_s=error.waited_s,
        frame=error.frame,
        moving=error.moving,
        best=error.best,
        nearby=error.nearby,
    )
