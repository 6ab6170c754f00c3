"""The auth call against real sockets: every reply that a server or a gateway may give."""

import asyncio
import gzip
import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from streamer.cloud.http import BODY_LIMIT
from streamer.errors import CloudError, CloudRefusalError, CloudReplyError
from tests.support.cloud_calls import GOOD, TENANT_TOKEN, TICKET, failing_with, fetch
from tests.support.examples import examples
from tests.support.scripted_http import Answer, in_turn, raw, reply, serve


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
async def test_an_unreadable_answer_is_a_reply_error_and_is_requested_once(answer: Answer, words: str) -> None:
    async with serve(in_turn(answer)) as server:
        with failing_with(CloudReplyError, words):
            await fetch(server.url)
    assert len(server.requests) == 1


async def test_a_reply_as_large_as_the_limit_is_read() -> None:
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
async def test_a_reply_in_another_encoding_is_read(body: bytes, headers: dict[str, str]) -> None:
    async with serve(in_turn(reply(200, body, **headers))) as server:
        assert (await fetch(server.url)).device_id == "device-1"


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
async def test_a_redirect_is_named_and_not_followed(status: int) -> None:
    async with serve(in_turn(GOOD)) as other, serve(in_turn(reply(status, Location=f"{other.url}/x"))) as server:
        with failing_with(CloudReplyError, "redirects to 127.0.0.1") as failure:
            await fetch(server.url)
    assert failure.error.status == status
    assert (len(server.requests), len(other.requests)) == (1, 0)


async def test_a_long_host_of_a_redirect_is_shortened() -> None:
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


@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_any_bytes_on_the_wire_give_a_documented_error(content: bytes) -> None:
    """Law: whatever a server sends before it closes, the call ends with a CloudError."""

    async def run() -> None:
        async with serve(in_turn(raw(content, end=True))) as server:
            with pytest.raises(CloudError):
                await fetch(server.url)

    asyncio.run(run())


async def test_an_echoed_tenant_token_does_not_reach_the_error() -> None:
    refusal = {"error_code": f"X.{TENANT_TOKEN}", "error_msg": f"no:\n{TENANT_TOKEN}\x1b[31m" + "y" * 5000}
    async with serve(in_turn(reply(400, json.dumps(refusal).encode()))) as server:
        with pytest.raises(CloudRefusalError) as caught:
            await fetch(server.url)
    text = f"{caught.value} {caught.value.error_code} {caught.value.error_msg}"
    assert TENANT_TOKEN not in text
    assert text.isprintable()
    assert len(text) < 2000
