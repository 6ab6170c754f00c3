"""Drives the conversation over a WebSocket, with the clock."""

import asyncio
import contextlib
import importlib
import logging
import ssl
import time
from collections import deque
from types import TracebackType
from typing import Any, Final, Never, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event as WebSocketEvent
from websockets.uri import parse_uri

from streamer.aio import within
from streamer.bounded import BoundedQueue, RateLimit
from streamer.errors import (
    ConfigurationError,
    SignalingClosedError,
    SignalingError,
    SignalingProtocolError,
    SignalingTimeoutError,
    SignalingUnreachableError,
)
from streamer.library_hooks import check_hooks
from streamer.proxies import proxy_of, proxy_url_of
from streamer.resolver import addresses_of, connect_tcp
from streamer.signaling.conversation import EVENTS_LIMIT, MESSAGE_LIMIT, Conversation
from streamer.signaling.messages import Event, SignalingRequest, websocket_url
from streamer.tls import why_untrusted
from streamer.untrusted_text import UntrustedText

_logger = logging.getLogger("streamer.signaling")
# websockets logs every request line at DEBUG, and ours has the device token.
_silent = logging.getLogger("streamer.signaling.websocket")
# A filter, because logging.config.dictConfig(disable_existing_loggers=False) resets `disabled`.
_silent.addFilter(lambda _: False)

SEND_TIMEOUT_S: Final = 5.0  # for the server to read what was sent
FRAMES_PER_S: Final = 200  # WebSocket frames of any kind; a phone sends a few, or some hundred as it connects
BYTES_PER_S: Final = 1024 * 1024
BURST_S: Final = 5.0  # so many seconds' worth may arrive at once
PIECES_LIMIT: Final = 1024  # frames of one message
OUTGOING_LIMIT: Final = 256  # frames that wait to be sent
OUTGOING_BYTES: Final = 4 * 1024 * 1024

_ATTEMPT_PAUSE_S: Final = 1.0  # [seen] the vendor's web client
_CLOSE_TIMEOUT_S: Final = 1.0
_SLICE: Final = 4096  # bytes parsed at a time: 2048 of the smallest frames, some 20 ms


