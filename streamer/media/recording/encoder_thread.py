"""Calls an encoder in a thread of its own, and gives the thread up when the encoder stands still.

With low delay, libsvtav1 4.1 waits for itself for ever now and then, in `svt_av1_enc_get_packet`: 6 of 12 encoders did
within 400 frames, on a machine with two busy cores. Nothing can interrupt such a call. So the thread that writes the
file must not make it.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from streamer.errors import RecordingError

T = TypeVar("T")

PATIENCE_S: Final = 20  # for one frame; a software encoder on a busy core takes a second, and up to 4 to open
_STEP_S: Final = 1.0


class EncoderThread:
    """A thread that calls functions, one at a time. The first call starts it; end it with `close`."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._has_stalled = False

    def call(self, function: Callable[[], T]) -> T:
        """Return what a function returns in the thread, or raise what it raises. Do not call after an error.

        Raises RecordingError, with `reason` "encode", if the function is not done after `PATIENCE_S`.
        """
        if self._thread is None:
            # A daemon: the interpreter does not wait for it when the process ends.
            self._thread = threading.Thread(target=self._run, name=f"encode {self._codec}", daemon=True)
            self._thread.start()
        self._calls.put(function)
        for _ in range(PATIENCE_S):  # a second each: a process that was suspended for a minute waited one of them
            try:
                result, error = self._results.get(timeout=_STEP_S)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            value: T = result
            return value
        self._has_stalled = True
        raise RecordingError(
            f"encoding {self._codec} stopped, because the encoder gave nothing for {PATIENCE_S} s: the file has "
            "everything up to then; record again, or with another codec",
            reason="encode",
        )

    def close(self) -> None:
        """End the thread. One that stands still is left to itself, and ends with the process."""
        self._calls.put(None)
        if self._thread is not None and not self._has_stalled:
            self._thread.join()

    def _run(self) -> None:
        while (function := self._calls.get()) is not None:
            try:
                self._results.put((function(), None))
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                self._results.put((None, error))
            del function  # it may hold the encoder, and this thread waits for the next call
