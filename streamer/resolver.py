"""Resolves host names on threads of its own, and connects to their addresses."""

import asyncio
import contextlib
import ipaddress
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar

from streamer.threads import Threads

T = TypeVar("T")

THREADS_LIMIT: Final = 16  # names that the whole process resolves at once
ADDRESSES_LIMIT: Final = 16  # addresses of a name that are tried
STAGGER_S: Final = 0.25  # after this time the next address is tried, too (RFC 8305 section 5)

_threads: Final = Threads("resolve", limit=THREADS_LIMIT)


async def resolve(host: str) -> list[str]:
    """Return a host's first address of each family, IPv4 before IPv6. Sets no time limit: set one.

    Raises OSError if the name does not resolve, or if THREADS_LIMIT names are being resolved.
    """
    first = {":" in address: address for address in reversed(await addresses_of(host))}
    return [first[is_ipv6] for is_ipv6 in (False, True) if is_ipv6 in first]


async def addresses_of(host: str) -> list[str]:
    """Return a host's addresses in the system's order, alternating between the families (RFC 8305 section 4).

    At most ADDRESSES_LIMIT. Sets no time limit: set one. Raises as `resolve`.
    """
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    try:
        found = await asyncio.wrap_future(
            _threads.start(lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        )
    except UnicodeError as error:  # not a valid host name
        raise OSError(str(error)) from error
    addresses = list(dict.fromkeys(_text(address) for *_, address in found))
    is_first = [(":" in address) == (":" in addresses[0]) for address in addresses]
    families = [
        [address for address, first in zip(addresses, is_first, strict=True) if first is wanted]
        for wanted in (True, False)
    ]
    return [address for address in chain(*zip_longest(*families)) if address is not None][:ADDRESSES_LIMIT]


async def connect_first(host: str, connect: Callable[[str], Awaitable[T]], close: Callable[[T], Awaitable[None]]) -> T:
    """Return the first connection that `connect` makes to one of a host's addresses ("happy eyeballs", RFC 8305).

    It tries the next address when the one before failed, or did not answer for STAGGER_S. `close` gets a connection
    that came second. Sets no time limit: set one. Raises as `resolve`; if no address answers, the last error.
    """
    untried = deque(await addresses_of(host))
    tasks: list[asyncio.Future[T]] = []
    waiting: set[asyncio.Future[T]] = set()
    first: asyncio.Future[T] | None = None
    failure: BaseException = OSError("the name has no address")
    try:
        while first is None and (untried or waiting):
            if untried:
                tasks.append(asyncio.ensure_future(connect(untried.popleft())))
                waiting.add(tasks[-1])
            limit_s = STAGGER_S if untried else None
            done, waiting = await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is not None:
                    failure = error
                elif first is None:
                    first = task
        if first is None:
            raise failure
        tasks.remove(first)
        await _discard(tasks, close)
    except asyncio.CancelledError:
        await _discard(tasks if first is None or first in tasks else [*tasks, first], close)
        raise
    return first.result()


async def _discard(tasks: Iterable[asyncio.Future[T]], close: Callable[[T], Awaitable[None]]) -> None:
    """Cancel connections that are being made, and close complete ones."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, BaseException):
            await close(result)


async def connect_tcp(host: str, port: int) -> socket.socket:
    """Return a TCP socket that is connected to a host. Sets no time limit: set one. Raises OSError."""

    async def connect(address: str) -> socket.socket:
        connecting = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            connecting.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connecting, (address, port))
        except BaseException:
            connecting.close()
            raise
        return connecting

    async def close(connected: socket.socket) -> None:
        connected.close()

    return await connect_first(host, connect, close)


def _text(address: tuple[Any, ...]) -> str:
    """Return a socket address's IP address, with its scope if it has one."""
    return f"{address[0]}%{address[3]}" if address[3:] and address[3] else str(address[0])
