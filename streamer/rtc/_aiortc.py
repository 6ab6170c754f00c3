"""The only place that touches private names of aiortc, aioice and pylibsrtp, each on single objects, never on a class.

Why at all: aiortc's receiver queues every datagram twice, decodes in a queue without a bound and offers no way to the
encoded pictures; aioice asks every server before it returns a candidate. What is shadowed, and since which version
it is known to be there, stands in `HOOKS`; tests/contract holds the table against the installed libraries.
"""

import asyncio
import contextlib
import functools
import importlib
import importlib.metadata
import inspect
import logging
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pylibsrtp
from aioice import Candidate, TransportPolicy, ice, stun, turn
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver
from pylibsrtp._binding import ffi, lib

from streamer.errors import IncompatibleLibraryError
from streamer.rtc.ice import IceServer
from streamer.rtc.sctp import is_bearable
from streamer.rtc.udp import UdpTransport, is_dtls, is_srtp, open_udp, widen

_logger = logging.getLogger("streamer.rtc")

SERVER_TIMEOUT_S: Final = 5.0  # for one STUN or TURN server to answer
GIVE_BACK_TIMEOUT_S: Final = 1.0  # for a TURN server to confirm that a relay is given back
CHECK_INTERVAL_S: Final = 0.02  # between the beginnings of two checks (RFC 8445 section 14.2); aioice's own, too

REMOTE_CANDIDATES_LIMIT: Final = 200  # the phone's, and those that checks of consent come from
DATAGRAMS_LIMIT: Final = 1024  # not STUN, and not yet looked at: before the path is chosen, anybody's

# What a peer may have on data channels: `input` alone is used, with frames of some bytes.
DATA_CHANNELS_LIMIT: Final = 64
DATA_STREAMS_LIMIT: Final = 256
DATA_BYTES_LIMIT: Final = 524_288  # held until they make a message; the answer says that one has 65536 at the most
DATA_PIECES_LIMIT: Final = 2048  # the same, in chunks: each costs work

# aiortc offers ECDHE-ECDSA alone, and a peer with an RSA certificate then finds "no shared cipher" (aiortc 1.16).
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
)


@dataclass(frozen=True, slots=True)
class Hook:
    """A private (or merely undocumented) callable that this module relies on."""

    name: str  # dotted
    parameters: str  # the names of its parameters, in order
    why: str
    since: str


