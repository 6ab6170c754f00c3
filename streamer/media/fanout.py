"""The fork of the media path: every access unit goes to every sink."""

from typing import Protocol

from streamer.media.access_unit import AccessUnit


class Sink(Protocol):
    """Takes access units: a decoder, a recording, the history."""

    def put(self, unit: AccessUnit) -> None:
        """Take an access unit; never waits and never raises."""


class Fanout:
    """Hand each access unit to the sinks, in the order in which they were added."""

    def __init__(self) -> None:
        self._sinks: tuple[Sink, ...] = ()

    def add(self, sink: Sink) -> None:
        """Hand the access units from now on to `sink` too."""
        self._sinks = (*self._sinks, sink)

    def remove(self, sink: Sink) -> None:
        """Hand no more access units to `sink`; it need not be there."""
        self._sinks = tuple(other for other in self._sinks if other is not sink)

    def put(self, unit: AccessUnit) -> None:
        """Hand an access unit to every sink."""
        for sink in self._sinks:
            sink.put(unit)
