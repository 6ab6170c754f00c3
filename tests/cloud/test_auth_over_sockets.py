"""The auth call against real sockets: a server of the tests' own, with every answer a network may give."""

import asyncio
import contextlib
import dataclasses
import gzip
import io
import json
import logging
import socket
import ssl
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from streamer.cloud.client import ATTEMPTS, RETRIES, CloudClient
from streamer.cloud.credentials import AccessKey, Password, Token, TokenProvider
from streamer.cloud.http import BODY_LIMIT
from streamer.cloud.models import Ticket
from streamer.errors import (
    CloudError,
    CloudRefusalError,
    CloudReplyError,
    CloudUnreachableError,
    ConfigurationError,
    CredentialsError,
)
from streamer.secret import Secret
from tests.support.examples import examples
from tests.support.scripted_http import Answer, SeenRequest, after, by_path, in_turn, raw, reply, reset, serve, silence
from tests.support.tls import make_certificate, server_context

TENANT_TOKEN: Final = "tenant-token-a4c1"
NEW_TENANT_TOKEN: Final = "tenant-token-b7f2"
PASSWORD: Final = "iam-password-c9d3"
SECRET_KEY: Final = "secret-key-d0e4"
DEVICE_TOKEN: Final = "device-token-e5a5"
SECRETS: Final = (TENANT_TOKEN, NEW_TENANT_TOKEN, PASSWORD, SECRET_KEY, DEVICE_TOKEN)

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
WARNING: Final = ("streamer.cloud", logging.WARNING)
NEVER_S: Final = 30.0  # a time-out that no test means to reach
TRUST: Final = ssl.create_default_context()  # what a client makes for itself, made once


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.cloud.client.RETRIES", dataclasses.replace(RETRIES, max_delay_s=0.001))


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


# What is sent


async def test_the_call_is_a_post_with_the_tenants_token_and_no_body() -> None:
    async with serve(in_turn(GOOD)) as server:
        ticket = await fetch(server.url)
    (request,) = server.requests
    assert request.method == "POST"
    assert request.target == "/v1/instances/instance-1/auth?stream_type=2"
    assert request.headers["x-auth-token"] == TENANT_TOKEN
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.body == b""
    assert (ticket.instance_id, ticket.device_id, ticket.streaming_id) == ("instance-1", "device-1", "stream-1")
    assert ticket.device_token.reveal() == DEVICE_TOKEN


async def test_what_happens_is_logged_at_debug(log: io.StringIO) -> None:
    async with serve(in_turn(GOOD)) as server:
        await fetch(server.url)
    assert "> POST /v1/instances/instance-1/auth\n" in log.getvalue()
    assert "< HTTP 200, " in log.getvalue()


@pytest.mark.parametrize("prefix", ["/openapi/koophone", "/openapi/koophone/", "/a%20b", "/"])
async def test_an_endpoint_may_carry_a_path(prefix: str) -> None:
    async with serve(in_turn(GOOD)) as server:
        await fetch(server.url + prefix)
    assert server.requests[0].path == prefix.rstrip("/") + "/v1/instances/instance-1/auth"


