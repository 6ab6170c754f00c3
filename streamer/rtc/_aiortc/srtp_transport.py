"""Takes media directly from the sockets and decrypts it. aiortc gets all other datagrams."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pylibsrtp
from aiortc import RTCDtlsTransport, RTCRtpReceiver

from streamer.library_hooks import shadow
from streamer.rtc._aiortc.srtp import Inbound
from streamer.rtc.datagrams import is_srtp
from streamer.rtc.udp import UdpTransport


def hook_receive(receiver: RTCRtpReceiver, on_ready: Callable[[RTCDtlsTransport], None]) -> None:
    """Call `on_ready` with the transport, instead of starting aiortc's own receiver, when DTLS and SRTP are ready.

    aiortc may call it more than once, at each negotiation. Call this before `setLocalDescription`.
    """

    async def receive(parameters: object) -> None:
        on_ready(receiver.transport)  # looked up now: BUNDLE may have moved it

    shadow(receiver, "receive", receive)


class SrtpTransport:
    """Takes a transport's RTP and RTCP directly from the sockets and decrypts it; DTLS still goes to aiortc.

    The handlers get a burst of RTP packets, or one RTCP packet, with the monotonic time in ns at which it was read from
    the socket. Datagrams that `inbound` refuses are dropped. The transport must be connected; then call `open`.
    `on_round_trip` gets the duration in ns of each consent check, every 5 s or so (RFC 7675).
    """

    def __init__(
        self,
        transport: RTCDtlsTransport,
        inbound: Inbound,
        on_rtp: Callable[[list[bytes], int], None],
        on_rtcp: Callable[[bytes, int], None],
        on_round_trip: Callable[[int], None],
    ) -> None:
        self._connection: Any = transport.transport._connection
        self._inbound = inbound
        self._outbound: Any = transport._tx_srtp
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._on_round_trip = on_round_trip

    def open(self) -> None:
        """Begin, with the datagrams since the end of the handshake."""
        # At each of our sockets, before aioice parses STUN; and behind that, for relays and other sockets.
        for protocol in self._connection._protocols:
            if isinstance(protocol.transport, UdpTransport):
                protocol.transport.on_media = self._take
        receive = self._connection.data_received

        def receive_unless_srtp(datagram: bytes, component: int) -> None:
            if is_srtp(datagram):
                self._take([datagram])
            else:
                receive(datagram, component)

        shadow(self._connection, "data_received", receive_unless_srtp)
        for pair in self._connection._nominated.values():
            self._measure(pair.protocol)
        # The first packets of the first keyframe may wait behind the last datagram of the handshake.
        queue = self._connection._queue
        items = [queue.get_nowait() for _ in range(queue.qsize())]
        early = [item[0] for item in items if item is not None and is_srtp(item[0])]
        for item in items:
            if item is None or not is_srtp(item[0]):
                queue.put_nowait(item)
        self._take(early)

    def _measure(self, protocol: Any) -> None:
        """Time the consent checks. They are never retransmitted, so each answer belongs to its request."""
        request = protocol.request

        async def timed_request(
            message: Any, addr: Any, integrity_key: bytes | None = None, retransmissions: int | None = None
        ) -> Any:
            sent_ns = time.monotonic_ns()
            answer = await request(message, addr, integrity_key=integrity_key, retransmissions=retransmissions)
            if retransmissions == 0:
                self._on_round_trip(time.monotonic_ns() - sent_ns)
            return answer

        shadow(protocol, "request", timed_request)

    def send_rtcp(self, packet: bytes) -> None:
        """Send an RTCP packet. Never raises: a packet that cannot be sent counts as lost on the way."""
        pair = self._connection._nominated.get(1)
        if pair is not None and pair.protocol.transport is not None:
            with contextlib.suppress(OSError, pylibsrtp.Error):
                pair.protocol.transport.sendto(self._outbound.protect_rtcp(packet), pair.remote_addr)

    def _take(self, datagrams: list[bytes]) -> None:
        arrival_ns = time.monotonic_ns()
        inbound = self._inbound
        unprotect, packets = inbound.unprotect, []
        for datagram in datagrams:
            if 192 <= datagram[1] <= 223:  # RTCP (RFC 5761 section 4)
                if (report := inbound.unprotect_rtcp(datagram)) is not None:
                    self._on_rtcp(report, arrival_ns)
            elif (packet := unprotect(datagram)) is not None:
                packets.append(packet)
        if packets:
            if inbound.refusals.any:
                inbound.note_accepted(packets)
            self._on_rtp(packets, arrival_ns)