class SignalingClient:
    """The signaling server, as an async iterator of events. Use it with `async with`.

    The heartbeat goes on whether or not anybody reads the events. If more than EVENTS_LIMIT of them wait, the
    conversation ends with SignalingProtocolError. Iteration ends with the SignalingError that ended the conversation.

    One task reads and keeps the deadlines, another writes. A server that reads nothing blocks only the second, and ends
    the conversation with SignalingTimeoutError after SEND_TIMEOUT_S.
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
        self._outgoing = BoundedQueue[str](max_items=OUTGOING_LIMIT, max_bytes=OUTGOING_BYTES, size_of=len)
        self._has_outgoing = asyncio.Event()
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._error: SignalingError | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the WebSocket. Raises SignalingUnreachableError after the last attempt, or SignalingProtocolError."""
        check_hooks("signaling")
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
                    self._task.result()  # raise our own bug
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    def send_answer(self, sdp: str) -> None:
        """Answer the phone's offer. Raises SignalingTimeoutError if the server does not read what was sent before."""
        if self._conversation is not None:
            self._conversation.send_answer(sdp)
            self._queue_frames(self._conversation)

    def send_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Send the phone one of our candidates. Raises as `send_answer`."""
        if self._conversation is not None:
            self._conversation.send_candidate(candidate, sdp_mid, sdp_mline_index)
            self._queue_frames(self._conversation)

    async def aclose(self) -> None:
        """Close the WebSocket and end the heartbeat, within _CLOSE_TIMEOUT_S."""
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait({self._task})
            if self._websocket is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_TIMEOUT_S):  # websockets' own limit begins after its frame
                        await self._websocket.close()
        finally:
            if self._websocket is not None:
                self._websocket.transport.abort()  # does nothing after a complete close

    async def _open(self) -> "_Connection":
        proxy = proxy_of(self._url.reveal())
        for attempt in range(1, self._open_attempts + 1):
            try:
                return await self._connect()
            except (OSError, ImportError, InvalidHandshake, InvalidURI, InvalidProxy, ValueError) as error:
                failed, is_passing = self._open_error(error, proxy)
                if not is_passing or attempt == self._open_attempts:
                    # Other errors may have the URL in their text, and the URL has the token.
                    raise failed from error if isinstance(error, OSError | ImportError) else None
            _logger.debug("= attempt %d to open the WebSocket failed", attempt)
            await asyncio.sleep(_ATTEMPT_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    async def _connect(self) -> "_Connection":
        url = self._url.reveal()
        proxy = proxy_url_of(url)
        uri = parse_uri(url)
        async with asyncio.timeout(self._open_timeout_s):
            way = {"sock": await connect_tcp(uri.host, uri.port)} if proxy is None else await _way_through(proxy)
            websocket = await _Connect(
                url,
                create_connection=_Connection,
                ssl=self._ssl,
                logger=_silent,
                compression=None,
                open_timeout=None,
                close_timeout=_CLOSE_TIMEOUT_S,
                ping_interval=None,  # a WebSocket's own pings do not count for Engine.IO
                max_size=MESSAGE_LIMIT,
                max_queue=16,
                **way,
            )
        assert isinstance(websocket, _Connection)  # noqa: S101 - that is what create_connection is for
        return websocket

    def _open_error(self, error: Exception, proxy: str | None) -> tuple[SignalingError | ConfigurationError, bool]:
        """Return the error for an attempt to open the WebSocket, and whether the next attempt may succeed."""
        host = UntrustedText(urlsplit(self._request.signaling_url).netloc.rpartition("@")[2])
        via = f" through the proxy {proxy}" if proxy else ""
        match error:
            case InvalidStatus(response=response) if 300 <= response.status_code < 400:
                return SignalingProtocolError(
                    f"the signaling server {host} redirects elsewhere (HTTP {response.status_code}): "
                    "streamer does not follow it, because the URL carries the device token"
                ), False
            case InvalidStatus(response=response):
                return SignalingUnreachableError(
                    f"the signaling server {host} answered HTTP {response.status_code} instead of opening a WebSocket",
                    status=response.status_code,
                ), response.status_code >= 500
            case OSError():  # a time-out too
                unreachable = SignalingUnreachableError(
                    f"cannot reach the signaling server {host}{via}: {_reason(error, self._open_timeout_s)}"
                )
                unreachable.retryable = not isinstance(error, ssl.SSLCertVerificationError)
                return unreachable, unreachable.retryable
            case ImportError():  # only for a SOCKS proxy
                return ConfigurationError(
                    "the proxy settings name a SOCKS proxy: install python-socks, or set no_proxy for this server"
                ), False
            case InvalidProxy():
                return ConfigurationError(
                    f"expected a proxy URL such as http://user:password@proxy.example:3128, got {proxy}: "
                    "correct the proxy settings"
                ), False
            case ProxyError():
                return SignalingUnreachableError(
                    f"cannot reach the signaling server {host}: the proxy {proxy} refuses to connect to it"
                ), False
            case Exception(__cause__=EOFError()):
                return SignalingUnreachableError(
                    f"cannot reach the signaling server {host}{via}: the connection broke off"
                ), True
            case _:  # a ValueError: the host
                return SignalingProtocolError(f"{host} is not a WebSocket server"), False

    async def _drive(self, websocket: "_Connection", conversation: Conversation) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(websocket), name="signaling writer")
                await self._read(websocket, conversation)
        except* SignalingError as group:
            self._error = next(error for error in group.exceptions if isinstance(error, SignalingError))
            with contextlib.suppress(SignalingProtocolError):
                self._hand_over(conversation)  # deliver the events before the error
        except* ConnectionClosed as group:
            closed = next(error for error in group.exceptions if isinstance(error, ConnectionClosed))
            self._error = websocket.breach or _closed(closed)
        finally:
            self._arrived.set()

    async def _read(self, websocket: "_Connection", conversation: Conversation) -> Never:
        while True:
            deadline = conversation.deadline
            wait_s = None if deadline is None else max(deadline - time.monotonic(), 0)
            try:
                async with asyncio.timeout(wait_s):
                    frame = await websocket.recv()
            except TimeoutError:
                if wait_s:
                    continue  # the loop was held up: read first what arrived meanwhile
                conversation.poll(time.monotonic())
            else:
                if websocket.breach is not None:
                    raise websocket.breach
                conversation.receive(frame, time.monotonic())
            self._queue_frames(conversation)
            self._hand_over(conversation)
            await asyncio.sleep(0)  # `recv` does not yield while it has frames

    async def _write(self, websocket: "_Connection") -> None:
        while True:
            while self._outgoing:
                async with within(SEND_TIMEOUT_S, _unread_error):
                    try:
                        await websocket.send(self._outgoing.take())
                    except ConnectionClosed:
                        self._outgoing.clear()  # the reading task raises the reason
            self._has_outgoing.clear()
            await self._has_outgoing.wait()

    def _hand_over(self, conversation: Conversation) -> None:
        self._events.extend(conversation.events())
        self._arrived.set()
        if len(self._events) > EVENTS_LIMIT and self._error is None:
            raise SignalingProtocolError(f"the signaling server sent more than {EVENTS_LIMIT} events that nobody read")

    def _queue_frames(self, conversation: Conversation) -> None:
        for frame in conversation.frames_to_send():
            if not self._outgoing.put(frame):
                raise _unread_error()
        self._has_outgoing.set()


class _Connect(connect):
    """Follows no redirect: the URL carries the device token."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Connection(ClientConnection):
    """A connection that enforces limits on the server; `breach` is the error for the limit that it exceeded.

    websockets parses all bytes of a read at once, and queues every frame in them and an answer to every ping. So it
    gets the bytes in slices, and this class counts the frames.
    """

    def __init__(self, protocol: ClientProtocol, **limits: Any) -> None:
        super().__init__(protocol, **limits)
        self.breach: SignalingError | None = None
        self._rate = RateLimit(items_per_s=FRAMES_PER_S, bytes_per_s=BYTES_PER_S, burst_s=BURST_S)
        self._pieces = 0  # of the message under way

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _SLICE):
            if self.breach is None:
                super().data_received(data[start : start + _SLICE])

    def process_event(self, event: WebSocketEvent) -> None:
        if self.breach is None and isinstance(event, Frame):
            self.breach = self._breach_of(event)
            if self.breach is not None:
                self.transport.abort()
        if self.breach is None:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        # If it is lost before it is made, as when TLS fails behind a proxy, websockets 17 raises.
        if hasattr(self, "recv_messages"):
            super().connection_lost(exc)

    def _breach_of(self, frame: Frame) -> SignalingError | None:
        if not self._rate.take(len(frame.data), time.monotonic()):
            return SignalingProtocolError(
                f"expected at most {FRAMES_PER_S} frames and {BYTES_PER_S} bytes a second from the signaling server, "
                "got more"
            )
        if frame.opcode in DATA_OPCODES:
            self._pieces = 0 if frame.fin else self._pieces + 1
        if self._pieces > PIECES_LIMIT:
            return SignalingProtocolError(f"expected messages in at most {PIECES_LIMIT} pieces, got more")
        if self.transport.get_write_buffer_size() > OUTGOING_BYTES:  # of answers to pings of WebSocket's own
            return _unread_error()
        return None


