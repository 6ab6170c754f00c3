"""The API's calls as tests make them: their secrets, a ticket, a client; and what no log and no error may show."""

import contextlib
import dataclasses
import io
import logging
import ssl
import traceback
from collections.abc import Iterator
from typing import Any, Final

import pytest

from streamer.cloud.client import COMMAND_RETRIES, RETRIES, CloudClient
from streamer.cloud.credentials import Token, TokenProvider
from streamer.cloud.models import Ticket
from tests.support.scripted_http import reply

TENANT_TOKEN: Final = "tenant-token-a4c1"
NEW_TENANT_TOKEN: Final = "tenant-token-b7f2"
PASSWORD: Final = "iam-password-c9d3"
SECRET_KEY: Final = "secret-key-d0e4"
DEVICE_TOKEN: Final = "device-token-e5a5"
URL_SIGNATURE: Final = "url-signature-91b2"
TYPED: Final = "typed-on-the-phone"
SECRETS: Final = (TENANT_TOKEN, NEW_TENANT_TOKEN, PASSWORD, SECRET_KEY, DEVICE_TOKEN, URL_SIGNATURE, TYPED)
TICKET: Final = {
    "data": {
        "device_token": DEVICE_TOKEN,
        "streamingId": "stream-1",
        "resource": {
            "device_id": "device-1",
            "rtc": {"ice_signaling": {"signaling_url": "http://203.0.113.8:18082", "ice_servers": []}},
        },
    },
    "error_code": "0",
}
GOOD: Final = reply(200, TICKET)
UNAUTHORIZED: Final = reply(401, {"error_code": "KOOPHONE.API.1001", "error_msg": "no right"})
NEVER_S: Final = 30.0  # a time-out that no test means to reach
TRUST: Final = ssl.create_default_context()  # what a client makes for itself, made once


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, policy in (("RETRIES", RETRIES), ("COMMAND_RETRIES", COMMAND_RETRIES)):
        monkeypatch.setattr(f"streamer.cloud.client.{name}", dataclasses.replace(policy, max_delay_s=0.001))
    monkeypatch.setattr("streamer.cloud.call_rate._FIRST_POLL_S", 0.001)


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """Everything that any library logs at DEBUG. At the end of each test no secret may stand in it."""
    written = io.StringIO()
    handler, root = logging.StreamHandler(written), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)
    assert_shows_no_secret(written.getvalue())


def assert_shows_no_secret(text: str) -> None:
    shown = [secret for secret in SECRETS if secret in text]
    assert not shown


class Failure:
    """The error that a block raised, once it has ended."""

    error: Any = None


@contextlib.contextmanager
def failing_with(kind: type[Exception], words: str = "") -> Iterator[Failure]:
    """Expect an error of exactly this class, with these words, that shows no secret in any of its forms."""
    failure = Failure()
    with pytest.raises(kind) as caught:
        yield failure
    error = caught.value
    assert type(error) is kind
    assert words in str(error)
    cause: BaseException | None = error
    while cause is not None:
        assert_shows_no_secret(repr(cause) + str(cause) + repr(vars(cause)))
        cause = cause.__cause__ or cause.__context__
    assert_shows_no_secret("".join(traceback.format_exception(error)))
    failure.error = error


def client(url: str, credentials: Any = None, **options: Any) -> CloudClient:
    return CloudClient(url, credentials or Token(TENANT_TOKEN), **{"timeout_s": NEVER_S, "verify": TRUST, **options})


async def fetch(url: str, credentials: Any = None, *, instance_id: str = "instance-1", **options: Any) -> Ticket:
    async with client(url, credentials, **options) as cloud:
        return await cloud.fetch_ticket(instance_id)


def provider() -> TokenProvider:
    """A provider whose first token is an old one."""
    tokens = [TENANT_TOKEN]
    return TokenProvider(lambda: tokens.pop() if tokens else NEW_TENANT_TOKEN)
