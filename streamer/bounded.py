"""Stores and rates for what the network sends. Each has a limit in items and a limit in bytes."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Budget:
    """Counts the items and bytes of a store against its two limits."""

    __slots__ = ("bytes", "items", "max_bytes", "max_items")

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self.max_items: Final = max_items
        self.max_bytes: Final = max_bytes
        self.items = 0
        self.bytes = 0

    def fits(self, size: int) -> bool:
        """Whether one more item of `size` bytes stays within both limits."""
        return self.items < self.max_items and self.bytes + size <= self.max_bytes

    @property
    def is_exceeded(self) -> bool:
        """Whether the store exceeds one of its limits."""
        return self.items > self.max_items or self.bytes > self.max_bytes

    def add(self, size: int) -> None:
        """Count an item in."""
        self.items += 1
        self.bytes += size

    def remove(self, size: int) -> None:
        """Count an item out."""
        self.items -= 1
        self.bytes -= size


class RateLimit:
    """Counts items and bytes against a rate of each. Up to `burst_s` seconds' worth may come at once."""

    __slots__ = ("_burst_s", "_bytes", "_bytes_per_s", "_items", "_items_per_s", "_now")

    def __init__(self, *, items_per_s: float, bytes_per_s: float, burst_s: float) -> None:
        self._items_per_s = items_per_s
        self._bytes_per_s = bytes_per_s
        self._burst_s = burst_s
        self._items = items_per_s * burst_s  # what may still come now
        self._bytes = bytes_per_s * burst_s
        self._now: float | None = None

    def take(self, size: int, now: float) -> bool:
        """Count an item of `size` bytes if it stays within both rates; return whether it does."""
        passed_s = 0.0 if self._now is None else max(now - self._now, 0.0)
        self._now = now
        self._items = min(self._items + passed_s * self._items_per_s, self._burst_s * self._items_per_s)
        self._bytes = min(self._bytes + passed_s * self._bytes_per_s, self._burst_s * self._bytes_per_s)
        if self._items < 1 or self._bytes < size:
            return False
        self._items -= 1
        self._bytes -= size
        return True


class BoundedQueue(Generic[V]):
    """A first-in, first-out queue. `put` refuses an item that does not fit; the caller counts or drops it.

    `size_of` returns the bytes that an item occupies.
    """

    def __init__(self, *, max_items: int, max_bytes: int, size_of: Callable[[V], int]) -> None:
        self.budget: Final = Budget(max_items=max_items, max_bytes=max_bytes)
        self._size_of = size_of
        self._queue: deque[V] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: V) -> bool:
        """Append an item; return whether it fitted."""
        size = self._size_of(item)
        if not self.budget.fits(size):
            return False
        self.budget.add(size)
        self._queue.append(item)
        return True

    def take(self) -> V:
        """Remove and return the oldest item. Raises IndexError if there is none."""
        item = self._queue.popleft()
        self.budget.remove(self._size_of(item))
        return item

    def clear(self) -> None:
        """Drop every item."""
        while self._queue:
            self.take()


class BoundedMap(Generic[K, V]):
    """A mapping in order of insertion. `put` drops the oldest items to make room, and refuses what can never fit.

    A key that is put again moves to the end. `size_of` returns the bytes that a value occupies.
    """

    def __init__(self, *, max_items: int, max_bytes: int, size_of: Callable[[V], int]) -> None:
        self.budget: Final = Budget(max_items=max_items, max_bytes=max_bytes)
        self.dropped = 0  # items dropped or refused because of a limit
        self._size_of = size_of
        self._values: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """Return the value of a key; None if it has none."""
        return self._values.get(key)

    def values(self) -> list[V]:
        """Return the values, oldest first."""
        return list(self._values.values())

    def put(self, key: K, value: V) -> bool:
        """Set a key's value; return whether it fitted."""
        self.pop(key)
        size = self._size_of(value)
        if size > self.budget.max_bytes:
            self.dropped += 1
            return False
        while not self.budget.fits(size):
            self.pop(next(iter(self._values)))
            self.dropped += 1
        self.budget.add(size)
        self._values[key] = value
        return True

    def pop(self, key: K) -> V | None:
        """Remove a key; return its value, None if it had none."""
        if key not in self._values:
            return None
        value = self._values.pop(key)
        self.budget.remove(self._size_of(value))
        return value
