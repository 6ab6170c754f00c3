"""Encoded frames and audio for your iterators: what the phone sent, and nothing is decoded."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from streamer.bounded import Budget
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.frame_reordering import Reordering
from streamer.media.history import GROUP_LIMIT, History
from streamer.own_loop import OwnLoop
from streamer.pubsub import Hub, HubIterator

UNITS_LIMIT: Final = GROUP_LIMIT + 400  # a group of frames, and the audio beside it
BYTES_LIMIT: Final = 16 * 1024 * 1024


class Decodable:
    """A mailbox of access units that a decoder can follow: it begins with a keyframe, and no frame is missing.

    A unit that does not fit drops all that are unread, and the frames up to the next keyframe. They are counted, and
    that keyframe has `discontinuity` set. A reader that has nothing else to read asks for it.
    """

    is_idle = False  # nothing is produced for it alone

    def __init__(self, *, ask_keyframe: Callable[[], None]) -> None:
        self.dropped = 0
        self._ask_keyframe = ask_keyframe
        self._units: deque[AccessUnit] = deque()
        self._budget = Budget(max_items=UNITS_LIMIT, max_bytes=BYTES_LIMIT)
        self._needs_keyframe = True

    def put(self, unit: AccessUnit) -> None:
        """Hold a unit."""
        if not self._budget.fits(len(unit.data)):
            self.dropped += len(self._units)
            self._units.clear()
            self._budget = Budget(max_items=UNITS_LIMIT, max_bytes=BYTES_LIMIT)
            self._needs_keyframe = True
        if unit.kind == "video" and self._needs_keyframe:
            if not unit.is_keyframe:
                self.dropped += 1
                return
            self._needs_keyframe = False
            unit = replace(unit, discontinuity=unit.discontinuity or self.dropped > 0)
        self._budget.add(len(unit.data))
        self._units.append(unit)

    def take(self) -> AccessUnit | None:
        """Return the next unit."""
        if not self._units:
            if self._needs_keyframe:
                self._ask_keyframe()
            return None
        unit = self._units.popleft()
        self._budget.remove(len(unit.data))
        return unit


class EncodedOutput:
    """A sink that hands each access unit to every `AccessUnitIterator`."""

    def __init__(self, history: History, *, request_keyframe: Callable[[], None], loop: OwnLoop) -> None:
        self._history = history
        self._request_keyframe = request_keyframe
        self._hub: Hub[AccessUnit] = Hub(loop=loop)

    def put(self, unit: AccessUnit) -> None:
        """Take an access unit."""
        self._hub.publish(unit)

    def iterate(self) -> "AccessUnitIterator":
        """Return an iterator for a new consumer: it begins with the last keyframe and the frames after it."""
        self._hub.loop.check()
        mailbox = Decodable(ask_keyframe=self._request_keyframe)
        for unit in self._history.last_group:
            mailbox.put(unit)
        return AccessUnitIterator(self._hub, mailbox)

    def end(self, error: BaseException | None) -> None:
        """End the iterators, with `error` if there is one."""
        self._hub.end(error)


class AccessUnitIterator(HubIterator[AccessUnit]):
    """An async iterator of encoded frames and audio, in the order in which they came. It ends when the session does.

    One task reads it at a time. A consumer more than 1000 units or 16 MiB behind goes on with the next keyframe:
    `skipped` counts what it did not get. An iterator that the program drops, such as by `break`, is closed.
    """

    def __init__(self, hub: Hub[AccessUnit], mailbox: Decodable) -> None:
        super().__init__(hub, mailbox)
        self._reordering: dict[str, Reordering] = {}  # by codec: what the phone's answer accepted, a handful

    async def __anext__(self) -> AccessUnit:
        """Return the next access unit.

        Raises StopAsyncIteration once the session is closed, or the error that ended it.
        """
        while (unit := self._take()) is None:
            if self._has_ended:
                self._raise_end()
            await self._change()
        if unit.kind == "audio":
            return unit
        order = self._reordering.setdefault(unit.codec.name, Reordering(unit.codec.name))
        if unit.discontinuity:
            order.begin()
        order.add(unit.data)
        data = order.prepared(unit.data)
        return unit if data is unit.data else replace(unit, data=data)
