"""Gathers local candidates: this machine's at once, those of STUN and TURN servers when they answer."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from aioice import Candidate, TransportPolicy, ice, stun, turn
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc import RTCDtlsTransport

from streamer.library_hooks import shadow
from streamer.resolver import resolve
from streamer.rtc._aiortc.hardening import CatchErrorsMixin, StunProtocol
from streamer.rtc.ice import IceServer
from streamer.rtc.udp import open_udp, widen
from streamer.tls import why_untrusted

SERVER_TIMEOUT_S: Final = 5.0  # for one STUN or TURN server to answer
GIVE_BACK_TIMEOUT_S: Final = 1.0  # for a TURN server to confirm that a relay is given back
_SLICE: Final = 4096  # bytes
CHECK_INTERVAL_S: Final = 0.02  # between the beginnings of two checks (RFC 8445 section 14.2), as in aioice


class TurnTeardownMixin(CatchErrorsMixin):
    """Leaves a TURN server quickly, even if it is gone.

    aioice 0.13 asks the server for 39 s to free the relay. asyncio waits for 30 s until TLS is shut down, and for ever
    until TCP has sent everything. A server that was not told frees the relay when its lifetime ends (RFC 8656, 6).
    """

    async def delete(self: Any) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GIVE_BACK_TIMEOUT_S):
                    await super().delete()  # type: ignore[misc]
        finally:
            self.transport.abort()


class TurnOverUdp(TurnTeardownMixin, turn.TurnClientUdpProtocol):
    """aioice's client of a TURN server."""


class TurnOverTcp(TurnTeardownMixin, turn.TurnClientTcpProtocol):
    """aioice's client of a TURN server over TCP or TLS.

    For each message, aioice 0.13 copies the whole buffer: a read of 256 KiB with messages of 4 bytes would take
    seconds. So it gets each read in slices.
    """

    buffer = b""

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _SLICE):
            super().data_received(data[start : start + _SLICE])


def _specificity(error: Exception) -> int:
    """Return how much an error tells: one of a server's address families often fails, as on a machine without IPv6."""
    return 1 if isinstance(error, TimeoutError) else 0 if isinstance(error, OSError) else 2


def _reason(error: Exception) -> str:
    """Return the reason why a server gave no candidate."""
    match error:
        case TimeoutError():
            return "no answer"
        case stun.TransactionError():
            return f"refused: {error}"
        case ssl.SSLCertVerificationError():
            return why_untrusted(error)
        case OSError() | ValueError():
            return getattr(error, "strerror", None) or str(error)
        case _:
            return f"its answer makes no sense ({error!r})"


def _candidate(
    kind: str, host: str, port: int, *, base: str | None = None, related: tuple[Any, ...] = (None, None)
) -> Candidate:
    """Return a candidate; `base` is the local address behind it, if that is another one (RFC 8445 section 5.1.1.3)."""
    return Candidate(
        foundation=candidate_foundation(kind, "udp", base or host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, kind),
        host=host,
        port=port,
        type=kind,
        related_address=related[0],
        related_port=related[1],
    )


class Gathering:
    """Gathers the candidates of one ICE connection: this machine's at once, those of servers when they answer.

    Make it before the connection gathers, that is before `setLocalDescription`. Its tasks end within SERVER_TIMEOUT_S,
    or with `aclose`.
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
        shadow(self._connection, "close", self._give_back_and_close)
        shadow(self._connection, "gather_candidates", self._gather)
        shadow(self._connection, "_check_periodic", self._begin_checks)

    async def aclose(self) -> None:
        """Stop asking servers and checking pairs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give_back_and_close(self) -> None:
        """Close the connection and all relays at once: aioice would close one after the other."""
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
        connection._local_candidates += await self._host_candidates(addresses)
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
        """Check pairs in a task of our own: in aioice, `connect` sleeps for an interval after a check that succeeded.

        `connect` calls this until it returns false, and then waits for a result. Without a pair it would fail then.
        """
        if not self._connection._check_list:
            return self._check_next()
        self._start(self._check(), "ICE checks")
        return False

    async def _check(self) -> None:
        while self._check_next():  # noqa: ASYNC110 - the interval is the point
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def _host_candidates(self, addresses: list[str]) -> list[Candidate]:
        """Return a candidate for each address that can be bound."""
        connection = self._connection
        candidates = []
        for address in addresses:
            try:
                protocol: Any = await open_udp(address, lambda: StunProtocol(connection))
            except OSError:
                continue
            if connection._closing:
                protocol.transport.abort()
                break
            host, port = protocol.transport.get_extra_info("sockname")[:2]
            protocol.local_candidate = _candidate("host", host, port)
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
        if failures and server not in self._answered:  # over IPv4 when it did not over IPv6, or on another socket
            self._on_failure(server, _reason(max(failures, key=_specificity)))

    async def _ways_to(self, server: IceServer) -> list[Coroutine[Any, Any, None]]:
        """Return the coroutines that get a server's candidates, over IPv4 and IPv6 at once if it has both."""
        if server.scheme == "turns" and server.transport != "tcp":
            raise ValueError("TURN over DTLS is not supported; use transport=tcp")
        if server.scheme in {"stun", "stuns"} and (server.scheme == "stuns" or server.transport != "udp"):
            raise ValueError("STUN over TCP or TLS gives no candidate that UDP can use")
        addresses = await resolve(server.host)
        if server.scheme in {"turn", "turns"}:
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
            raise ValueError("the answer has no address")
        self._answered.append(server)
        local = protocol.local_candidate
        host, port = answer.attributes["XOR-MAPPED-ADDRESS"]
        self._add(_candidate("srflx", host, port, base=local.host, related=(local.host, local.port)))

    async def _allocate(self, server: IceServer, host: str) -> None:
        """Ask a TURN server for a relay (RFC 8656 section 7). The server chooses its address family."""
        protocol = StunProtocol(self._connection)
        await self._connect(protocol, server, host)
        relayed, seen = (protocol.transport.get_extra_info(name) for name in ("sockname", "related_address"))
        if self._connection._transport_policy == TransportPolicy.RELAY:  # hidden (RFC 9429 section 3.5.3)
            seen = ("::" if ":" in relayed[0] else "0.0.0.0", 9)  # noqa: S104 - it is bound nowhere
        protocol.local_candidate = candidate = _candidate("relay", *relayed[:2], related=seen)
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
        """Connect a protocol to a new relay as `aioice.turn.create_turn_endpoint` does, but with our clients."""
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
            name = server.host if tls else None  # the certificate's
            transport, client = await loop.create_connection(make, host, server.port, ssl=tls, server_hostname=name)
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
