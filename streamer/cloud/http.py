"""HTTP with limits, and with errors for people."""

import asyncio
import contextlib
import functools
import importlib
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final

import httpcore
import httpx

from streamer.aio import within
from streamer.cloud.encoding import UnreadableBodyError, decode_body
from streamer.errors import CloudReplyError, CloudUnreachableError, ConfigurationError
from streamer.proxies import proxy_of, proxy_url_of
from streamer.resolver import connect_first
from streamer.tls import context_from, why_untrusted
from streamer.untrusted_text import UntrustedText, parse_url, without_secrets

with contextlib.suppress(ImportError):  # httpcore imports it while it connects, which would hold up the loop for 15 ms
    importlib.import_module("anyio._backends._asyncio")

_logger = logging.getLogger("streamer.cloud")

_KINDS: Final = {
    httpx.ConnectTimeout: "timed out while connecting",
    httpx.TimeoutException: "timed out",
    TimeoutError: "timed out",
    httpx.ConnectError: "cannot connect",
    httpx.RemoteProtocolError: "the connection closed during the reply",
    httpx.ReadError: "the connection closed during the reply",
}
BODY_LIMIT: Final = 1024 * 1024  # bytes; real replies have a few thousand
IDLE_LIMIT_S: Final = 5.0  # how long a connection is kept for the next request; httpx's own limit

_PROXY_SCHEMES: Final = {"http", "https", "socks5", "socks5h"}
_TRANSPORT_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class _Network(httpcore.AnyIOBackend):
    """Connects to names that are resolved outside the event loop's pool; httpcore asks it for every connection."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        connect = functools.partial(
            super().connect_tcp, port=port, local_address=local_address, socket_options=socket_options
        )
        try:
            async with within(timeout, httpcore.ConnectTimeout):
                return await connect_first(host, connect, lambda stream: stream.aclose())
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for chunk in self._response.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


class _Routed(httpx.AsyncBaseTransport):
    """Sends each request directly or through the proxy that the environment names for it.

    httpx's own transport takes no network backend, so this one drives httpcore's pools itself.
    """

    def __init__(self, verify: bool | ssl.SSLContext) -> None:
        self._verify = verify
        self._pools: dict[str | None, httpcore.AsyncConnectionPool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = proxy_url_of(str(request.url))
        context = await context_from(self._verify)
        is_tls_proxy = proxy is not None and proxy.startswith("https:")
        proxy_context = await context_from(True) if is_tls_proxy else None  # `verify` is about the API's certificate
        if proxy not in self._pools:  # as many as the environment names
            self._pools[proxy] = _open_pool(proxy, context, proxy_context)
        with _errors_of_httpx():
            response = await self._pools[proxy].handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=_core_url(request.url),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


def _open_pool(
    proxy: str | None, context: ssl.SSLContext, proxy_context: ssl.SSLContext | None
) -> httpcore.AsyncConnectionPool:
    way = None
    if proxy is not None:
        parsed = httpx.URL(proxy)
        if parsed.scheme not in _PROXY_SCHEMES:
            raise ConfigurationError(
                "expected a URL such as http://proxy.example:3128 in the proxy settings, got something else"
            )
        if parsed.scheme.startswith("socks"):
            try:
                importlib.import_module("socksio")  # httpcore needs it
            except ImportError as error:
                raise ConfigurationError(
                    "the proxy settings name a SOCKS proxy: install socksio and python-socks, or unset the variable "
                    "that does"
                ) from error
        has_user = bool(parsed.userinfo)
        way = httpcore.Proxy(
            _core_url(parsed), auth=(parsed.username, parsed.password) if has_user else None, ssl_context=proxy_context
        )
    return httpcore.AsyncConnectionPool(
        ssl_context=context, proxy=way, keepalive_expiry=IDLE_LIMIT_S, network_backend=_Network()
    )


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@contextlib.contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Raise httpx's error of the same name for each of httpcore's."""
    try:
        yield
    except _TRANSPORT_ERRORS as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


