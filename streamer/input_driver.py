"""Sends actions over the connection in force, at their times, one after another; lifts fingers that were left down.

    action ─ waits for its turn ─ waits for a channel ─ DOWN … UP ─ fillers
                                                          │ the connection goes: ActionLostError
    next connection ─ UP of each finger that was down ─ the next action

No action is sent again by itself. A finger that an action leaves down, by an error or a cancellation, is lifted at
once, or first of all on the next connection.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import astuple
from typing import Final, Protocol, TypeAlias

from streamer.aio import within
from streamer.control.fingers import Fingers
from streamer.control.frames import Key, Raw, Touch, parse_messages
from streamer.control.gestures import IDLE_MOVE, Delivery, Step, fingers_of
from streamer.errors import ActionLostError, ConfigurationError, ConnectionLostError, InputNotReadyError
from streamer.mailbox import Recent
from streamer.own_loop import OwnLoop
from streamer.pubsub import Hub, HubIterator
from streamer.timeline.journal import Act, Journal, Trace
from streamer.timeline.records import Message, kind_of

ACTIONS_LIMIT: Final = 100  # that wait for their turn; one more is refused
MESSAGES_LIMIT: Final = 100  # of the phone, that a consumer has not read; the oldest are dropped and counted
DRAIN_LIMIT_S: Final = 1.0  # a retransmission that only SCTP's timer causes takes as long
DRAIN_STEP_S: Final = 0.02
KEEP_AWAKE_S: Final = 20.0  # without input; the vendor's page gives up after 60 s and another 60 s [seen]

Plan: TypeAlias = Callable[[], Awaitable[list[Step]]]


class Receipt(Protocol):
    """What was handed to the network."""

    @property
    def is_acknowledged(self) -> bool:
        """Whether the phone has acknowledged it."""


class Link(Protocol):
    """One connection's data channels."""

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether the phone has yet to acknowledge reliable input."""

    def send_input(self, data: bytes, *, reliable: bool) -> Receipt | None:
        """Hand a frame to the network; None if it takes none."""

    def send_filler(self, data: bytes) -> None:
        """Send a frame where nobody reads it."""


class MessageIterator(HubIterator[dict[str, object]]):
    """An async iterator of the phone's messages, each a dict, from its creation on.

    One task reads it at a time. A consumer more than 100 messages behind loses the oldest; `dropped` counts them. An
    iterator that the program drops, such as by `break`, is closed.
    """

    @property
    def dropped(self) -> int:
        """How many messages this consumer did not get because it was too slow."""
        return self.skipped

    async def __anext__(self) -> dict[str, object]:
        """Return the next message."""
        while (message := self._take()) is None:
            if self._has_ended:
                self._raise_end()
            await self._change()
        return message


class InputDriver:
    """Acts on the phone. `find_link` returns the channels in force, None if there are none; `look` says it may differ.

    `close` ends it: from then on actions raise the error.
    """

    def __init__(
        self, find_link: Callable[[], Link | None], journal: Journal, *, loop: OwnLoop, keep_awake: bool
    ) -> None:
        self._messages: Hub[dict[str, object]] = Hub(loop=loop)
        self._find_link = find_link
        self._keep_awake = keep_awake
        self._journal = journal
        self.pause_s = 0.0  # after each action, for people who watch
        self._link: Link | None = None
        self._has_link = asyncio.Event()  # or never will have one
        self._lost = asyncio.Event()  # the link of now is no longer in force
        self._fingers = Fingers()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._closed: Exception | None = None
        self._awake_timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Find out which link is in force. On a new one, first lift every finger that was left down."""
        link = None if self._closed else self._find_link()
        if link is self._link:
            return
        self._link = link
        self._lost.set()
        if link is None:
            self._has_link.clear()
        else:
            self._lost = asyncio.Event()
            self._lift(self._fingers.lifts())
            self._has_link.set()
        self._stay_awake()

    def receive(self, data: bytes) -> None:
        """Take a data channel message of the phone's."""
        for message in parse_messages(data):
            self._messages.publish(message)
            self._journal.tell_now(Message(by_phone=True, kind=kind_of(message)))

    def iterate_messages(self) -> MessageIterator:
        """Return an iterator for a new consumer."""
        return MessageIterator(self._messages, Recent(MESSAGES_LIMIT))

    def close(self, error: Exception | None) -> None:
        """Lift all fingers and end: `error` is what ended the session, None if it was left."""
        if self._closed is None:
            self._lift(self._fingers.lifts())
            self._closed = error or ConnectionLostError("cannot act on the phone: the session is closed")
            self.look()
            self._has_link.set()
            self._messages.end(error)

    async def aclose(self) -> None:
        """Lift all fingers and end, and wait until the phone has acknowledged what was sent, at most DRAIN_LIMIT_S."""
        link = self._link
        self.close(None)
        until = time.monotonic() + DRAIN_LIMIT_S
        while (  # noqa: ASYNC110 - not set per packet
            link is not None and link is self._find_link() and link.awaits_acknowledgement and time.monotonic() < until
        ):
            await asyncio.sleep(DRAIN_STEP_S)

    async def wait_ready(self, timeout_s: float | None) -> Link:
        """Return the link in force. Raises InputNotReadyError if there is none in time, or what ended the session."""

        def not_ready() -> InputNotReadyError:
            return InputNotReadyError(
                f"the phone took no input within {timeout_s:g} s: no data channel is open, or the stream is "
                "interrupted; nothing was sent"
            )

        async with within(timeout_s, not_ready):
            while self._link is None:
                if self._closed is not None:
                    raise self._closed
                await self._has_link.wait()
        return self._link

    async def perform(
        self, plan: Plan, *, timeout_s: float, on_sent: Callable[[int], None], draft: Act | None = None
    ) -> None:
        """Send an action once those before it are through; it ends when its last frame is handed to the network.

        `plan` gives the steps when it is this action's turn. `on_sent` gets the moment of its first frame (monotonic).
        `draft` is what the journal tells of it.
        Raises InputNotReadyError, ActionLostError, or ConfigurationError if ACTIONS_LIMIT others wait.
        """
        with self._journal.acting(draft) as trace:
            async with self._own_turn():
                await self.wait_ready(timeout_s)
                steps = await plan()
                async with self._hand(fingers_of(steps), timeout_s, on_sent, trace) as hand:
                    begin = asyncio.get_running_loop().time()
                    for step in steps:
                        await hand.wait_until(begin + step.at_s)
                        hand.send(step.frame, step.delivery)
                    await asyncio.sleep(0)  # aiortc sends in a task of its own
                if self.pause_s:
                    await asyncio.sleep(self.pause_s)

    @contextlib.asynccontextmanager
    async def hand(self, fingers: int, *, timeout_s: float, draft: Act | None = None) -> AsyncIterator["Hand"]:
        """Give some fingers over the link in force. Those that are down at the end are lifted, whatever happened."""
        with self._journal.acting(draft) as trace:
            async with self._hand(fingers, timeout_s, lambda _: None, trace) as hand:
                yield hand

    @contextlib.asynccontextmanager
    async def _hand(
        self, fingers: int, timeout_s: float, on_sent: Callable[[int], None], trace: Trace | None
    ) -> AsyncIterator["Hand"]:
        link = await self.wait_ready(timeout_s)
        ids = self._fingers.take(fingers)
        try:
            yield Hand(link, self._lost, self._fingers, ids, on_sent=on_sent, trace=trace)
        finally:
            self._lift(self._fingers.lifts(ids))
            self._fingers.release(ids)

    @contextlib.asynccontextmanager
    async def _own_turn(self) -> AsyncIterator[None]:
        if self._waiting >= ACTIONS_LIMIT:
            raise ConfigurationError(
                f"expected at most {ACTIONS_LIMIT} actions that wait for their turn, got one more: await each action "
                "before the next one"
            )
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    def _lift(self, touches: list[Touch]) -> None:
        for touch in touches:
            if self._link is not None and self._link.send_input(touch.encode(_now_ms()), reliable=True) is not None:
                self._fingers.note(touch)

    def _stay_awake(self) -> None:
        """Begin to count the time to the next sign of presence, if one is wanted and can be sent."""
        if self._awake_timer is not None:
            self._awake_timer.cancel()
            self._awake_timer = None
        if self._keep_awake and self._link is not None:
            self._awake_timer = asyncio.get_running_loop().call_later(KEEP_AWAKE_S, self._stir)

    def _stir(self) -> None:
        if self._link is not None:
            self._link.send_input(IDLE_MOVE.encode(_now_ms()), reliable=True)
        self._stay_awake()


