"""`Hands`: what the people at a page do to the phone, in the order in which they do it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, Self, TypeAlias

from streamer import Session, StreamerError
from streamer.viewer.messages import Press, RefusedError, Touch, Type

WAITING_LIMIT: Final = 200  # touches of one finger, or keys, that wait to be sent; one more is refused

_Item: TypeAlias = Touch | Press | Type


class Hands:
    """One task for each finger that is down, and one for keys. Leaving the block lifts all fingers."""

    def __init__(self, session: Session, say_error: Callable[[Exception], Awaitable[None]]) -> None:
        self._session = session
        self._say_error = say_error
        self._queues: dict[int | None, asyncio.Queue[_Item]] = {}  # of fingers, and of keys (None)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def do(self, item: _Item) -> None:
        """Do something once what came before it is done. Raises RefusedError if too much waits."""
        key = item.finger if isinstance(item, Touch) else None
        if isinstance(item, Touch) and item.motion == "down":
            self._queues.pop(key, None)  # a finger that is down already: it is lifted when its task ends
        if (queue := self._queues.get(key)) is None:
            if isinstance(item, Touch) and item.motion != "down":
                return  # what its way down failed with was said already
            queue = self._queues[key] = asyncio.Queue(WAITING_LIMIT)
            self._start(self._type(queue) if key is None else self._touch(queue))
        try:
            queue.put_nowait(item)
        except asyncio.QueueFull:
            if not isinstance(item, Touch) or item.motion != "move":  # of a finger's places the later ones count
                raise RefusedError("the phone is slower than the hands: what was done last is left out") from None

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _touch(self, queue: asyncio.Queue[_Item]) -> None:
        """Follow one finger from its way down to its way up."""
        try:
            async with self._session.finger() as finger:
                while isinstance(touch := await queue.get(), Touch):
                    if touch.motion == "down":
                        await finger.down(touch.x, touch.y)
                        continue
                    await finger.move(touch.x, touch.y)
                    if touch.motion == "up":
                        await finger.up()
                        return
        except StreamerError as error:
            await self._say_error(error)

    async def _type(self, queue: asyncio.Queue[_Item]) -> None:
        while True:
            item = await queue.get()
            try:
                if isinstance(item, Press):
                    await self._session.press(item.key, modifiers=item.modifiers)
                elif isinstance(item, Type):
                    await self._session.type(item.text)
            except StreamerError as error:
                await self._say_error(error)