HOOKS: Final = (
    Hook("aiortc.rtcrtpreceiver:RTCRtpReceiver.receive", "self parameters", "the moment SRTP is ready", "aiortc 1.16"),
    Hook("aiortc.rtcdtlstransport:RTCCertificate._create_ssl_context", "self srtp_profiles", "ciphers", "aiortc 1.16"),
    Hook("pylibsrtp:Session.unprotect", "self packet", "decrypting in one call, in its buffer", "pylibsrtp 1.0"),
    Hook("aioice.ice:Connection.data_received", "self data component", "datagrams that relays bring", "aioice 0.13"),
    Hook("aioice.ice:Connection.gather_candidates", "self", "answer before servers do", "aioice 0.13"),
    Hook(
        "aioice.ice:Connection.get_component_candidates",
        "self component addresses timeout",
        "host candidates on chosen addresses",
        "aioice 0.13",
    ),
    Hook("aioice.ice:Connection._check_periodic", "self", "connected as soon as a check succeeds", "aioice 0.13"),
    Hook("aioice.ice:Connection.query_consent", "self", "no task is left behind", "aioice 0.13"),
    Hook("aioice.ice:Connection.build_request", "self pair nominate", "asking a silent path", "aioice 0.13"),
    Hook(
        "aioice.ice:StunProtocol.request",
        "self request addr integrity_key retransmissions",
        "round-trip times; every STUN server",
        "aioice 0.13",
    ),
    Hook("aiortc.rtcicetransport:RTCIceTransport.start", "self remoteParameters", "closing in between", "aiortc 1.16"),
    Hook(
        "aiortc.rtcsctptransport:RTCSctpTransport.start",
        "self remoteCaps remotePort",
        "closing in between",
        "aiortc 1.16",
    ),
    Hook(
        "aiortc.rtcsctptransport:RTCSctpTransport._handle_data", "self data", "bounds of data channels", "aiortc 1.16"
    ),
    Hook("aiortc.rtcsctptransport:RTCSctpTransport._abort", "self", "bounds of data channels", "aiortc 1.16"),
    Hook("aiortc.rtcsctptransport:RTCSctpTransport._set_state", "self state", "bounds of data channels", "aiortc 1.16"),
    Hook("aiortc.rtcsctptransport:InboundStream", "", "bounds of data channels", "aiortc 1.16"),
    Hook("aioice.ice:Connection._pair_remote_candidate", "self remote_candidate", "pairs for a relay", "aioice 0.13"),
    Hook("aioice.ice:Connection.sort_check_list", "self", "pairs for a relay", "aioice 0.13"),
    Hook("aioice.ice:StunProtocol", "receiver", "a protocol for our own sockets", "aioice 0.13"),
    Hook("aioice.ice:StunProtocol.datagram_received", "self data addr", "datagrams that make no sense", "aioice 0.13"),
    Hook("aioice.ice:Connection.check_incoming", "self message addr protocol", "bounds", "aioice 0.13"),
    Hook(
        "aioice.candidate:candidate_foundation",
        "candidate_type candidate_transport base_address",
        "our own candidates",
        "aioice 0.13",
    ),
    Hook("aioice.ice:get_host_addresses", "use_ipv4 use_ipv6", "the machine's addresses", "aioice 0.13"),
    Hook("aioice.ice:Connection.close", "self", "giving all relays back at once", "aioice 0.13"),
    *(
        Hook(
            f"aioice.turn:{name}",
            "server username password lifetime channel_refresh_time",
            "every TURN server",
            "aioice 0.13",
        )
        for name in ("TurnClientUdpProtocol", "TurnClientTcpProtocol")
    ),
    Hook(
        "aioice.turn:TurnClientMixin.datagram_received",
        "self data addr",
        "datagrams that make no sense",
        "aioice 0.13",
    ),
    Hook("aioice.turn:TurnClientMixin.delete", "self", "giving a relay back within a second", "aioice 0.13"),
    Hook("aioice.turn:TurnTransport._connect", "self protocol", "every TURN server", "aioice 0.13"),
)


@functools.cache
def check_hooks() -> None:
    """Raise IncompatibleLibraryError, once and in one sentence, if an installed library is not the one we know."""
    for hook in HOOKS:
        module_name, _, path = hook.name.partition(":")
        try:
            found: Any = functools.reduce(getattr, path.split("."), importlib.import_module(module_name))
            parameters = " ".join(inspect.signature(found).parameters)
        except (ImportError, AttributeError):
            parameters = "nothing"
        if parameters != hook.parameters:
            versions = ", ".join(
                f"{name} {importlib.metadata.version(name)}" for name in ("aiortc", "aioice", "pylibsrtp")
            )
            raise IncompatibleLibraryError(
                f"expected {hook.name}({hook.parameters.replace(' ', ', ')}), found {parameters} in {versions}: "
                "pip install 'aiortc>=1.16,<1.17' 'aioice>=0.13,<0.14' 'pylibsrtp>=1.0,<1.1'"
            )


def _shadow(target: object, method: str, replacement: Callable[..., Any]) -> None:
    """Replace a method of this one object; its class, and every other object of it, stay as they are."""
    vars(target)[method] = replacement


def hook_receive(receiver: RTCRtpReceiver, on_ready: Callable[[RTCDtlsTransport], None]) -> None:
    """Call `on_ready` with the transport instead of starting aiortc's own reception: DTLS is connected, SRTP there.

    aiortc may call more than once, with each negotiation. Call this in time: before `setLocalDescription`.
    """

    async def receive(parameters: object) -> None:
        on_ready(receiver.transport)  # looked up now: BUNDLE may have moved it

    _shadow(receiver, "receive", receive)


