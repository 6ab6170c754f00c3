"""The auth call against real sockets: what is sent."""

import io

import pytest

from streamer.errors import CloudRefusalError, ConfigurationError
from tests.support.cloud_calls import (
    DEVICE_TOKEN,
    GOOD,
    TENANT_TOKEN,
    UNAUTHORIZED,
    client,
    failing_with,
    fetch,
    provider,
)
from tests.support.scripted_http import in_turn, reply, serve


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


async def test_the_request_and_the_reply_are_logged_at_debug(log: io.StringIO) -> None:
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
async def test_an_invalid_instance_id_is_refused_before_anything_is_sent(instance_id: str) -> None:
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
