"""One connection to a phone: signaling, negotiation, media. `run` ends with the error that ended it."""

import asyncio
import contextlib
import logging
import random
import ssl
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Final, Never
from urllib.parse import urlsplit

from streamer.aio import Alarm, boot_time, first_event
from streamer.cloud.models import Ticket
from streamer.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    SignalingClosedError,
    SignalingError,
    SignalingProtocolError,
    SignalingTimeoutError,
    StreamerError,
)
from streamer.events import EventKind
from streamer.handover import CandidateFailed, Gate, Handover, Interrupted, Over, Step, TookOver
from streamer.media.fanout import Sink
from streamer.media.rtp.driver import ReceiverDriver
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.source import Counters, MarkerBits
from streamer.options import ConnectOptions
from streamer.rtc.ice import parse_ice_servers
from streamer.rtc.liveness import Liveness
from streamer.rtc.peer import Peer
from streamer.rtc.sdp import ice_credentials
from streamer.signaling.client import SignalingClient
from streamer.signaling.messages import Authorized, Offer, RemoteCandidate, SignalingRequest, Started
from streamer.tls import context_from
from streamer.tracks import Track

_logger = logging.getLogger("streamer.connection")

CONNECT_TIMEOUT_S: Final = 15.0  # from the answer to an encrypted path
CANDIDATES_LIMIT: Final = 100  # local candidates waiting to be sent; further ones are dropped
UNDER_WAY_S: Final = 0.25  # after signaling is lost: packets that arrive within this time may have been sent before
ALIVE_WITHIN_S: Final = 1.0  # after that, a phone that goes on sends or answers within this time
_LOOK_EVERY_S: Final = 0.02
GENERATIONS_LIMIT: Final = 3  # one that is being closed, the one in force, the candidate


class Tally:
    """The counters of receivers that have ended, summed."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.packets_lost = 0

    def add(self, drivers: Iterable[ReceiverDriver], *tallies: "Tally") -> None:
        """Add the counters of these receivers and tallies."""
        receivers = [driver.receiver for driver in drivers]
        others = [tally.counters for tally in tallies]
        self.counters = Counters.total([self.counters, *others, *(receiver.counters for receiver in receivers)])
        self.packets_lost += sum(tally.packets_lost for tally in tallies)
        self.packets_lost += sum(receiver.packets_lost for receiver in receivers)


class _IceGeneration:
    """One generation of ICE credentials, with its own peer. The first offer begins one, each ICE restart another.

    aiortc 1.16 answers a restart with its old credentials and keeps its old path. So a new peer answers it.
    """

    peer: Peer
    gate: "Gate[_IceGeneration]"

    def __init__(self) -> None:
        self.drivers: list[ReceiverDriver] = []
        self.credentials: frozenset[tuple[str, str]] = frozenset()
        self.candidates: asyncio.Queue[tuple[str, str, int]] = asyncio.Queue(CANDIDATES_LIMIT)
        self.answered = asyncio.Event()
        self.superseded = asyncio.Event()  # another generation has taken its place
        self.closed = asyncio.Event()

    def queue_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Hold a local candidate until it is sent."""
        if not self.candidates.full():
            self.candidates.put_nowait((candidate, sdp_mid, sdp_mline_index))


