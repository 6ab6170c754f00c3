"""The fork of the media path: every access unit goes to every sink."""

from collections.abc import Callable
from typing import Literal, Protocol

from streamer.media.access_unit import AccessUnit


class Sink(Protocol):
    """Something that takes access units: the decoder, a recording, a viewer."""

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


class Gate:
    """One connection's way to a sink that another one may still be on: their access units are never mixed.

    It begins "shut" and stays so until somebody opens it. While it "waits", the first keyframe calls `on_keyframe`,
    which may open it: then that frame is the first one through.
    """

    def __init__(self, sink: Sink, on_keyframe: Callable[[], None] = lambda: None) -> None:
        self.state: Literal["shut", "waits", "open"] = "shut"
        self._sink = sink
        self._on_keyframe = on_keyframe

    @property
    def is_open(self) -> bool:
        """Whether access units pass."""
        return self.state == "open"

    def put(self, unit: AccessUnit) -> None:
        """Let an access unit pass, or drop it."""
        if self.state == "waits" and unit.kind == "video" and unit.is_keyframe:
            self._on_keyframe()
        if self.is_open:
            self._sink.put(unit)
