"""Host names resolved on threads of their own.

The event loop's default pool resolves names, too. But a slow name holds up whatever else uses the pool, such as
`asyncio.to_thread`, and `asyncio.run` waits for it at the end of the program. These threads hold up nothing: they are
daemons, and who does not wait any longer leaves them behind.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import socket
import threading
from collections.abc import Callable
from typing import Final

THREADS_LIMIT: Final = 16  # names that are being resolved at once, of the whole process

_free: Final = threading.BoundedSemaphore(THREADS_LIMIT)
_numbers: Final = itertools.count(1)


async def resolve(host: str) -> list[str]:
    """Return a host's first address of each family, IPv4 before IPv6. Sets no time limit: set one.

    Raises OSError if its name does not resolve, or THREADS_LIMIT others have not been resolved yet.
    """
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    if not _free.acquire(blocking=False):
        raise OSError(f"{THREADS_LIMIT} names are being resolved already")
    loop = asyncio.get_running_loop()
    resolved: asyncio.Future[list[str]] = loop.create_future()

    def tell(finish: Callable[[], None]) -> None:
        if not resolved.done():
            finish()

    def run() -> None:
        try:
            addresses = _resolve(host)
        except Exception as error:  # noqa: BLE001 - a name may be no name: UnicodeError
            failure = error if isinstance(error, OSError) else OSError(str(error))
            finish: Callable[[], None] = lambda: resolved.set_exception(failure)  # noqa: E731
        else:
            finish = lambda: resolved.set_result(addresses)  # noqa: E731
        finally:
            _free.release()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, finish)

    try:
        threading.Thread(target=run, name=f"resolve {next(_numbers)}", daemon=True).start()
    except RuntimeError as error:  # the system has no thread left
        _free.release()
        raise OSError(str(error)) from error
    return await resolved


def _resolve(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    first = {family: address[0] for family, _, _, _, address in reversed(found)}
    return [str(first[family]) for family in (socket.AF_INET, socket.AF_INET6) if family in first]
