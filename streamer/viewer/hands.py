"""`Hands`: what the people at a page do to the phone, in the order in which they do it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Self, TypeAlias

from streamer import Session, StreamerError
from streamer.viewer.messages import Press, RefusedError, Touch, Type

WAITING_LIMIT: Final = 200  # touches of one finger, or keys, that wait to be sent; one more is refused

_Item: TypeAlias = Touch | Press | Type


class Hands:
    """One task for each finger, and one for keys. Leaving the block lifts all fingers."""

    def __init__(self, session: Session, say_error: Callable[[Exception], Awaitable[None]]) -> None:
        self._session = session
        self._say_error = say_error
        self._fingers: dict[int, asyncio.Queue[Touch]] = {}
        self._keys: asyncio.Queue[Press | Type] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # one may have found the page closed

    def do(self, item: _Item) -> None:
        """Do something once what came before it is done. Raises RefusedError if too much waits."""
        try:
            if isinstance(item, Touch):
                self._queue_of(item.finger).put_nowait(item)
            else:
                self._queue_of_keys().put_nowait(item)
        except asyncio.QueueFull:
            if not isinstance(item, Touch) or item.motion != "move":  # of a finger's places the later ones count
                raise RefusedError("the phone is slower than the hands: what was done last is left out") from None

    def _queue_of(self, finger: int) -> asyncio.Queue[Touch]:
        if (queue := self._fingers.get(finger)) is None:
            queue = self._fingers[finger] = asyncio.Queue(WAITING_LIMIT)
            self._tasks.add(asyncio.create_task(self._touch(queue)))
        return queue

    def _queue_of_keys(self) -> asyncio.Queue[Press | Type]:
        if self._keys is None:
            self._keys = asyncio.Queue(WAITING_LIMIT)
            self._tasks.add(asyncio.create_task(self._type(self._keys)))
        return self._keys

    async def _touch(self, queue: asyncio.Queue[Touch]) -> None:
        """Follow one finger, from each way down to its way up, or to the next way down."""
        touch = await queue.get()
        while True:
            while touch.motion != "down":
                touch = await queue.get()
            try:
                async with self._session.finger() as finger:  # which is lifted at the end, if it is down
                    await finger.down(touch.x, touch.y)
                    while (touch := await queue.get()).motion != "down":
                        await finger.move(touch.x, touch.y)
                        if touch.motion == "up":
                            await finger.up()
                            break
            except StreamerError as error:
                await self._say_error(error)
                touch = await queue.get()

    async def _type(self, queue: asyncio.Queue[Press | Type]) -> None:
        while True:
            item = await queue.get()
            try:
                if isinstance(item, Press):
                    await self._session.press(item.key, modifiers=item.modifiers)
                else:
                    await self._session.type(item.text)
            except StreamerError as error:
                await self._say_error(error)
