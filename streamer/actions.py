"""What a program gets of each action on the phone."""

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from types import CoroutineType
from typing import Any, Final, Literal, Self

from streamer.errors import ConfigurationError
from streamer.waiting import QUIET_S, TIMEOUT_S, Act, Change, Settled, Watching, change_after, settle_after
from streamer.watch.region import Region
from streamer.watcher import KeptWatch, Watcher

_CLASSES: Final = {"phone": "Session", "target": "Target"}


class Action:
    """One action on the phone. `await` it: it is sent, and ends when its last frame is handed to the network.

    It is sent once, however often it is awaited; one that is never awaited is never sent, and Python warns of it.
    Cancelling lifts the fingers that are down.

    Awaiting raises InputNotReadyError, ActionLostError, what ended the session, or ConnectionFailedError: a place is a
    pixel and no frame has come.

    To know what comes of it, call `changed` or `settled` on it instead of awaiting it: they look at the screen first.
    The `tap` of a target can also be asked once it was awaited: within 10 s, before the next one is awaited, and before
    60 frames have come.
    """

    def __init__(
        self,
        verb: str,
        perform: Callable[[Callable[[int], None]], Coroutine[Any, Any, None]],
        *,
        watcher: Watcher,
        of: Literal["phone", "target"] = "phone",
        keeps_watch: bool = False,
    ) -> None:
        self._verb = verb
        self._of = of
        self._keeps_watch = keeps_watch
        self._kept: KeptWatch | None = None
        self._end_kept: Callable[[], object] = lambda: None
        self._watcher = watcher
        self._hand_over = _HandOver()
        self._performing: Coroutine[Any, Any, None] | None = perform(self._hand_over.note)
        if isinstance(self._performing, CoroutineType):
            self._performing.__qualname__ = f"{_CLASSES[of]}.{verb}"  # what Python names if it is never awaited
        self._has_ended = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def sent_ns(self) -> int | None:
        """When its first frame was handed to the network; None before.

        The clock is that of `time.monotonic_ns`, as of `VideoFrame.arrival_ns`.
        """
        return self._hand_over.sent_ns

    def __repr__(self) -> str:
        return f"<Action {self._verb}, {'not sent' if self.sent_ns is None else f'sent at {self.sent_ns} ns'}>"

    def __await__(self) -> Generator[Any, None, Self]:
        if self._keeps_watch and self._performing is not None:
            self._hand_over.on_sent = self._keep_watch
        try:
            yield from self._perform().__await__()
        finally:
            self._hand_over.on_sent = _ignore
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

    async def changed(
        self, *, region: Region | None = None, ignore: Iterable[Region] = (), timeout_s: float = TIMEOUT_S
    ) -> Change:
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
            StreamerError: What awaiting the action raises.
        """
        with self._asked("changed") as (act, watching):
            return await change_after(act, self._watcher, watching, region=region, ignore=ignore, timeout_s=timeout_s)

    async def settled(
        self,
        *,
        quiet_s: float = QUIET_S,
        region: Region | None = None,
        ignore: Iterable[Region] = (),
        timeout_s: float = TIMEOUT_S,
        change_timeout_s: float | None = None,
    ) -> Settled:
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
            StreamerError: What awaiting the action raises.
        """
        with self._asked("settled") as (act, watching):
            return await settle_after(
                act,
                self._watcher,
                watching,
                quiet_s=quiet_s,
                region=region,
                ignore=ignore,
                timeout_s=timeout_s,
                change_timeout_s=change_timeout_s,
            )

    @contextlib.contextmanager
    def _asked(self, question: str) -> Iterator[tuple[Act, Watching]]:
        """Give up an action that is not sent in the block: it ends with what the block raises."""
        if self._kept is not None and not self._kept.is_over:
            kept, self._kept = self._kept, None
            try:
                yield kept.act, kept.watch
            finally:
                self._end_kept()
            return
        if self._performing is None:
            raise ConfigurationError(
                f"expected an action that was not sent, got one that was: "
                f"write {self._of}.{self._verb}(...).{question}() in one await, "
                f"or without asyncio {self._of}.watched.{self._verb}(...).{question}()"
                if self._of == "phone"
                else f"expected a question right after the tap, got one too late, or a second one: write "
                f"target.{self._verb}(...).{question}()"
            )
        try:
            yield self._act, self._watcher.watch
        except BaseException as error:
            performing, self._performing = self._performing, None
            if performing is not None:
                performing.close()  # else Python warns that it was never awaited
                self._error = error
                self._has_ended.set()
            raise

    def _keep_watch(self, _: int) -> None:
        """Watch the screen from now on, until somebody asks, or the program drops the action."""
        try:
            self._kept, end = self._watcher.keep_watch()
        except ConfigurationError:  # too many wait: it cannot be asked, and goes on
            return
        finalizer = weakref.finalize(self, self._watcher.loop.call_soon, end)  # the collector may run in any thread
        finalizer.atexit = False
        self._end_kept = finalizer

    async def _act(self, on_sent: Callable[[int], None]) -> None:
        self._hand_over.on_sent = on_sent
        await self._perform()


async def perform(action: Action, on_sent: Callable[[int], None]) -> None:
    """Await an action; `on_sent` is called with the time when its first frame was handed to the network."""
    await action._act(on_sent)


class _HandOver:
    """When an action was handed to the network; with no way back to it: a forgotten action is freed at once."""

    def __init__(self) -> None:
        self.sent_ns: int | None = None
        self.on_sent: Callable[[int], None] = _ignore

    def note(self, sent_ns: int) -> None:
        """Note when the action's first frame was handed over."""
        self.sent_ns = sent_ns
        self.on_sent(sent_ns)


def _ignore(_: int) -> None:
    """Take no note of when an action was sent."""
