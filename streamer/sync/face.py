"""What the classes of `streamer.sync` have in common. Each holds an object of the async face, and calls it."""

import asyncio
import contextlib
import functools
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

import streamer
from streamer.sync.loop_thread import Closable, EndedError, LoopThread, begin_use, name_of, warn_unclosed

A = TypeVar("A")
C = TypeVar("C", bound=Closable)
F = TypeVar("F")
P = ParamSpec("P")
T = TypeVar("T")


class Face(Generic[A]):
    """An object of the async face, for any thread. Its properties are read as they are; its methods run in the loop.

    It keeps what it came from, so that a phone stays open as long as anything of it is in use.
    """

    def __init__(self, wrapped: A, origin: "Face[Any]") -> None:
        self._async = wrapped
        self._origin = origin

    @property
    def _owner(self) -> "Owner[Any]":
        return self._origin._owner

    def _call(self, method: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._owner.is_closed:
            raise EndedError
        return self._owner.loop.wait(method, *args, **kwargs)

    def _wait(self, method: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return self._call(method, *args, **kwargs)
        except EndedError:
            raise streamer.ConnectionLostError(f"{name_of(self._owner._async)} is closed: connect again") from None

    def _do(self, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def call() -> T:
            return method(*args, **kwargs)

        return self._wait(call)

    def _act(self, method: Callable[P, streamer.Action], /, *args: P.args, **kwargs: P.kwargs) -> streamer.Action:
        async def act() -> streamer.Action:
            return await method(*args, **kwargs)

        return self._wait(act)

    @contextlib.contextmanager
    def _block(
        self,
        face: Callable[[T, "Face[Any]"], F],
        method: Callable[P, contextlib.AbstractAsyncContextManager[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Iterator[F]:
        manager = self._do(method, *args, **kwargs)
        loop = begin_use()  # of its own: the program may close the phone inside the block, and the block still ends
        try:
            entered = self._wait(manager.__aenter__)
            try:
                yield face(entered, self)
            except BaseException as error:
                # Ctrl-C is none of the loop's: it would end it.
                told = error if isinstance(error, Exception) else asyncio.CancelledError()
                _leave(loop, manager, type(told), told, told.__traceback__)
                raise
            _leave(loop, manager, None, None, None)
        finally:
            if loop.is_of_this_process:
                loop.end_use()

    def _end(self, method: Callable[P, Awaitable[None] | None], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """End a part of the phone. A closed phone has done that: then only what went wrong with the part is raised."""

        async def call() -> None:
            if (ending := method(*args, **kwargs)) is not None:
                await ending

        try:
            self._call(call)
        except EndedError:
            if isinstance(error := getattr(self._async, "error", None), Exception):
                raise error from None

    def _next(self, method: Callable[[], Awaitable[T]]) -> T:
        try:
            return self._call(method)
        except (StopAsyncIteration, EndedError):
            raise StopIteration from None


def _leave(loop: LoopThread, manager: contextlib.AbstractAsyncContextManager[Any], *error: Any) -> None:
    """Leave a block in the loop. A fork has none of it, and the end of the program has ended it."""
    if loop.is_of_this_process:
        with contextlib.suppress(EndedError):
            loop.wait(manager.__aexit__, *error)


class Owner(Face[C]):
    """What the program closes. It is a use of the loop until then, or until the program has dropped it."""

    def __init__(self, wrapped: C, loop: LoopThread) -> None:
        self.loop = loop
        self.is_closed = False
        self._async = wrapped
        loop.adopt(wrapped)
        self._finalizer = weakref.finalize(self, _abandon, wrapped, loop)
        self._finalizer.atexit = False

    @property
    def _owner(self) -> "Owner[Any]":
        return self

    def _close(self) -> None:
        if self._finalizer.detach() is None or not self.loop.is_of_this_process:
            return
        try:
            with contextlib.suppress(EndedError):
                self.loop.wait(self.loop.close, self._async)
        finally:
            self.is_closed = True
            self.loop.end_use()


def _abandon(wrapped: Closable, loop: LoopThread) -> None:
    if loop.is_of_this_process:
        loop.abandon(wrapped)
        warn_unclosed(wrapped)


def open_phone(face: Callable[[streamer.Session, LoopThread], F], connecting: streamer.Connecting) -> F:
    """Connect, and return the session's face. Whatever ends this early, Ctrl-C too, leaves nothing open."""
    opened: list[streamer.Session] = []
    loop = begin_use()

    async def connect() -> None:
        session = await connecting
        loop.adopt(session)
        opened.append(session)

    try:
        loop.wait(connect)
        return face(opened[0], loop)
    except BaseException:
        try:
            if opened:
                loop.wait(loop.close, opened[0])
        finally:
            loop.end_use()
        raise


def run_alone(method: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Wait for a call that belongs to no phone."""
    loop = begin_use()
    try:
        return loop.wait(method, *args, **kwargs)
    finally:
        loop.end_use()


def in_thread(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a function that calls one of the program's in a thread: the loop's own thread runs none of them."""

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(function, *args, **kwargs)

    return call


def unwrapped(argument: Any) -> Any:
    """Return an argument as the async face takes it: a face's own object of it."""
    return argument._async if isinstance(argument, Face) else argument
