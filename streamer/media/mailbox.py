"""Bounded hand-over between a producer that never waits and a consumer that does. Losses are counted.

The containers know nothing of tasks or threads: who waits, and how it is woken, is the consumer's affair.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Mailbox(Protocol[T]):
    """What a producer may put into and a consumer takes from."""

    dropped: int

    def put(self, item: T) -> None:
        """Hold an item; never waits."""

    def take(self) -> T | None:
        """Return the next item and forget it; None if there is none."""


class Latest(Generic[T]):
    """Hold one item: the newest. An older one that nobody took is dropped and counted.

    `inherit(dropped, newest)` returns the newest with what it has to tell in place of the dropped one.
    """

    def __init__(self, inherit: Callable[[T, T], T] = lambda _, newest: newest) -> None:
        self.dropped = 0
        self._inherit = inherit
        self._item: T | None = None

    def put(self, item: T) -> None:
        """Hold `item` as the newest."""
        if self._item is not None:
            self.dropped += 1
            item = self._inherit(self._item, item)
        self._item = item

    def take(self) -> T | None:
        """Return the newest item, if it was not taken before."""
        item, self._item = self._item, None
        return item


class OverflowedError(Exception):
    """A consumer fell behind by more than `limit` items."""


class Every(Generic[T]):
    """Hold up to `limit` items in order; one more, and the consumer is told once it has taken them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.dropped = 0
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        """Hold `item` behind those before it; after an overflow all are dropped and counted."""
        if self.dropped or len(self._items) >= self.limit:
            self.dropped += 1
        else:
            self._items.append(item)

    def take(self) -> T | None:
        """Return the oldest item. Raises OverflowedError where the first dropped one would have come."""
        if self._items:
            return self._items.popleft()
        if self.dropped:
            raise OverflowedError
        return None


class Recent(Generic[T]):
    """Hold the newest `limit` items in order; one more, and the oldest is dropped and counted."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._limit = limit
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        """Hold `item` behind those before it."""
        if len(self._items) >= self._limit:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)

    def take(self) -> T | None:
        """Return the oldest item that is left. Where items were dropped, it is the first after them."""
        return self._items.popleft() if self._items else None
