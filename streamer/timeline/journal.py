"""`Journal`: tells what happens to a session to whoever listens, as records of a timeline."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from streamer.errors import StreamerError
from streamer.timeline.records import Area, Key, Message, Outcome, Record, Step, Text, Touch, Wait

Listener: TypeAlias = Callable[[Record], None]
Act: TypeAlias = Touch | Key | Text | Message

POINTS_LIMIT: Final = 2000  # places kept of one finger's path; of further ones, the last


class Journal:
    """Calls each listener with each record, in the thread in which it happened. It costs next to nothing without one.

    A listener must be quick, and must not raise. `newest_rtp_time` returns the RTP time of the newest frame.
    """

    def __init__(self, newest_rtp_time: Callable[[], int | None] = lambda: None) -> None:
        self._listeners: tuple[Listener, ...] = ()  # replaced as a whole: several threads read it
        self._newest_rtp_time = newest_rtp_time
        self._depth = 0  # of steps

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @contextlib.contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Call `listener` with each record, within the block."""
        self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def tell(self, record: Record) -> None:
        """Tell a record that has its times."""
        for listener in self._listeners:
            listener(record)

    def tell_now(self, record: Record) -> None:
        """Tell a record of this moment."""
        if self._listeners:
            self.tell(replace(record, at=time.time(), rtp_time=self._newest_rtp_time()))

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Tell of a step of a test once the block is left. Any thread may call it."""
        depth = self._depth
        outcome: Outcome = "failed"
        at, rtp_time = time.time(), self._newest_rtp_time()
        self._depth += 1
        try:
            yield
            outcome = "passed"
        finally:
            self._depth = depth
            self.tell(
                Step(at=at, rtp_time=rtp_time, name=name, duration_s=time.time() - at, outcome=outcome, depth=depth)
            )

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator["Found"]:
        """Tell of a wait once the block is left. The block says where and how well something was found, if it was."""
        found = Found()
        at, rtp_time, begin = time.time(), self._newest_rtp_time(), time.monotonic()
        outcome: Literal["met", "timed out", "failed", "cancelled"] = "met"
        sentence: str | None = None
        try:
            yield found
        except TimeoutError as error:
            outcome, sentence = "timed out", _sentence(error)
            raise
        except Exception as error:
            outcome, sentence = "failed", _sentence(error)
            raise
        except BaseException:
            outcome = "cancelled"
            raise
        finally:
            self.tell(
                Wait(
                    at=at,
                    rtp_time=rtp_time,
                    what=what,
                    duration_s=time.monotonic() - begin,
                    outcome=outcome,
                    score=found.score,
                    region=found.region,
                    error=sentence,
                )
            )

    @contextlib.contextmanager
    def acting(self, draft: Act | None) -> Iterator["Trace | None"]:
        """Tell of an action once the block is left: the draft, with its times and what the trace was given.

        It gives no trace while nobody listens.
        """
        if draft is None or not self._listeners:
            yield None
            return
        trace = Trace(draft, time.time(), self._newest_rtp_time())
        try:
            yield trace
        except BaseException as error:
            trace.error = _sentence(error)
            raise
        finally:
            self.tell(trace.record())


@dataclass(slots=True)
class Found:
    """What a wait has found, or nearly found."""

    score: float | None = None
    region: Area | None = None


class Trace:
    """What was sent of an action. One that was sent begins with its first frame, else with its call."""

    def __init__(self, draft: Act, at: float, rtp_time: int | None) -> None:
        self.error: str | None = None
        self._draft = draft
        self._at = at
        self._rtp_time = rtp_time
        self._begun_ns: int | None = None
        self._ended_ns = 0
        self._paths: dict[int, list[tuple[float, float, float]]] = {}

    def note(self, now_ns: int, points: Iterable[tuple[int, float, float]] = ()) -> None:
        """Take note of a frame that was sent (monotonic), and of the fingers in it: number, x and y."""
        if self._begun_ns is None:
            self._begun_ns, self._at = now_ns, unix_time(now_ns)
        self._ended_ns = now_ns
        for finger, x, y in points:
            path = self._paths.setdefault(finger, [])
            place = (round(x, 4), round(y, 4), round((now_ns - self._begun_ns) / 1e9, 3))
            if len(path) > 1 and (path[-1][:2] == path[-2][:2] == place[:2] or len(path) >= POINTS_LIMIT):
                path.pop()  # the finger rests, or its path is too long: the end of it is what counts
            path.append(place)

    def record(self) -> Record:
        """Return the record."""
        more: dict[str, Any] = {"paths": tuple(map(tuple, self._paths.values()))} if self._paths else {}
        duration_s = 0.0 if self._begun_ns is None else (self._ended_ns - self._begun_ns) / 1e9
        return replace(
            self._draft, at=self._at, rtp_time=self._rtp_time, duration_s=duration_s, error=self.error, **more
        )


def unix_time(monotonic_ns: int) -> float:
    """Return the Unix time of a moment on the monotonic clock."""
    return time.time() - (time.monotonic_ns() - monotonic_ns) / 1e9


def _sentence(error: BaseException) -> str:
    return (str(error) if isinstance(error, StreamerError) else "") or type(error).__name__