def accept_rsa_peers(transport: RTCDtlsTransport) -> None:
    """Let this transport's handshake succeed with peers that have an RSA certificate."""
    certificate: Any = transport._RTCDtlsTransport__local_certificate  # type: ignore[attr-defined]
    if "_create_ssl_context" in vars(certificate):
        return
    create = certificate._create_ssl_context

    def create_ssl_context(srtp_profiles: Any) -> Any:
        context = create(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        return context

    _shadow(certificate, "_create_ssl_context", create_ssl_context)


def end_quietly(transport: RTCDtlsTransport) -> None:
    """Keep a transport that is closed while it comes up from leaving anything behind.

    aioice 0.13 would ask for consent ever after; aiortc 1.16 would raise in a task that nobody looks at.
    """
    ice_transport: Any = transport.transport
    connection: Any = ice_transport._connection
    query_consent, start = connection.query_consent, ice_transport.start

    async def query_consent_while_open() -> None:
        if not connection._closing:
            await query_consent()

    async def start_unless_closed(parameters: Any) -> None:
        if ice_transport.state != "closed":
            await start(parameters)

    _shadow(connection, "query_consent", query_consent_while_open)
    _shadow(ice_transport, "start", start_unless_closed)


class _Unfailing:
    """What comes over the network cannot make it raise (aioice 0.13 lets errors of struct out)."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        try:
            super().datagram_received(data, addr)  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - whatever parsing and answering raise
            _logger.debug("= a datagram from %s that makes no sense: %r", addr, error)


class StunProtocol(_Unfailing, ice.StunProtocol):
    """aioice's protocol of a socket or a relay of ours."""


class _Leaving(_Unfailing):
    """Take leave of a TURN server that is gone: aioice 0.13 asks it for 39 s to take its relay back, asyncio waits for
    30 s until TLS is shut down, and for ever until TCP has taken all.

    A server that does not hear of it frees the relay when its time is over (RFC 8656 section 6).
    """

    async def delete(self: Any) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GIVE_BACK_TIMEOUT_S):
                    await super().delete()  # type: ignore[misc]
        finally:
            self.transport.abort()


class TurnOverUdp(_Leaving, turn.TurnClientUdpProtocol):
    """aioice's client of a TURN server."""


class TurnOverTcp(_Leaving, turn.TurnClientTcpProtocol):
    """The same over TCP or TLS."""


def guard_ice(transport: RTCDtlsTransport) -> None:
    """Bound what whoever finds our sockets can do (aioice 0.13 and aiortc 1.16 do not).

    More peer-reflexive candidates than REMOTE_CANDIDATES_LIMIT are no candidates, more datagrams than DATAGRAMS_LIMIT
    do not wait for the handshake, and what is nothing, such as an empty one, which would end DTLS, is dropped.
    """
    connection: Any = transport.transport._connection
    check_incoming, data_received = connection.check_incoming, connection.data_received

    def check_incoming_of_few(message: Any, addr: tuple[str, int], protocol: Any) -> None:
        remote = connection._remote_candidates
        if len(remote) < REMOTE_CANDIDATES_LIMIT or any((other.host, other.port) == addr for other in remote):
            check_incoming(message, addr, protocol)

    def data_received_if_any(data: bytes, component: int) -> None:
        if (is_dtls(data) or is_srtp(data)) and connection._queue.qsize() < DATAGRAMS_LIMIT:
            data_received(data, component)

    _shadow(connection, "check_incoming", check_incoming_of_few)
    _shadow(connection, "data_received", data_received_if_any)


def start_data_while_open(connection: RTCPeerConnection) -> None:
    """Keep SCTP from starting after it was stopped: its timer would send into a closed transport (aiortc 1.16)."""
    sctp: Any = connection.sctp
    if "start" in vars(sctp):
        return
    start = sctp.start

    async def start_while_open(capabilities: Any, port: int) -> None:
        if connection.signalingState != "closed":
            await start(capabilities, port)

    _shadow(sctp, "start", start_while_open)


