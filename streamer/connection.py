"""One attempt at a phone: signaling, negotiation, connection. It ends with the reason it ended."""

import asyncio
import contextlib
import logging
import random
import ssl
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Never
from urllib.parse import urlsplit

from streamer.aio import boot_time
from streamer.cloud.http import tls_context
from streamer.cloud.models import Ticket
from streamer.errors import ConnectionFailedError, ConnectionLostError, StreamerError
from streamer.events import EventKind
from streamer.media.fanout import Gate, Sink
from streamer.media.rtp.driver import ReceiverDriver
from streamer.media.rtp.receiver import Receiver
from streamer.media.rtp.source import Counters, MarkerBits
from streamer.rtc.ice import parse_ice_servers
from streamer.rtc.liveness import Liveness
from streamer.rtc.peer import Peer
from streamer.rtc.sdp import ice_credentials
from streamer.signaling.client import SignalingClient
from streamer.signaling.conversation import Authorized, Offer, RemoteCandidate, SignalingRequest, Started
from streamer.tracks import Track

_logger = logging.getLogger("streamer.connection")

CONNECT_TIMEOUT_S: Final = 15.0  # from the answer to an encrypted path
CANDIDATES_LIMIT: Final = 100  # local candidates waiting to be sent; more are dropped, the first ones are the best
PATHS_LIMIT: Final = 3  # one that is left, the one in force, one that comes up
SWITCH_WITHIN_S: Final = 5.0  # a still screen may send no keyframe: then what comes up takes over without one


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """What is wanted of each connection of a session; see `streamer.connect`."""

    verify: bool | ssl.SSLContext
    relay_only: bool
    volume: int


class Tally:
    """What receivers that have ended have counted together."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.packets_lost = 0

    def add(self, inlets: Iterable[ReceiverDriver], *tallies: "Tally") -> None:
        """Add what these have counted."""
        receivers = [inlet.receiver for inlet in inlets]
        others = [tally.counters for tally in tallies]
        self.counters = Counters.total([self.counters, *others, *(receiver.counters for receiver in receivers)])
        self.packets_lost += sum(tally.packets_lost for tally in tallies)
        self.packets_lost += sum(receiver.packets_lost for receiver in receivers)


class _Path:
    """One WebRTC connection of a connection: the first offer makes one, and each restart of ICE another beside it.

    aiortc 1.16 answers a restart with its old credentials and stays where it is; so a fresh connection answers it.
    """

    def __init__(self, peer: Peer, gate: Gate) -> None:
        self.peer = peer
        self.gate = gate
        self.inlets: list[ReceiverDriver] = []
        self.credentials: frozenset[tuple[str, str]] = frozenset()
        self.candidates: asyncio.Queue[tuple[str, str, int]] = asyncio.Queue(CANDIDATES_LIMIT)
        self.answered = asyncio.Event()
        self.left = asyncio.Event()  # another one has taken over
        self.closed = asyncio.Event()
        self.patience: asyncio.TimerHandle | None = None

    def queue_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Hold a local candidate until it is sent."""
        if not self.candidates.full():
            self.candidates.put_nowait((candidate, sdp_mid, sdp_mline_index))