@pytest.mark.parametrize(
    ("instance_id", "sent"),
    [
        ("Q39YyZvI", "Q39YyZvI"),
        ("a+b:c~d", "a%2Bb%3Ac~d"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("é", "%C3%A9"),
        ("..a", "..a"),
    ],
)
async def test_an_instance_id_is_percent_encoded(instance_id: str, sent: str) -> None:
    async with serve(in_turn(GOOD)) as server:
        ticket = await fetch(server.url, instance_id=instance_id)
    assert server.requests[0].path == f"/v1/instances/{sent}/auth"
    assert ticket.instance_id == instance_id


@pytest.mark.parametrize(
    "instance_id", ["", ".", "..", "a/b", "a\\b", "a b", "a?b", "a#b", "a\nb", "\ud800", "x" * 129]
)
async def test_what_cannot_be_an_instance_id_is_refused_before_anything_is_sent(instance_id: str) -> None:
    async with serve(in_turn(GOOD)) as server:
        with failing_with(ConfigurationError, "instance id"):
            await fetch(server.url, instance_id=instance_id)
    assert server.requests == []


@pytest.mark.parametrize(
    ("stream_type", "query"), [(2, [("stream_type", "2")]), (1, [("stream_type", "1")]), (None, [])]
)
async def test_a_stream_type_is_sent_or_left_out(stream_type: int | None, query: list[tuple[str, str]]) -> None:
    async with serve(in_turn(GOOD)) as server:
        await fetch(server.url, stream_type=stream_type)
    assert server.requests[0].query == query


async def test_every_request_has_an_id_of_its_own() -> None:
    async with serve(in_turn(reply(503), UNAUTHORIZED, GOOD)) as server, client(server.url, provider()) as cloud:
        await cloud.fetch_ticket("instance-1")
        await cloud.fetch_ticket("instance-1")
    ids = [request.headers["x-request-id"] for request in server.requests]
    assert len(set(ids)) == len(ids) == 4


async def test_a_refusal_names_the_id_of_its_request() -> None:
    async with serve(in_turn(reply(400, {"error_code": "KOOPHONE.API.1000"}))) as server:
        with failing_with(CloudRefusalError) as failure:
            await fetch(server.url)
    assert server.requests[0].headers["x-request-id"] in str(failure.error)


# What comes back


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(200, b"<html><body>Welcome</body></html>"), "got HTML (HTTP 200"),
        (reply(404, b"<html>404</html>"), "got HTML (HTTP 404"),
        (reply(200, b""), "got nothing (HTTP 200"),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "got nothing (HTTP 204"),
        (reply(200, json.dumps(TICKET).encode()[:-40]), "got something else"),
        (reply(200, [TICKET]), "got something else"),
        (reply(200, {"error_code": "0"}), "data.device_token"),
        (reply(200, json.dumps(TICKET).encode() + b" " * BODY_LIMIT), f"at most {BODY_LIMIT} bytes"),
        (reply(200, gzip.compress(b" " * (BODY_LIMIT + 1)), Content_Encoding="gzip"), "longer than"),
    ],
    ids=["HTML", "HTML 404", "empty", "204", "cut JSON", "array", "no data", "oversized", "packed, unasked"],
)
async def test_an_answer_that_cannot_be_understood_is_a_reply_error_and_asked_for_once(
    answer: Answer, words: str
) -> None:
    async with serve(in_turn(answer)) as server:
        with failing_with(CloudReplyError, words):
            await fetch(server.url)
    assert len(server.requests) == 1


async def test_a_reply_of_the_limits_size_is_read() -> None:
    body = json.dumps(TICKET).encode().ljust(BODY_LIMIT)
    async with serve(in_turn(reply(200, body))) as server:
        assert (await fetch(server.url)).device_id == "device-1"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(json.dumps(TICKET).encode()), {"Content_Encoding": "gzip"}),
        (b"\xef\xbb\xbf" + json.dumps(TICKET).encode(), {}),
        (json.dumps(TICKET).encode("utf-16"), {"Content_Type": "application/json; charset=utf-16"}),
    ],
    ids=["gzip", "byte-order mark", "UTF-16"],
)
async def test_a_reply_that_a_gateway_has_changed_is_read(body: bytes, headers: dict[str, str]) -> None:
    async with serve(in_turn(reply(200, body, **headers))) as server:
        assert (await fetch(server.url)).device_id == "device-1"


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
async def test_a_redirect_is_not_followed_and_named(status: int) -> None:
    async with serve(in_turn(GOOD)) as other, serve(in_turn(reply(status, Location=f"{other.url}/x"))) as server:
        with failing_with(CloudReplyError, "redirects to 127.0.0.1") as failure:
            await fetch(server.url)
    assert failure.error.status == status
    assert (len(server.requests), len(other.requests)) == (1, 0)


async def test_the_host_of_a_redirect_is_shown_with_a_limit() -> None:
    async with serve(in_turn(reply(302, Location=f"http://{'a.' * 500}example/"))) as server:
        with failing_with(CloudReplyError, "…") as failure:
            await fetch(server.url)
    assert len(str(failure.error)) < 400


@pytest.mark.parametrize("location", ["", "/elsewhere", "//", "é", "http://[1]/", "http://a:b/", "http://xn--/"])
@pytest.mark.parametrize("status", [300, 302])
async def test_a_redirect_to_anything_is_a_documented_error(status: int, location: str) -> None:
    async with serve(in_turn(reply(status, Location=location))) as server:
        with pytest.raises(CloudError):
            await fetch(server.url)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{", end=True), "the connection closed during the reply"),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", end=True),
            "the connection closed during the reply",
        ),
        (raw(b"HTTP/1.1 200 OK\r\nContent-", end=True), "the connection closed during the reply"),
        (raw(b"", end=True), "the connection closed during the reply"),
        (raw(b"220 mail.example.com ESMTP\r\n\r\n", end=True), "the connection closed during the reply"),
        (reset, "the connection closed during the reply"),
    ],
    ids=["cut body", "cut chunk", "cut head", "closed", "another protocol", "reset"],
)
async def test_an_answer_that_breaks_off_is_asked_for_again(answer: Answer, words: str) -> None:
    async with serve(in_turn(answer)) as server:
        with failing_with(CloudUnreachableError, words) as failure:
            await fetch(server.url)
    assert failure.error.retryable
    assert failure.error.__cause__ is not None
    assert len(server.requests) == ATTEMPTS