def open_http(*, timeout_s: float, verify: bool | ssl.SSLContext, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Return a client for the API, which goes through the proxies that `streamer.proxies` finds."""
    return httpx.AsyncClient(timeout=timeout_s, transport=_Routed(verify), trust_env=False, headers=headers)


async def read_reply(http: httpx.AsyncClient, request: httpx.Request) -> tuple[httpx.Response, bytes]:
    """Send a request; return the response and its whole body.

    Raises CloudUnreachableError if no whole answer comes; its `was_sent` says whether the request left. Raises
    CloudReplyError for a body over BODY_LIMIT or a redirect (which would take the credentials somewhere else).
    """
    started = time.monotonic()
    proxy = proxy_of(str(request.url))
    was_sent = False

    async def trace(step: str, _facts: object) -> None:
        nonlocal was_sent
        was_sent |= step.endswith("send_request_headers.started")

    request.extensions["trace"] = trace
    _logger.debug("> %s %s", request.method, request.url.path)
    try:
        # The whole of it: a server that drips is no answer either.
        async with asyncio.timeout(request.extensions["timeout"]["read"]):
            response = await http.send(request, stream=True)
            try:
                body = await _read_body(response)
            finally:
                await response.aclose()
    except (httpx.TransportError, TimeoutError, UnicodeError) as error:  # the last: a redirect to no host name
        kind, via = _kind(error, proxy), f" through the proxy {proxy}" if proxy else ""
        if isinstance(error, httpx.ProxyError):
            kind, via = f"the proxy {proxy} refuses to connect to it", ""
        was_sent = was_sent and not isinstance(error, httpx.ProxyError)  # whose request only asks it to connect
        unreachable = CloudUnreachableError(f"no answer from {_server(request)}{via}: {kind}", was_sent=was_sent)
        unreachable.retryable = not _is_untrusted(error)
        raise unreachable from error
    _logger.debug("< HTTP %d, %d bytes, %.0f ms", response.status_code, len(body), 1000 * (time.monotonic() - started))
    if response.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        refusal = CloudUnreachableError(
            f"no answer from {_server(request)}: the proxy {proxy} refuses to connect to it", was_sent=False
        )
        refusal.retryable = False
        raise refusal
    if response.is_redirect:
        target = UntrustedText(_host(response.headers.get("location", "")))
        raise CloudReplyError(
            f"{request.url.host} redirects to {target} (HTTP {response.status_code}): give the final endpoint",
            status=response.status_code,
        )
    return response, body


async def _read_body(response: httpx.Response) -> bytes:
    """Return the body, decoded. Some gateways compress every reply, whatever the request accepts."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise CloudReplyError(
                f"expected at most {BODY_LIMIT} bytes from {response.url.host}, got more: check the endpoint",
                status=response.status_code,
            )
    encodings = response.headers.get("content-encoding", "")
    try:
        return decode_body(bytes(body), encodings=encodings, charset=response.charset_encoding, limit=BODY_LIMIT)
    except UnreadableBodyError as error:
        raise CloudReplyError(
            f"the reply of {response.url.host} {error} (content-encoding '{UntrustedText(encodings, 40)}')",
            status=response.status_code,
        ) from error


def checked_endpoint(endpoint: str, *, example: str) -> str:
    """Return a base URL without its trailing slashes, and without white space around it, as a file's line may have.

    Raises ConfigurationError if it is not one, or carries secrets.
    """
    endpoint = endpoint.strip()
    parts = parse_url(endpoint, {"http", "https"})
    try:
        is_usable = parts is not None and bool(httpx.URL(endpoint).host) and not set(endpoint) & set("?#@")
    except (ValueError, httpx.InvalidURL):
        is_usable = False
    if parts is None or not is_usable:
        wanted = "a base URL with http or https, without user, query and fragment"
        raise ConfigurationError(
            f"expected an endpoint such as {example}, got '{without_secrets(endpoint)}': "
            f"{wanted if '://' in endpoint else 'begin it with https:// or http://'}"
        )
    return parts.geturl().rstrip("/")


def _server(request: httpx.Request) -> str:
    """Return the host, and its port if that is not the scheme's own."""
    return request.url.netloc.decode("ascii")


def _host(location: str) -> str:
    try:
        return httpx.URL(location).host or "elsewhere"
    except (ValueError, httpx.InvalidURL):
        return "elsewhere"


def _kind(error: Exception, proxy: str | None) -> str:
    """Say in a few words what went wrong below HTTP, and what to check."""
    setting = "the endpoint" if proxy is None else "the endpoint and the proxy settings"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return why_untrusted(cause)
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or 'handshake'}): check the scheme and the port of {setting}"
        if isinstance(cause, socket.gaierror):
            return f"the host name does not resolve: check {setting}"
        if isinstance(cause, ConnectionRefusedError):
            return f"the connection was refused: check {setting}, and whether the server runs"
    return next((text for kind, text in _KINDS.items() if isinstance(error, kind)), type(error).__name__)


def _is_untrusted(error: Exception) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _causes(error: Exception) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
