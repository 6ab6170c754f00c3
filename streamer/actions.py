"""What a program gets of each action on the phone."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Self


class Action:
    """One action on the phone. `await` it: it is sent, and ends when its last frame is handed to the network.

    It is sent once, however often it is awaited; one that is never awaited is never sent, and Python warns of it.
    Cancelling lifts the fingers that are down.

    Awaiting raises InputNotReadyError, ActionLostError, or what ended the session.
    """

    def __init__(self, verb: str, perform: Callable[[Callable[[int], None]], Coroutine[Any, Any, None]]) -> None:
        self._verb = verb
        self._sent_ns: list[int] = []  # without a way back to the action, so that a forgotten one is freed at once
        self._performing: Coroutine[Any, Any, None] | None = perform(self._sent_ns.append)
        if isinstance(self._performing, CoroutineType):
            self._performing.__qualname__ = f"Session.{verb}"  # what Python names if it is never awaited
        self._has_ended = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def sent_ns(self) -> int | None:
        """When its first frame was handed to the network; None before.

        The clock is that of `time.monotonic_ns`, as of `VideoFrame.arrival_ns`.
        """
        return next(iter(self._sent_ns), None)

    def __repr__(self) -> str:
        return f"<Action {self._verb}, {'not sent' if self.sent_ns is None else f'sent at {self.sent_ns} ns'}>"

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self._perform().__await__()
        return self

    async def _perform(self) -> None:
        performing, self._performing = self._performing, None
        if performing is None:
            await self._has_ended.wait()
            if self._error is not None:
                raise self._error
            return
        try:
            await performing
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._has_ended.set()