async def _way_through(proxy: str) -> dict[str, Any]:
    """Return the arguments for a connection through a proxy, with the proxy's address instead of its name.

    websockets accepts no connected socket here. So if the name has several addresses, a first connection finds the one
    that answers first. A SOCKS5 proxy resolves the server's name, as for the API.
    """
    parts = urlsplit(proxy)
    if parts.scheme.startswith("socks"):
        importlib.import_module("python_socks")  # raises ImportError before anything connects
    name, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address, *others = await addresses_of(name)
    if others:
        with await connect_tcp(name, port) as probe:
            address = probe.getpeername()[0]
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{address}]" if ":" in address else address
    scheme = "socks5h" if parts.scheme == "socks5" else parts.scheme
    way: dict[str, Any] = {"proxy": f"{scheme}://{user}{at}{host}:{port}"}
    if parts.scheme == "https":
        way["proxy_server_hostname"] = parts.hostname
    return way


def _unread_error() -> SignalingTimeoutError:
    return SignalingTimeoutError("the signaling server stopped reading", step="send")


def _closed(error: ConnectionClosed) -> SignalingClosedError | SignalingProtocolError:
    if error.sent is not None and not error.rcvd_then_sent:  # websockets itself rejected a frame
        return SignalingProtocolError(
            f"the signaling server broke the WebSocket protocol or a limit (code {error.sent.code})"
        )
    if isinstance(error.__cause__, ConnectionError):
        return SignalingClosedError("the connection to the signaling server was reset")
    said = f"WebSocket code {error.rcvd.code}" if error.rcvd is not None else "without a close code"
    return SignalingClosedError(f"the signaling server closed the connection ({said})")


def _reason(error: OSError, timeout_s: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            return why_untrusted(error)
        case _:
            return error.strerror or type(error).__name__
