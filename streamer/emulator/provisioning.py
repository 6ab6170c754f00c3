"""What the emulator's API does before a stream and after it: bringing the instance up, and taking it back."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from streamer.emulator.api import Reply
from streamer.emulator.faults import Faults
from streamer.emulator.json_text import parse_json
from streamer.protocol_constants import (
    PREPARE_PATH,
    PREPARE_READY,
    PROGRESS_FAILED,
    PROGRESS_PATH,
    PROGRESS_QUEUING,
    PROGRESS_RESTORING,
    RELEASE_PATH,
    STOP_PATH,
)

CALLS_LIMIT: Final = 1000  # calls that are remembered; the oldest are forgotten
_TO_BE_RESTORED: Final = 1  # [doc] status in the reply of prepare


class Lifecycle:
    """The states of one instance. `stop` ends its streams.

    With `prepare_s` it is only ready so long after it was prepared for the first time: a third of that it queues. With
    `lingers_s` it stays taken for so long after a stream, unless it is released.
    """

    def __init__(
        self, instance_id: str, *, prepare_s: float, lingers_s: float, faults: Faults, stop: Callable[[], None]
    ) -> None:
        self.calls: deque[str] = deque(maxlen=CALLS_LIMIT)  # the paths of the calls that were answered
        self._instance_id = instance_id
        self._prepare_s = prepare_s
        self._lingers_s = lingers_s
        self._faults = faults
        self._stop = stop
        self._prepared_at: float | None = None
        self._taken_until = 0.0
        self._released_at = 0.0

    def answer(self, path: str, body: bytes) -> Reply:
        """Answer a call that is one of the four."""
        self.calls.append(path)
        asked = parse_json(body)
        try:
            named = asked["instance_ids"] if path == PREPARE_PATH else [asked["instance_id"]]
            is_complete = isinstance(asked.get("user_id"), str) or path in {STOP_PATH, RELEASE_PATH}
        except (KeyError, TypeError, AttributeError):
            named, is_complete = [], False
        if not named or not is_complete:
            return Reply(400, {"error_code": "KOOPHONE.API.1000", "error_msg": "a parameter is missing"})
        if named != [self._instance_id]:
            return Reply(400, {"error_code": "KOOPHONE.API.4001", "error_msg": "the instance does not exist"})
        if path == PREPARE_PATH and self._prepared_at is None:
            self._prepared_at = time.monotonic()
        elif path == STOP_PATH:
            self._stop()
        elif path == RELEASE_PATH:
            self._taken_until, self._released_at = 0.0, time.monotonic()
        return Reply(200, {"error_code": "0", "error_msg": "success", "data": self._data(path)})

    def put_away(self) -> None:
        """Let the instance go, as one that was unused for long: with `prepare_s` it has to be prepared anew."""
        self._prepared_at = None

    def refusal(self) -> Reply | None:
        """Return why the instance cannot stream now; None if it can."""
        if self._progress()["status"] != PREPARE_READY:
            return Reply(200, {"error_code": "KOOPHONE.API.2005", "error_msg": "the instance is being restored"})
        if time.monotonic() < self._taken_until:
            return Reply(200, {"error_code": "KOOPHONE.API.2003", "error_msg": "the last session was not released"})
        return None

    def ended(self, began_at: float) -> None:
        """A stream that began then has ended: the instance stays taken, unless it was released meanwhile."""
        if began_at > self._released_at:
            self._taken_until = time.monotonic() + self._lingers_s

    def _data(self, path: str) -> Any:
        progress = self._progress()
        if path == PREPARE_PATH:
            status = PREPARE_READY if progress["status"] == PREPARE_READY else _TO_BE_RESTORED
            return {"status_list": [{"instance_id": self._instance_id, "status": status}]}
        return progress if path == PROGRESS_PATH else None

    def _progress(self) -> dict[str, int]:
        if not self._prepare_s:
            return {"status": PREPARE_READY, "waitingCount": 0}
        if self._faults.prepare_fails:
            return {"status": PROGRESS_FAILED, "waitingCount": 0}
        passed_s = 0.0 if self._prepared_at is None else time.monotonic() - self._prepared_at
        if passed_s < self._prepare_s / 3:
            return {"status": PROGRESS_QUEUING, "waitingCount": 1}
        return {"status": PREPARE_READY if passed_s >= self._prepare_s else PROGRESS_RESTORING, "waitingCount": 0}
