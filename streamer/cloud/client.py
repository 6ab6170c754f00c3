"""The auth call: from an instance id to a `Ticket` (httpx at the edge, its errors mapped)."""

import logging
import ssl
import uuid
from typing import Final, Self
from urllib.parse import quote

import httpx
import stamina

from streamer.cloud.credentials import Credentials
from streamer.cloud.http import checked_endpoint, read_reply, tls_context
from streamer.cloud.models import Ticket, check_reply, parse_ticket
from streamer.errors import CloudError, ConfigurationError, CredentialsError
from streamer.wire import AUTH_PATH, REQUEST_ID_HEADER, TENANT_TOKEN_HEADER

_logger = logging.getLogger("streamer.cloud")

ATTEMPTS: Final = 3
_ID_LIMIT: Final = 128
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}  # a limit on the body then is one


class CloudClient:
    """The vendor's API at one endpoint, over one pool of kept-alive HTTP/1.1 connections. Use it with `async with`.

    `endpoint` is a base URL that may carry a path. `stream_type` goes into the auth call as it is [doc: 1 is SDK, 2 is
    browser streaming]; None leaves it out. Raises ConfigurationError for an endpoint that is none.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        *,
        timeout_s: float = 10.0,
        verify: bool | ssl.SSLContext = True,
        stream_type: int | None = 2,
    ) -> None:
        self._endpoint = checked_endpoint(endpoint, example="https://koophone.myhuaweicloud.com")
        self._credentials = credentials
        self._parameters = {} if stream_type is None else {"stream_type": stream_type}
        self._http = httpx.AsyncClient(timeout=timeout_s, verify=tls_context(verify), headers=_HEADERS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def fetch_ticket(self, instance_id: str) -> Ticket:
        """Return a fresh ticket for an instance, by `POST /v1/instances/{instance_id}/auth` [doc].

        Tried up to three times where that is safe and may help: no answer, 429, 5xx, and codes that the vendor asks to
        wait for. Credentials that are refused are renewed once, where they can be.

        Raises ConfigurationError for an id that cannot be one, else a CloudError.
        """
        path = AUTH_PATH.format(instance_id=quote(_checked_id(instance_id), safe=""))
        async for attempt in stamina.retry_context(
            on=_is_worth_another_try, attempts=ATTEMPTS, wait_initial=0.3, wait_max=3.0
        ):
            with attempt:
                return await self._authorize(path, instance_id)
        raise AssertionError("stamina ends with a result or an error")

    async def _authorize(self, path: str, instance_id: str) -> Ticket:
        request = await self._signed_request(path)
        try:
            return await self._send(request, instance_id)
        except CredentialsError:
            if not self._credentials.renew(request):
                raise
        _logger.debug("= the credentials were refused: trying once with new ones")
        return await self._send(await self._signed_request(path), instance_id)

    async def _signed_request(self, path: str) -> httpx.Request:
        request = self._http.build_request(
            "POST",
            self._endpoint + path,
            params=self._parameters,
            headers={REQUEST_ID_HEADER: str(uuid.uuid4())},
        )
        await self._credentials.sign(request, self._http)
        return request

    async def _send(self, request: httpx.Request, instance_id: str) -> Ticket:
        response, body = await read_reply(self._http, request)
        check_reply(
            body,
            status=response.status_code,
            request_id=request.headers[REQUEST_ID_HEADER],
            hidden=request.headers.get(TENANT_TOKEN_HEADER),
        )
        return parse_ticket(body, instance_id, status=response.status_code)


def _is_worth_another_try(error: Exception) -> bool:
    return isinstance(error, CloudError) and error.retryable


def _checked_id(instance_id: str) -> str:
    if not 0 < len(instance_id) <= _ID_LIMIT or not instance_id.isprintable() or set(instance_id) & set("/\\ ?#"):
        raise ConfigurationError(
            f"expected an instance id of 1 to {_ID_LIMIT} printable characters without space or slash, "
            f"got {instance_id[:_ID_LIMIT]!r}"
        )
    if instance_id.strip(".") == "":
        raise ConfigurationError(f"expected an instance id, got {instance_id!r}")
    return instance_id
