"""What every `await` on a peer goes through: a time limit with an error of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable


@contextlib.asynccontextmanager
async def within(seconds: float | None, error: Callable[[], BaseException]) -> AsyncIterator[None]:
    """Cancel the block after `seconds` and raise `error()`; None sets no limit.

    Only the limit's own expiry raises `error()`. A TimeoutError from inside the block passes through unchanged.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise error() from None