@pytest.mark.parametrize(
    "answer", [silence(), silence(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")], ids=["no answer", "half one"]
)
async def test_a_server_that_falls_silent_is_given_up_after_the_time_out(answer: Answer) -> None:
    async with serve(in_turn(answer)) as server:
        with failing_with(CloudUnreachableError, "timed out"):
            await fetch(server.url, timeout_s=0.2)
    assert len(server.requests) == ATTEMPTS


async def test_a_refused_connection_is_named() -> None:
    with socket.socket() as bound:  # and never listening
        bound.bind(("127.0.0.1", 0))
        with failing_with(CloudUnreachableError, "no answer from 127.0.0.1: the connection was refused"):
            await fetch(f"http://127.0.0.1:{bound.getsockname()[1]}")


async def test_a_name_that_does_not_resolve_is_named() -> None:
    with failing_with(CloudUnreachableError, "no answer from koophone.invalid: the host name does not resolve"):
        await fetch("http://koophone.invalid")


@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_any_bytes_on_the_wire_give_a_documented_error(content: bytes) -> None:
    """Law: whatever a server sends before it closes, the call ends with a CloudError."""

    async def run() -> None:
        async with serve(in_turn(raw(content, end=True))) as server:
            with pytest.raises(CloudError):
                await fetch(server.url)

    asyncio.run(run())


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, beside its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))[0]


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    return server_context(certificate)


async def test_a_certificate_that_is_not_trusted_is_named_and_nothing_is_sent(tls: ssl.SSLContext) -> None:
    async with serve(in_turn(GOOD), tls=tls) as server:
        with failing_with(CloudUnreachableError, "its TLS certificate is not trusted (self-signed certificate"):
            await fetch(server.url, verify=True)
    assert server.requests == []


async def test_a_certificate_may_be_trusted_by_a_context_or_not_be_checked(
    tls: ssl.SSLContext, certificate: Path
) -> None:
    async with serve(in_turn(GOOD), tls=tls) as server:
        with failing_with(CloudUnreachableError, "its TLS certificate is not trusted"):
            async with CloudClient(server.url, Token(TENANT_TOKEN)) as cloud:  # checked unless told otherwise
                await cloud.fetch_ticket("instance-1")
        await fetch(server.url, verify=ssl.create_default_context(cafile=certificate))
        await fetch(server.url, verify=False)
    assert len(server.requests) == 2


async def test_what_weakens_encryption_is_warned_of(
    tls: ssl.SSLContext, certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(in_turn(GOOD), tls=tls) as server:
        trust = ssl.create_default_context(cafile=certificate)
        async with client(server.url.replace("https:", "HTTPS:"), None, verify=trust) as cloud:
            for _ in range(2):
                await cloud.fetch_ticket("instance-1")
        assert [message for name, level, message in caplog.record_tuples if (name, level) == WARNING] == [
            "= the API names a signaling server without TLS: the device token is sent unencrypted"
        ]
        await fetch(server.url, verify=False)
    assert "= TLS certificates are not verified" in caplog.text


async def test_tls_towards_a_server_without_it_is_named() -> None:
    async with serve(in_turn(GOOD)) as server:
        with failing_with(CloudUnreachableError, "TLS failed"):
            await fetch(server.url.replace("http://", "https://"))


# Trying again


@pytest.mark.parametrize(
    "answer",
    [
        reply(429, {"error_code": "APIGW.0308", "error_msg": "flow control"}),
        reply(429, b"<html>flow control</html>"),
        reply(500, {"error_code": "KOOPHONE.API.9999"}),
        reply(400, {"error_code": "KooPhone.API.9999"}),
        reply(200, {"error_code": "KOOPHONE.API.2005"}),
        reply(502, b"<html>bad gateway</html>"),
        reply(503),
    ],
    ids=["429", "429 HTML", "9999", "9999 with 400", "2005 with 200", "502 HTML", "503 empty"],
)
async def test_an_answer_that_asks_to_wait_is_asked_for_again(answer: Answer) -> None:
    async with serve(in_turn(answer)) as server:
        with pytest.raises(CloudError) as caught:
            await fetch(server.url)
    assert caught.value.retryable
    assert len(server.requests) == ATTEMPTS
    async with serve(in_turn(answer, reset, GOOD)) as server:
        assert (await fetch(server.url)).device_id == "device-1"
    assert len(server.requests) == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, "KOOPHONE.API.1012"),
        (200, "KOOPHONE.API.2004"),
        (400, "KOOPHONE.API.1000"),
        (500, "KOOPHONE.API.4001"),
        (200, "KOOPHONE.API.7777"),
        (403, "KOOPHONE.API.1001"),
        (404, "common.00000404"),
    ],
)
async def test_a_final_refusal_is_asked_for_once(status: int, code: str) -> None:
    async with serve(in_turn(reply(status, {"error_code": code, "error_msg": "no"}))) as server:
        with failing_with(CloudRefusalError, code) as failure:
            await fetch(server.url)
    assert (failure.error.status, failure.error.error_code, failure.error.error_msg) == (status, code, "no")
    assert not failure.error.retryable
    assert len(server.requests) == 1


