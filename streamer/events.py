"""What happens to a session, told as it happens to whoever listens."""

import asyncio
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

EVENTS_LIMIT: Final = 100  # events that a listener has not read; the oldest are dropped and counted

EventKind: TypeAlias = Literal[
    "preparing",  # the cloud brings the phone up; `reason` says how far it is
    "connecting",  # a device token is asked for
    "authorized",  # signaling has accepted it
    "negotiating",  # the phone's offer came
    "streaming",  # media can flow, for the first time
    "interrupted",  # it no longer does; `retry_in_s` says when the next connection is tried, if one is
    "resumed",  # it does again, on the same connection or a new one
    "renewed",  # a new connection took the place of one whose time was almost up
    "problem",  # something did not work and was not needed so far, such as an ICE server
    "closed",  # the last event; `error` is what ended the session, None if it was left
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `reason` is a sentence or a part of one, without secrets."""

    kind: EventKind
    at: float = field(default_factory=time.time)  # Unix time in seconds
    reason: str | None = None
    error: Exception | None = None
    retry_in_s: float | None = None


class EventIterator:
    """An async iterator of events, from the one that tells the present state on; it ends after "closed".

    One task reads it at a time. Who falls behind by more than EVENTS_LIMIT misses the oldest; `dropped` counts them.
    """

    def __init__(self, first: Event | None) -> None:
        self.dropped = 0
        self._events: deque[Event] = deque([first] if first else [])
        self._arrived = asyncio.Event()
        self._is_over = first is not None and first.kind == "closed"

    def put(self, event: Event) -> None:
        """Hold an event; never waits."""
        if len(self._events) >= EVENTS_LIMIT:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._is_over = event.kind == "closed"
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event."""
        while not self._events:
            if self._is_over:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()


class EventHub:
    """Tell every listener; remember the event that stands for the present state."""

    def __init__(self) -> None:
        self.state: Event | None = None  # the newest one that is no "problem"
        self._listeners: weakref.WeakSet[EventIterator] = weakref.WeakSet()  # who lets go of one listens no more

    def tell(
        self,
        kind: EventKind,
        reason: str | None = None,
        *,
        error: Exception | None = None,
        retry_in_s: float | None = None,
    ) -> None:
        """Tell that something happened; after "closed" nothing does."""
        if self.state is not None and self.state.kind == "closed":
            return
        event = Event(kind=kind, reason=reason or (str(error) if error else None), error=error, retry_in_s=retry_in_s)
        if kind != "problem":
            self.state = event
        for listener in list(self._listeners):
            listener.put(event)

    def subscribe(self) -> EventIterator:
        """Return a new listener."""
        listener = EventIterator(self.state)
        self._listeners.add(listener)
        return listener
