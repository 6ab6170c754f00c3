"""A password against real sockets: the tokens that the identity service gives, and when one is fetched."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from streamer.cloud.client import ATTEMPTS
from streamer.cloud.credentials import Password
from streamer.cloud.models import Ticket
from streamer.errors import CloudReplyError, CloudUnreachableError, CredentialsError
from streamer.secret import Secret
from tests.support.cloud_calls import (
    GOOD,
    NEW_TENANT_TOKEN,
    PASSWORD,
    TENANT_TOKEN,
    UNAUTHORIZED,
    client,
    failing_with,
    fetch,
)
from tests.support.scripted_http import Answer, SeenRequest, after, by_path, in_turn, reply, reset, serve, silence


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
async def test_a_token_that_lasts_or_has_no_expiry_is_fetched_once(answer: Answer) -> None:
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


async def test_a_refused_token_is_fetched_again_exactly_once() -> None:
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
async def test_a_wrong_password_is_tried_once_and_the_error_names_the_user(status: int) -> None:
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


async def test_an_unreachable_identity_service_is_named() -> None:
    async with serve(by_path(tokens=in_turn(reset))) as server:
        with failing_with(CloudUnreachableError, "the connection closed during the reply"):
            await fetch(server.url, password(server.url))
    assert len(server.requests) == ATTEMPTS


async def test_flow_control_does_not_renew_the_credentials() -> None:
    busy = reply(429, {"error_code": "APIGW.0308"})
    async with serve(by_path(tokens=in_turn(identity()), auth=in_turn(busy, GOOD))) as server:
        await fetch(server.url, password(server.url))
    assert (len(server.seen("/tokens")), len(server.seen("/auth"))) == (1, 2)