async def test_flow_control_does_not_renew_the_credentials() -> None:
    busy = reply(429, {"error_code": "APIGW.0308"})
    async with serve(by_path(tokens=in_turn(identity()), auth=in_turn(busy, GOOD))) as server:
        await fetch(server.url, password(server.url))
    assert (len(server.seen("/tokens")), len(server.seen("/auth"))) == (1, 2)


# Credentials


def provider() -> TokenProvider:
    """A provider whose first token is an old one."""
    tokens = [TENANT_TOKEN]
    return TokenProvider(lambda: tokens.pop() if tokens else NEW_TENANT_TOKEN)


async def test_a_given_token_that_is_refused_is_not_tried_again() -> None:
    async with serve(in_turn(UNAUTHORIZED)) as server:
        with failing_with(CredentialsError, "check the tenant's credentials") as failure:
            await fetch(server.url)
    assert (failure.error.status, failure.error.error_code) == (401, "KOOPHONE.API.1001")
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [UNAUTHORIZED, reply(401, b"<html>"), reply(403, {"error_code": "APIGW.0301"})])
async def test_a_providers_token_that_is_refused_is_renewed_once(answer: Answer) -> None:
    async with serve(in_turn(answer, GOOD)) as server:
        await fetch(server.url, provider())
    assert [request.headers["x-auth-token"] for request in server.requests] == [TENANT_TOKEN, NEW_TENANT_TOKEN]
    async with serve(in_turn(answer)) as server:
        with failing_with(CredentialsError):
            await fetch(server.url, provider())
    assert len(server.requests) == 2


async def test_an_async_provider_is_asked_for_the_token_that_is_sent() -> None:
    async def provide() -> str:
        return NEW_TENANT_TOKEN

    async with serve(in_turn(GOOD)) as server:
        await fetch(server.url, TokenProvider(provide))
    assert server.requests[0].headers["x-auth-token"] == NEW_TENANT_TOKEN


async def test_an_access_key_signs_every_request_and_is_not_renewed() -> None:
    async with serve(in_turn(reply(503), UNAUTHORIZED)) as server:
        with failing_with(CredentialsError):
            await fetch(server.url, AccessKey(access_key="AK", secret_key=SECRET_KEY))
    assert len(server.requests) == 2
    for request in server.requests:
        assert request.headers["authorization"].startswith("SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date,")
        assert "x-auth-token" not in request.headers


# The identity service


def password(url: str, **changes: Any) -> Password:
    arguments = {"iam_endpoint": url, "domain": "domain-1", "user": "user-1", "password": PASSWORD, **changes}
    return Password(**arguments)


def identity(token: str = TENANT_TOKEN, *, expires_at: datetime | None = None) -> Answer:
    moment = (expires_at or datetime.now(UTC) + timedelta(hours=24)).isoformat(timespec="microseconds")
    return reply(201, {"token": {"expires_at": moment.replace("+00:00", "Z")}}, X_Subject_Token=token)


