"""Hardens aiortc and aioice: who may send, how much is buffered, and how connections end."""

import logging
from collections.abc import Callable
from typing import Any, Final

from aioice import ice, stun
from aiortc import RTCDtlsTransport, RTCPeerConnection

from streamer.library_hooks import shadow
from streamer.rtc.datagrams import is_dtls, is_srtp, split_records
from streamer.rtc.sctp import is_safe_to_parse

_logger = logging.getLogger("streamer.rtc")

REMOTE_CANDIDATES_LIMIT: Final = 200  # the phone's, and peer-reflexive ones
CHECK_LIST_LIMIT: Final = 1000  # pairs of candidates; those of one more remote candidate may exceed it
DATAGRAMS_LIMIT: Final = 1024  # waiting and not STUN; of DTLS, records
DATAGRAM_BYTES_LIMIT: Final = 2048  # of each

# What a peer may use of data channels: only `input` is used, with frames of a few bytes.
DATA_CHANNELS_LIMIT: Final = 64
DATA_STREAMS_LIMIT: Final = 256
DATA_BYTES_LIMIT: Final = 524_288  # of incomplete messages; the answer limits a message to 65536
DATA_PIECES_LIMIT: Final = 2048  # chunks of incomplete messages: each costs work

# aiortc 1.16 offers only ECDHE-ECDSA. A peer with an RSA certificate then fails with "no shared cipher".
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
    """Keep a transport that is closed while it connects from leaving anything behind.

    aioice 0.13 would send consent checks for ever; aiortc 1.16 would raise in a task that nobody awaits.
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
    """A protocol that no datagram makes raise: aioice 0.13 passes on errors of struct."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        try:
            super().datagram_received(data, addr)  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - parsing raises many kinds
            _logger.debug("= a datagram from %s that makes no sense: %r", addr, error)


class StunProtocol(CatchErrorsMixin, ice.StunProtocol):
    """aioice's protocol for one of our sockets or relays.

    Datagrams other than STUN reach the connection only from addresses that passed a check: during its handshake, DTLS
    accepts an unencrypted alert from anybody.
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
    """Limit what strangers can do to our sockets (aioice 0.13 and aiortc 1.16 do not).

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
    """Answer only checks that have the connection's user names and are signed with its password.

    At most REMOTE_CANDIDATES_LIMIT addresses may send such checks; `hears` is true for them. Further peer-reflexive
    candidates are ignored.
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
    """Keep SCTP from starting after it was stopped: in aiortc 1.16 its timer would send into a closed transport."""
    sctp: Any = connection.sctp
    if "start" in vars(sctp):
        return
    start = sctp.start

    async def start_while_open(capabilities: Any, port: int) -> None:
        if connection.signalingState != "closed":
            await start(capabilities, port)

    shadow(sctp, "start", start_while_open)


def guard_data(connection: RTCPeerConnection, on_fault: Callable[[str], None]) -> None:
    """Limit what the peer's data channels may buffer, and keep their errors from ending the connection.

    aiortc 1.16 does neither: it keeps pieces of messages without a limit, and an unreadable one ends the whole
    connection. At the first fault, `on_fault` is called with a sentence, and the channels are closed.
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
        except Exception as error:  # noqa: BLE001 - aiortc raises assertions and errors of parsing
            _logger.debug("= data channels: %r", error)
        if fault:
            has_ended = True
            on_fault(f"data channels closed: {fault}")
            await sctp._abort()
            sctp._set_state(sctp.State.CLOSED)

    shadow(sctp, "_handle_data", handle_data)


def _data_over_limit(sctp: Any, window: int) -> str:
    """Return which limit the peer has exceeded, in a sentence; empty if none."""
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
