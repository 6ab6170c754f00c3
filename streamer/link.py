"""One attempt at a phone: signaling, negotiation, connection. It ends with the reason it ended."""

import asyncio
import logging
import random
import ssl
import time
import uuid
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, Never
from urllib.parse import urlsplit

from streamer.cloud.http import tls_context
from streamer.cloud.models import Ticket
from streamer.errors import StreamerError
from streamer.events import EventKind
from streamer.media.fanout import Gate, Sink
from streamer.media.inlet import Inlet
from streamer.media.receiver import Receiver
from streamer.rtc.ice import parse_ice_servers
from streamer.rtc.peer import Peer
from streamer.signaling.client import SignalingClient
from streamer.signaling.conversation import Authorized, Offer, RemoteCandidate, SignalingRequest, Started
from streamer.tracks import Track

_logger = logging.getLogger("streamer.link")

CONNECT_TIMEOUT_S: Final = 15.0  # from the answer to an encrypted path
CANDIDATES_LIMIT: Final = 100  # local candidates waiting to be sent; more are dropped, the first ones are the best


class Link:
    """One attempt. `run` it once; while it runs, its access units go to `sink` as far as its `gate` lets them.

    `client_uuid` is the same for all attempts of a client, `times` counts those before this one. `on_connected` is
    called once, when media can flow, and `on_keyframe` with the first keyframe while the gate waits for one. `tell`
    gets what happens on the way, and a reason where there is one. `input_opened` is set when the data channel `input`
    is open, `ended` when `run` is over.
    """

    def __init__(
        self,
        ticket: Ticket,
        sink: Sink,
        *,
        verify: bool | ssl.SSLContext,
        client_uuid: str,
        times: int,
        tell: Callable[["Link", EventKind, str | None], None],
        on_connected: Callable[["Link"], None],
        on_keyframe: Callable[["Link"], None],
    ) -> None:
        self.ticket = ticket
        self.gate = Gate(sink, lambda: on_keyframe(self))
        self.inlets: list[Inlet] = []
        self.has_audio = False
        self.video_codecs: set[str] = set()
        self.made_at = time.monotonic()
        self.has_started = False  # the phone knows of this attempt
        self.is_connected = False
        self.input_opened = asyncio.Event()
        self.ended = asyncio.Event()
        self._verify = verify
        self._client_uuid = client_uuid
        self._times = times
        self._tell = tell
        self._on_connected = on_connected
        self._cname = uuid.uuid4().hex
        self._candidates: asyncio.Queue[tuple[str, str, int]] = asyncio.Queue(CANDIDATES_LIMIT)
        self._answered = asyncio.Event()

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
        )
        servers, problems = parse_ice_servers(ticket.ice_servers)
        peer = Peer(
            ice_servers=servers,
            loopback=_is_loopback(ticket.signaling_url),
            make_input=self._make_inlet,
            on_candidate=self._queue_candidate,
            input_opened=self.input_opened,
            on_problem=lambda problem: self._tell(self, "problem", problem),
        )
        for problem in problems:
            peer.note_problem(problem)
        context = tls_context(self._verify) if ticket.signaling_url.startswith(("https:", "wss:")) else None
        try:
            async with aclosing(peer), SignalingClient(request, ssl=context) as signaling, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._converse(signaling, peer), name=f"signaling {ticket.device_id}")
                tasks.create_task(self._send_candidates(signaling), name=f"candidates {ticket.device_id}")
                tasks.create_task(self._watch(peer), name=f"connection {ticket.device_id}")
        except BaseExceptionGroup as group:
            reason = _first_cause(group)
        else:
            raise AssertionError("the tasks of a link end with an error only")
        finally:
            self.gate.state = "shut"
            for inlet in self.inlets:
                inlet.close()
            self.ended.set()
        raise reason

    def request_keyframe(self) -> None:
        """Ask the phone for a keyframe, until one comes."""
        for inlet in self.inlets:
            inlet.request_keyframe()

    async def _converse(self, signaling: SignalingClient, peer: Peer) -> None:
        async for event in signaling:
            match event:
                case Authorized():
                    self._tell(self, "authorized", None)
                case Started():
                    self.has_started = True
                case Offer(sdp):
                    if not self._answered.is_set():
                        self._tell(self, "negotiating", None)
                    await signaling.send_answer(await peer.answer(sdp))
                    self._answered.set()
                case RemoteCandidate(candidate, sdp_mid, sdp_mline_index):
                    await peer.add_candidate(candidate, sdp_mid, sdp_mline_index)
                case _:
                    _logger.debug("< %s", type(event).__name__)

    async def _send_candidates(self, signaling: SignalingClient) -> Never:
        await self._answered.wait()
        while True:
            await signaling.send_candidate(*await self._candidates.get())

    async def _watch(self, peer: Peer) -> Never:
        """Follow the connection from the answer to its end."""
        await self._answered.wait()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await _first(peer.connected, peer.ended)
        except TimeoutError:
            raise peer.failed_error(CONNECT_TIMEOUT_S) from None
        if not peer.connected.is_set():
            raise peer.failed_error(CONNECT_TIMEOUT_S)
        self.is_connected = True
        self._on_connected(self)
        await peer.ended.wait()
        raise peer.lost_error()

    def _make_inlet(self, tracks: list[Track]) -> Inlet:
        own_ssrc = random.getrandbits(32) or 1
        inlet = Inlet(Receiver(tracks, own_ssrc=own_ssrc, cname=self._cname), self.gate)
        self.inlets.append(inlet)
        self.has_audio = self.has_audio or any(track.kind == "audio" for track in tracks)
        self.video_codecs |= {
            codec.name for track in tracks if track.kind == "video" for codec in track.codecs.values()
        }
        return inlet

    def _queue_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        if not self._candidates.full():
            self._candidates.put_nowait((candidate, sdp_mid, sdp_mline_index))


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


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
