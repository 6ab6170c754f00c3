"""A UDP socket that wakes the event loop a few times per frame instead of once per packet.

A frame arrives as a burst of packets, and a wake-up costs more than handling the packets. So when the first packets of
a frame are there and its last one, which has the marker bit, is not, the socket is left alone for a moment and then
read in one go. A complete frame is handed over at once, and nothing waits longer than PAUSE_S.
"""

import asyncio
import contextlib
import errno
import select
import socket
from collections.abc import Callable
from typing import Any, Final

PAUSE_S: Final = 0.001  # event loops count in milliseconds; uvloop rounds less down to 0
RECEIVE_BUFFER: Final = 2 * 1024 * 1024  # bytes requested from the kernel: several keyframes of 500 kB
_BATCH: Final = 128  # datagrams read before the loop does other work
_DATAGRAM_LIMIT: Final = 65536
_LARGER_THAN_AUDIO: Final = 400  # bytes: audio has no marker bit to wait for, but smaller packets


def has_address(address: str) -> bool:
    """Whether this machine has an address: a socket can be bound to it. Returns true if unsure."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as trying:
            trying.bind((address, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


class UdpTransport(asyncio.DatagramTransport):
    """A datagram transport over a bound socket, which it owns. `open_udp` makes it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, bound: socket.socket, protocol: asyncio.DatagramProtocol
    ) -> None:
        super().__init__({"sockname": bound.getsockname()})
        self.on_media: Callable[[list[bytes]], None] | None = None  # gets SRTP and SRTCP instead of the protocol
        self._loop = loop
        self._socket = bound
        self._protocol = protocol
        self._media: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._watch = _Watch(loop, bound.fileno(), self._on_readable)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram at once. If the kernel's buffer is full, it is lost, as on the network."""
        if self._closing:
            return
        try:
            self._socket.sendto(data, addr)
        except BlockingIOError:
            pass
        except OSError as error:
            self._protocol.error_received(error)

    @property
    def is_pausing(self) -> bool:
        """Whether the socket is left alone for a moment, until more of a frame arrives."""
        return self._timer is not None

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """Close the socket; the loop notifies the protocol in its next round."""
        if self._closing:
            return
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._watch.close()
        self._socket.close()
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """The same as `close`: nothing is buffered."""
        self.close()

    def _on_readable(self) -> None:
        self._receive()
        if self._closing:
            return
        if _has_more_to_come(self._media):
            self._watch.pause()
            self._timer = self._loop.call_later(PAUSE_S, self._on_pause_over)
        else:
            self._hand_over()

    def _on_pause_over(self) -> None:
        count = self._receive()
        if self._closing:
            return
        if count and _has_more_to_come(self._media):
            self._timer = self._loop.call_later(PAUSE_S, self._on_pause_over)
        else:
            self._timer = None
            self._watch.resume()
        self._hand_over()

    def _receive(self) -> int:
        """Read datagrams, media into `_media` and others to the protocol; return how many, at most _BATCH."""
        receive, has_media, media = self._socket.recvfrom, self.on_media is not None, self._media
        for count in range(_BATCH):
            try:
                datagram, address = receive(_DATAGRAM_LIMIT)
            except (BlockingIOError, InterruptedError):
                return count
            except OSError as error:  # such as an ICMP message "port unreachable"
                self._protocol.error_received(error)
                return count
            if has_media and len(datagram) > 1 and 127 < datagram[0] < 192:  # `is_srtp`, inlined
                media.append(datagram)
            else:
                self._protocol.datagram_received(datagram, address)
                if self._closing:
                    return count
        return _BATCH

    def _hand_over(self) -> None:
        media, self._media = self._media, []
        if media and self.on_media is not None:
            self.on_media(media)


class _Watch:
    """Calls back when a socket is readable, but not while paused.

    Pausing removes the reader from the event loop and adds it again, twice per frame. If there is epoll, the loop
    watches an epoll of our own instead: changing that one's interest in the socket is several times cheaper.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, on_readable: Callable[[], None]) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._on_readable = on_readable
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            try:
                self._epoll.register(descriptor, select.EPOLLIN)
                loop.add_reader(self._epoll.fileno(), on_readable)
            except BaseException:
                self._epoll.close()
                raise
        else:
            loop.add_reader(descriptor, on_readable)

    def pause(self) -> None:
        """Stop calling back until `resume`."""
        if self._epoll is not None:
            self._epoll.modify(self._descriptor, 0)
        else:
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Call back again, at once if the socket is readable."""
        if self._epoll is not None:
            self._epoll.modify(self._descriptor, select.EPOLLIN)
        else:
            self._loop.add_reader(self._descriptor, self._on_readable)

    def close(self) -> None:
        """Stop calling back for ever. The socket must still be open."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        else:
            self._loop.remove_reader(self._descriptor)


def _has_more_to_come(media: list[bytes]) -> bool:
    """Whether the frame of the last packet is incomplete."""
    return bool(media) and media[-1][1] < 128 and len(media[-1]) > _LARGER_THAN_AUDIO


def widen(udp: socket.socket) -> None:
    """Request RECEIVE_BUFFER from the kernel, which may give less."""
    with contextlib.suppress(OSError):
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


async def open_udp(address: str, make_protocol: Callable[[], asyncio.DatagramProtocol]) -> asyncio.DatagramProtocol:
    """Return a protocol connected to a new socket on a free port of `address`.

    If the running loop cannot watch sockets, like Windows' default one, it uses asyncio's own transport, which wakes
    the loop for each packet. Raises OSError if the address cannot be bound.
    """
    try:
        return _open_watched(address, make_protocol)
    except NotImplementedError:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            make_protocol, local_addr=(address, 0)
        )
        widen(transport.get_extra_info("socket"))
        return protocol


def _open_watched(address: str, make_protocol: Callable[[], asyncio.DatagramProtocol]) -> asyncio.DatagramProtocol:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        widen(bound)
        bound.bind((address, 0))
        protocol = make_protocol()
        transport = UdpTransport(loop, bound, protocol)
    except BaseException:
        bound.close()
        raise
    protocol.connection_made(transport)
    return protocol
