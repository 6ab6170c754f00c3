"""A thread that works through a bounded inbox. The decoders and each recording have one."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """A thread that calls `work(item)` for each item in order, and then `finish()` once.

    `put` never waits: it refuses an item when `limit` items are in the inbox. The owner ends the thread with `aclose`,
    after it has worked through the inbox. An exception from `work` ends the thread too, after `finish`. Call all
    methods except `call_in_loop` in the event loop.
    """

    def __init__(self, name: str, work: Callable[[T], None], finish: Callable[[], None], *, limit: int) -> None:
        self._work = work
        self._finish = finish
        self._limit = limit
        self._inbox: queue.SimpleQueue[T | None] = queue.SimpleQueue()  # None ends the thread; `put` checks the limit
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Add an item; return false if the inbox is full or closed."""
        if self._closing or self._inbox.qsize() >= self._limit:
            return False
        self._inbox.put(item)
        return True

    @property
    def waiting(self) -> int:
        """How many items are in the inbox."""
        return self._inbox.qsize()

    def discard(self) -> int:
        """Empty the inbox; return how many items were in it. Does nothing after `aclose`."""
        count = 0
        with contextlib.suppress(queue.Empty):
            while not self._closing:
                self._inbox.get_nowait()
                count += 1
        return count

    def call_in_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call back in the event loop, from the thread. Does nothing if the loop is closed: nobody waits then."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    async def aclose(self) -> None:
        """Wait until the thread has worked through the inbox and ended. It also ends if this wait is cancelled."""
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
            self._closing = True  # also after an exception: nothing reads the inbox any more
            try:
                self._finish()
            finally:
                self.call_in_loop(self._report_end)

    def _work_through(self) -> None:
        while (item := self._inbox.get()) is not None:
            self._work(item)

    def _report_end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


class PacedWorker(Worker[T]):
    """A worker that wakes every `every_s` instead of for every item, works through its inbox and calls `tick()`.

    It is for work that may wait: the thread takes the interpreter's lock only a few times a second.
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
        """Wake the thread at once; wait until it has worked through the inbox and ended."""
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
