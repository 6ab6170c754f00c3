"""The WebRTC peer: answers the phone's offers through aiortc and hands its RTP on as decrypted bytes."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from aiortc import (
    InvalidAccessError,
    InvalidStateError,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, OperationError
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp

from streamer.errors import ConnectionFailedError, ConnectionLostError
from streamer.library_hooks import check_hooks, shadow
from streamer.rtc._aiortc.gathering import Gathering
from streamer.rtc._aiortc.hardening import accept_rsa_peers, end_quietly, guard_data, guard_ice, start_data_while_open
from streamer.rtc._aiortc.input_channels import InputChannels, Receipt
from streamer.rtc._aiortc.path import local_address, probe
from streamer.rtc._aiortc.srtp import SOURCES_LIMIT, Inbound, phone_policy
from streamer.rtc._aiortc.srtp_transport import SrtpTransport, hook_receive
from streamer.rtc.ice import IceServer, RemoteCandidates
from streamer.rtc.sdp import Negotiation
from streamer.rtc.udp import has_address
from streamer.tracks import Track
from streamer.untrusted_text import UntrustedText

_logger = logging.getLogger("streamer.rtc")

EARLY_CANDIDATES: Final = 100  # kept until the offer comes; more are dropped: checks find the path all the same
SECTIONS_LIMIT: Final = 64  # different media sections over all offers: aiortc keeps what it made for each
_CLOSE_TIMEOUT_S: Final = 5.0


class MediaInput(Protocol):
    """Takes what arrives on one transport."""

    def open(self, send_rtcp: Callable[[bytes], None]) -> None:
        """The transport is up: RTCP can be sent from now on."""

    def set_tracks(self, tracks: list[Track]) -> None:
        """A new negotiation settled on these tracks."""

    def on_rtp(self, packets: list[bytes], arrival_ns: int) -> None:
        """A burst of RTP packets, decrypted, and when they came (monotonic)."""

    def on_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        """An RTCP compound packet, decrypted, and when it came (monotonic)."""

    def on_refused(self, *, is_duplicate: bool) -> None:
        """A packet was refused: it is a duplicate, or SRTP does not authenticate it."""

    def on_round_trip(self, round_trip_ns: int) -> None:
        """How long a request to the phone and its answer took."""


class Peer:
    """One WebRTC connection, as the answerer. The owner calls `aclose`, on every path.

    `make_input` is called once for each transport (with BUNDLE, the usual case, there is one) before its first packet.
    `on_candidate(candidate, sdp_mid, sdp_mline_index)` gets each local candidate that was not in the answer. `on_input`
    is called when input can be sent, or no longer; `on_message` with each message of the data channel `input`.
    `on_problem` gets each sentence of `ice_problems`, why data channels were closed, which media sections are refused
    because one of their kind is received, and that a jump of packet numbers was healed.
    `loopback` are addresses to listen on beside the machine's own, for a phone on the same machine.
    `tls` says which certificates of TURN servers are trusted; without it, those of the system's authorities are.
    With `relay_only` nothing but relay candidates is gathered, paired and told (RFC 9429 section 3.5.3).
    """

    def __init__(
        self,
        *,
        ice_servers: Iterable[IceServer],
        loopback: Iterable[str],
        make_input: Callable[[list[Track]], MediaInput],
        on_candidate: Callable[[str, str, int], None],
        on_input: Callable[[], None] = lambda: None,
        on_message: Callable[[bytes], None] = lambda _: None,
        on_problem: Callable[[str], None] = lambda _: None,
        tls: ssl.SSLContext | None = None,
        relay_only: bool = False,
    ) -> None:
        check_hooks("rtc")
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self.ice_problems: list[str] = []  # one sentence for each server that gave no candidate
        self._ice_servers = tuple(ice_servers)
        self._loopback = tuple(loopback)
        self._relay_only = relay_only
        self._tls = tls
        self._make_input = make_input
        self._on_candidate = on_candidate
        self._on_problem = on_problem
        policy = RTCIceTransportPolicy.RELAY if relay_only else RTCIceTransportPolicy.ALL
        # An empty list, and not nothing: without one aiortc asks a public third-party server.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[], iceTransportPolicy=policy))
        # aiortc closes it by itself, too, and a close that was cut short could never be waited for again (aiortc 1.16).
        shadow(self._connection, "close", self.aclose)
        self._connection.on("connectionstatechange", self._on_state)
        self._channels = InputChannels(self._connection, on_change=on_input, on_message=on_message)
        self._has_offer = False
        self._tracks: list[Track] = []
        self._ssrcs: set[int] = set()  # that the latest offer names
        self._sections: set[tuple[str, str]] = set()  # mid and kind of each media section of any offer
        self._surplus: list[str] = []
        self._gatherings: dict[RTCDtlsTransport, Gathering] = {}
        self._inputs: dict[RTCDtlsTransport, MediaInput] = {}
        self._inbound: dict[RTCDtlsTransport, Inbound] = {}
        self._lost_reason = "the phone closed it, or the path to it is gone"
        self._alive_ns: dict[RTCDtlsTransport, int] = {}  # when each transport's latest sign of life came
        self._remote_candidates = RemoteCandidates()
        self._early_candidates: list[tuple[str, str | None, int | None]] = []
        self._closing: asyncio.Future[None] | None = None

    @property
    def state(self) -> str:
        """aiortc's connection state: "new", "connecting", "connected", "failed" or "closed"."""
        return self._connection.connectionState

    async def answer(self, offer: str) -> str:
        """Return the answer to the phone's first or a later offer; no STUN or TURN server is waited for, but
        for the first relay candidate with `relay_only`.

        Raises ConnectionFailedError (stage "negotiation", or "ice" if no relay candidate comes).
        """
        received = {track.mid for track in self._tracks}
        negotiation = Negotiation(offer, self._remote_candidates.takes, received=received)
        if len(self._sections | {*negotiation.sections}) > SECTIONS_LIMIT:
            raise ConnectionFailedError(
                f"expected at most {SECTIONS_LIMIT} different media sections over all offers, got more",
                stage="negotiation",
            )
        self._sections |= {*negotiation.sections}
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(negotiation.offer, "offer"))
            self._has_offer = True
            self._tracks = negotiation.tracks
            self._ssrcs.clear()
            self._ssrcs.update(negotiation.ssrcs)
            self._take_over()
            await self._connection.setLocalDescription()
        except (
            ValueError,
            AssertionError,
            AttributeError,  # aiortc 1.16 on an offer without a DTLS fingerprint
            LookupError,  # and these two on attributes that are cut off
            TypeError,
            InternalError,
            InvalidAccessError,
            InvalidStateError,
            OperationError,
        ) as error:
            raise ConnectionFailedError(
                f"cannot answer the phone's offer: {UntrustedText(error)}", stage="negotiation"
            ) from error
        if self._relay_only and " typ relay" not in self._connection.localDescription.sdp:
            problems = "; ".join(self.ice_problems)
            raise ConnectionFailedError(f"no TURN server gave a relay candidate: {problems}", stage="ice")
        if negotiation.surplus and negotiation.surplus != self._surplus:
            mids = UntrustedText(", ".join(negotiation.surplus))
            self._on_problem(
                f"the phone offers more than one video or audio section: those with mid {mids} are refused"
            )
        self._surplus = negotiation.surplus
        for transport, media_input in self._inputs.items():
            media_input.set_tracks(self._tracks_on(transport))
        early, self._early_candidates = self._early_candidates, []
        for candidate in early:
            await self.add_candidate(*candidate)
        return negotiation.finish_answer(self._connection.localDescription.sdp)

    async def add_candidate(self, candidate: str, sdp_mid: str | None, sdp_mline_index: int | None) -> None:
        """Take a candidate of the phone's, before or after its offer; one that cannot be used is passed over."""
        if not candidate or not self._remote_candidates.takes(candidate):
            return
        if not self._has_offer:
            if len(self._early_candidates) < EARLY_CANDIDATES:
                self._early_candidates.append((candidate, sdp_mid, sdp_mline_index))
            return
        try:
            parsed = candidate_from_sdp(candidate)
        except (ValueError, AssertionError, IndexError):
            _logger.debug("< a candidate that cannot be parsed")
            return
        parsed.sdpMid, parsed.sdpMLineIndex = sdp_mid, sdp_mline_index
        if sdp_mid is None and sdp_mline_index is None:
            parsed.sdpMLineIndex = 0
        await self._connection.addIceCandidate(parsed)

    @property
    def has_input(self) -> bool:
        """Whether input can be sent."""
        return self._channels.is_open

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether the phone has yet to acknowledge reliable input."""
        return self._channels.awaits_acknowledgement

    def send_input(self, data: bytes, *, reliable: bool) -> Receipt | None:
        """Hand a frame to the network on the data channel `input`; None if none is open, or 64 KiB wait on it.

        With `reliable` it is retransmitted, and arrives in order with the others that are.
        """
        return self._channels.send(data, reliable=reliable)

    def send_filler(self, data: bytes) -> None:
        """Send a frame on our own channel alone, so that its acknowledgement shows what was lost before it."""
        self._channels.send_filler(data)

    def note_problem(self, problem: str) -> None:
        """Remember what is wrong with an ICE server, for the error if it turns out to matter."""
        self.ice_problems.append(problem)
        self._on_problem(problem)

    @property
    def alive_ns(self) -> int:
        """When the latest sign of life came (monotonic); of several transports, from the one that is silent longest."""
        return min(self._alive_ns.values(), default=0)

    def refused_since_ns(self, now_ns: int) -> int | None:
        """Return since when the phone's packets are only refused (monotonic); None if they are not."""
        since = [inbound.refused_since_ns(now_ns) for inbound in self._inbound.values()]
        return min((since_ns for since_ns in since if since_ns is not None), default=None)

    @property
    def lost_address(self) -> str | None:
        """An address that the connection uses and this machine no longer has; None if there is none."""
        addresses = [local_address(transport) for transport in self._alive_ns]
        return next((address for address in addresses if address is not None and not has_address(address)), None)

    async def probe(self) -> bool:
        """Ask for a sign of life on every transport; return whether all gave one. It takes up to 1.5 s for each."""
        transports = list(self._alive_ns)
        answers = 0
        for transport in transports:
            if await probe(transport):
                self._alive_ns[transport] = time.monotonic_ns()
                answers += 1
        return bool(transports) and answers == len(transports)

    def lost_error(self) -> ConnectionLostError:
        """Return the error for a connection that ended."""
        return ConnectionLostError(f"the WebRTC connection ended: {self._lost_reason}")

    def failed_error(self, timeout_s: float) -> ConnectionFailedError:
        """Return the error for a connection that did not come up: what was tried, and what did not help."""
        states = {gathering_transport.transport.state for gathering_transport in self._gatherings}
        stage = "dtls" if states == {"completed"} else "ice"
        what = "encryption could not be agreed on" if stage == "dtls" else "no network path to the phone was found"
        problems = "".join(f"; {problem}" for problem in self.ice_problems)
        return ConnectionFailedError(f"{what} within {timeout_s:g} s{problems}", stage=stage)

    async def aclose(self) -> None:
        """Close the connection and everything that belongs to it; returns within a few seconds, come what may.

        Cancelled, it goes on by itself: aiortc cannot close a second time (aiortc 1.16 then waits for ever).
        """
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._channels.close()
        for gathering in self._gatherings.values():
            await gathering.aclose()
        closing = asyncio.ensure_future(RTCPeerConnection.close(self._connection))
        if not (await asyncio.wait({closing}, timeout=_CLOSE_TIMEOUT_S))[0]:
            _logger.warning("= the WebRTC connection did not close within %g s", _CLOSE_TIMEOUT_S)
            closing.cancel()
        elif not closing.cancelled() and (error := closing.exception()) is not None:
            _logger.warning("= the WebRTC connection closed with an error: %r", error)

    def _take_over(self) -> None:
        """Install our hooks on what aiortc made for the offer, before it gathers and connects."""
        transceivers = self._connection.getTransceivers()
        sections = {transceiver.receiver.transport: transceiver.mid for transceiver in reversed(transceivers)}
        if self._connection.sctp is not None:
            start_data_while_open(self._connection)
            guard_data(self._connection, self._on_fault)
            sections.setdefault(self._connection.sctp.transport, self._connection.sctp.mid)
            self._channels.open_own()
        for transceiver in transceivers:
            hook_receive(transceiver.receiver, self._open_input)
        mids = [transceiver.mid for transceiver in transceivers]
        for transport, mid in sections.items():
            if transport not in self._gatherings:
                index = mids.index(mid) if mid in mids else len(mids)
                accept_rsa_peers(transport)
                end_quietly(transport)
                guard_ice(transport)
                self._gatherings[transport] = Gathering(
                    transport,
                    self._ice_servers,
                    loopback=self._loopback,
                    tls=self._tls,
                    on_candidate=lambda line, mid=mid, index=index: self._on_candidate(line, mid, index),  # type: ignore[misc]
                    on_failure=self._on_server_failure,
                )

    def _open_input(self, transport: RTCDtlsTransport) -> None:
        if transport not in self._inputs:
            media_input = self._inputs[transport] = self._make_input(self._tracks_on(transport))
            inbound = self._inbound[transport] = Inbound(
                phone_policy(transport),
                offered=self._ssrcs,
                on_refused=lambda reason: media_input.on_refused(is_duplicate=reason == "replay"),
                on_resumed=self._on_fault,
                on_exhausted=self._on_exhausted,
            )
            srtp = SrtpTransport(transport, inbound, *self._listening(transport, media_input))
            media_input.open(srtp.send_rtcp)
            srtp.open()

    def _listening(self, transport: RTCDtlsTransport, media_input: MediaInput) -> tuple[Any, Any, Any]:
        """Return an input's handlers, listening for signs of life."""
        alive_ns = self._alive_ns

        def on_rtp(packets: list[bytes], arrival_ns: int) -> None:
            alive_ns[transport] = arrival_ns
            media_input.on_rtp(packets, arrival_ns)

        def on_rtcp(packet: bytes, arrival_ns: int) -> None:
            alive_ns[transport] = arrival_ns
            media_input.on_rtcp(packet, arrival_ns)

        def on_round_trip(round_trip_ns: int) -> None:
            alive_ns[transport] = time.monotonic_ns()
            media_input.on_round_trip(round_trip_ns)

        alive_ns[transport] = time.monotonic_ns()
        return on_rtp, on_rtcp, on_round_trip

    def _tracks_on(self, transport: RTCDtlsTransport) -> list[Track]:
        mids = {t.mid for t in self._connection.getTransceivers() if t.receiver.transport is transport}
        return [track for track in self._tracks if track.mid in mids]

    def _on_state(self) -> None:
        state = self._connection.connectionState
        _logger.debug("= connection %s", state)
        if state == "connected":
            self.connected.set()
        elif state in {"failed", "closed"}:
            self.ended.set()

    def _on_server_failure(self, server: IceServer, reason: str) -> None:
        self.note_problem(f"{server}: {reason}")
        _logger.warning("= %s: %s", server, reason)

    def _on_exhausted(self) -> None:
        self._lost_reason = f"the phone sent more than {SOURCES_LIMIT} SSRCs on it"
        self.ended.set()

    def _on_fault(self, problem: str) -> None:
        self._on_problem(problem)
        _logger.warning("= %s", problem)
