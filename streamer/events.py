"""The events of a session, and how consumers iterate them."""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from streamer.mailbox import Recent
from streamer.own_loop import OwnLoop
from streamer.pubsub import Hub, HubIterator

EVENTS_LIMIT: Final = 100  # unread events of a consumer; the oldest are dropped and counted

INTERRUPTIONS_LIMIT: Final = 100  # interruptions that are kept with their reasons; the oldest are forgotten

EventKind: TypeAlias = Literal[
    "preparing",  # the cloud brings the phone up; `reason` says how far it is
    "connecting",  # streamer asks for a device token
    "authorized",  # signaling has accepted it
    "negotiating",  # the phone's offer arrived
    "streaming",  # media can flow, for the first time
    "interrupted",  # media no longer flows; `retry_in_s` says when the next connection is tried, if one is
    "resumed",  # media flows again, on the same connection or a new one
    "renewed",  # a new connection took over before one ended whose time was almost up, or whose signaling was lost
    "problem",  # something did not work and was not needed so far, such as an ICE server
    "closed",  # the last event; `error` is what ended the session, None if it was left
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `reason` is a sentence or a part of one, without secrets."""

    kind: EventKind  # what happened
    at: float = field(default_factory=time.time)  # Unix time in seconds
    reason: str | None = None  # a sentence or a part of one, without secrets
    error: Exception | None = None  # the error behind it, if there is one
    retry_in_s: float | None = None  # in how many seconds the next connection is tried, if one is


class EventIterator(HubIterator[Event]):
    """An async iterator of events. It begins with the event of the present state, and ends after "closed".

    One task reads it at a time. A consumer more than 100 events behind loses the oldest; `dropped` counts them. An
    iterator that the program drops, such as by `break`, is closed.
    """

    @property
    def dropped(self) -> int:
        """How many events this consumer did not get because it was too slow."""
        return self.skipped

    async def __anext__(self) -> Event:
        """Return the next event."""
        while (event := self._take()) is None:
            if self._has_ended:
                raise StopAsyncIteration
            await self._change()
        return event


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """An interruption of the stream, in monotonic seconds. While it lasts, `until` is infinite."""

    since: float
    until: float
    reason: str


class Interruptions:
    """Counts how often a stream was interrupted, for how long, and why. Times are monotonic seconds.

    It remembers the last INTERRUPTIONS_LIMIT reasons. Any thread may call `between`.
    """

    def __init__(self) -> None:
        self.count = 0
        self._total_s = 0.0
        self._latest: tuple[Interruption, ...] = ()  # replaced, not changed: other threads read it

    def take(self, kind: EventKind, reason: str | None, now: float) -> None:
        """Take an event: an interruption lasts until the stream is resumed or closed."""
        if kind == "interrupted" and not self._is_interrupted:
            self.count += 1
            new = Interruption(since=now, until=math.inf, reason=reason or "unknown")
            self._latest = (*self._latest, new)[-INTERRUPTIONS_LIMIT:]
        elif kind in {"resumed", "closed"} and self._is_interrupted:
            *before, latest = self._latest
            self._total_s += now - latest.since
            self._latest = (*before, replace(latest, until=now))

    @property
    def _is_interrupted(self) -> bool:
        return bool(self._latest) and self._latest[-1].until == math.inf

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the latest interruptions, the newest last."""
        return tuple(interruption.reason for interruption in self._latest)

    def total_s(self, now: float) -> float:
        """Return how long all interruptions have lasted in total, up to `now`."""
        return self._total_s + (now - self._latest[-1].since if self._is_interrupted else 0.0)

    def between(self, since: float, until: float) -> list[Interruption]:
        """Return the parts of the latest interruptions between two times."""
        return [
            replace(each, since=max(each.since, since), until=min(each.until, until))
            for each in self._latest
            if each.since < until and each.until > since
        ]


class EventHub(Hub[Event]):
    """Publishes events to every consumer, and keeps the one of the present state."""

    def __init__(self, *, loop: OwnLoop | None = None) -> None:
        super().__init__(loop=loop)
        self.interruptions = Interruptions()
        self.state: Event | None = None  # the newest event other than "problem"

    def emit(
        self,
        kind: EventKind,
        reason: str | None = None,
        *,
        error: Exception | None = None,
        retry_in_s: float | None = None,
    ) -> None:
        """Publish an event. Nothing follows "closed"."""
        if self.state is not None and self.state.kind == "closed":
            return
        event = Event(kind=kind, reason=reason or (str(error) if error else None), error=error, retry_in_s=retry_in_s)
        self.interruptions.take(kind, event.reason, time.monotonic())
        if kind != "problem":
            self.state = event
        self.publish(event)
        if kind == "closed":
            self.end(None)

    def iterate(self) -> EventIterator:
        """Return an iterator for a new consumer."""
        mailbox: Recent[Event] = Recent(EVENTS_LIMIT)
        if self.state is not None:
            mailbox.put(self.state)
        return EventIterator(self, mailbox)
