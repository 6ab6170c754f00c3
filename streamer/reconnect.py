"""Connections to a phone, one after another: the stream goes on whatever ends one of them.

    connection ──── error ─ pause ─ ticket ─ connection ────── time almost up ─────────── …
                                                ticket ─ connection ┄┄ keyframe ──────────── …

After a connection that ends comes a new one, with a new ticket, after a pause that `retry` decides on. A connection
whose time is almost up gets its successor while it still streams. With the successor's first keyframe the one gives way
to the other, and no frame is missing.
"""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Never

from streamer.aio import boot_time
from streamer.cloud.client import CloudClient
from streamer.cloud.models import Ticket
from streamer.connection import SWITCH_WITHIN_S, Connection, ConnectionOptions, Tally
from streamer.errors import CloudRefusalError, DeviceTokenError, SignalingClosedError, StreamerError, TakenOverError
from streamer.events import EventHub, EventKind
from streamer.media.fanout import Sink
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.source import Counters, MarkerBits
from streamer.retry import Reconnect, Retries, at_expiry, is_not_ready

_logger = logging.getLogger("streamer.session")

STABLE_S: Final = 10.0  # a stream that lasts so long ends an interruption: the next one begins with all its attempts
LAST_ATTEMPT_S: Final = 5.0  # what an attempt may take that begins when it is time to give up
RENEW_BEFORE_S: Final = 30.0  # before a stream's time is up, but not before three quarters of it have passed
RENEW_AGAIN_S: Final = 10.0  # after an error of a renewal that another attempt may not mend: the stream still runs
CHECK_EVERY_S: Final = 10.0  # the event loop's timers stand still while the machine sleeps
WARN_BEFORE_S: Final = 3600.0  # before credentials that do not renew themselves come to their end
SHORTEST_S: Final = 2.0  # streams that may not last longer are not renewed, only followed by the next