class Hand:
    """Some fingers over one link: it sends nothing over another one."""

    def __init__(
        self,
        link: Link,
        lost: asyncio.Event,
        fingers: Fingers,
        ids: tuple[int, ...],
        *,
        on_sent: Callable[[int], None],
        trace: Trace | None,
    ) -> None:
        self._link = link
        self._lost = lost
        self._fingers = fingers
        self._ids = ids
        self._on_sent = on_sent
        self._trace = trace
        self._first: Receipt | None = None  # of the first frame

    async def wait_until(self, at: float) -> None:
        """Wait until a moment of the loop's clock, or until the link is lost."""
        wait_s = at - asyncio.get_running_loop().time()
        if wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._lost.wait()

    def send(self, frame: Touch | Key | Raw, delivery: Delivery) -> None:
        """Hand a frame to the network. Raises ActionLostError if the link is lost or takes no more."""
        if self._lost.is_set():
            raise self._error("the connection to the phone was lost")
        now_ns = time.monotonic_ns()
        if delivery is Delivery.FILLER:
            self._link.send_filler(frame.encode(now_ns / 1e6))
            return
        if isinstance(frame, Touch):
            frame = frame.with_fingers(self._ids)
        receipt = self._link.send_input(frame.encode(now_ns / 1e6), reliable=delivery is Delivery.RELIABLE)
        if receipt is None:
            if delivery is Delivery.UNRELIABLE:
                return
            raise self._error("the connection to the phone takes no more input")
        if isinstance(frame, Touch):
            self._fingers.note(frame)
        if self._trace is not None:
            self._trace.note(now_ns, [astuple(point) for point in frame.points] if isinstance(frame, Touch) else ())
        if self._first is None:
            self._first = receipt
            self._on_sent(now_ns)

    def _error(self, what: str) -> ActionLostError:
        if self._first is None:
            return ActionLostError(f"{what}: nothing of the action was sent", was_sent=False)
        if self._first.is_acknowledged:
            return ActionLostError(f"{what} during the action: the phone got its beginning", was_sent=True)
        return ActionLostError(f"{what} during the action: how much of it arrived is not known", was_sent=None)


def _now_ms() -> float:
    return time.monotonic_ns() / 1e6
