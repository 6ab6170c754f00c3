"""Keeps a session connected: when a connection ends, the stream goes on with another.

    connection ──── error ─ pause ─ ticket ─ connection ────── time almost up ─────────── …
                                                ticket ─ connection ┄┄ keyframe ──────────── …

When a connection ends, a new one follows with a new ticket, after a pause that `retry_policy` decides on. A connection
gets its successor while it still streams if its time is almost up, or its signaling or its local address is gone.
`handover` decides which of the two is in force, so that no frame is missing.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final, Never

from streamer.aio import boot_time, first_event
from streamer.cloud.models import Ticket
from streamer.cloud.provisioning import Instance
from streamer.connection import Connection, Tally
from streamer.errors import DeviceTokenError, StreamerError
from streamer.events import EventHub, EventKind
from streamer.handover import CandidateFailed, Gate, Handover, Interrupted, Over, Step, TookOver
from streamer.media.fanout import Sink
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.source import Counters, MarkerBits
from streamer.options import ConnectOptions
from streamer.retry_policy import Backoff, at_expiry, renewal_delay
from streamer.rtc.peer import Peer

STABLE_S: Final = 10.0  # a stream that lasts so long ends an interruption: the next one has all its attempts again
LAST_ATTEMPT_S: Final = 5.0  # how long the last attempt may take once it is time to give up
RENEW_BEFORE_S: Final = 30.0  # before a stream's time is up, but not before three quarters of it have passed
CHECK_EVERY_S: Final = 10.0  # the event loop's timers stand still while the machine sleeps
WARN_BEFORE_S: Final = 3600.0  # before credentials expire that do not renew themselves
SHORTEST_S: Final = 2.0  # shorter streams are not renewed; the next one follows when they have ended


class _Attempt:
    """One attempt: it fetches a ticket, and then makes its connection."""

    connection: Connection | None = None
    task: "asyncio.Task[Never]"


class Reconnector:
    """Stays connected to one phone. Call `run` once; `connection` is the connection in force.

    `connected` is set when media can flow at first. The first connection is made with `ticket`; `instance` gives a new
    one for each further connection. Without `options.reconnect` the first connection is the last. `on_input` is called
    whenever `input_peer` may be another, `on_message` with each message of the phone's on the data channel `input`.
    """

    def __init__(
        self,
        instance: Instance,
        ticket: Ticket,
        sink: Sink,
        options: ConnectOptions,
        *,
        events: EventHub,
        on_input: Callable[[], None],
        on_message: Callable[[bytes], None],
    ) -> None:
        self.connected = asyncio.Event()
        self.is_interrupted = False
        self._instance = instance
        self._sink = sink
        self._options = options
        self._reconnect = options.reconnect
        self._events = events
        self._on_input = on_input
        self._on_message = on_message
        self._client_uuid = str(uuid.uuid4())
        self._marker_bits = MarkerBits()
        self._made = 0
        self._connections: list[Connection] = []  # the running ones and the one in force
        self._tally = Tally()  # of the former ones
        self._had_audio = False
        self._had_codecs: set[str] = set()
        self._streaming_since: float | None = None
        self._silent_since: float | None = None  # since when no packets arrive, on a path that is not dead yet
        self._limit: asyncio.Timeout | None = None
        self._handover: Handover[_Attempt] = Handover()
        self._running: list[_Attempt] = []
        self._superseded: list[_Attempt] = []  # attempts that another one has replaced
        self._renew_at: float | None = None  # in the clock of boot_time
        self._backoff: Backoff | None = None  # of a renewal
        self._woken = asyncio.Event()
        lasts_s = instance.credentials_last_s
        self._warn_at = None if lasts_s is None or options.reconnect is None else boot_time() + lasts_s - WARN_BEFORE_S
        self._first = _Attempt()
        self.connection = self._make(self._first, ticket)

    @property
    def input_peer(self) -> Peer | None:
        """The peer in force if input can be sent over it; None if not, or while the stream is interrupted."""
        peer = None if self.is_interrupted else self.connection.peer
        return peer if peer is not None and peer.has_input else None

    @property
    def has_audio(self) -> bool:
        """Whether the phone sends audio, as far as is known."""
        return self.connection.has_audio if self.connection.has_tracks else self._had_audio

    @property
    def video_codecs(self) -> set[str]:
        """The codecs of the frames that the phone may send, as far as is known."""
        return self.connection.video_codecs if self.connection.has_tracks else self._had_codecs

    @property
    def receivers(self) -> list[Receiver]:
        """The receivers of the connection in force."""
        return [driver.receiver for driver in self.connection.drivers]

    def counters(self) -> Counters:
        """Return the counters of all connections, summed."""
        return self._total().counters

    def packets_lost(self) -> int:
        """Return how many packets all connections have given up, summed."""
        return self._total().packets_lost

    async def run(self) -> Never:
        """Stay connected; raise the error that ends the last attempt. Cancel it to leave."""
        backoff: Backoff | None = None
        attempt: _Attempt | None = self._first
        reason: StreamerError | None = None
        while True:
            left_s = None
            if backoff is not None and backoff.deadline is not None:
                left_s = max(backoff.deadline - time.monotonic(), LAST_ATTEMPT_S)
            try:
                async with asyncio.timeout(left_s) as self._limit:
                    await self._serve(attempt or await self._dial())
            except TimeoutError:
                if reason is None or self._limit is None or not self._limit.expired():
                    raise
                raise reason from None
            except StreamerError as error:
                reason = error
            attempt = None
            if self._reconnect is None or not (self.connected.is_set() or isinstance(reason, DeviceTokenError)):
                raise reason  # entering `connect` fails at once, except for a token that was too old by then
            now = time.monotonic()
            if backoff is None or self._streamed_s(now) >= STABLE_S:
                backoff = Backoff(self._reconnect, now, has_worked=True)
            self._streaming_since = self._silent_since = None
            delay_s = backoff.next_delay(reason, now, _jitter())
            if delay_s is None:
                raise reason
            self._interrupt(reason, delay_s)
            await asyncio.sleep(delay_s)

    async def _dial(self) -> _Attempt:
        """Make the next connection after one has ended."""
        self._events.emit("connecting")
        ticket = await self._instance.fetch_ticket_when_ready()
        attempt = _Attempt()
        former, self.connection = self.connection, self._make(attempt, ticket)
        self._retire(former)
        return attempt

    async def _serve(self, attempt: _Attempt) -> Never:
        """Run a connection, and its successors while it streams. Raise the error that ended the last of them."""
        self._handover.begin(attempt)
        self._start(attempt, self.connection.run())
        self._renew_at, self._backoff = self._renewal_due(self.connection), None
        try:
            while True:
                await self._wait()
                self._warn_of_credentials()
                while self._superseded:
                    former = self._superseded.pop()
                    await _end(former.task)
                    self._leave(former)
                for ended in [attempt for attempt in self._running if attempt.task.done()]:
                    self._apply(self._handover.end(ended, self._expected_at_expiry(ended)))
                    self._leave(ended)
                self._apply(self._handover.poll(asyncio.get_running_loop().time()))
                if self._handover.candidate is None and self._renew_at is not None and boot_time() >= self._renew_at:
                    self._renew_at = None
                    candidate = _Attempt()
                    self._handover.propose(candidate)
                    self._start(candidate, self._renew(candidate))
        finally:
            self._handover.close()
            self._superseded.clear()
            await _end(*(running.task for running in self._running))
            for running in list(self._running):
                self._leave(running)

    async def _wait(self) -> None:
        """Wait until an attempt changes, or something is due."""
        due = [self._warn_at, self._renew_at if self._handover.candidate is None else None]
        waits_s = [min(max(moment - boot_time(), 0), CHECK_EVERY_S) for moment in due if moment is not None]
        if self._handover.deadline is not None:
            waits_s.append(max(self._handover.deadline - asyncio.get_running_loop().time(), 0))
        tasks = [attempt.task for attempt in self._running]
        await first_event(self._woken, *tasks, timeout_s=min(waits_s, default=None))
        self._woken.clear()

    async def _renew(self, attempt: _Attempt) -> Never:
        """Make and run the successor of the connection in force, which goes on meanwhile."""
        await self._make(attempt, await self._instance.fetch_ticket()).run()

    def _start(self, attempt: _Attempt, run: Coroutine[Any, Any, Never]) -> None:
        attempt.task = asyncio.create_task(run, name=f"connection {self._made}")
        self._running.append(attempt)

    def _leave(self, attempt: _Attempt) -> None:
        """Forget an attempt that has ended. The stats still show the counters of the last connection in force."""
        self._running.remove(attempt)
        if attempt.connection is not None and attempt.connection is not self.connection:
            self._retire(attempt.connection)

    def _advance(self, attempt: _Attempt, step: Step) -> None:
        """Note that an attempt has taken a step."""
        self._apply(self._handover.advance(attempt, step, asyncio.get_running_loop().time()))
        is_up = step == "connected" and attempt is self._handover.in_force
        if is_up and (self.is_interrupted or not self.connected.is_set()):  # otherwise it took over before
            self._go_on()
        self._woken.set()

    def _apply(self, verdict: TookOver[_Attempt] | Interrupted | CandidateFailed | Over | None) -> None:
        match verdict:
            case TookOver(attempt, former, error):
                assert attempt.connection is not None  # noqa: S101 - a step of its led here
                if error is not None:
                    self._interrupt(error, 0.0)
                last, self.connection = self.connection, attempt.connection
                if former is None:
                    self._retire(last)
                else:
                    self._superseded.append(former)
                self._renew_at, self._backoff = self._renewal_due(attempt.connection), None
                self._go_on()
                self._woken.set()
            case Interrupted(error):
                self._interrupt(error, 0.0)
            case CandidateFailed(error):
                delay_s = self._renew_after(error)
                self._events.emit(
                    "problem", f"cannot renew the stream: {error}; the next attempt is in {delay_s:.1f} s"
                )
            case Over(error):
                raise error

    def _on_failing(self, attempt: _Attempt, error: StreamerError) -> bool:
        """Plan a successor for a connection. Return false without reconnecting, or if it is not the one in force."""
        if self._reconnect is None or attempt.connection is not self.connection:
            return False
        delay_s = self._renew_after(error)
        self._events.emit("problem", f"{error}; reconnecting in {delay_s:.1f} s")
        return True

    def _renew_after(self, error: StreamerError) -> float:
        """Plan the next renewal after an error; return the delay in seconds."""
        assert self._reconnect is not None  # noqa: S101 - without it nothing is renewed
        self._backoff = self._backoff or Backoff(self._reconnect, time.monotonic(), has_worked=True)
        delay_s = self._backoff.next_delay(error, time.monotonic(), _jitter())
        lasts_s, now = self.connection.ticket.expires_in_s, boot_time()
        delay_s = renewal_delay(delay_s, None if lasts_s is None else self.connection.made_at + lasts_s - now)
        self._renew_at = now + delay_s
        self._woken.set()
        return delay_s

    def _make(self, attempt: _Attempt, ticket: Ticket) -> Connection:
        connection = attempt.connection = Connection(
            ticket,
            Gate(self._sink, self._handover, attempt, lambda: self._advance(attempt, "keyframe")),
            options=self._options,
            client_uuid=self._client_uuid,
            times=self._made,
            marker_bits=self._marker_bits,
            emit=lambda kind, reason: self._emit(attempt, kind, reason),
            on_step=lambda step: self._advance(attempt, step),
            on_failing=lambda error: self._on_failing(attempt, error),
            on_input=self._on_input,
            on_message=lambda data: self._on_message(data) if attempt.connection is self.connection else None,
        )
        self._made += 1
        self._connections.append(connection)
        return connection

    def _retire(self, connection: Connection) -> None:
        """Keep the counters of a connection that has ended."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._tally.add(connection.drivers, connection.tally)
        if connection.has_tracks:
            self._had_audio, self._had_codecs = connection.has_audio, connection.video_codecs

    def _total(self) -> Tally:
        total = Tally()
        total.add(
            [driver for connection in self._connections for driver in connection.drivers],
            self._tally,
            *(connection.tally for connection in self._connections),
        )
        return total

    def _go_on(self) -> None:
        """Note that media can flow, and emit the event for it."""
        kind: EventKind = "resumed" if self.is_interrupted else "renewed" if self.connected.is_set() else "streaming"
        self._streaming_since, self._silent_since = time.monotonic(), None
        self.is_interrupted = False
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(None)
        self.connected.set()
        self._on_input()
        self._events.emit(kind)

    def _interrupt(self, error: StreamerError, retry_in_s: float) -> None:
        self.is_interrupted = self.connected.is_set()
        self._on_input()
        if self.is_interrupted:
            self._events.emit("interrupted", error=error, retry_in_s=retry_in_s)

    def _emit(self, attempt: _Attempt, kind: EventKind, reason: str | None) -> None:
        """Emit an event of a connection; of a successor, only problems."""
        has_changed = kind in {"interrupted", "resumed"}
        if attempt.connection is self.connection or kind == "problem":
            if has_changed:
                self.is_interrupted = kind == "interrupted"
                self._silent_since = time.monotonic() if self.is_interrupted else None
                self._on_input()
            self._events.emit(kind, reason)
        if has_changed:
            now = asyncio.get_running_loop().time()
            self._apply(self._handover.note_silence(attempt, is_silent=kind == "interrupted", now=now))
            self._woken.set()

    def _streamed_s(self, now: float) -> float:
        """Return how long the last stream lasted, until it fell silent."""
        until = now if self._silent_since is None else self._silent_since
        return 0.0 if self._streaming_since is None else until - self._streaming_since

    def _renewal_due(self, connection: Connection) -> float | None:
        lasts_s = connection.ticket.expires_in_s
        if self._reconnect is None or lasts_s is None or lasts_s < SHORTEST_S:
            return None
        return connection.made_at + lasts_s - min(RENEW_BEFORE_S, lasts_s / 4)

    def _expected_at_expiry(self, attempt: _Attempt) -> BaseException:
        """Return the error of an attempt; if the time of its stream was up, an expiry."""
        error, connection = _error_of(attempt.task), attempt.connection
        if connection is None or not connection.is_offered or not isinstance(error, StreamerError):
            return error
        return at_expiry(error, boot_time() - connection.made_at, connection.ticket.expires_in_s)

    def _warn_of_credentials(self) -> None:
        if self._warn_at is not None and boot_time() >= self._warn_at:
            self._warn_at = None
            self._events.emit(
                "problem",
                "the tenant token expires soon, and a Token is never replaced, so the next renewal or reconnection may "
                "fail: use TokenFile, TokenProvider, Password or AccessKey",
            )


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads clients, and hides nothing


def _error_of(task: "asyncio.Task[Never]") -> BaseException:
    """Return the error of a task that never returns."""
    return asyncio.CancelledError() if task.cancelled() else task.exception() or AssertionError("it ends with an error")


async def _end(*tasks: "asyncio.Task[Never]") -> None:
    """Cancel tasks and wait until they have ended, however they do."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen
