"""A session without a connection: what it does to the phone is kept, and its streams give what a test puts there."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

from streamer import AccessUnit, AccessUnitIterator, EventIterator, Recording, Session, Stats
from streamer.emulator.input_frames import Input, Key, Touch, read_input
from streamer.events import EventHub
from streamer.input_driver import InputDriver
from streamer.media.history import History
from streamer.media.playback.encoded import EncodedOutput
from streamer.own_loop import OwnLoop
from streamer.timeline.journal import Journal
from streamer.verbs import Verbs
from streamer.watcher import Watcher
from tests.support import recording_session
from tests.support.access_units import units


class Receipt:
    is_acknowledged: bool = True


class Link:
    """A data channel that keeps what it is given, as the phone reads it."""

    awaits_acknowledgement = False

    def __init__(self) -> None:
        self.inputs: list[Input] = []

    def send_input(self, data: bytes, *, reliable: bool) -> Receipt | None:
        del reliable
        self.inputs += read_input(data)
        return Receipt()

    def send_filler(self, data: bytes) -> None:
        """Leave it: it says that nothing more comes."""


class UnconnectedPhone(Verbs):
    """The verbs and the driver of a real session, over a link that can be taken away; and its outputs and events."""

    instance_id = "phone-1"
    preroll_s = 30.0

    def __init__(self) -> None:
        self._loop = OwnLoop()
        self._loop.check()
        self._journal = Journal(lambda: 0)
        self.first_link = Link()
        self._link: Link | None = self.first_link
        self._input = InputDriver(lambda: self._link, self._journal, loop=self._loop, keep_awake=False)
        self._input.look()
        self._watcher = cast("Watcher", None)  # nobody asks what came of an action
        self.keyframe_requests = 0
        self._history = History(ask_keyframe=self.request_keyframe)
        self._encoded = EncodedOutput(self._history, request_keyframe=self.request_keyframe, loop=self._loop)
        self.hub = EventHub(loop=self._loop)
        self.hub.emit("streaming")
        self.recordings: list[Recording] = []

    @property
    def session(self) -> Session:
        """What stands where a session does."""
        return cast("Session", self)

    def replace_link(self, link: Link | None) -> None:
        self._link = link
        self._input.look()

    @property
    def touches(self) -> list[tuple[int, int, float, float]]:
        """The action, the finger and the place of each touch."""
        found = [read for read in self.first_link.inputs if isinstance(read, Touch)]
        return [
            (touch.action, point.finger, round(point.x, 3), round(point.y, 3))
            for touch in found
            for point in touch.points
        ]

    @property
    def keys(self) -> list[tuple[int, int]]:
        """The code and the modifiers of each key that went down."""
        found = [read for read in self.first_link.inputs if isinstance(read, Key)]
        return [(key.code, key.modifiers) for key in found if key.action == 0]

    def put(self, unit: AccessUnit) -> None:
        self._history.put(unit)
        self._encoded.put(unit)

    def request_keyframe(self) -> None:
        self.keyframe_requests += 1

    def access_units(self) -> AccessUnitIterator:
        return self._encoded.iterate()

    def events(self) -> EventIterator:
        return self.hub.iterate()

    def stats(self) -> Stats:
        return Stats(**cast("dict[str, Any]", {field.name: 0 for field in fields(Stats)}))

    def record(self, target: str | os.PathLike[str], *, before_s: float = 0.0) -> Recording:
        del before_s
        recorder = recording_session.Session()
        recording = recorder.record(target)
        recorder.put(recording, units())
        self.recordings.append(recording)
        return recording


class Wire:
    """A page's connection: what the server sends is kept, and a test says what the page says."""

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self._said: asyncio.Queue[str | bytes | None] = asyncio.Queue()

    def say(self, *messages: str | bytes) -> None:
        for message in messages:
            self._said.put_nowait(message)

    def close(self) -> None:
        self._said.put_nowait(None)

    async def send(self, message: str | bytes) -> None:
        self.sent.append(message)

    def __aiter__(self) -> "Wire":
        return self

    async def __anext__(self) -> str | bytes:
        if (message := await self._said.get()) is None:
            raise StopAsyncIteration
        return message


def places(touches: Sequence[tuple[int, int, float, float]]) -> list[tuple[int, float, float]]:
    """Return the action and the place of touches, without the finger."""
    return [(action, x, y) for action, _, x, y in touches]
