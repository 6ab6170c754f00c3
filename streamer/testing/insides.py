"""The parts of a session that the plugin looks at. No other module of `testing` uses private names."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import streamer
import streamer.sync
from streamer.events import EventHub
from streamer.input_driver import InputDriver
from streamer.media.fanout import Fanout
from streamer.media.history import History
from streamer.timeline.journal import Journal


class Insides(Protocol):
    """What a Session is made of."""

    _events: EventHub
    _fanout: Fanout
    _history: History
    _input: InputDriver
    _journal: Journal


class Face(Protocol):
    """A Session of the sync face."""

    _async: streamer.Session

    def _wait(self, method: Callable[[], Awaitable[None]]) -> None: ...


def events_of(session: Insides) -> EventHub:
    """Return what publishes the session's events."""
    return session._events


def fanout_of(session: Insides) -> Fanout:
    """Return what hands out its access units."""
    return session._fanout


def history_of(session: Insides) -> History:
    """Return what keeps the last of them."""
    return session._history


def journal_of(session: Insides) -> Journal:
    """Return what tells of it."""
    return session._journal


def pause_after_actions(session: Insides, pause_s: float) -> None:
    """Pause for so many seconds after each action."""
    session._input.pause_s = pause_s


def async_of(phone: streamer.sync.Session) -> streamer.Session:
    """Return the session of asyncio behind one of the sync face."""
    return phone._async


def wait_in_loop(phone: Face, method: Callable[[], Awaitable[None]]) -> None:
    """Await something in the session's event loop. Raises ConnectionLostError if the session is closed."""
    phone._wait(method)
