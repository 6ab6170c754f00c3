"""A thread that works through a bounded inbox: the decoder's, and each recording's."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Call `work(item)` for each item put, in order, in a thread of its own; then `finish()`, once.

    `put` never waits: with `limit` items in the inbox it refuses the next. The owner ends it with `aclose`, which lets
    the thread finish what is in the inbox. An exception from `work` ends the thread, through `finish`. All methods
    belong to the event loop.
    """

    def __init__(self, name: str, work: Callable[[T], None], finish: Callable[[], None], *, limit: int) -> None:
        self._work = work
        self._finish = finish
        self._limit = limit
        self._inbox: queue.SimpleQueue[T | None] = queue.SimpleQueue()  # None ends the thread; `put` keeps the limit
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Add an item; false if the inbox is full or closed, and the item was not taken."""
        if self._closing or self._inbox.qsize() >= self._limit:
            return False
        self._inbox.put(item)
        return True

    @property
    def waiting(self) -> int:
        """How many items are in the inbox."""
        return self._inbox.qsize()

    def discard(self) -> int:
        """Throw away what waits in the inbox; return how much that was. Not once `aclose` was called."""
        count = 0
        with contextlib.suppress(queue.Empty):
            while not self._closing:
                self._inbox.get_nowait()
                count += 1
        return count

    async def aclose(self) -> None:
        """Let the thread finish its inbox and end; return when it has. Cancelled, the thread ends all the same."""
        self._closing = True
        self._inbox.put(None)
        try:
            await asyncio.shield(self._ended)
        finally:
            if self._ended.done():
                self._thread.join()

    def _run(self) -> None:
        try:
            self._work_through()
        finally:
            self._closing = True  # also after an exception: nobody would work through what comes
            try:
                self._finish()
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                    self._loop.call_soon_threadsafe(self._report_end)

    def _work_through(self) -> None:
        while (item := self._inbox.get()) is not None:
            self._work(item)

    def _report_end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


class PacedWorker(Worker[T]):
    """A worker that wakes every `every_s`, not for every item, and then calls `tick()`, whether or not items came.

    For what need not be done at once: it then wakes, and holds the interpreter up, some times a second and no more.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[T], None],
        tick: Callable[[], None],
        finish: Callable[[], None],
        *,
        limit: int,
        every_s: float,
    ) -> None:
        self._tick = tick
        self._every_s = every_s
        self._woken = threading.Event()
        super().__init__(name, work, finish, limit=limit)

    async def aclose(self) -> None:
        """Let the thread finish its inbox and end, at once; return when it has."""
        self._woken.set()
        await super().aclose()

    def _work_through(self) -> None:
        while not self._woken.wait(self._every_s):
            with contextlib.suppress(queue.Empty):
                while True:
                    if (item := self._inbox.get_nowait()) is None:
                        return
                    self._work(item)
            self._tick()
        super()._work_through()
