"""HTTP with limits, and with errors for people."""

import logging
import socket
import ssl
import time
from typing import Final

import httpx

from streamer.errors import CloudReplyError, CloudUnreachableError

_logger = logging.getLogger("streamer.cloud")

_KINDS: Final = {
    httpx.ConnectTimeout: "connecting took too long",
    httpx.TimeoutException: "it took too long",
    httpx.ConnectError: "it cannot be connected to",
    httpx.RemoteProtocolError: "the answer broke off",
    httpx.ReadError: "the answer broke off",
    httpx.DecodingError: "the answer's content encoding is broken",
}
BODY_LIMIT: Final = 1024 * 1024  # bytes; real replies have a few thousand


async def read_reply(http: httpx.AsyncClient, request: httpx.Request) -> tuple[httpx.Response, bytes]:
    """Send a request; return the response and its whole body.

    Raises CloudUnreachableError if no whole answer comes, CloudReplyError for a body over BODY_LIMIT or a redirect
    (which would take the credentials somewhere else).
    """
    started = time.monotonic()
    _logger.debug("> %s %s", request.method, request.url.path)
    try:
        response = await http.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise CloudReplyError(
                        f"expected at most {BODY_LIMIT} bytes from {request.url.host}, got more: check the endpoint",
                        status=response.status_code,
                    )
        finally:
            await response.aclose()
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise CloudUnreachableError(f"no answer from {request.url.host}: {_kind(error)}") from error
    _logger.debug("< HTTP %d, %d bytes, %.0f ms", response.status_code, len(body), 1000 * (time.monotonic() - started))
    if response.is_redirect:
        target = httpx.URL(response.headers.get("location", "")).host or "elsewhere"
        raise CloudReplyError(
            f"{request.url.host} redirects to {target} (HTTP {response.status_code}): give the final endpoint",
            status=response.status_code,
        )
    return response, bytes(body)


def _kind(error: Exception) -> str:
    """Say in a few words what went wrong below HTTP."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or 'handshake'})"
        if isinstance(cause, socket.gaierror):
            return "its name does not resolve"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
        cause = cause.__cause__ or cause.__context__
    return next((text for kind, text in _KINDS.items() if isinstance(error, kind)), type(error).__name__)
