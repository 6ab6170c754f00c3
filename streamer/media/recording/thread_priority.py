"""Keeps the priority of threads: as root, the encoder libsvtav1 makes its threads and its caller real-time."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_THREADS: Final = Path("/proc/self/task")


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Restore this thread's scheduling at the end of the block, and give it to the threads that began inside.

    As root, libsvtav1 (4.1) gives SCHED_FIFO's priority 99 to the thread that opens it and to a dozen of its own. On a
    busy machine nothing else runs then. Threads that are started later inherit it. Without /proc this does nothing.
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
