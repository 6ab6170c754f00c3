"""How a tenant proves who it is: a token, a file or a provider of tokens, an IAM user, or an access key."""

import asyncio
import functools
import inspect
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx

from streamer.aio import within
from streamer.cloud.http import checked_endpoint, read_reply
from streamer.cloud.turns import Turns
from streamer.errors import CloudReplyError, ConfigurationError, CredentialsError, MissingExtraError
from streamer.protocol_constants import TENANT_TOKEN_HEADER
from streamer.secret import Secret
from streamer.threads import Threads
from streamer.untrusted_text import UnreadableJsonError, decode_json

RENEW_BEFORE_S: Final = 300.0  # the vendor asks not to use a token that is about to expire [doc]
READ_TIMEOUT_S: Final = 5.0  # of a token's file, which may lie on another machine
TOKEN_LIMIT: Final = 64 * 1024  # bytes of it
DEFAULT_LIFETIME_S: Final = 24 * 3600.0  # [doc] of a token whose reply does not tell
THREADS_LIMIT: Final = 16  # files that are being read and functions that are being asked at once, in the process

_threads: Final = Threads("token", limit=THREADS_LIMIT)


class Credentials(ABC):
    """What proves a tenant's identity to the API. One object may serve many sessions of one event loop.

    Subclass it for another kind of proof.
    """

    lasts_s: float | None = None  # how long the proof is good for at most; None if it renews itself

    @functools.cached_property
    def turns(self) -> Turns:
        """The queue of all commands with these credentials: the API limits how many a minute it takes of a tenant."""
        return Turns()

    @abstractmethod
    async def sign(self, request: httpx.Request, http: httpx.AsyncClient) -> None:
        """Add the proof to a request.

        Args:
            request: The request that is about to be sent.
            http: A client for calls to an identity service.

        Raises:
            CloudError: The identity service failed or refused.
        """

    def renew(self, request: httpx.Request) -> bool:
        """Forget the proof of a request that the API refused; return whether another try could help."""
        del request
        return False


class Token(Credentials):
    """A tenant token that was obtained elsewhere.

    It is never replaced. A session that lasts longer than the token (24 hours [doc]) does not survive its next renewal
    or reconnection: use TokenFile, TokenProvider, Password or AccessKey there.

    Args:
        token: The token; None reads STREAMER_AUTH_TOKEN.

    Raises:
        ConfigurationError: There is no token, or no header can carry it.
    """

    lasts_s = DEFAULT_LIFETIME_S

    def __init__(self, token: str | Secret | None = None) -> None:
        value = token or _from_environment("STREAMER_AUTH_TOKEN")
        self._token = _secret(value, "a tenant token", "STREAMER_AUTH_TOKEN")

    async def sign(self, request: httpx.Request, http: httpx.AsyncClient) -> None:
        """Add the token's header."""
        del http
        request.headers[TENANT_TOKEN_HEADER] = self._token.reveal()