@pytest.mark.parametrize(
    ("project", "scope"),
    [("project-1", {"project": {"name": "project-1"}}), (None, {"domain": {"name": "domain-1"}})],
)
async def test_a_password_asks_for_a_token_as_keystone_documents(project: str | None, scope: object) -> None:
    async with serve(by_path(tokens=in_turn(identity()), auth=in_turn(GOOD))) as server:
        await fetch(server.url, password(server.url, project=project))
    asked, used = server.requests
    assert (asked.method, asked.target) == ("POST", "/v3/auth/tokens?nocatalog=true")
    assert asked.headers["content-type"] == "application/json"
    assert "x-auth-token" not in asked.headers
    user = {"name": "user-1", "password": PASSWORD, "domain": {"name": "domain-1"}}
    assert json.loads(asked.body) == {
        "auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
    }
    assert used.headers["x-auth-token"] == TENANT_TOKEN


@pytest.mark.parametrize(
    "answer",
    [
        identity(),
        identity(expires_at=datetime.now(timezone(timedelta(hours=-8))) + timedelta(hours=1)),
        reply(201, b"", X_Subject_Token=TENANT_TOKEN),
        reply(201, {"token": None}, X_Subject_Token=TENANT_TOKEN),
        reply(201, {"token": {"expires_at": "tomorrow"}}, X_Subject_Token=TENANT_TOKEN),
        reply(201, b"[" * 200_000, X_Subject_Token=TENANT_TOKEN),
    ],
    ids=["a day", "an hour, written in a time zone", "empty", "null", "no date", "nested without end"],
)
async def test_a_token_that_lasts_or_does_not_say_is_fetched_once(answer: Answer) -> None:
    async with (
        serve(by_path(tokens=in_turn(answer), auth=in_turn(GOOD))) as server,
        client(server.url, password(server.url)) as cloud,
    ):
        for _ in range(3):
            await cloud.fetch_ticket("instance-1")
    assert len(server.seen("/tokens")) == 1
    assert [request.headers["x-auth-token"] for request in server.seen("/auth")] == [TENANT_TOKEN] * 3


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8))], ids=["UTC", "a time zone"])
async def test_a_token_that_is_about_to_expire_is_not_used_again(zone: timezone) -> None:
    soon = identity(expires_at=datetime.now(zone) + timedelta(seconds=100))
    async with (
        serve(by_path(tokens=in_turn(soon, identity(NEW_TENANT_TOKEN)), auth=in_turn(GOOD))) as server,
        client(server.url, password(server.url)) as cloud,
    ):
        for _ in range(3):
            await cloud.fetch_ticket("instance-1")
    assert len(server.seen("/tokens")) == 2
    used = [request.headers["x-auth-token"] for request in server.seen("/auth")]
    assert used == [TENANT_TOKEN, NEW_TENANT_TOKEN, NEW_TENANT_TOKEN]


async def test_a_token_that_is_refused_is_fetched_anew_exactly_once() -> None:
    tokens = in_turn(identity(), identity(NEW_TENANT_TOKEN))
    async with serve(by_path(tokens=tokens, auth=in_turn(UNAUTHORIZED, GOOD))) as server:
        await fetch(server.url, password(server.url))
    assert len(server.seen("/tokens")) == 2
    assert [request.headers["x-auth-token"] for request in server.seen("/auth")] == [TENANT_TOKEN, NEW_TENANT_TOKEN]
    tokens = in_turn(identity(), identity(NEW_TENANT_TOKEN))
    async with serve(by_path(tokens=tokens, auth=in_turn(UNAUTHORIZED))) as server:
        with failing_with(CredentialsError):
            await fetch(server.url, password(server.url))
    assert (len(server.seen("/tokens")), len(server.seen("/auth"))) == (2, 2)


@pytest.mark.parametrize("wrapped", [False, True], ids=["str", "Secret"])
async def test_a_password_may_have_any_printable_characters(wrapped: bool) -> None:
    text = f' {PASSWORD} é"\\ '
    async with serve(by_path(tokens=in_turn(identity()), auth=in_turn(GOOD))) as server:
        await fetch(server.url, password(server.url, password=Secret(text) if wrapped else text))
    assert json.loads(server.requests[0].body)["auth"]["identity"]["password"]["user"]["password"] == text


