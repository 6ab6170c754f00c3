"""Things that only one thread may use at a time and that are costly to make: lent, taken back, and lent again."""

import contextlib
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Renewable(Protocol):
    """A store that can forget what it holds."""

    def begin_anew(self) -> None:
        """Forget everything. In a fork of the process, another thread may have held the lock."""


R = TypeVar("R", bound=Renewable)


def renewed_in_forks(thing: R) -> R:
    """Let each fork of the process empty this store, which must live as long as the process; return the store."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=thing.begin_anew)
    return thing


class Lending(Generic[K, T]):
    """Lends one thing of a kind to one borrower at a time, and makes another if all of that kind are lent.

    Of those that nobody uses, the latest `limit` are kept. So there are as many as are in use at the same time, and a
    few more, however many threads come by.
    """

    def __init__(self, make: Callable[[K], T], *, limit: int) -> None:
        self._make = make
        self._limit = limit
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what nobody uses."""
        self._lock = threading.Lock()
        self._idle: list[tuple[K, T]] = []  # the latest used is the last

    @contextlib.contextmanager
    def lend(self, kind: K) -> Iterator[T]:
        """Give a thing of a kind for the length of the block. What was in use at an error is not lent again."""
        thing = self._idle_of(kind)
        if thing is None:
            thing = self._make(kind)
        yield thing
        with self._lock:
            self._idle.append((kind, thing))
            dropped = self._idle[: -self._limit]
            del self._idle[: -self._limit]
        del dropped  # outside of the lock

    def _idle_of(self, kind: K) -> T | None:
        with self._lock:
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0] == kind:
                    return self._idle.pop(index)[1]
        return None