class Reconnector:
    """Stay connected to one phone. `run` it once; `connection` is the one in force.

    `connected` is set when media can flow at first. The first connection is made with `ticket`; for each further one
    `cloud` gives a new one. `prepare` brings an instance up that is no longer ready then. Without `reconnect` the first
    connection is the last. What happens is told to `events`.
    """

    def __init__(
        self,
        cloud: CloudClient,
        ticket: Ticket,
        sink: Sink,
        *,
        options: ConnectionOptions,
        reconnect: Reconnect | None,
        prepare: Callable[[], Awaitable[None]] | None,
        events: EventHub,
    ) -> None:
        self.connected = asyncio.Event()
        self.is_interrupted = False
        self._cloud = cloud
        self._instance_id = ticket.instance_id
        self._sink = sink
        self._options = options
        self._reconnect = reconnect
        self._prepare = prepare
        self._events = events
        self._client_uuid = str(uuid.uuid4())
        self._marker_bits = MarkerBits()
        self._made = 0
        self._connections: list[Connection] = []  # those that run, or are the one in force
        self._tally = Tally()  # of the others
        self._had_audio = False
        self._had_codecs: set[str] = set()
        self._streaming_since: float | None = None
        self._silent_since: float | None = None  # nothing comes over the path, which may not be dead yet
        self._limit: asyncio.Timeout | None = None
        self._successor: Connection | None = None
        self._switched: asyncio.Future[None] | None = None  # done when the successor has taken over
        self._is_late = False  # the connection in force has ended before its successor was there
        self._patience: asyncio.TimerHandle | None = None
        lasts_s = cloud.credentials_last_s
        self._warn_at = None if lasts_s is None or reconnect is None else boot_time() + lasts_s - WARN_BEFORE_S
        self.connection = self._make(ticket)
        self.connection.gate.state = "open"

    @property
    def has_audio(self) -> bool:
        """Whether the phone sends audio, as far as is known."""
        return self.connection.has_audio if self.connection.inlets else self._had_audio

    @property
    def video_codecs(self) -> set[str]:
        """The codecs of the frames that the phone may send, as far as is known."""
        return self.connection.video_codecs if self.connection.inlets else self._had_codecs

    @property
    def receivers(self) -> list[Receiver]:
        """The receivers of the connection in force."""
        return [inlet.receiver for inlet in self.connection.inlets]

    def counters(self) -> Counters:
        """Return what all connections have counted together."""
        return self._total().counters

    def packets_lost(self) -> int:
        """Return how many packets all connections have given up together."""
        return self._total().packets_lost

    async def run(self) -> Never:
        """Stay connected; raise the error after which there is no other attempt. Cancel it to leave."""
        retries: Retries | None = None
        connection: Connection | None = self.connection
        reason: StreamerError | None = None
        while True:
            left_s = None
            if retries is not None and retries.deadline is not None:
                left_s = max(retries.deadline - time.monotonic(), LAST_ATTEMPT_S)
            try:
                async with asyncio.timeout(left_s) as self._limit:
                    await self._serve(connection or await self._dial())
            except TimeoutError:
                if reason is None or self._limit is None or not self._limit.expired():
                    raise
                raise reason from None
            except StreamerError as error:
                reason = error
            connection = None
            if self._reconnect is None or not (self.connected.is_set() or isinstance(reason, DeviceTokenError)):
                raise reason  # who connects is told at once, but that a token was too old by then is nobody's fault
            now = time.monotonic()
            if retries is None or self._streamed_s(now) >= STABLE_S:
                retries = Retries(self._reconnect, now)
            self._streaming_since = self._silent_since = None
            delay_s = retries.after(reason, now, _chance())
            if delay_s is None:
                raise reason
            self._interrupt(reason, delay_s)
            await asyncio.sleep(delay_s)

    async def _dial(self) -> Connection:
        """Make the next connection, in place of the one that has ended."""
        self._events.tell("connecting")
        try:
            ticket = await self._cloud.fetch_ticket(self._instance_id)
        except CloudRefusalError as error:
            if self._prepare is None or not is_not_ready(error):
                raise
            await self._prepare()
            ticket = await self._cloud.fetch_ticket(self._instance_id)
        former, self.connection = self.connection, self._make(ticket)
        self._retire(former)
        self.connection.gate.state = "open"
        return self.connection

    async def _serve(self, connection: Connection) -> Never:
        """Run a connection, and before its time is up the next one beside it. Raise what ended the last of them."""
        current: asyncio.Task[Never] | None = _task(connection.run(), f"connection {connection.ticket.device_id}")
        renewal: asyncio.Task[Never] | None = None
        ended_by: BaseException | None = None  # what ended the connection whose renewal is under way
        renew_at = self._renewal_due(connection)
        retries: Retries | None = None
        try:
            while True:
                due = [moment for moment in (renew_at, self._warn_at) if moment is not None]
                wait_s = min(max(min(due) - boot_time(), 0), CHECK_EVERY_S) if due else None
                waited_for = {future for future in (current, renewal, self._switched) if future is not None}
                await asyncio.wait(waited_for, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                self._warn_of_credentials()
                if self._switched is not None and self._switched.done():
                    await _end(current)
                    current, renewal, retries, self._switched, ended_by = renewal, None, None, None, None
                    self._retire(connection)
                    connection = self.connection
                    renew_at = self._renewal_due(connection)
                elif current is not None and current.done():
                    error = self._judged(_error_of(current), connection)
                    if renewal is None or not self._outlives(error):
                        raise error
                    current, self._is_late, ended_by = None, True, error
                    self._interrupt(_as_of_renewal(error), 0.0)
                    if self._successor is not None and self._successor.is_connected:
                        self._switch(self._successor)
                elif renewal is not None and renewal.done():
                    error = self._blamed(_error_of(renewal), ended_by)
                    self._drop_successor()
                    renewal = None
                    if current is None or not isinstance(error, StreamerError) or isinstance(error, TakenOverError):
                        raise error
                    assert self._reconnect is not None  # noqa: S101 - without it nothing is renewed
                    retries = retries or Retries(self._reconnect, time.monotonic())
                    delay_s = retries.after(error, time.monotonic(), _chance())
                    delay_s = RENEW_AGAIN_S if delay_s is None else delay_s
                    renew_at = boot_time() + delay_s
                    self._events.tell(
                        "problem", f"the stream was not renewed; the next attempt is in {delay_s:.1f} s: {error}"
                    )
                elif renew_at is not None and boot_time() >= renew_at:
                    self._is_late, renew_at = False, None
                    self._switched = asyncio.get_running_loop().create_future()
                    renewal = _task(self._renew(), f"renewal {connection.ticket.device_id}")
        finally:
            await _end(current, renewal)
            self._drop_successor()

    async def _renew(self) -> Never:
        """Run the next connection, behind a gate: it takes over with its first keyframe."""
        connection = self._make(await self._cloud.fetch_ticket(self._instance_id))
        connection.gate.state = "waits"
        self._successor = connection
        await connection.run()

    def _make(self, ticket: Ticket) -> Connection:
        connection = Connection(
            ticket,
            self._sink,
            options=self._options,
            client_uuid=self._client_uuid,
            times=self._made,
            marker_bits=self._marker_bits,
            tell=self._tell,
            on_connected=self._on_connected,
            on_keyframe=self._switch,
        )
        self._made += 1
        self._connections.append(connection)
        return connection

    def _retire(self, connection: Connection) -> None:
        """Keep of a connection that has ended what it has counted."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._tally.add(connection.inlets, connection.tally)
        if connection.inlets:
            self._had_audio, self._had_codecs = connection.has_audio, connection.video_codecs

    def _total(self) -> Tally:
        total = Tally()
        total.add(
            [inlet for connection in self._connections for inlet in connection.inlets],
            self._tally,
            *(connection.tally for connection in self._connections),
        )
        return total

    def _on_connected(self, connection: Connection) -> None:
        if connection is not self._successor:
            if self.is_interrupted or not self.connected.is_set():  # else its keyframe was quicker, and it took over
                self._go_on(connection, "resumed" if self.is_interrupted else "streaming")
        elif self._is_late:
            self._switch(connection)
        else:
            self._patience = asyncio.get_running_loop().call_later(SWITCH_WITHIN_S, self._switch, connection)

    def _switch(self, connection: Connection) -> None:
        """Let the successor take over from the connection in force."""
        if connection is not self._successor or connection.ended.is_set():
            return
        self._successor = None
        self._wait_no_longer()
        self.connection.gate.state, connection.gate.state = "shut", "open"
        self.connection = connection
        if self._switched is not None:
            self._switched.set_result(None)
        self._go_on(connection, "resumed" if self.is_interrupted else "renewed")

    def _go_on(self, connection: Connection, kind: EventKind) -> None:
        """Media can flow."""
        self._streaming_since, self._silent_since = time.monotonic(), None
        self.is_interrupted = False
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(None)
        self.connected.set()
        self._events.tell(kind)

    def _interrupt(self, error: BaseException, retry_in_s: float) -> None:
        self.is_interrupted = self.connected.is_set()
        if self.is_interrupted and isinstance(error, StreamerError):
            self._events.tell("interrupted", error=error, retry_in_s=retry_in_s)

    def _tell(self, connection: Connection, kind: EventKind, reason: str | None) -> None:
        """Tell what happens to a connection, unless it is a successor, which nobody need know of yet."""
        if connection is self.connection or kind == "problem":
            if kind in {"interrupted", "resumed"}:
                self.is_interrupted = kind == "interrupted"
                self._silent_since = time.monotonic() if self.is_interrupted else None
            self._events.tell(kind, reason)

    def _streamed_s(self, now: float) -> float:
        """Return how long the stream has lasted that ended just now, or fell silent before that."""
        until = now if self._silent_since is None else self._silent_since
        return 0.0 if self._streaming_since is None else until - self._streaming_since

    def _drop_successor(self) -> None:
        self._wait_no_longer()
        if self._successor is not None:
            self._retire(self._successor)
        self._successor = self._switched = None

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _outlives(self, error: BaseException) -> bool:
        """Whether the renewal goes on after the connection in force ended: it may be what has ended that one."""
        if isinstance(error, TakenOverError):
            return self._successor is not None and self._successor.has_started
        return isinstance(error, StreamerError)

    def _blamed(self, error: BaseException, ended_by: BaseException | None) -> BaseException:
        """Return what ends the line when a renewal fails after the connection in force has ended.

        If that was taken over, and the phone has not even made the renewal an offer, it serves another device.
        """
        is_served = self._successor is not None and self._successor.is_served
        return ended_by if isinstance(ended_by, TakenOverError) and not is_served else error

    def _renewal_due(self, connection: Connection) -> float | None:
        lasts_s = connection.ticket.expires_in_s
        if self._reconnect is None or lasts_s is None or lasts_s < SHORTEST_S:
            return None
        return connection.made_at + lasts_s - min(RENEW_BEFORE_S, lasts_s / 4)

    def _judged(self, error: BaseException, connection: Connection) -> BaseException:
        """Return what a connection's end means, if its time was up."""
        if not connection.is_served or not isinstance(error, StreamerError):
            return error
        return at_expiry(error, boot_time() - connection.made_at, connection.ticket.expires_in_s)

    def _warn_of_credentials(self) -> None:
        if self._warn_at is not None and boot_time() >= self._warn_at:
            self._warn_at = None
            self._events.tell(
                "problem",
                "the tenant token is about to reach the age at which it is refused, and a Token is never replaced: the "
                "next renewal or reconnection may fail; use TokenFile, TokenProvider, Password or AccessKey",
            )


def _as_of_renewal(error: BaseException) -> BaseException:
    """Return how the end of a connection is told whose renewal goes on: a take-over is then taken for our own."""
    if not isinstance(error, TakenOverError):
        return error
    return SignalingClosedError("the phone ended the stream for the one that renews it", code=error.code)


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads clients, and hides nothing


def _task(coroutine: Coroutine[Any, Any, Never], name: str) -> "asyncio.Task[Never]":
    return asyncio.create_task(coroutine, name=name)


def _error_of(task: "asyncio.Task[Never]") -> BaseException:
    """Return what ended a task that ends with an error only."""
    return asyncio.CancelledError() if task.cancelled() else task.exception() or AssertionError("it ends with an error")


async def _end(*tasks: "asyncio.Task[Never] | None") -> None:
    """Cancel tasks and wait until they have ended, however they do."""
    running = {task for task in tasks if task is not None}
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
        for task in running:
            if not task.cancelled():
                task.exception()  # seen
