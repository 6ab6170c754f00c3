"""The priority of threads, which an encoder may change: as root, libsvtav1 makes itself and its caller real-time."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_THREADS: Final = Path("/proc/self/task")


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Leave this thread's scheduling as it was, and have threads that begin inside scheduled like it.

    As root, libsvtav1 (4.1) gives the thread that opens it, and a dozen of its own, SCHED_FIFO's priority 99: on a
    busy machine nothing else runs then, and what that thread starts later has it too. Without /proc nothing is done.
    """
    if not _THREADS.is_dir():
        yield
        return
    policy, parameters, before = os.sched_getscheduler(0), os.sched_getparam(0), _threads()
    try:
        yield
    finally:
        for thread in _threads() - before | {threading.get_native_id()}:
            with contextlib.suppress(OSError):  # it may have ended
                os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    return {int(entry.name) for entry in _THREADS.iterdir()}