class Connection:
    """One attempt. `run` it once; while it runs, its access units go to `sink` as far as its `gate` lets them.

    `client_uuid` and `marker_bits` are the same for all attempts of a client, `times` counts those before this one.
    `on_connected` is called once, when media can flow, and `on_keyframe` with the first keyframe while the gate waits
    for one. `tell` gets what happens on the way, and a reason where there is one. `input_opened` is set when the data
    channel `input` is open, `ended` when `run` is over.
    """

    def __init__(
        self,
        ticket: Ticket,
        sink: Sink,
        *,
        options: ConnectionOptions,
        client_uuid: str,
        times: int,
        marker_bits: MarkerBits,
        tell: Callable[["Connection", EventKind, str | None], None],
        on_connected: Callable[["Connection"], None],
        on_keyframe: Callable[["Connection"], None],
    ) -> None:
        self.ticket = ticket
        self.gate = Gate(sink, lambda: on_keyframe(self))
        self.inlets: list[ReceiverDriver] = []
        self.tally = Tally()  # of inlets that have ended
        self.has_audio = False
        self.video_codecs: set[str] = set()
        self.made_at = boot_time()
        self.has_started = False  # the phone knows of this attempt
        self.is_served = False  # and has made it an offer
        self.is_connected = False
        self.input_opened = asyncio.Event()
        self.ended = asyncio.Event()
        self._options = options
        self._client_uuid = client_uuid
        self._times = times
        self._marker_bits = marker_bits
        self._tell = tell
        self._on_connected = on_connected
        self._cname = uuid.uuid4().hex
        self._servers, self._problems = parse_ice_servers(ticket.ice_servers)
        self._turn_tls: ssl.SSLContext | None = None
        self._is_interrupted = False
        self._paths: list[_Path] = []  # at most PATHS_LIMIT
        self._path: _Path | None = None  # the one in force

    @property
    def peer(self) -> Peer | None:
        """The WebRTC connection in force; None before there is one."""
        return self._path.peer if self._path else None

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
            self._tell(self, "problem", problem)
        if self._options.relay_only and not any(server.scheme in {"turn", "turns"} for server in self._servers):
            raise ConnectionFailedError(
                "expected a TURN server, as relay_only asks for, but the API named none: connect without relay_only",
                stage="ice",
            )
        trust = await tls_context(self._options.verify)
        context = trust if ticket.signaling_url.startswith(("https:", "wss:")) else None
        if any(server.scheme == "turns" for server in self._servers):
            self._turn_tls = trust
        try:
            async with SignalingClient(request, ssl=context) as signaling, asyncio.TaskGroup() as tasks:
                self._path = self._open_path(signaling, tasks)
                self._path.gate.state = "open"
                tasks.create_task(self._converse(signaling, tasks), name=f"signaling {ticket.device_id}")
        except BaseExceptionGroup as group:
            reason = _first_cause(group)
        else:
            raise AssertionError("the tasks of a connection end with an error only")
        finally:
            self.gate.state = "shut"
            await asyncio.gather(*(self._close_path(path) for path in self._paths))
            self.ended.set()
        if isinstance(reason, OSError):  # such as no file descriptor left for a socket
            raise ConnectionFailedError(
                f"the connection could not be set up: {reason.strerror or type(reason).__name__}", stage="ice"
            ) from reason
        raise reason

    def request_keyframe(self) -> None:
        """Ask the phone for a keyframe, until one comes."""
        for inlet in self.inlets:
            inlet.request_keyframe()

    async def _converse(self, signaling: SignalingClient, tasks: asyncio.TaskGroup) -> None:
        async for event in signaling:
            match event:
                case Authorized():
                    self._tell(self, "authorized", None)
                case Started():
                    self.has_started = True
                case Offer(sdp):
                    self.is_served = True
                    path = await self._path_for(ice_credentials(sdp), signaling, tasks)
                    signaling.send_answer(await path.peer.answer(sdp))
                    path.answered.set()
                case RemoteCandidate(candidate, sdp_mid, sdp_mline_index):
                    await self._paths[-1].peer.add_candidate(candidate, sdp_mid, sdp_mline_index)
                case _:
                    _logger.debug("< %s", type(event).__name__)

    async def _path_for(
        self, credentials: frozenset[tuple[str, str]], signaling: SignalingClient, tasks: asyncio.TaskGroup
    ) -> _Path:
        """Return the path that an offer is for: the newest one, or another one if it restarts ICE."""
        path = self._paths[-1]
        if not path.answered.is_set():
            self._tell(self, "negotiating", None)
        elif path.credentials and path.credentials.isdisjoint(credentials):
            _logger.debug("= the phone restarts ICE")
            if path is not self._path:
                path.left.set()  # it did not come up, and now it need not
            while len(self._paths) >= PATHS_LIMIT:
                await next(other for other in self._paths if other.left.is_set()).closed.wait()
            path = self._open_path(signaling, tasks)
            path.gate.state = "waits"
        path.credentials = credentials
        return path

    def _open_path(self, signaling: SignalingClient, tasks: asyncio.TaskGroup) -> _Path:
        peer = Peer(
            ice_servers=self._servers,
            loopback=_loopback_of(self.ticket.signaling_url),
            make_input=lambda tracks: self._make_inlet(path, tracks),
            on_candidate=lambda line, mid, index: path.queue_candidate(line, mid, index),  # noqa: PLW0108 - not there yet
            input_opened=self.input_opened,
            on_problem=lambda problem: self._tell(self, "problem", problem),
            tls=self._turn_tls,
            relay_only=self._options.relay_only,
        )
        peer.ice_problems += self._problems
        path = _Path(peer, Gate(self.gate, lambda: self._switch(path)))
        self._paths.append(path)
        tasks.create_task(self._follow(path, signaling), name=f"connection {self.ticket.device_id}")
        return path

    async def _close_path(self, path: _Path) -> None:
        path.gate.state = "shut"
        if path.patience is not None:
            path.patience.cancel()
        for inlet in path.inlets:
            inlet.close()
        await path.peer.aclose()

    async def _follow(self, path: _Path, signaling: SignalingClient) -> None:
        """Follow a path from its answer to its end; the end of the last one is the connection's."""
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send_candidates(path, signaling))
                await self._watch(path, tasks)
                sending.cancel()
        except BaseExceptionGroup as group:
            reason = _first_cause(group)
            others = [other for other in self._paths if other is not path and not other.left.is_set()]
            if not others or not isinstance(reason, ConnectionFailedError | ConnectionLostError):
                raise reason from None
            _logger.debug("= another connection goes on: %s", reason)
            if path is self._path:
                for other in others:
                    if other.patience is not None:  # it is up, and waits for nothing more
                        self._switch(other)
        await self._close_path(path)
        self._paths.remove(path)
        path.closed.set()
        if path.inlets and path is not self._path:
            self.tally.add(path.inlets)
            self.inlets = [inlet for inlet in self.inlets if inlet not in path.inlets]

    async def _send_candidates(self, path: _Path, signaling: SignalingClient) -> Never:
        await path.answered.wait()
        while True:
            signaling.send_candidate(*await path.candidates.get())

    async def _watch(self, path: _Path, tasks: asyncio.TaskGroup) -> None:
        """Follow a connection from the answer until another has taken over; raise the error that ends it before."""
        peer = path.peer
        await _first(path.answered, path.left)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await _first(peer.connected, peer.ended, path.left)
        except TimeoutError:
            raise peer.failed_error(CONNECT_TIMEOUT_S) from None
        if path.left.is_set():
            return
        if not peer.connected.is_set():
            raise peer.failed_error(CONNECT_TIMEOUT_S)
        self._on_path_connected(path)
        liveness = Liveness(time.monotonic_ns())
        while not path.left.is_set():
            if peer.ended.is_set():
                raise peer.lost_error()
            now_ns = time.monotonic_ns()
            refused_ns = peer.refused_since_ns(now_ns)
            state, probe = liveness.poll(now_ns, peer.alive_ns, refused_ns)
            if state == "dead":
                what = "nothing has come from the phone for 10 s: the path to it is gone"
                if refused_ns is not None:
                    what = "the phone's packets have failed authentication for 2 s"
                raise ConnectionLostError(what)
            self._note_interruption(path, state == "interrupted")
            if probe:
                tasks.create_task(peer.probe(), name=f"probe {self.ticket.device_id}")
            wait_s = max(liveness.deadline_ns - now_ns, 0) / 1e9
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await _first(peer.ended, path.left)

    def _on_path_connected(self, path: _Path) -> None:
        if not self.is_connected:
            self.is_connected = True
            self._on_connected(self)
        elif self._path not in self._paths:
            self._switch(path)
        elif path is not self._path:
            path.patience = asyncio.get_running_loop().call_later(SWITCH_WITHIN_S, self._switch, path)

    def _switch(self, path: _Path) -> None:
        """Let another path take over from the one in force."""
        if path is self._path or path.left.is_set():
            return
        former, self._path = self._path, path
        if former is not None:
            former.gate.state = "shut"
            former.left.set()
        path.gate.state = "open"
        self._note_interruption(path, False)

    def _note_interruption(self, path: _Path, is_interrupted: bool) -> None:
        if path is self._path and is_interrupted != self._is_interrupted:
            self._is_interrupted = is_interrupted
            if is_interrupted:
                self._tell(self, "interrupted", "nothing comes from the phone")
            else:
                self._tell(self, "resumed", None)

    def _make_inlet(self, path: _Path, tracks: list[Track]) -> ReceiverDriver:
        own_ssrc = random.getrandbits(32) or 1
        receiver = Receiver(tracks, own_ssrc=own_ssrc, cname=self._cname, marker_bits=self._marker_bits)
        inlet = ReceiverDriver(receiver, path.gate)
        path.inlets.append(inlet)
        self.inlets.append(inlet)
        self.has_audio = self.has_audio or any(track.kind == "audio" for track in tracks)
        self.video_codecs |= {
            codec.name for track in tracks if track.kind == "video" for codec in track.codecs.values()
        }
        return inlet


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of the package's own that ended a group of tasks, or else whatever did."""
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
    """Return the loopback addresses that a phone may have whose signaling is here: none, if it is not on loopback."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return "127.0.0.1", "::1"
    if host == "::1":
        return ("::1",)
    return ("127.0.0.1",) if host.startswith("127.") else ()
