"""What iterators of decoded media share: a mailbox that is put into, and a task that waits for it."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NoReturn, Self, TypeVar

from streamer.media.mailbox import Mailbox

T = TypeVar("T")


class Consumer(Generic[T]):
    """One consumer of `T`, whom a hub offers everything by `put`. One task reads it at a time."""

    def __init__(self, mailbox: Mailbox[T], unsubscribe: Callable[[Any], None]) -> None:
        self._mailbox = mailbox
        self._unsubscribe = unsubscribe
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None

    @property
    def skipped(self) -> int:
        """How much this consumer did not get because it was too slow."""
        return self._mailbox.dropped

    def put(self, item: T) -> None:
        """Offer an item; never waits."""
        self._mailbox.put(item)
        self._wake()

    def end(self, error: BaseException | None) -> None:
        """Let the iterator end once it has given what it holds."""
        self._ended, self._error = True, error
        self._wake()

    def __aiter__(self) -> Self:
        return self

    def close(self) -> None:
        """Take no more; iteration ends after what it holds."""
        self._ended = True
        self._unsubscribe(self)
        self._wake()

    async def aclose(self) -> None:
        """The same as `close`, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _raise_end(self) -> NoReturn:
        """Raise the error that ended the session, once; from then on, and without one, StopAsyncIteration."""
        error, self._error = self._error, None
        raise error or StopAsyncIteration

    async def _change(self) -> None:
        """Wait for an item or for the end. Raises RuntimeError if another task waits: one of both would for ever."""
        if self._waiter is not None:
            raise RuntimeError("another task waits for this iterator: give each task one of its own")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
