"""A UDP socket that wakes the event loop a few times a picture instead of once a packet.

A picture comes as a burst of packets, and waking up costs more than handling what came. So after a datagram has been
handled, the socket is left alone for a moment and then emptied in one go; only a socket on which nothing came is
watched for readiness again. A packet waits PAUSE_S at the longest, and the first one of a burst not at all.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

PAUSE_S: Final = 0.0005  # event loops round up: a millisecond in practice
RECEIVE_BUFFER: Final = 2 * 1024 * 1024  # bytes asked of the kernel: a keyframe of 500 kB, several times
_BATCH: Final = 128  # datagrams handled before other work of the loop gets its turn
_DATAGRAM_LIMIT: Final = 65536


class UdpTransport(asyncio.DatagramTransport):
    """A datagram transport over a bound socket, which it owns. Made by `open_udp`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, bound: socket.socket, protocol: asyncio.DatagramProtocol
    ) -> None:
        super().__init__({"sockname": bound.getsockname()})
        self._loop = loop
        self._socket = bound
        self._protocol = protocol
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        loop.add_reader(bound.fileno(), self._receive)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram at once; one for which the kernel has no room is lost, as it might be on the way."""
        if self._closing:
            return
        try:
            self._socket.sendto(data, addr)
        except BlockingIOError:
            pass
        except OSError as error:
            self._protocol.error_received(error)

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """Close the socket; the protocol is told in the loop's next round."""
        if self._closing:
            return
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        else:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """The same as `close`: nothing is buffered."""
        self.close()

    def _receive(self) -> None:
        """Handle what has come; then look again after a pause, or, if nothing had come, when something does."""
        count = 0
        while count < _BATCH and not self._closing:
            try:
                datagram, address = self._socket.recvfrom(_DATAGRAM_LIMIT)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:  # such as an ICMP message that a port is unreachable
                self._protocol.error_received(error)
                break
            count += 1
            self._protocol.datagram_received(datagram, address)
        if self._closing:
            return
        if count:
            if self._timer is None:
                self._loop.remove_reader(self._socket.fileno())
            self._timer = self._loop.call_later(PAUSE_S, self._receive)
        elif self._timer is not None:
            self._timer = None
            self._loop.add_reader(self._socket.fileno(), self._receive)


def open_udp(address: str, make_protocol: Callable[[], asyncio.DatagramProtocol]) -> asyncio.DatagramProtocol:
    """Return a protocol connected to a new socket on a free port of `address`.

    Raises OSError if the address cannot be bound, NotImplementedError if the running loop cannot watch sockets
    (Windows' default one).
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        bound.bind((address, 0))
        protocol = make_protocol()
        transport = UdpTransport(loop, bound, protocol)
    except BaseException:
        bound.close()
        raise
    protocol.connection_made(transport)
    return protocol
