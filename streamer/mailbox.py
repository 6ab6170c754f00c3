"""Bounded hand-over between a producer that never waits and a consumer that does. Losses are counted.

The containers know nothing of tasks or threads: who waits, and how it is woken, is the consumer's affair. Each counts
what was put since the last `take`. That tells a slow consumer from one that has stopped reading: the latter is idle.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Mailbox(Protocol[T]):
    """What a producer may put into and a consumer takes from."""

    dropped: int

    @property
    def is_idle(self) -> bool:
        """Whether the consumer seems to have stopped reading."""

    def put(self, item: T) -> None:
        """Hold an item; never waits."""

    def take(self) -> T | None:
        """Return the next item and forget it; None if there is none."""


class OverflowedError(Exception):
    """A consumer fell behind by more than `limit` items."""


class Every(Generic[T]):
    """Hold up to `limit` items in order; after one more, `take` raises OverflowedError behind them.

    A consumer that overflowed is idle. If it takes nothing while `forget_after` more items come, the kept ones are
    dropped too.
    """

    def __init__(self, limit: int, *, forget_after: float = math.inf) -> None:
        self.limit = limit
        self._forget_after = limit + forget_after
        self.dropped = 0
        self._unread = 0
        self._items: deque[T] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether it overflowed: the consumer gets nothing new."""
        return self.dropped > 0

    def put(self, item: T) -> None:
        """Hold `item` behind those before it; after an overflow all are dropped and counted."""
        self._unread += 1
        if not self.dropped and len(self._items) < self.limit:
            self._items.append(item)
            return
        self.dropped += 1
        if self._unread > self._forget_after:
            self.dropped += len(self._items)
            self._items.clear()

    def take(self) -> T | None:
        """Return the oldest item. Raises OverflowedError where the first dropped one would have come."""
        self._unread = 0
        if self._items:
            return self._items.popleft()
        if self.dropped:
            raise OverflowedError
        return None


class Recent(Generic[T]):
    """Hold the newest `limit` items in order; one more, and the oldest is dropped and counted.

    The consumer is idle after `idle_after` puts without a `take`.
    """

    def __init__(self, limit: int, *, idle_after: float = math.inf) -> None:
        self.dropped = 0
        self._limit = limit
        self._idle_after = idle_after
        self._unread = 0
        self._items: deque[T] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether too many items were put since the last `take`."""
        return self._unread >= self._idle_after

    def put(self, item: T) -> None:
        """Hold `item` behind those before it."""
        self._unread += 1
        if len(self._items) >= self._limit:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)

    def take(self) -> T | None:
        """Return the oldest item that is left. Where items were dropped, it is the first after them."""
        self._unread = 0
        return self._items.popleft() if self._items else None


class Latest(Recent[T]):
    """Holds one item: the newest. An older item that nobody took is dropped and counted.

    `inherit(dropped, newest)` returns the newest item with what it takes over from the dropped one.
    """

    def __init__(
        self, inherit: Callable[[T, T], T] = lambda _, newest: newest, *, idle_after: float = math.inf
    ) -> None:
        super().__init__(1, idle_after=idle_after)
        self._inherit = inherit

    def put(self, item: T) -> None:
        """Hold `item` as the newest."""
        super().put(self._inherit(self._items[0], item) if self._items else item)

    def clear(self) -> None:
        """Forget the item without counting it: it is out of date."""
        self._items.clear()
