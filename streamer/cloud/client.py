"""The calls of the API around a stream, the auth call first of all (httpx at the edge, its errors mapped)."""

import asyncio
import contextlib
import logging
import random
import ssl
import time
import uuid
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx

from streamer.cloud.credentials import Credentials, as_credentials
from streamer.cloud.http import checked_endpoint, open_http, read_reply
from streamer.cloud.models import Progress, Ticket, check_reply, parse_prepared, parse_progress, parse_ticket
from streamer.errors import CloudError, ConfigurationError, CredentialsError
from streamer.protocol_constants import (
    AUTH_PATH,
    PREPARE_PATH,
    PROGRESS_PATH,
    RELEASE_PATH,
    REQUEST_ID_HEADER,
    STOP_PATH,
    TENANT_TOKEN_HEADER,
)
from streamer.retry_policy import Backoff, Reconnect

_logger = logging.getLogger("streamer.cloud")

ATTEMPTS: Final = 3  # of one call
RETRIES: Final = Reconnect(attempts=ATTEMPTS - 1, max_delay_s=1.6, give_up_after_s=45.0)
CLOSE_TIMEOUT_S: Final = 1.0
_ID_LIMIT: Final = 128
_USER_LIMIT: Final = 32  # [doc]
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}  # a limit on the body then is one


class CloudClient:
    """The vendor's API at one endpoint, over one pool of kept-alive HTTP/1.1 connections. Use it with `async with`.

    `endpoint` is a base URL that may carry a path. `stream_type` goes into the auth call as it is [doc: 1 is SDK, 2 is
    browser streaming]; None leaves it out. Raises ConfigurationError for an unusable endpoint or credentials.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials | str,
        *,
        timeout_s: float = 10.0,
        verify: bool | ssl.SSLContext = True,
        stream_type: int | None = 2,
    ) -> None:
        self._endpoint = checked_endpoint(endpoint, example="https://koophone.myhuaweicloud.com")
        self._credentials = as_credentials(credentials)
        self._parameters = {} if stream_type is None else {"stream_type": stream_type}
        self._has_warned = False  # of signaling without TLS
        if verify is False:
            _logger.warning("= TLS certificates are not verified: anybody on the network path can read the tokens")
        self._http = open_http(timeout_s=timeout_s, verify=verify, headers=_HEADERS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, within CLOSE_TIMEOUT_S."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._http.aclose()

    @property
    def credentials_last_s(self) -> float | None:
        """How long the credentials are good for at most; None if they renew themselves."""
        return self._credentials.lasts_s

    async def fetch_ticket(self, instance_id: str) -> Ticket:
        """Return a fresh ticket for an instance, by `POST /v1/instances/{instance_id}/auth` [doc].

        It is tried up to three times where that is safe and may help: no answer, 429, 5xx, and codes after which the
        vendor asks to wait. Refused credentials are renewed once, if they can be.

        Raises ConfigurationError for an impossible id, else a CloudError.
        """
        path = AUTH_PATH.format(instance_id=quote(_checked_id(instance_id), safe=""))
        body, status = await self._post(path, params=self._parameters)
        ticket = parse_ticket(body, instance_id, status=status)
        schemes = [urlsplit(url).scheme.lower() for url in (self._endpoint, ticket.signaling_url)]
        if schemes[0] == "https" and schemes[1] in {"http", "ws"} and not self._has_warned:
            self._has_warned = True
            _logger.warning("= the API names a signaling server without TLS: the device token is sent unencrypted")
        return ticket

    async def prepare(self, instance_id: str, user_id: str) -> bool:
        """Prepare an instance for one of the tenant's own users, by `POST /v1/instances/prepare` [doc].

        Return whether it is ready already; otherwise call `prepare_progress` from time to time. Raises as
        `fetch_ticket`.
        """
        asked = {"user_id": check_user_id(user_id), "instance_ids": [_checked_id(instance_id)]}
        body, status = await self._post(PREPARE_PATH, json=asked)
        return parse_prepared(body, instance_id, status=status)

    async def prepare_progress(self, instance_id: str, user_id: str) -> Progress:
        """Return how far an instance is, by `POST /v1/instances/prepare-progress` [doc]. Raises as `fetch_ticket`."""
        asked = {"user_id": check_user_id(user_id), "instance_id": _checked_id(instance_id)}
        body, status = await self._post(PROGRESS_PATH, json=asked)
        return parse_progress(body, status=status)

    async def stop_streaming(self, instance_id: str) -> None:
        """End an instance's stream, if there is one, by `POST /v1/instances/streaming/stop` [doc]."""
        await self._post(STOP_PATH, json={"instance_id": _checked_id(instance_id)})

    async def release_session(self, instance_id: str) -> None:
        """Release an instance, which otherwise stays taken for a while after its stream [doc: session/release]."""
        await self._post(RELEASE_PATH, json={"instance_id": _checked_id(instance_id)})

    async def _post(self, path: str, **content: Any) -> tuple[bytes, int]:
        """Return the body and the HTTP status of a reply that is a success."""
        backoff = Backoff(RETRIES, time.monotonic())
        while True:
            try:
                return await self._authorized(path, content)
            except CloudError as error:
                jitter = random.random()  # noqa: S311 - spreads clients, and hides nothing
                delay_s = backoff.next_delay(error, time.monotonic(), jitter)
                if delay_s is None:
                    raise
                _logger.debug("= trying again in %.1f s: %s", delay_s, error)
            await asyncio.sleep(delay_s)

    async def _authorized(self, path: str, content: dict[str, Any]) -> tuple[bytes, int]:
        request = await self._signed_request(path, content)
        try:
            return await self._send(request)
        except CredentialsError:
            if not self._credentials.renew(request):
                raise
        _logger.debug("= the credentials were refused: trying once with new ones")
        return await self._send(await self._signed_request(path, content))

    async def _signed_request(self, path: str, content: dict[str, Any]) -> httpx.Request:
        headers = {REQUEST_ID_HEADER: str(uuid.uuid4())}
        request = self._http.build_request("POST", self._endpoint + path, headers=headers, **content)
        await self._credentials.sign(request, self._http)
        return request

    async def _send(self, request: httpx.Request) -> tuple[bytes, int]:
        response, body = await read_reply(self._http, request)
        check_reply(
            body,
            status=response.status_code,
            request_id=request.headers[REQUEST_ID_HEADER],
            hidden=request.headers.get(TENANT_TOKEN_HEADER),
        )
        return body, response.status_code


def _checked_id(instance_id: str) -> str:
    if not 0 < len(instance_id) <= _ID_LIMIT or not instance_id.isprintable() or set(instance_id) & set("/\\ ?#"):
        raise ConfigurationError(
            f"expected an instance id of 1 to {_ID_LIMIT} printable characters without space or slash, "
            f"got {instance_id[:_ID_LIMIT]!r}"
        )
    if instance_id.strip(".") == "":
        raise ConfigurationError(f"expected an instance id, got {instance_id!r}")
    return instance_id


def check_user_id(user_id: str) -> str:
    """Return a user id that can be one. Raises ConfigurationError."""
    if not 0 < len(user_id) <= _USER_LIMIT or not user_id.isprintable():
        raise ConfigurationError(f"expected a user id of 1 to {_USER_LIMIT} printable characters, got {user_id[:80]!r}")
    return user_id