class Connection:
    """One attempt. `run` it once; while it runs, its access units go to `sink`.

    All attempts of a session share `client_uuid` and `marker_bits`; `times` counts those before this one. `on_step` is
    called once for each step of a handover except the keyframe. `emit` gets the events, with a reason where there is
    one. `on_input` is called when input can be sent, or no longer, or over another peer; `on_message` with each message
    that comes on the data channel `input` of the peer in force. `on_failing` is called when this connection needs a
    successor: signaling is lost while media still flows, or the local address is gone. It returns whether this
    connection goes on meanwhile.
    """

    def __init__(
        self,
        ticket: Ticket,
        sink: Sink,
        *,
        options: ConnectOptions,
        client_uuid: str,
        times: int,
        marker_bits: MarkerBits,
        emit: Callable[[EventKind, str | None], None],
        on_step: Callable[[Step], None],
        on_failing: Callable[[StreamerError], bool],
        on_input: Callable[[], None],
        on_message: Callable[[bytes], None],
    ) -> None:
        self.ticket = ticket
        self.drivers: list[ReceiverDriver] = []
        self.tally = Tally()  # of drivers that have ended
        self.has_audio = False
        self.video_codecs: set[str] = set()
        self.made_at = boot_time()
        self.is_offered = False  # the phone has sent an offer
        self.has_tracks = False
        self.ended = asyncio.Event()
        self._options = options
        self._client_uuid = client_uuid
        self._times = times
        self._marker_bits = marker_bits
        self._emit = emit
        self._on_step = on_step
        self._on_failing = on_failing
        self._on_input = on_input
        self._on_message = on_message
        self._sink = sink
        self._cname = uuid.uuid4().hex
        self._servers, self._problems = parse_ice_servers(ticket.ice_servers)
        self._turn_tls: ssl.SSLContext | None = None
        self._is_connected = False
        self._is_interrupted = False
        self._is_failing = False  # its local address is gone
        self._signaling_error: SignalingError | None = None  # what ended signaling, while media goes on
        self._generations: list[_IceGeneration] = []  # at most GENERATIONS_LIMIT
        self._handover: Handover[_IceGeneration] = Handover()
        self._handover_timer = Alarm(lambda: self._apply(self._handover.poll(asyncio.get_running_loop().time())))

    @property
    def peer(self) -> Peer | None:
        """The WebRTC connection in force; None if there is none."""
        return self._handover.in_force.peer if self._handover.in_force else None

    async def run(self) -> Never:
        """Reach the phone and stay connected; raise the StreamerError that ended it. Cancel it to leave."""
        ticket = self.ticket
        request = SignalingRequest(
            signaling_url=ticket.signaling_url,
            device_id=ticket.device_id,
            device_token=ticket.device_token,
            streaming_id=ticket.streaming_id or str(uuid.uuid4()),
            client_uuid=self._client_uuid,
            times=self._times,
            volume=self._options.volume,
        )
        for problem in (*ticket.problems, *self._problems):
            self._emit("problem", problem)
        if self._options.relay_only and not any(server.scheme in {"turn", "turns"} for server in self._servers):
            raise ConnectionFailedError(
                "expected a TURN server for relay_only (--relay-only), got none from the API: connect without it",
                stage="ice",
            )
        trust = await context_from(self._options.verify)
        context = trust if ticket.signaling_url.startswith(("https:", "wss:")) else None
        if any(server.scheme == "turns" for server in self._servers):
            self._turn_tls = trust
        try:
            async with SignalingClient(request, ssl=context) as signaling, asyncio.TaskGroup() as tasks:
                self._handover.begin(self._open_generation(signaling, tasks))
                tasks.create_task(self._converse(signaling, tasks), name=f"signaling {ticket.device_id}")
        except BaseExceptionGroup as group:
            reason = _first_cause(group)
            if self._signaling_error is not None and isinstance(reason, StreamerError):
                reason = self._signaling_error  # the phone stops sending because signaling is gone
        else:
            raise AssertionError("the tasks of a connection end with an error only")
        finally:
            self._handover.close()
            self._handover_timer.set(None)
            await asyncio.gather(*(self._close_generation(generation) for generation in self._generations))
            self.ended.set()
        if isinstance(reason, OSError):  # such as no file descriptor left for a socket
            raise ConnectionFailedError(
                f"cannot set up the connection: {reason.strerror or type(reason).__name__}", stage="ice"
            ) from reason
        raise reason

    def request_keyframe(self) -> None:
        """Request a keyframe, again and again until one comes."""
        for driver in self.drivers:
            driver.request_keyframe()

    def request_following(self) -> None:
        """Ask for packets of video that may have been lost behind the newest one."""
        for driver in self.drivers:
            driver.request_following()

    async def _converse(self, signaling: SignalingClient, tasks: asyncio.TaskGroup) -> None:
        """Follow the signaling to its end. Raise its error, unless media goes on without it."""
        try:
            async for event in signaling:
                match event:
                    case Authorized():
                        self._emit("authorized", None)
                    case Started():
                        self._on_step("started")
                    case Offer(sdp):
                        self.is_offered = True
                        self._on_step("offered")
                        generation = await self._generation_for(ice_credentials(sdp), signaling, tasks)
                        signaling.send_answer(await generation.peer.answer(sdp))
                        generation.answered.set()
                    case RemoteCandidate(candidate, sdp_mid, sdp_mline_index):
                        await self._generations[-1].peer.add_candidate(candidate, sdp_mid, sdp_mline_index)
        except SignalingError as error:
            if not self._may_outlive(error):
                raise
            self._signaling_error = error
            if not await self._is_alive() or not self._on_failing(error):
                raise

    def _may_outlive(self, error: SignalingError) -> bool:
        """Whether media may still flow after this signaling error: the phone did not end the stream."""
        is_lost = isinstance(error, SignalingTimeoutError | SignalingProtocolError) or (
            isinstance(error, SignalingClosedError) and not error.by_phone
        )
        return is_lost and self._is_connected and not self._is_interrupted

    async def _is_alive(self) -> bool:
        """Whether the phone goes on without signaling: it sends something or answers within ALIVE_WITHIN_S."""
        await asyncio.sleep(UNDER_WAY_S)
        peer = self.peer
        if peer is None:
            return False
        since_ns = time.monotonic_ns()
        async with asyncio.TaskGroup() as tasks:
            probing = tasks.create_task(peer.probe(), name=f"probe {self.ticket.device_id}")
            until_ns = since_ns + int(ALIVE_WITHIN_S * 1e9)
            while peer.alive_ns <= since_ns and time.monotonic_ns() < until_ns:  # noqa: ASYNC110 - not set per packet
                await asyncio.sleep(_LOOK_EVERY_S)
            probing.cancel()
        return peer.alive_ns > since_ns

    def _check_address(self, peer: Peer) -> None:
        """Ask for a successor once the local address is gone: packets no longer arrive on this path."""
        if not self._is_failing and (address := peer.lost_address) is not None:
            self._is_failing = True
            self._on_failing(ConnectionLostError(f"this machine lost the local address {address}"))

    async def _generation_for(
        self, credentials: frozenset[tuple[str, str]], signaling: SignalingClient, tasks: asyncio.TaskGroup
    ) -> _IceGeneration:
        """Return the generation that an offer is for: the newest one, or a new one if the offer restarts ICE."""
        generation = self._generations[-1]
        if not generation.answered.is_set():
            self._emit("negotiating", None)
        elif generation.credentials and generation.credentials.isdisjoint(credentials):
            _logger.debug("= the phone restarts ICE")
            while len(self._generations) >= GENERATIONS_LIMIT:  # one of them is in force, one is the candidate
                await next(other for other in self._generations if other.superseded.is_set()).closed.wait()
            generation = self._open_generation(signaling, tasks)
            replaced = self._handover.propose(generation)
            if replaced is not None:
                replaced.superseded.set()
        generation.credentials = credentials
        return generation

    def _open_generation(self, signaling: SignalingClient, tasks: asyncio.TaskGroup) -> _IceGeneration:
        generation = _IceGeneration()
        generation.peer = Peer(
            ice_servers=self._servers,
            loopback=_loopback_of(self.ticket.signaling_url),
            make_input=lambda tracks: self._make_driver(generation, tracks),
            on_candidate=generation.queue_candidate,
            on_input=self._on_input,
            on_message=lambda data: self._on_message(data) if generation is self._handover.in_force else None,
            on_problem=lambda problem: self._emit("problem", problem),
            tls=self._turn_tls,
            relay_only=self._options.relay_only,
        )
        generation.peer.ice_problems += self._problems
        generation.gate = Gate(self._sink, self._handover, generation, lambda: self._advance(generation, "keyframe"))
        self._generations.append(generation)
        tasks.create_task(self._follow(generation, signaling), name=f"connection {self.ticket.device_id}")
        return generation

    async def _close_generation(self, generation: _IceGeneration) -> None:
        for driver in generation.drivers:
            driver.close()
        await generation.peer.aclose()

    async def _follow(self, generation: _IceGeneration, signaling: SignalingClient) -> None:
        """Follow a generation from its answer to its end. The end of the last one ends the connection."""
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send_candidates(generation, signaling))
                await self._watch(generation, tasks)
                sending.cancel()
        except BaseExceptionGroup as group:
            verdict = self._handover.end(generation, _first_cause(group))
            if isinstance(verdict, Over):
                raise verdict.error from None
            generation.superseded.set()
            self._apply(verdict)
        await self._close_generation(generation)
        self._generations.remove(generation)
        generation.closed.set()
        if generation.drivers:
            self.tally.add(generation.drivers)
            self.drivers = [driver for driver in self.drivers if driver not in generation.drivers]

    async def _send_candidates(self, generation: _IceGeneration, signaling: SignalingClient) -> Never:
        await generation.answered.wait()
        while True:
            candidate = await generation.candidates.get()
            with contextlib.suppress(SignalingError):  # `_converse` finds out, and decides
                signaling.send_candidate(*candidate)

    async def _watch(self, generation: _IceGeneration, tasks: asyncio.TaskGroup) -> None:
        """Watch a generation from its answer until another one takes over; raise the error that ends it earlier."""
        peer = generation.peer
        await self._connect(generation)
        liveness = Liveness(time.monotonic_ns())
        while not generation.superseded.is_set():
            if peer.ended.is_set():
                raise peer.lost_error()
            now_ns = time.monotonic_ns()
            refused_ns = peer.refused_since_ns(now_ns)
            state, probe = liveness.poll(now_ns, peer.alive_ns, refused_ns)
            if state == "dead":
                what = "received nothing from the phone for 10 s"
                if refused_ns is not None:
                    what = "the phone's packets have failed authentication for 2 s"
                raise ConnectionLostError(what)
            if generation is self._handover.in_force:
                self._check_address(peer)
                self._note_interruption("no packets arrive from the phone" if state == "interrupted" else None)
            now = asyncio.get_running_loop().time()
            self._apply(self._handover.note_silence(generation, is_silent=state == "interrupted", now=now))
            if probe:
                tasks.create_task(peer.probe(), name=f"probe {self.ticket.device_id}")
            wait_s = max(liveness.deadline_ns - now_ns, 0) / 1e9
            await first_event(peer.ended, generation.superseded, timeout_s=wait_s)

    async def _connect(self, generation: _IceGeneration) -> None:
        """Wait until media can flow, or another generation takes over. Raises ConnectionFailedError."""
        peer = generation.peer
        await first_event(generation.answered, generation.superseded)
        await first_event(peer.connected, peer.ended, generation.superseded, timeout_s=CONNECT_TIMEOUT_S)
        if generation.superseded.is_set():
            return
        if not peer.connected.is_set():
            raise peer.failed_error(CONNECT_TIMEOUT_S)
        self._advance(generation, "connected")
        if not self._is_connected:
            self._is_connected = True
            self._on_step("connected")

    def _advance(self, generation: _IceGeneration, step: Step) -> None:
        self._apply(self._handover.advance(generation, step, asyncio.get_running_loop().time()))

    def _apply(self, verdict: TookOver[_IceGeneration] | Interrupted | CandidateFailed | None) -> None:
        match verdict:
            case TookOver(former=former):
                if former is not None:
                    former.superseded.set()
                self._on_input()
                self._note_interruption(None)
            case Interrupted(error) if self._is_connected:
                self._note_interruption(str(error))
            case CandidateFailed(error):
                _logger.debug("= the former connection goes on: %s", error)
        self._handover_timer.set(self._handover.deadline)

    def _note_interruption(self, reason: str | None) -> None:
        """Emit that the stream is interrupted, or resumed if `reason` is None, if that changed."""
        is_interrupted = reason is not None
        if is_interrupted != self._is_interrupted:
            self._is_interrupted = is_interrupted
            self._emit("interrupted" if is_interrupted else "resumed", reason)

    def _make_driver(self, generation: _IceGeneration, tracks: list[Track]) -> ReceiverDriver:
        own_ssrc = random.getrandbits(32) or 1
        receiver = Receiver(tracks, own_ssrc=own_ssrc, cname=self._cname, marker_bits=self._marker_bits)
        driver = ReceiverDriver(receiver, generation.gate)
        self.has_tracks = True
        generation.drivers.append(driver)
        self.drivers.append(driver)
        self.has_audio = self.has_audio or any(track.kind == "audio" for track in tracks)
        self.video_codecs |= {
            codec.name for track in tracks if track.kind == "video" for codec in track.codecs.values()
        }
        return driver


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended a group of tasks; our own bugs come first."""
    flat: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending += error.exceptions
        else:
            flat.append(error)
    return next((error for error in flat if not isinstance(error, StreamerError)), flat[0])


def _loopback_of(url: str) -> tuple[str, ...]:
    """Return the loopback addresses that the phone may have: none, unless its signaling is on loopback."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return "127.0.0.1", "::1"
    if host == "::1":
        return ("::1",)
    return ("127.0.0.1",) if host.startswith("127.") else ()
