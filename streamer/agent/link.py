"""The one session of a server: connected when a tool first needs it, and closed by its owner."""

import asyncio
from collections.abc import Callable

from streamer.connecting import Connecting
from streamer.errors import ConnectionLostError
from streamer.session import Session


class PhoneLink:
    """Gives the tools a session. Nothing is connected before the first call: clients start servers that nobody uses.

    Whoever makes it closes it with `aclose`.
    """

    def __init__(self, connect: Callable[[], Connecting]) -> None:
        self._connect = connect
        self._connecting = asyncio.Lock()
        self._session: Session | None = None
        self._is_closed = False

    async def session(self) -> Session:
        """Return the session; connect if there is none.

        One that has ended is reported once, by its error. The next call connects anew: so no device that took the phone
        over loses it without somebody having read of it.

        Raises:
            StreamerError: Connecting failed, or what ended the session.
        """
        async with self._connecting:
            if self._is_closed:
                raise ConnectionLostError("cannot reach the phone: the server is closing")
            ended = self._session
            if ended is not None and ended.state == "closed":
                self._session = None
                await ended.aclose()
                raise ended.error or ConnectionLostError("the connection to the phone has ended")
            if self._session is None:
                self._session = await self._connect()
            return self._session

    @property
    def has_ended(self) -> bool:
        """Whether there is no session that goes on: the next call connects."""
        return self._session is None or self._session.state == "closed"

    async def aclose(self) -> None:
        """Leave the phone; recordings are finished first."""
        self._is_closed = True
        async with self._connecting:
            session, self._session = self._session, None
            if session is not None:
                await session.aclose()