def guard_data(connection: RTCPeerConnection, on_fault: Callable[[str], None]) -> None:
    """Bound what the peer's data channels may hold, and let their faults end nothing but them.

    aiortc 1.16 does neither: it keeps pieces of messages without a limit, and what it cannot read ends the whole
    connection. `on_fault` is told once, in a sentence; what comes afterwards is dropped.
    """
    sctp: Any = connection.sctp
    if "_handle_data" in vars(sctp):
        return
    handle, window = sctp._handle_data, sctp._advertised_rwnd
    has_ended = False

    async def handle_data(data: bytes) -> None:
        nonlocal has_ended
        if has_ended:
            return
        fault = "the phone sent something on them that makes no sense"
        try:
            if is_bearable(data):
                await handle(data)
                fault = _data_over_limit(sctp, window)
        except ConnectionError:
            raise  # the transport is closed
        except Exception as error:  # noqa: BLE001 - aiortc raises assertions and whatever parsing raises
            _logger.debug("= data channels: %r", error)
        if fault:
            has_ended = True
            on_fault(f"data channels closed: {fault}")
            await sctp._abort()
            sctp._set_state(sctp.State.CLOSED)

    _shadow(sctp, "_handle_data", handle_data)


def _data_over_limit(sctp: Any, window: int) -> str:
    """Return what the peer has too much of, or nothing."""
    held = sum(len(stream.reassembly) for stream in sctp._inbound_streams.values())
    for what, count, limit in (
        ("channels", len(sctp._data_channels), DATA_CHANNELS_LIMIT),
        ("streams", len(sctp._inbound_streams), DATA_STREAMS_LIMIT),
        ("bytes that make no whole message", window - sctp._advertised_rwnd, DATA_BYTES_LIMIT),
        ("pieces that make no whole message", max(held, len(sctp._sack_misordered)), DATA_PIECES_LIMIT),
    ):
        if count > limit:
            return f"expected at most {limit} {what}, got {count}"
    return ""


def _unprotector(session: pylibsrtp.Session) -> Callable[[bytes], bytes | None]:
    """Return `session.unprotect` as one call instead of three, which says None to what is forged, replayed or too long.

    It shares the session's own buffer: the two are not used at the same time.
    """
    decrypt, owner, memory, buffer = lib.srtp_unprotect, session._srtp, session._cdata, session._buffer
    size_pointer, capacity = ffi.new("int *"), len(memory)

    def unprotect(datagram: bytes) -> bytes | None:
        size = size_pointer[0] = len(datagram)
        if size > capacity:
            return None
        buffer[0:size] = datagram
        # Through the owner: libsrtp's session lives as long as that does.
        return buffer[0 : size_pointer[0]] if decrypt(owner[0], memory, size_pointer) == 0 else None

    return unprotect


async def probe(transport: RTCDtlsTransport) -> bool:
    """Ask the peer for its consent to send (RFC 7675), twice half a second apart; true if it gave it within 1.5 s."""
    connection: Any = transport.transport._connection
    pair = connection._nominated.get(1)
    if pair is None or connection._closing or connection.remote_password is None:
        return False
    key = connection.remote_password.encode()
    try:
        await pair.protocol.request(
            connection.build_request(pair, nominate=False), pair.remote_addr, integrity_key=key, retransmissions=1
        )
    except (stun.TransactionError, OSError):
        return False
    return True


