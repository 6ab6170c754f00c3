"""Bounded stores between a producer that never waits and a consumer that does. They count what they drop.

The stores know nothing of tasks or threads: the consumer decides how it waits and wakes. Each store counts the items
put since the last `take`. That distinguishes a slow consumer from one that stopped reading, which is idle.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Mailbox(Protocol[T]):
    """A store of one consumer."""

    dropped: int

    @property
    def is_idle(self) -> bool:
        """Whether the consumer has stopped reading."""

    def put(self, item: T) -> None:
        """Hold an item; never waits."""

    def take(self) -> T | None:
        """Remove and return the next item; None if there is none."""


class OverflowedError(Exception):
    """A consumer fell behind by more than `limit` items."""


class Every(Generic[T]):
    """Holds up to `limit` items in order. After one more, `take` returns them and then raises OverflowedError.

    A consumer that overflowed is idle. If it takes nothing while `forget_after` more items come, the kept items are
    dropped, too.
    """

    def __init__(self, limit: int, *, forget_after: float = math.inf) -> None:
        self.limit = limit
        self._forget_after = limit + forget_after
        self.dropped = 0
        self._unread = 0
        self._items: deque[T] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether it overflowed, so that the consumer gets nothing new."""
        return self.dropped > 0

    def put(self, item: T) -> None:
        """Append an item; after an overflow, drop and count it."""
        self._unread += 1
        if not self.dropped and len(self._items) < self.limit:
            self._items.append(item)
            return
        self.dropped += 1
        if self._unread > self._forget_after:
            self.dropped += len(self._items)
            self._items.clear()

    def take(self) -> T | None:
        """Return the oldest item. Raises OverflowedError in place of the first dropped one."""
        self._unread = 0
        if self._items:
            return self._items.popleft()
        if self.dropped:
            raise OverflowedError
        return None


class Recent(Generic[T]):
    """Holds the newest `limit` items in order. One more drops the oldest, which is counted.

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
        """Append an item."""
        self._unread += 1
        if len(self._items) >= self._limit:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)

    def take(self) -> T | None:
        """Return the oldest item that is left: after a drop, the first one after it."""
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
        self._cleared: T | None = None  # which the next item inherits from

    def put(self, item: T) -> None:
        """Hold `item` as the newest."""
        older, self._cleared = self._items[0] if self._items else self._cleared, None
        super().put(item if older is None else self._inherit(older, item))

    def clear(self) -> None:
        """Forget the item without counting it: it is out of date. The next one inherits from it."""
        self._cleared = self._items[0] if self._items else self._cleared
        self._items.clear()
