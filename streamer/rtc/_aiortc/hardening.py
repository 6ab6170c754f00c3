"""What aiortc and aioice leave open: whom they let in, what they keep for whom, how they end."""

import logging
from collections.abc import Callable
from typing import Any, Final

from aioice import ice, stun
from aiortc import RTCDtlsTransport, RTCPeerConnection

from streamer.library_hooks import shadow
from streamer.rtc.datagrams import is_dtls, is_srtp, split_records
from streamer.rtc.sctp import is_safe_to_parse

_logger = logging.getLogger("streamer.rtc")

REMOTE_CANDIDATES_LIMIT: Final = 200  # the phone's, and those that checks of consent come from
CHECK_LIST_LIMIT: Final = 1000  # pairs of candidates, and those of one more candidate of the phone's
DATAGRAMS_LIMIT: Final = 1024  # not STUN, and not yet looked at; of DTLS, records
DATAGRAM_BYTES_LIMIT: Final = 2048  # of each

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

    shadow(certificate, "_create_ssl_context", create_ssl_context)


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

    shadow(connection, "query_consent", query_consent_while_open)
    shadow(ice_transport, "start", start_unless_closed)


class CatchErrorsMixin:
    """What comes over the network cannot make it raise (aioice 0.13 lets errors of struct out)."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        try:
            super().datagram_received(data, addr)  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - whatever parsing and answering raise
            _logger.debug("= a datagram from %s that makes no sense: %r", addr, error)


class StunProtocol(CatchErrorsMixin, ice.StunProtocol):
    """aioice's protocol of a socket or a relay of ours.

    What is not STUN reaches the connection only from addresses that passed a check: DTLS believes a plain alert while
    it comes up, whoever sent it.
    """

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if not isinstance(data, bytes) or not data:
            return
        if data[0] < 4:  # STUN (RFC 7983 section 7)
            super().datagram_received(data, addr)
            return
        receiver: Any = self.receiver
        if receiver.hears((addr[0], addr[1])):
            receiver.data_received(data, self.local_candidate.component)


def guard_ice(transport: RTCDtlsTransport) -> None:
    """Bound what whoever finds our sockets can do (aioice 0.13 and aiortc 1.16 do not).

    At most CHECK_LIST_LIMIT pairs are checked, and at most DATAGRAMS_LIMIT datagrams and DTLS records wait to be read.
    """
    connection: Any = transport.transport._connection
    data_received, pair_remote_candidate = connection.data_received, connection._pair_remote_candidate

    def pair_few(remote_candidate: Any) -> None:
        if len(connection._check_list) < CHECK_LIST_LIMIT:
            pair_remote_candidate(remote_candidate)

    def data_received_if_any(data: bytes, component: int) -> None:
        pieces = split_records(data) if is_dtls(data) else [data] if is_srtp(data) else []
        for piece in pieces:
            if len(piece) <= DATAGRAM_BYTES_LIMIT and connection._queue.qsize() < DATAGRAMS_LIMIT:
                data_received(piece, component)

    _answer_the_phone_alone(connection)
    shadow(connection, "_pair_remote_candidate", pair_few)
    shadow(connection, "data_received", data_received_if_any)


def _answer_the_phone_alone(connection: Any) -> None:
    """Answer checks that bear the connection's names and are signed with its password, and no other.

    REMOTE_CANDIDATES_LIMIT addresses may send such checks; from then on `hears` is true of them. More peer-reflexive
    candidates than that are no candidates.
    """
    request_received, check_incoming = connection.request_received, connection.check_incoming
    checked: set[tuple[str, int]] = set()

    def request_received_from_phone(message: Any, addr: tuple[str, int], protocol: Any) -> None:
        if (
            message.message_method == stun.Method.BINDING
            and connection._valid_username(message.attributes.get("USERNAME", ""))
            and message.check_message_integrity(connection.local_password.encode())
            and (len(checked) < REMOTE_CANDIDATES_LIMIT or addr in checked)
        ):
            checked.add(addr)
            request_received(message, addr, protocol)

    def check_incoming_of_few(message: Any, addr: tuple[str, int], protocol: Any) -> None:
        remote = connection._remote_candidates
        if len(remote) < REMOTE_CANDIDATES_LIMIT or any((other.host, other.port) == addr for other in remote):
            check_incoming(message, addr, protocol)

    def hears(addr: tuple[str, int]) -> bool:
        return addr in checked or any(pair.remote_addr == addr for pair in connection._nominated.values())

    shadow(connection, "request_received", request_received_from_phone)
    shadow(connection, "check_incoming", check_incoming_of_few)
    shadow(connection, "hears", hears)


def start_data_while_open(connection: RTCPeerConnection) -> None:
    """Keep SCTP from starting after it was stopped: its timer would send into a closed transport (aiortc 1.16)."""
    sctp: Any = connection.sctp
    if "start" in vars(sctp):
        return
    start = sctp.start

    async def start_while_open(capabilities: Any, port: int) -> None:
        if connection.signalingState != "closed":
            await start(capabilities, port)

    shadow(sctp, "start", start_while_open)


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
            if is_safe_to_parse(data):
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

    shadow(sctp, "_handle_data", handle_data)


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
