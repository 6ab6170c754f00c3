"""`Witness`: what one phone did during one test: its frames, and the records of its timeline."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import streamer
from streamer.events import Event
from streamer.testing.footage import Footage
from streamer.testing.insides import events_of, fanout_of, history_of, journal_of
from streamer.timeline.records import End, Interrupted, LeftOut, Measured, Outcome, Record, Start

BEFORE_S: Final = 5.0  # of video before the test
RECORDS_LIMIT: Final = 20_000  # of a test; the oldest are left out


class Witness:
    """Watches a session during a test. Make it, and use `watching`, in the session's event loop.

    It decodes nothing. Any thread may read it, also once the session is closed.
    """

    def __init__(self, session: streamer.Session, *, test: str, run: int) -> None:
        self._session = session
        self._begin_ns = time.monotonic_ns()
        before_ns = self._begin_ns - round(BEFORE_S * 1e9)
        self.footage = Footage(history_of(session).since(before_ns), begin_ns=before_ns, now_ns=self._begin_ns)
        self._records: deque[Record] = deque(maxlen=RECORDS_LIMIT)
        self._told = 0
        self._interrupted: Interrupted | None = None  # that has not ended
        self._newest_rtp_time = history_of(session).newest_rtp_time
        self._start = Start(
            at=time.time(), rtp_time=self._newest_rtp_time, test=test, phone=session.instance_id, run=run
        )

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch within the block."""
        session = self._session
        events = events_of(session).subscribe(_Heard(self._take_event))
        fanout_of(session).add(self.footage)
        try:
            with journal_of(session).heard_by(self._take):
                yield
        finally:
            fanout_of(session).remove(self.footage)
            events_of(session).unsubscribe(events)

    @property
    def measured(self) -> list[Measured]:
        """What came of the actions that were asked."""
        return [record for record in tuple(self._records) if isinstance(record, Measured)]

    def records(self, outcome: Outcome, error: str | None) -> list[Record]:
        """Return the timeline up to now, as that of a test that ended so."""
        records = tuple(self._records)
        rtp_time = group[-1].rtp_time if (group := self.footage.last_group) else None
        left_out = self._told - len(records)
        told = [
            self._start,
            *([LeftOut(at=records[0].at, records=left_out)] if left_out > 0 else []),
            *records,
            *([self._interrupted] if self._interrupted else []),
            *self.footage.seconds(time.monotonic_ns()),
        ]
        now = time.time()
        return [*told, End(at=now, rtp_time=rtp_time, outcome=outcome, duration_s=now - self._start.at, error=error)]

    def _take(self, record: Record) -> None:
        self._records.append(record)
        self._told += 1

    def _take_event(self, event: Event) -> None:
        if event.kind == "interrupted" and self._interrupted is None:
            self._interrupted = Interrupted(at=event.at, reason=event.reason or "unknown", duration_s=None)
        elif event.kind in {"resumed", "closed"} and (began := self._interrupted) is not None:
            self._interrupted = None
            duration_s = event.at - began.at if event.kind == "resumed" else None
            self._take(Interrupted(at=began.at, reason=began.reason, duration_s=duration_s))


class _Heard:
    """A mailbox that hands each event on at once, and keeps none."""

    dropped = 0
    is_idle = True

    def __init__(self, take: Callable[[Event], None]) -> None:
        self.put = take

    def take(self) -> None:
        """Return nothing."""