class Tap:
    """Take a transport's RTP and RTCP from aiortc, decrypted, straight from the sockets; DTLS goes on to it.

    The handlers get a burst of RTP packets, or one RTCP packet, with the monotonic time in ns at which it was taken
    from the socket. Datagrams that fail authentication are dropped. The transport must be connected; `open` begins.
    `on_round_trip` gets the ns that each check of the peer's consent took, every 5 s or so (RFC 7675).
    """

    def __init__(
        self,
        transport: RTCDtlsTransport,
        on_rtp: Callable[[list[bytes], int], None],
        on_rtcp: Callable[[bytes, int], None],
        on_round_trip: Callable[[int], None],
    ) -> None:
        self._connection: Any = transport.transport._connection
        self._inbound: Any = transport._rx_srtp
        self._unprotect = _unprotector(self._inbound)
        self._outbound: Any = transport._tx_srtp
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._on_round_trip = on_round_trip

    def open(self) -> None:
        """Begin, with what came between the handshake's end and now."""
        # At each socket of ours, before STUN is tried on every datagram; and behind, for relays and foreign sockets.
        for protocol in self._connection._protocols:
            if isinstance(protocol.transport, UdpTransport):
                protocol.transport.on_media = self._take
        receive = self._connection.data_received

        def receive_unless_srtp(datagram: bytes, component: int) -> None:
            if is_srtp(datagram):
                self._take([datagram])
            else:
                receive(datagram, component)

        _shadow(self._connection, "data_received", receive_unless_srtp)
        for pair in self._connection._nominated.values():
            self._measure(pair.protocol)
        # The first packets of the first keyframe may wait behind the handshake's last datagram.
        queue = self._connection._queue
        items = [queue.get_nowait() for _ in range(queue.qsize())]
        early = [item[0] for item in items if item is not None and is_srtp(item[0])]
        for item in items:
            if item is None or not is_srtp(item[0]):
                queue.put_nowait(item)
        self._take(early)

    def _measure(self, protocol: Any) -> None:
        """Time the checks of consent: alone of all requests they are never repeated, so their answers are theirs."""
        request = protocol.request

        async def timed_request(
            message: Any, addr: Any, integrity_key: bytes | None = None, retransmissions: int | None = None
        ) -> Any:
            sent_ns = time.monotonic_ns()
            answer = await request(message, addr, integrity_key=integrity_key, retransmissions=retransmissions)
            if retransmissions == 0:
                self._on_round_trip(time.monotonic_ns() - sent_ns)
            return answer

        _shadow(protocol, "request", timed_request)

    def send_rtcp(self, packet: bytes) -> None:
        """Send an RTCP packet. What cannot be sent is as good as lost on the way: it never raises."""
        pair = self._connection._nominated.get(1)
        if pair is not None and pair.protocol.transport is not None:
            with contextlib.suppress(OSError, pylibsrtp.Error):
                pair.protocol.transport.sendto(self._outbound.protect_rtcp(packet), pair.remote_addr)

    def _take(self, datagrams: list[bytes]) -> None:
        arrival_ns = time.monotonic_ns()
        unprotect, packets = self._unprotect, []
        for datagram in datagrams:
            if 192 <= datagram[1] <= 223:  # RTCP (RFC 5761 section 4)
                with contextlib.suppress(pylibsrtp.Error, ValueError):
                    self._on_rtcp(self._inbound.unprotect_rtcp(datagram), arrival_ns)
            elif (packet := unprotect(datagram)) is not None:
                packets.append(packet)
        if packets:
            self._on_rtp(packets, arrival_ns)


def _silence(error: Exception) -> int:
    """Return how little an error says: of a server's two ways one is often shut, as on a machine without IPv6."""
    return 1 if isinstance(error, TimeoutError) else 2 if isinstance(error, OSError) else 0


def _reason(error: Exception) -> str:
    """Return why a server gave no candidate."""
    match error:
        case TimeoutError():
            return "no answer"
        case stun.TransactionError():
            return f"refused: {error}"
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate is not trusted ({error.verify_message})"
        case OSError() | ValueError():
            return getattr(error, "strerror", None) or str(error)
        case _:
            return f"its answer makes no sense ({error!r})"


