"""Runs calls that may block for long, on threads that hold up nothing.

A blocked thread of the event loop's default pool occupies a place of `asyncio.to_thread`, and `asyncio.run` waits for
it at the end. These threads are daemons instead: a caller that stops waiting leaves its thread behind.
"""

import concurrent.futures
import itertools
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_numbers: Final = itertools.count(1)


class Threads:
    """Threads for one kind of call; at most `limit` of them run at once. `kind` is their name."""

    def __init__(self, kind: str, *, limit: int) -> None:
        self._kind = kind
        self._limit = limit
        self._free = threading.BoundedSemaphore(limit)

    def start(self, work: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Call `work` on a thread; await its result by `asyncio.wrap_future`, under a time limit.

        Raises OSError if `limit` calls have not returned yet, or the system has no thread left.
        """
        if not self._free.acquire(blocking=False):
            raise OSError(f"all {self._limit} threads named '{self._kind}' are busy")
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()  # a waiter that is cancelled does not cancel the call

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the waiter gets it
                self._free.release()
                future.set_exception(_raisable(error))
            else:
                self._free.release()
                future.set_result(result)

        try:
            threading.Thread(target=run, name=f"{self._kind} {next(_numbers)}", daemon=True).start()
        except RuntimeError as error:
            self._free.release()
            raise OSError(str(error)) from error
        return future


def _raisable(error: Exception) -> Exception:
    """Return an error that asyncio can raise: a future that gets a StopIteration never ends (PEP 479)."""
    if not isinstance(error, StopIteration):
        return error
    raised = RuntimeError("the call raised StopIteration")
    raised.__cause__ = error
    return raised
