"""STUN and TURN servers that say what a test wants."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

LOOPBACKS: Final = ("127.0.0.1", "::1")


@asynccontextmanager
async def stun_server(
    reply: Callable[[bytes, tuple[str, int]], bytes], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Run a server that answers each request with `reply`; give its address and port, as in a URL."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(reply(data, addr), addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=(host, port))
    try:
        yield f"{f'[{host}]' if ':' in host else host}:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind: int, request: bytes, *attributes: bytes) -> bytes:
    """Return a STUN message (RFC 8489 section 5) with the transaction of `request`."""
    body = b"".join(attributes)
    return struct.pack("!HH", kind, len(body)) + request[4:20] + body


def tell_address(request: bytes, client: tuple[str, int]) -> bytes:
    """Answer that the client's address is 198.51.100.7 or 2001:db8::7, port 4242 (RFC 8489 section 14.2)."""
    family, seen = (2, "2001:db8::7") if ":" in client[0] else (1, "198.51.100.7")
    address = bytes(a ^ b for a, b in zip(ipaddress.ip_address(seen).packed, request[4:], strict=False))
    return message(0x0101, request, attribute(0x0020, struct.pack("!BBH", 0, family, 4242 ^ 0x2112) + address))


def both_families_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a name resolve to both loopback addresses."""
    resolve = socket.getaddrinfo

    def resolve_both(host: Any, *arguments: Any, **options: Any) -> Any:
        return [
            found for one in (LOOPBACKS if host == name else [host]) for found in resolve(one, *arguments, **options)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_both)
