"""The driver: a WebSocket, the clock, and the conversation that says what to do with them."""

import asyncio
import logging
import ssl
import time
from collections import deque
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)

from streamer.errors import (
    ConfigurationError,
    SignalingClosedError,
    SignalingError,
    SignalingProtocolError,
    SignalingUnreachableError,
)
from streamer.proxies import proxy_of
from streamer.signaling.conversation import (
    EVENTS_LIMIT,
    MESSAGE_LIMIT,
    Conversation,
    Event,
    SignalingRequest,
    websocket_url,
)

_logger = logging.getLogger("streamer.signaling")
# websockets logs every request line at DEBUG, and ours carries the device token.
_silent = logging.getLogger("streamer.signaling.websocket")
# A filter, because `disabled` is undone by any logging.config.dictConfig(disable_existing_loggers=False).
_silent.addFilter(lambda _: False)

_ATTEMPT_PAUSE_S: Final = 1.0  # [seen] the vendor's web client
_CLOSE_TIMEOUT_S: Final = 1.0


class SignalingClient:
    """The signaling server, as an async iterator of events. Use it with `async with`.

    The heartbeat goes on whether or not the events are read; EVENTS_LIMIT of them may wait, one more ends the
    conversation with SignalingProtocolError. Iteration ends by raising the SignalingError that ended the conversation.
    """

    def __init__(
        self,
        request: SignalingRequest,
        *,
        ssl: ssl.SSLContext | None = None,
        open_timeout_s: float = 3.0,
        open_attempts: int = 3,
    ) -> None:
        self._request = request
        self._url = websocket_url(request)
        self._ssl = ssl
        self._open_timeout_s = open_timeout_s
        self._open_attempts = open_attempts
        self._websocket: ClientConnection | None = None
        self._conversation: Conversation | None = None
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._error: SignalingError | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the WebSocket. Raises SignalingUnreachableError after the last attempt, or SignalingProtocolError."""
        self._websocket = await self._open()
        self._conversation = Conversation(self._request, time.monotonic())
        self._task = asyncio.create_task(self._drive(self._websocket, self._conversation), name="signaling heartbeat")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. Raises the SignalingError that ended the conversation; after `aclose`, ends."""
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._task is None or self._task.done():
                if self._task is not None and not self._task.cancelled():
                    self._task.result()  # a fault of ours is not passed over in silence
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    async def send_answer(self, sdp: str) -> None:
        """Answer the phone's offer."""
        if self._conversation is not None:
            self._conversation.send_answer(sdp)
            await self._flush()

    async def send_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Tell the phone one of our candidates."""
        if self._conversation is not None:
            self._conversation.send_candidate(candidate, sdp_mid, sdp_mline_index)
            await self._flush()

    async def aclose(self) -> None:
        """Close the WebSocket and end the heartbeat."""
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait({self._task})
            if self._websocket is not None:
                await self._websocket.close()
        finally:
            if self._websocket is not None:
                self._websocket.transport.abort()  # nothing, after a close that was not cancelled

    async def _open(self) -> ClientConnection:
        host = urlsplit(self._request.signaling_url).netloc.rpartition("@")[2]
        proxy = proxy_of(self._url.reveal())
        via = f" through the proxy {proxy}" if proxy else ""
        for attempt in range(1, self._open_attempts + 1):
            try:
                return await connect(
                    self._url.reveal(),
                    create_connection=_Connection,
                    ssl=self._ssl,
                    logger=_silent,
                    compression=None,
                    open_timeout=self._open_timeout_s,
                    close_timeout=_CLOSE_TIMEOUT_S,
                    ping_interval=None,  # a WebSocket's own pings do not count for Engine.IO
                    max_size=MESSAGE_LIMIT,
                    max_queue=16,
                )
            except InvalidStatus as error:
                status = error.response.status_code
                if status < 500 or attempt == self._open_attempts:
                    raise SignalingUnreachableError(
                        f"the signaling server {host} answered HTTP {status} instead of opening a WebSocket",
                        status=status,
                    ) from None
            except (OSError, TimeoutError) as error:
                is_untrusted = isinstance(error, ssl.SSLCertVerificationError)
                if is_untrusted or attempt == self._open_attempts:
                    unreachable = SignalingUnreachableError(
                        f"the signaling server {host} cannot be reached{via}: {_reason(error, self._open_timeout_s)}"
                    )
                    unreachable.retryable = not is_untrusted
                    raise unreachable from error
            except ImportError as error:  # websockets looks for it only when the environment names such a proxy
                raise ConfigurationError(
                    "the proxy settings name a SOCKS proxy: install python-socks, or set no_proxy for this server"
                ) from error
            except (InvalidHandshake, InvalidURI, InvalidProxy, LookupError, ValueError) as error:
                # Their texts may hold the URL, and that the token. A ValueError: the host, or where a redirect leads.
                # A LookupError: a redirect to several places.
                if not isinstance(error.__cause__, EOFError):
                    raise _no_websocket(error, host, proxy) from None
                if attempt == self._open_attempts:
                    raise SignalingUnreachableError(
                        f"the signaling server {host} cannot be reached{via}: the connection broke off"
                    ) from None
            _logger.debug("= attempt %d to open the WebSocket failed", attempt)
            await asyncio.sleep(_ATTEMPT_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    async def _drive(self, websocket: ClientConnection, conversation: Conversation) -> None:
        try:
            while True:
                deadline = conversation.deadline
                wait_s = None if deadline is None else max(deadline - time.monotonic(), 0)
                try:
                    async with asyncio.timeout(wait_s):
                        frame = await websocket.recv()
                except TimeoutError:
                    if wait_s:
                        continue  # what came while the event loop was held up is read before anything is overdue
                    conversation.poll(time.monotonic())
                else:
                    conversation.receive(frame, time.monotonic())
                await self._flush()
                self._hand_over(conversation)
        except SignalingError as error:
            self._error = error
            self._hand_over(conversation)  # what came before the end is not lost
        except ConnectionClosed as error:
            self._error = _closed(error)
        finally:
            self._arrived.set()

    def _hand_over(self, conversation: Conversation) -> None:
        self._events.extend(conversation.events())
        self._arrived.set()
        if len(self._events) > EVENTS_LIMIT and self._error is None:
            raise SignalingProtocolError(f"the signaling server sent more than {EVENTS_LIMIT} events that nobody read")

    async def _flush(self) -> None:
        if self._conversation is None or self._websocket is None:
            return
        for frame in self._conversation.frames_to_send():
            try:
                await self._websocket.send(frame)
            except ConnectionClosed:
                return  # the reading side finds out, and says why


class _Connection(ClientConnection):
    """One that is lost before it is made, as when TLS fails behind a proxy, says nothing (websockets 17 falls over)."""

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "recv_messages"):
            super().connection_lost(exc)


def _no_websocket(
    error: Exception, host: str, proxy: str | None
) -> SignalingUnreachableError | SignalingProtocolError | ConfigurationError:
    if isinstance(error, InvalidProxy):
        return ConfigurationError(
            f"the proxy settings name {proxy} in a way that is not understood: "
            "expected a URL such as http://user:password@proxy.example:3128"
        )
    if isinstance(error, ProxyError):
        return SignalingUnreachableError(
            f"the signaling server {host} cannot be reached: the proxy {proxy} refuses to connect to it"
        )
    return SignalingProtocolError(f"{host} is not a WebSocket server")


def _closed(error: ConnectionClosed) -> SignalingClosedError | SignalingProtocolError:
    if error.sent is not None and not error.rcvd_then_sent:  # it was websockets that found fault with a frame
        return SignalingProtocolError(
            f"the signaling server broke the WebSocket protocol or a limit (code {error.sent.code})"
        )
    if isinstance(error.__cause__, ConnectionError):
        return SignalingClosedError("the connection to the signaling server was reset")
    said = f"WebSocket code {error.rcvd.code}" if error.rcvd is not None else "without a word"
    return SignalingClosedError(f"the signaling server closed the connection ({said})")


def _reason(error: OSError, timeout_s: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate is not trusted ({error.verify_message})"
        case _:
            return error.strerror or type(error).__name__
