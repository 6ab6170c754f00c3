"""The auth call against real sockets: no answer, half an answer, and refusals; which calls are tried again."""

import socket

import pytest

from streamer.cloud.client import ATTEMPTS
from streamer.errors import CloudError, CloudRefusalError, CloudUnreachableError
from tests.support.cloud_calls import GOOD, failing_with, fetch
from tests.support.scripted_http import Answer, in_turn, raw, reply, reset, serve, silence


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
async def test_a_truncated_answer_is_requested_again(answer: Answer, words: str) -> None:
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
        server = f"127.0.0.1:{bound.getsockname()[1]}"
        with failing_with(
            CloudUnreachableError, f"no answer from {server}: the connection was refused: check the endp"
        ):
            await fetch(f"http://{server}")


async def test_a_name_that_does_not_resolve_is_named() -> None:
    with failing_with(CloudUnreachableError, "no answer from koophone.invalid: the host name does not resolve"):
        await fetch("http://koophone.invalid")


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
async def test_an_answer_that_asks_to_wait_is_requested_again(answer: Answer) -> None:
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
async def test_a_final_refusal_is_requested_once(status: int, code: str) -> None:
    async with serve(in_turn(reply(status, {"error_code": code, "error_msg": "no"}))) as server:
        with failing_with(CloudRefusalError, code) as failure:
            await fetch(server.url)
    assert (failure.error.status, failure.error.error_code, failure.error.error_msg) == (status, code, "no")
    assert not failure.error.retryable
    assert len(server.requests) == 1