async def _addresses_of(host: str) -> list[str]:
    """Return a server's first address of each family. Raises OSError if its name does not resolve."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    first = {family: address[0] for family, _, _, _, address in reversed(found)}
    return [str(first[family]) for family in (socket.AF_INET, socket.AF_INET6) if family in first]


class Gathering:
    """The candidates of one ICE connection: the machine's own at once, those of servers as the servers answer.

    Take it over before the connection gathers (that is, before `setLocalDescription`). Its tasks end by themselves
    within SERVER_TIMEOUT_S, or with `aclose`.
    """

    def __init__(
        self,
        transport: RTCDtlsTransport,
        servers: Iterable[IceServer],
        *,
        loopback: Iterable[str],
        tls: ssl.SSLContext | None = None,
        on_candidate: Callable[[str], None],
        on_failure: Callable[[IceServer, str], None],
    ) -> None:
        self._connection: Any = transport.transport._connection
        self._servers = tuple(servers)
        self._loopback = tuple(loopback)
        self._answered: list[IceServer] = []
        self._tls = tls
        self._on_candidate = on_candidate
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._relays: list[StunProtocol] = []
        self._check_next: Callable[[], bool] = self._connection._check_periodic
        self._close: Callable[[], Coroutine[Any, Any, None]] = self._connection.close
        _shadow(self._connection, "close", self._give_back_and_close)
        _shadow(self._connection, "gather_candidates", self._gather)
        _shadow(self._connection, "_check_periodic", self._begin_checks)

    async def aclose(self) -> None:
        """Stop asking servers and checking pairs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give_back_and_close(self) -> None:
        """Close the connection, with all relays at once: aioice would wait for one server after the other."""
        for relay in self._relays:
            relay.transport.close()
        await self._close()

    async def _gather(self) -> None:
        connection = self._connection
        if connection._local_candidates_start:
            return
        connection._local_candidates_start = True
        addresses = []
        if connection._transport_policy == TransportPolicy.ALL:
            addresses = ice.get_host_addresses(use_ipv4=True, use_ipv6=True)
            addresses += self._loopback or ([] if addresses else ["127.0.0.1"])
        try:
            connection._local_candidates += self._host_candidates(addresses)
        except NotImplementedError:
            connection._local_candidates += await connection.get_component_candidates(1, addresses)
        for server in self._servers:
            self._start(self._ask(server), f"ask {server}")
        if connection._transport_policy == TransportPolicy.RELAY:  # aiortc never connects without a candidate
            while self._tasks and not connection._local_candidates:
                await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)
        connection._local_candidates_end = True

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin_checks(self) -> bool:
        """Check pairs beside `connect`, which aioice lets sleep out its interval after the check that succeeded.

        `connect` calls this until it is false, then waits for a result; without a pair it would take that for failure.
        """
        if not self._connection._check_list:
            return self._check_next()
        self._start(self._check(), "ICE checks")
        return False

    async def _check(self) -> None:
        while self._check_next():  # noqa: ASYNC110 - the interval is the point
            await asyncio.sleep(CHECK_INTERVAL_S)

    def _host_candidates(self, addresses: list[str]) -> list[Candidate]:
        """Return a candidate for each address that can be bound, on a socket of ours (see `udp`)."""
        connection = self._connection
        candidates = []
        for address in addresses:
            try:
                protocol: Any = open_udp(address, lambda: StunProtocol(connection))
            except OSError:
                continue
            host, port = protocol.transport.get_extra_info("sockname")[:2]
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", host),
                component=1,
                transport="udp",
                priority=candidate_priority(1, "host"),
                host=host,
                port=port,
                type="host",
            )
            connection._protocols.append(protocol)
            candidates.append(protocol.local_candidate)
        return candidates

    async def _ask(self, server: IceServer) -> None:
        failures: list[Exception] = []
        ways: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(SERVER_TIMEOUT_S):
                ways = [asyncio.create_task(way) for way in await self._ways_to(server)]
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, ValueError) as error:
            failures.append(error)
        ended = [way.exception() for way in ways if not way.cancelled()]
        failures += [error for error in ended if isinstance(error, Exception)]
        if failures:
            self._fail(server, _reason(min(failures, key=_silence)))

    def _fail(self, server: IceServer, reason: str) -> None:
        if server not in self._answered:  # over IPv4 when it did not over IPv6, or on another socket
            self._on_failure(server, reason)

    async def _ways_to(self, server: IceServer) -> list[Coroutine[Any, Any, None]]:
        """Return what is to be done at once to get a server's candidates: by IPv4 and by IPv6, if it has both."""
        if server.scheme == "turns" and server.transport != "tcp":
            raise ValueError("TURN over DTLS is not supported; use transport=tcp")
        if server.scheme in {"turn", "turns"} and server.transport == "tcp":
            return [self._allocate(server, server.host)]  # asyncio tries all addresses, and TLS wants the name
        if server.scheme == "stuns" or server.transport != "udp":
            raise ValueError("STUN over TCP or TLS gives no candidate that UDP can use")
        addresses = await _addresses_of(server.host)
        if server.scheme == "turn":
            return [self._allocate(server, address) for address in addresses]
        hosts = [protocol for protocol in self._connection._protocols if protocol.local_candidate.type == "host"]
        pairs = [(protocol, address) for protocol in hosts for address in addresses]
        pairs = [pair for pair in pairs if (":" in pair[0].local_candidate.host) == (":" in pair[1])]
        if not pairs and hosts:
            raise ValueError(f"this machine has no address that could reach {' or '.join(addresses)}")
        return [self._reflect(server, *pair) for pair in pairs]

    async def _reflect(self, server: IceServer, protocol: Any, address: str) -> None:
        """Ask a STUN server how it sees one of our sockets (RFC 8445 section 5.1.1.2)."""
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        answer, _ = await protocol.request(request, (address, server.port))
        if "XOR-MAPPED-ADDRESS" not in answer.attributes:
            raise ValueError("its answer holds no address")
        self._answered.append(server)
        local = protocol.local_candidate
        host, port = answer.attributes["XOR-MAPPED-ADDRESS"]
        self._add(
            Candidate(
                foundation=candidate_foundation("srflx", "udp", local.host),
                component=local.component,
                transport=local.transport,
                priority=candidate_priority(local.component, "srflx"),
                host=host,
                port=port,
                type="srflx",
                related_address=local.host,
                related_port=local.port,
            )
        )

    async def _allocate(self, server: IceServer, host: str) -> None:
        """Ask a TURN server for a relay (RFC 8656 section 7); of which family, it decides."""
        protocol = StunProtocol(self._connection)
        await self._connect(protocol, server, host)
        relayed, seen = (protocol.transport.get_extra_info(name) for name in ("sockname", "related_address"))
        if self._connection._transport_policy == TransportPolicy.RELAY:  # nobody is to know (RFC 9429 section 3.5.3)
            seen = ("::" if ":" in relayed[0] else "0.0.0.0", 9)  # noqa: S104 - it is bound nowhere
        protocol.local_candidate = candidate = Candidate(
            foundation=candidate_foundation("relay", "udp", relayed[0]),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "relay"),
            host=relayed[0],
            port=relayed[1],
            type="relay",
            related_address=seen[0],
            related_port=seen[1],
        )
        self._answered.append(server)
        connection = self._connection
        if connection._closing:
            await protocol.close()
            return
        connection._protocols.append(protocol)
        self._relays.append(protocol)
        for remote in connection._remote_candidates:
            connection._pair_remote_candidate(remote)
        connection.sort_check_list()
        self._add(candidate)

    async def _connect(self, protocol: StunProtocol, server: IceServer, host: str) -> None:
        """Connect a protocol to a new relay, as `aioice.turn.create_turn_endpoint` does, but by our clients."""
        is_tcp, loop = server.transport == "tcp", asyncio.get_running_loop()
        make: Callable[[], Any] = functools.partial(
            TurnOverTcp if is_tcp else TurnOverUdp,
            (host, server.port),
            username=server.username,
            password=server.password.reveal() if server.password else None,
            lifetime=turn.DEFAULT_ALLOCATION_LIFETIME,
            channel_refresh_time=turn.DEFAULT_CHANNEL_REFRESH_TIME,
        )
        transport: Any
        if is_tcp:
            tls = (self._tls or True) if server.scheme == "turns" else None
            transport, client = await loop.create_connection(make, host, server.port, ssl=tls)
        else:
            transport, client = await loop.create_datagram_endpoint(make, remote_addr=(host, server.port))
            widen(transport.get_extra_info("socket"))
        try:
            await turn.TurnTransport(client)._connect(protocol)
        except BaseException:
            transport.abort()
            raise

    def _add(self, candidate: Candidate) -> None:
        known = self._connection._local_candidates
        if any((other.host, other.port) == (candidate.host, candidate.port) for other in known):
            return
        known.append(candidate)
        self._on_candidate(candidate.to_sdp())
