"""One event loop in one daemon thread, for all phones of a process; every call of `streamer.sync` goes through it.

    a thread of yours                          the thread "streamer sync"
    wait(method, ...)  ── call_soon ──►  a task awaits method(...)
      blocks           ◄─── done ──────  its result, or its error

The loop begins with its first use and ends with its last: an open phone is a use, and so is a call. At the end of the
program, phones that are still open are closed, within EXIT_LIMIT_S. A fork of the process has no such thread: phones
that it connects get a new one.
"""

import asyncio
import atexit
import contextlib
import os
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import Final, Generic, ParamSpec, Protocol, TypeVar

import streamer
from streamer.sync.waiting import wait_for, wait_limited

P = ParamSpec("P")
T = TypeVar("T")

EXIT_LIMIT_S: Final = 10.0  # for closing the phones that are open when the program ends
END_LIMIT_S: Final = 5.0  # for the thread to end; nothing runs in it by then

_lock = threading.Lock()  # guards `_running` and each `_uses`; finalizers never take it
_running: "LoopThread | None" = None


class Closable(Protocol):
    """What is closed in the loop."""

    async def aclose(self) -> None:
        """Close it."""


class EndedError(Exception):
    """What was called is closed, or the loop has ended."""


class LoopThread:
    """The loop and its thread. `begin_use` gives it, and `end_use` gives it back."""

    def __init__(self) -> None:
        self._uses = 0
        self._open: dict[Closable, None] = {}  # what the end of the program closes
        self._closing: set[asyncio.Task[None]] = set()
        self._process_id = os.getpid()
        self._is_over = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="streamer sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    @property
    def is_of_this_process(self) -> bool:
        """Whether its thread runs in this process, which may be a fork of the one that started it."""
        return os.getpid() == self._process_id

    def wait(self, method: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await a call in the loop and return its result. Raises EndedError if the loop has ended.

        An exception in the waiting thread, such as KeyboardInterrupt, cancels the call, and waits until that is done.
        """

        async def work() -> T:
            return await method(*args, **kwargs)

        self._begin_call()
        try:
            return _Call(self._loop, work).result()
        finally:
            self.end_use()

    def adopt(self, wrapped: Closable) -> None:
        """Have something closed at the end of the program, if it is not before."""
        self._open[wrapped] = None

    async def close(self, wrapped: Closable) -> None:
        """Close something, in the loop."""
        try:
            await wrapped.aclose()
        finally:
            self._open.pop(wrapped, None)

    def abandon(self, wrapped: Closable) -> None:
        """Close what the program has dropped, and give back its use. Any thread may call it; never waits."""

        async def close() -> None:
            try:
                await self.close(wrapped)
            finally:
                self.end_use()

        def begin() -> None:
            self._closing.add(task := self._loop.create_task(close()))
            task.add_done_callback(self._closing.discard)

        if self.is_of_this_process:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
                self._loop.call_soon_threadsafe(begin)

    def close_all(self) -> None:
        """Close what is open when the program ends, and end the loop."""

        async def close() -> None:
            async with asyncio.timeout(EXIT_LIMIT_S):
                await asyncio.gather(*map(self.close, tuple(self._open)), return_exceptions=True)

        for wrapped in tuple(self._open):
            warn_unclosed(wrapped)
        with contextlib.suppress(EndedError, TimeoutError, KeyboardInterrupt):
            self.wait(close)
        _forget(self)
        self._end()

    def end_use(self) -> None:
        """Give a use back. The last one ends the loop, and waits until its thread has ended."""
        with _lock:
            self._uses -= 1
            if self._uses:
                return
            _forget(self)
        self._end()

    def _begin_call(self) -> None:
        if not self.is_of_this_process:
            raise streamer.ConfigurationError(
                "expected a call in the process that connected to the phone, got one in a fork of it: "
                "connect in each process"
            )
        if threading.current_thread() is self._thread:
            raise streamer.ConfigurationError(
                "expected a call in a thread of yours, got one in the thread of streamer.sync, which would wait for "
                "itself: call it outside of callbacks"
            )
        with _lock:
            if _running is not self:
                raise EndedError
            self._uses += 1

    def _end(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._is_over.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(END_LIMIT_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._is_over.wait())


class _Call(Generic[T]):
    """One call: a task in the loop, and a thread that waits for its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[T]]) -> None:
        self._loop = loop
        self._work = work
        self._ended = threading.Event()
        self._task: asyncio.Future[T] | None = None

    def result(self) -> T:
        """Begin the call and wait for its result."""
        try:
            self._loop.call_soon_threadsafe(self._begin)
            wait_limited(self._ended)
        except BaseException:
            self._loop.call_soon_threadsafe(self._cancel)
            wait_for(self._ended)  # until nothing of it runs any more
            raise
        task, self._task = self._task, None
        try:
            assert task is not None  # noqa: S101 - it has ended
            if task.cancelled():
                raise streamer.ConnectionLostError("the phone was closed before the call had ended")
            return task.result()
        finally:
            del task  # whose error would refer to it

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._work())
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is None:  # the exception came before the call had begun
            self._ended.set()
        else:
            self._task.cancel()

    def _end(self, task: "asyncio.Future[T]") -> None:
        if not task.cancelled():
            task.exception()  # nobody may be left to ask for it
        self._ended.set()


def begin_use() -> LoopThread:
    """Return the loop of this process, with one use more: the caller gives it back."""
    global _running  # noqa: PLW0603 - there is one for the process
    with _lock:
        _running = _running or LoopThread()
        _running._uses += 1
        return _running


def name_of(wrapped: Closable) -> str:
    """Return what people call something that is closed."""
    return f"the phone {wrapped.instance_id}" if isinstance(wrapped, streamer.Session) else "the Cloud"


def warn_unclosed(wrapped: Closable) -> None:
    """Warn of what the program has not closed."""
    message = f"{name_of(wrapped)} was never closed: use `with`, or call its close()"
    warnings.warn(message, ResourceWarning, stacklevel=2)


def _forget(loop: LoopThread) -> None:
    global _running  # noqa: PLW0603 - there is one for the process
    if _running is loop:
        _running = None


@atexit.register
def _close_all() -> None:
    if _running is not None:
        _running.close_all()


def _begin_anew() -> None:
    """As a fork: the thread is not there, and another one may have held the lock."""
    global _lock, _running
    _lock, _running = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
