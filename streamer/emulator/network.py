"""Simulates a bad network between the emulator's sockets and one client, as the current faults say."""

import asyncio
import random
from typing import Any, Final

from streamer.emulator.faults import Faults
from streamer.library_hooks import shadow

BURST: Final = 3  # datagrams that are lost in a row, on average
LATE_S: Final = 0.02  # what is overtaken comes so much later: some frames' worth of packets
_DTLS_APPLICATION_DATA: Final = 23  # content type (RFC 6347 section 4.1)
_MOVED_PORT: Final = 9  # discard: no client sends from there

Address = Any


class Path:
    """Put it `in_front_of` each of aioice's protocols (0.13).

    Only media and data channels lose something: aiortc's DTLS handshake sends nothing twice.
    """

    def __init__(self, faults: Faults) -> None:
        self.is_cut = False
        self.has_moved = False  # the client's address is another one, and its former one leads nowhere
        self._faults = faults
        self._real: Address = None
        self._moved: Address = None
        self._in_burst = False
        self._random = random.Random(1)  # noqa: S311 - repeatable, and hides nothing

    def in_front_of(self, protocol: Any) -> None:
        """Send everything that a protocol sends and receives through this path."""
        if isinstance(protocol.transport, _Transport):
            return
        receive = protocol.datagram_received
        protocol.transport = _Transport(self, protocol.transport)
        shadow(protocol, "datagram_received", lambda data, addr: self.pass_on(receive, data, self._seen_from(addr)))

    def pass_on(self, hand_over: Any, data: bytes, address: Address) -> None:
        """Hand a datagram over: once, late, twice, or not at all."""
        if self.is_cut or address is None:
            return
        faults = self._faults
        if faults.lose_data and data[0] == _DTLS_APPLICATION_DATA and self._random.random() < faults.lose_data:
            return
        if faults.delay_s:
            asyncio.get_running_loop().call_later(faults.delay_s, self._arrive, hand_over, data, address)
        else:
            self._arrive(hand_over, data, address)

    def _arrive(self, hand_over: Any, data: bytes, address: Address) -> None:
        faults = self._faults
        if not (faults.lose or faults.overtake or faults.repeat) or not 127 < data[0] < 192:
            hand_over(data, address)
        elif not self._loses(faults.lose):
            if self._random.random() < faults.overtake:
                asyncio.get_running_loop().call_later(LATE_S, hand_over, data, address)
            else:
                hand_over(data, address)
            if self._random.random() < faults.repeat:
                hand_over(data, address)

    def address_of(self, address: Address) -> Address:
        """Return the address at which a datagram to this address arrives; None if it does not."""
        if not self.has_moved:
            return address
        return self._real if address == self._moved else None

    def _seen_from(self, address: Address) -> Address:
        if not self.has_moved:
            return address
        self._real, self._moved = address, (address[0], _MOVED_PORT, *address[2:])
        return self._moved

    def _loses(self, share: float) -> bool:
        """Gilbert's model: bursts of BURST on average, as many as make up this share."""
        if self._in_burst:
            self._in_burst = self._random.random() >= 1 / BURST
        else:
            self._in_burst = self._random.random() < share / (BURST * (1 - min(share, 0.99)))
        return self._in_burst


class _Transport:
    """A transport behind the path."""

    def __init__(self, path: Path, transport: asyncio.DatagramTransport) -> None:
        self._path = path
        self._transport = transport

    def sendto(self, data: bytes, addr: Any = None) -> None:
        """Send a datagram along the path."""
        self._path.pass_on(self._send, data, self._path.address_of(addr))

    def _send(self, data: bytes, address: Address) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
