"""The auth call with tokens, token providers and access keys: what is sent, and what a refusal renews."""

import pytest

from streamer.cloud.credentials import AccessKey, TokenProvider
from streamer.errors import CredentialsError
from tests.support.cloud_calls import (
    GOOD,
    NEW_TENANT_TOKEN,
    SECRET_KEY,
    TENANT_TOKEN,
    UNAUTHORIZED,
    failing_with,
    fetch,
    provider,
)
from tests.support.scripted_http import Answer, in_turn, reply, serve


async def test_a_refused_plain_token_is_not_tried_again() -> None:
    async with serve(in_turn(UNAUTHORIZED)) as server:
        with failing_with(CredentialsError, "check the tenant's credentials") as failure:
            await fetch(server.url)
    assert (failure.error.status, failure.error.error_code) == (401, "KOOPHONE.API.1001")
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [UNAUTHORIZED, reply(401, b"<html>"), reply(403, {"error_code": "APIGW.0301"})])
async def test_a_refused_token_of_a_provider_is_renewed_once(answer: Answer) -> None:
    async with serve(in_turn(answer, GOOD)) as server:
        await fetch(server.url, provider())
    assert [request.headers["x-auth-token"] for request in server.requests] == [TENANT_TOKEN, NEW_TENANT_TOKEN]
    async with serve(in_turn(answer)) as server:
        with failing_with(CredentialsError):
            await fetch(server.url, provider())
    assert len(server.requests) == 2


async def test_an_async_provider_gives_the_token_that_is_sent() -> None:
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
