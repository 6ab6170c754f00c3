"""The path that ICE chose: whether it is alive, and its local address."""

from typing import Any

from aioice import stun
from aiortc import RTCDtlsTransport


async def probe(transport: RTCDtlsTransport) -> bool:
    """Ask the peer for consent (RFC 7675), twice, half a second apart; return whether it answered within 1.5 s."""
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


def local_address(transport: RTCDtlsTransport) -> str | None:
    """Return the local address of the path in use, also of a relayed one; None if unknown."""
    pair = transport.transport._connection._nominated.get(1)
    if pair is None:
        return None
    turn = getattr(pair.protocol.transport, "_TurnTransport__inner_protocol", None)  # its own address is the relay's
    own = (pair.protocol if turn is None else turn).transport
    name = None if own is None else own.get_extra_info("sockname")
    return str(name[0]) if name else None
