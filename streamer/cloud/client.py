"""The calls of the API, one after another over httpx: when a call is repeated, and when it must not be."""

import asyncio
import contextlib
import logging
import random
import ssl
import time
import uuid
from http import HTTPStatus
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from streamer.cloud import calls
from streamer.cloud.calls import Call
from streamer.cloud.credentials import Credentials, as_credentials
from streamer.cloud.http import checked_endpoint, open_http, read_reply
from streamer.cloud.models import Progress, Ticket, check_reply
from streamer.errors import CloudError, CloudUnclearError, ConfigurationError, CredentialsError
from streamer.protocol_constants import REQUEST_ID_HEADER, TENANT_TOKEN_HEADER
from streamer.retry_policy import Backoff, Reconnect, is_unclear

T = TypeVar("T")

_logger = logging.getLogger("streamer.cloud")

ATTEMPTS: Final = 3  # of one call
RETRIES: Final = Reconnect(attempts=ATTEMPTS - 1, max_delay_s=1.6, give_up_after_s=45.0)
COMMAND_RETRIES: Final = Reconnect(attempts=6, max_delay_s=20.0, give_up_after_s=90.0)  # after 429: a minute's limit
CLOSE_TIMEOUT_S: Final = 1.0
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}  # a limit on the body then is one


class CloudClient:
    """The vendor's API at one endpoint, over one pool of kept-alive HTTP/1.1 connections. Use it with `async with`.

    `endpoint` is a base URL that may carry a path. `stream_type` goes into the auth call as it is [doc: 1 is SDK, 2 is
    browser streaming]; None leaves it out. `calls_per_minute` limits the commands of everything that uses these
    credentials; None leaves the limit as it is. Raises ConfigurationError for an unusable endpoint or credentials.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials | str,
        *,
        timeout_s: float = 10.0,
        verify: bool | ssl.SSLContext = True,
        stream_type: int | None = 2,
        calls_per_minute: int | None = None,
    ) -> None:
        self._endpoint = checked_endpoint(endpoint, example="https://koophone.myhuaweicloud.com")
        self._credentials = as_credentials(credentials)
        self._turns = self._credentials.turns
        if calls_per_minute is not None:
            self._turns.rate.per_minute = calls_per_minute
        self._stream_type = stream_type
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
        """Return a fresh ticket for an instance. Raises as `call`."""
        ticket = await self.call(calls.auth(instance_id, self._stream_type))
        schemes = [urlsplit(url).scheme.lower() for url in (self._endpoint, ticket.signaling_url)]
        if schemes[0] == "https" and schemes[1] in {"http", "ws"} and not self._has_warned:
            self._has_warned = True
            _logger.warning("= the API names a signaling server without TLS: the device token is sent unencrypted")
        return ticket

    async def prepare(self, instance_id: str, user_id: str) -> bool:
        """Prepare an instance for one of the tenant's own users.

        Return whether it is ready already; otherwise call `prepare_progress` from time to time. Raises as `call`.
        """
        return await self.call(calls.prepare(instance_id, user_id))

    async def prepare_progress(self, instance_id: str, user_id: str) -> Progress:
        """Return how far an instance is with getting ready. Raises as `call`."""
        return await self.call(calls.prepare_progress(instance_id, user_id))

    async def stop_streaming(self, instance_id: str) -> None:
        """End an instance's stream, if there is one. Raises as `call`."""
        await self.call(calls.stop_streaming(instance_id))

    async def release_session(self, instance_id: str) -> None:
        """Release an instance, which stays taken for a while after its stream otherwise. Raises as `call`."""
        await self.call(calls.release_session(instance_id))

    async def call(self, call: Call[T]) -> T:
        """Make a call, and return what its reply says.

        It is tried up to three times where that may help: no answer, 429, 5xx, and codes after which the vendor asks to
        wait. Refused credentials are renewed once, if they can be. A call that changes something is repeated only if it
        is clear that nothing has happened. A command waits for its turn; after 429 it is tried for 90 s at the most.

        Raises CloudUnclearError if a call that changes something may have been carried out, else another CloudError.
        Raises ConfigurationError once the client is closed.
        """
        await self._turn(call)
        began = time.monotonic()
        backoff, command_backoff = Backoff(RETRIES, began), Backoff(COMMAND_RETRIES, began)
        while True:
            try:
                return await self._authorized(call)
            except CloudError as error:
                is_too_fast = call.is_command and getattr(error, "status", None) == HTTPStatus.TOO_MANY_REQUESTS
                jitter = random.random()  # noqa: S311 - spreads clients, and hides nothing
                delay_s = (command_backoff if is_too_fast else backoff).next_delay(error, time.monotonic(), jitter)
                if delay_s is None:
                    raise
                _logger.debug("= trying again in %.1f s: %s", delay_s, error)
            if is_too_fast:
                self._turns.hold(delay_s)
            else:
                await asyncio.sleep(delay_s)
            await self._turn(call)

    async def _turn(self, call: Call[T]) -> None:
        if call.is_command:
            await self._turns.wait()

    async def _authorized(self, call: Call[T]) -> T:
        request = await self._signed_request(call)
        try:
            return await self._send(call, request)
        except CredentialsError:
            if not self._credentials.renew(request):
                raise
        _logger.debug("= the credentials were refused: trying once with new ones")
        return await self._send(call, await self._signed_request(call))

    async def _signed_request(self, call: Call[T]) -> httpx.Request:
        if self._http.is_closed:
            raise ConfigurationError("expected a call before the block of connect() or Cloud() is left, got one after")
        request_id = str(uuid.uuid4())
        request = self._http.build_request(
            call.method,
            self._endpoint + call.path,
            headers={REQUEST_ID_HEADER: request_id},
            params={**call.query, REQUEST_ID_HEADER: request_id} if call.has_id_in_query else call.query,
            json=call.body,
            timeout=self._http.timeout if call.timeout_s is None else call.timeout_s,
        )
        await self._credentials.sign(request, self._http)
        return request

    async def _send(self, call: Call[T], request: httpx.Request) -> T:
        try:
            response, body = await read_reply(self._http, request)
            check_reply(
                body,
                status=response.status_code,
                request_id=request.headers[REQUEST_ID_HEADER],
                hidden=request.headers.get(TENANT_TOKEN_HEADER),
            )
            return call.read(body, response.status_code)
        except CloudError as error:
            if call.changes is None or not is_unclear(error):
                raise
            raise CloudUnclearError(
                f"the {call.changes} may have been carried out, and is not repeated: {error}"
            ) from error