class TokenFile(Credentials):
    """A tenant token in a file, which is read before every call. Another program keeps the token fresh.

    A call raises ConfigurationError if the file cannot be read or holds no token.

    Args:
        path: The file. White space around the token does not count.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()

    async def sign(self, request: httpx.Request, http: httpx.AsyncClient) -> None:
        """Add the header with the token that the file holds now."""
        del http
        async with within(READ_TIMEOUT_S, lambda: self._unreadable("timed out")):
            try:
                text = await asyncio.wrap_future(_threads.start(self._read))
            except OSError as error:
                raise self._unreadable(error.strerror or str(error) or type(error).__name__) from error
        if not text.isascii() or not text.isprintable():
            raise self._unreadable("it holds characters that cannot be sent")
        if not text:
            raise self._unreadable("it is empty")
        request.headers[TENANT_TOKEN_HEADER] = text

    def renew(self, request: httpx.Request) -> bool:
        """Read the file once more."""
        del request
        return True

    def _read(self) -> str:
        with self._path.open("rb") as file:
            return file.read(TOKEN_LIMIT).decode("latin-1").strip()

    def _unreadable(self, why: str) -> ConfigurationError:
        error = ConfigurationError(f"cannot read the tenant token from {self._path}: {why}")
        error.retryable = True  # another program may be writing it
        return error


class TokenProvider(Credentials):
    """Tokens from a function of your own.

    Args:
        provide: A function, plain or async, that returns a token. It is called before every call of the API, so it does
            its own caching. A plain one runs in a thread, so it may block. Its exceptions pass through.
    """

    def __init__(self, provide: Callable[[], str | Awaitable[str]]) -> None:
        self._provide = provide

    async def sign(self, request: httpx.Request, http: httpx.AsyncClient) -> None:
        """Add the header with what the function gives; its own exceptions pass through."""
        del http
        token = await self._ask()
        request.headers[TENANT_TOKEN_HEADER] = _secret(token, "a token from the provider", "a non-empty str").reveal()

    async def _ask(self) -> object:
        if inspect.iscoroutinefunction(self._provide):
            return await self._provide()
        try:
            asked = _threads.start(self._provide)
        except OSError as error:
            problem = ConfigurationError(f"cannot ask the token provider: {error}")
            problem.retryable = True  # others are being asked
            raise problem from error
        token = await asyncio.wrap_future(asked)
        return await token if inspect.isawaitable(token) else token

    def renew(self, request: httpx.Request) -> bool:
        """Ask the function once more."""
        del request
        return True


class Password(Credentials):
    """An IAM user and password, for a token by Keystone v3 [doc].

    The token is cached until shortly before it expires. One request for it is in flight at a time.

    Args:
        iam_endpoint: The base URL of the identity service.
        domain: The account's name.
        user: The IAM user's name.
        password: The IAM user's password.
        project: The project that the token is scoped to, such as a region's name; None scopes it to the domain.

    Raises:
        ConfigurationError: The endpoint or the password cannot be right.
    """

    def __init__(
        self, *, iam_endpoint: str, domain: str, user: str, password: str | Secret, project: str | None = None
    ) -> None:
        self._url = checked_endpoint(iam_endpoint, example="https://iam.example.com") + "/v3/auth/tokens"
        self._domain = domain
        self._user = user
        self._password = _secret(password, "an IAM password", "STREAMER_IAM_PASSWORD", is_for_header=False)
        self._project = project
        self._token: Secret | None = None
        self._expires_at = 0.0  # Unix time
        self._lock = asyncio.Lock()
        logging.getLogger("httpcore.http11").addFilter(_shows_no_token)

    async def sign(self, request: httpx.Request, http: httpx.AsyncClient) -> None:
        """Add the token's header, after fetching a token if there is none that lasts."""
        async with self._lock:
            if self._token is None or time.time() > self._expires_at - RENEW_BEFORE_S:
                await self._fetch(http)
            token = self._token
        if token is not None:
            request.headers[TENANT_TOKEN_HEADER] = token.reveal()

    def renew(self, request: httpx.Request) -> bool:
        """Use a newer token for the next try: fetched by it, or by a call that was refused with the same one before."""
        if self._token == Secret(request.headers[TENANT_TOKEN_HEADER]):
            self._token = None
        return True

    async def _fetch(self, http: httpx.AsyncClient) -> None:
        scope = {"project": {"name": self._project}} if self._project else {"domain": {"name": self._domain}}
        user = {"name": self._user, "password": self._password.reveal(), "domain": {"name": self._domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        request = http.build_request("POST", self._url, params={"nocatalog": "true"}, json=body)
        response, content = await read_reply(http, request)
        if response.status_code in {401, 403}:
            raise CredentialsError(
                f"the identity service refused user {self._user!r} of domain {self._domain!r} "
                f"(HTTP {response.status_code}): check user, domain, project and password",
                status=response.status_code,
                error_code=None,
            )
        token = response.headers.get("x-subject-token")
        if response.status_code != 201 or not token:
            raise CloudReplyError(
                f"expected HTTP 201 with a token from the identity service, got HTTP {response.status_code}"
                f"{'' if token else ' without one'}: check the IAM endpoint",
                status=response.status_code,
            )
        self._token = Secret(token)
        self._expires_at = _expiry(content)


class AccessKey(Credentials):
    """An access key and its secret key: every request is signed (SDK-HMAC-SHA256 [doc]). It needs the extra `aksk`.

    Args:
        access_key: The access key.
        secret_key: Its secret key, which is never sent.
        project_id: The project's id, if the key may use several.

    Raises:
        MissingExtraError: The extra `aksk` is not installed.
        ConfigurationError: A key is empty or cannot be sent.
    """

    def __init__(self, *, access_key: str, secret_key: str | Secret, project_id: str | None = None) -> None:
        try:
            from huaweicloudsdkcore.sdk_request import SdkRequest  # noqa: PLC0415 - an extra
            from huaweicloudsdkcore.signer.signer import Signer  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError("signing with an access key", "aksk") from error
        self._make_request: Any = SdkRequest
        self._make_signer: Any = Signer
        self._access_key = _secret(access_key, "an access key", "STREAMER_ACCESS_KEY")
        self._secret_key = _secret(secret_key, "a secret key", "STREAMER_SECRET_KEY")
        self._project_id = project_id

    async def sign(self, request: httpx.Request, http: httpx.AsyncClient) -> None:
        """Add the signature's headers."""
        del http
        headers = {"X-Sdk-Date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), "Host": request.headers["host"]}
        if self._project_id:
            headers["X-Project-Id"] = self._project_id
        signed = self._make_request(
            method=request.method,
            schema=request.url.scheme,
            host=request.headers["host"],
            resource_path=request.url.raw_path.partition(b"?")[0].decode(),
            query_params=list(request.url.params.multi_items()),
            header_params=headers,
            body=request.content,
        )
        keys = SimpleNamespace(ak=self._access_key.reveal(), sk=self._secret_key.reveal())
        self._make_signer(keys).sign(signed)
        request.headers.update(signed.header_params)


def as_credentials(value: object) -> Credentials:
    """Return the credentials that an argument stands for: a text or a Secret is a Token. Raises ConfigurationError."""
    if isinstance(value, Credentials):
        return value
    if isinstance(value, str | Secret):
        return Token(_secret(value, "a tenant token", "credentials"))
    kind = f"the class {value.__name__}" if isinstance(value, type) else f"an object of type {type(value).__name__}"
    raise ConfigurationError(
        "expected credentials: a tenant token as text, or a Token, TokenFile, TokenProvider, Password or AccessKey; "
        f"got {kind}"
    )


def credentials_from_environment() -> Credentials:
    """Return the credentials that the environment holds.

    The first that is set wins: STREAMER_AUTH_TOKEN; STREAMER_AUTH_TOKEN_FILE; STREAMER_IAM_ENDPOINT with
    STREAMER_IAM_DOMAIN, STREAMER_IAM_USER, STREAMER_IAM_PASSWORD and, if need be, STREAMER_IAM_PROJECT;
    STREAMER_ACCESS_KEY with STREAMER_SECRET_KEY. White space around a value does not count.

    Raises:
        ConfigurationError: Nothing is set, or a part is missing; the message says what to set.
    """
    if _from_environment("STREAMER_AUTH_TOKEN"):
        return Token()
    if path := _from_environment("STREAMER_AUTH_TOKEN_FILE"):
        return TokenFile(path)
    if endpoint := _from_environment("STREAMER_IAM_ENDPOINT"):
        names = {name: f"STREAMER_IAM_{name.upper()}" for name in ("domain", "user", "password")}
        values = {argument: _from_environment(name) for argument, name in names.items()}
        if missing := [name for argument, name in names.items() if not values[argument]]:
            raise ConfigurationError(
                f"expected {', '.join(missing)} beside STREAMER_IAM_ENDPOINT, got nothing: set it too"
            )
        return Password(iam_endpoint=endpoint, project=_from_environment("STREAMER_IAM_PROJECT") or None, **values)
    if access_key := _from_environment("STREAMER_ACCESS_KEY"):
        if not (secret_key := _from_environment("STREAMER_SECRET_KEY")):
            raise ConfigurationError("expected STREAMER_SECRET_KEY beside STREAMER_ACCESS_KEY, got nothing: set it too")
        return AccessKey(access_key=access_key, secret_key=secret_key)
    raise ConfigurationError(
        "expected credentials, got none: set STREAMER_AUTH_TOKEN to a tenant token, or STREAMER_AUTH_TOKEN_FILE to a "
        "file that holds one; or STREAMER_IAM_ENDPOINT, STREAMER_IAM_DOMAIN, STREAMER_IAM_USER and "
        "STREAMER_IAM_PASSWORD; or STREAMER_ACCESS_KEY and STREAMER_SECRET_KEY"
    )


def _from_environment(name: str) -> str:
    """Return a variable's value without white space around it, such as the newline of the file that it came from."""
    value = os.environ.get(name, "").strip()
    if not value.isprintable():
        raise ConfigurationError(f"expected printable characters in {name}, got others")
    return value


def _secret(value: object, what: str, where: str, *, is_for_header: bool = True) -> Secret:
    if isinstance(value, Secret):
        value = value.reveal()
    # What no header can carry would come back in the transport's error, value and all.
    if isinstance(value, str) and value and value.isprintable():
        fits_header = value.isascii() and value == value.strip()
        if fits_header or not is_for_header:
            return Secret(value)
    got = "none" if not value else "one with characters that cannot be sent" if isinstance(value, str) else "no str"
    raise ConfigurationError(f"expected {what} ({where}), got {got}")


def _shows_no_token(record: logging.LogRecord) -> bool:
    """Keep back httpcore's DEBUG line that shows the headers of the identity service's reply, token and all."""
    return "x-subject-token" not in record.getMessage().lower()


def _expiry(body: bytes) -> float:
    """Return when a token expires (Unix time), from the identity service's reply; a day from now if it does not say."""
    try:
        expires_at = decode_json(body)["token"]["expires_at"]
        moment = datetime.fromisoformat(expires_at)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (UnreadableJsonError, KeyError, TypeError, ValueError, OverflowError):
        return time.time() + DEFAULT_LIFETIME_S