async def test_ten_calls_wait_for_one_token() -> None:
    allowed = asyncio.Event()
    tokens = in_turn(after(allowed, identity()))
    async with (
        serve(by_path(tokens=tokens, auth=in_turn(GOOD))) as server,
        client(server.url, password(server.url)) as cloud,
        asyncio.TaskGroup() as tasks,
    ):
        calls = [tasks.create_task(cloud.fetch_ticket(f"instance-{n}")) for n in range(10)]
        await server.wait_for_requests("/tokens", 1)
        allowed.set()
    assert [call.result().instance_id for call in calls] == [f"instance-{n}" for n in range(10)]
    assert (len(server.seen("/tokens")), len(server.seen("/auth"))) == (1, 10)


async def test_ten_calls_that_are_refused_share_one_new_token() -> None:
    """Law: whichever refusals come before the new token and whichever after it, there is one new token."""
    early, late = asyncio.Event(), asyncio.Event()
    refusals = iter([after(early, UNAUTHORIZED)] * 5 + [after(late, UNAUTHORIZED)] * 5)

    def auth(request: SeenRequest) -> Answer:
        return next(refusals) if request.headers["x-auth-token"] == TENANT_TOKEN else GOOD

    tokens = in_turn(identity(), identity(NEW_TENANT_TOKEN))
    async with (
        serve(by_path(tokens=tokens, auth=auth)) as server,
        client(server.url, password(server.url)) as cloud,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(10):
            tasks.create_task(cloud.fetch_ticket("instance-1"))
        await server.wait_for_requests("/auth", 10)
        early.set()
        await server.wait_for_requests("/auth", 15)  # five of them with the new token
        late.set()
    assert (len(server.seen("/tokens")), len(server.seen("/auth"))) == (2, 20)


async def test_cancelling_a_call_does_not_hurt_the_others() -> None:
    tokens = in_turn(silence(), identity())
    async with (
        serve(by_path(tokens=tokens, auth=in_turn(GOOD))) as server,
        client(server.url, password(server.url)) as cloud,
    ):
        calls = [asyncio.create_task(cloud.fetch_ticket("instance-1")) for _ in range(10)]
        await server.wait_for_requests("/tokens", 1)
        calls[0].cancel()  # it waits for the answer that does not come
        calls[5].cancel()  # it waits for the first
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [n for n, end in enumerate(ends) if isinstance(end, asyncio.CancelledError)] == [0, 5]
    assert sum(isinstance(end, Ticket) for end in ends) == 8
    assert (len(server.seen("/tokens")), len(server.seen("/auth"))) == (2, 8)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_password_is_named_by_its_user_and_tried_once(status: int) -> None:
    refusal = reply(status, {"error": {"code": status, "message": "The username or password is wrong."}})
    async with serve(by_path(tokens=in_turn(refusal))) as server:
        with failing_with(CredentialsError, "refused user 'user-1' of domain 'domain-1'") as failure:
            await fetch(server.url, password(server.url))
    assert failure.error.status == status
    assert len(server.requests) == 1  # an account is locked after a few wrong ones


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (reply(201, {"token": {}}), 1),
        (reply(200, X_Subject_Token=TENANT_TOKEN), 1),
        (reply(400, {"error": {"code": 400}}), 1),
        (reply(302, Location="http://example.com/"), 1),
        (reply(429), ATTEMPTS),
        (reply(503, b"<html>"), ATTEMPTS),
    ],
    ids=["no token", "HTTP 200", "HTTP 400", "redirect", "HTTP 429", "HTTP 503"],
)
async def test_an_identity_service_that_gives_no_token_is_a_reply_error(answer: Answer, count: int) -> None:
    async with serve(by_path(tokens=in_turn(answer))) as server:
        with failing_with(CloudReplyError):
            await fetch(server.url, password(server.url))
    assert len(server.requests) == count


async def test_an_identity_service_that_is_away_is_named() -> None:
    async with serve(by_path(tokens=in_turn(reset))) as server:
        with failing_with(CloudUnreachableError, "the connection closed during the reply"):
            await fetch(server.url, password(server.url))
    assert len(server.requests) == ATTEMPTS


async def test_a_server_that_echoes_the_tenant_token_does_not_get_it_into_the_error() -> None:
    refusal = {"error_code": f"X.{TENANT_TOKEN}", "error_msg": f"no:\n{TENANT_TOKEN}\x1b[31m" + "y" * 5000}
    async with serve(in_turn(reply(400, json.dumps(refusal).encode()))) as server:
        with pytest.raises(CloudRefusalError) as caught:
            await fetch(server.url)
    text = f"{caught.value} {caught.value.error_code} {caught.value.error_msg}"
    assert TENANT_TOKEN not in text
    assert text.isprintable()
    assert len(text) < 2000
