"""Which calls around the stream are repeated, and which must not be, over real sockets."""

import socket
from typing import Final

import pytest

import streamer
from streamer.cloud.client import ATTEMPTS
from streamer.errors import (
    CloudRefusalError,
    CloudReplyError,
    CloudUnclearError,
    CloudUnreachableError,
    CredentialsError,
)
from tests.support.cloud_calls import NEVER_S, PASSWORD, TENANT_TOKEN, failing_with
from tests.support.scripted_http import Answer, raw, reply, reset, silence
from tests.support.vendor_api import PHONE, VendorApi, ok, refusal
from tests.support.vendor_calls import ALL, CHANGES, HARMLESS, Act, open_cloud

UNCLEAR: Final = {
    "reset": reset,
    "closed": raw(b"", end=True),
    "cut body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{", end=True),
    "no JSON": reply(200, b"<html>"),
    "HTTP 500": refusal("KOOPHONE.API.9999", 500),
    "HTTP 502": reply(502, b"<html>"),
    "code 9999": refusal("KOOPHONE.API.9999"),
}
FINAL: Final = {
    "code 1012": (refusal("KOOPHONE.API.1012"), CloudRefusalError),
    "code 5005": (refusal("KOOPHONE.API.5005", 400), CloudRefusalError),
    "no rights": (refusal("KOOPHONE.API.1001", 401), CredentialsError),
    "HTTP 404": (reply(404, b"<html>"), CloudReplyError),
    "a redirect": (reply(302, Location="http://example.com/"), CloudReplyError),
}


# Calls without a clear answer


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
@pytest.mark.parametrize(("path_end", "act"), CHANGES)
async def test_a_change_with_an_unclear_answer_is_never_repeated(
    path_end: str, act: Act, answer: Answer, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first(path_end, *[answer] * 10)
    with failing_with(CloudUnclearError, "may have been carried out, and is not repeated") as caught:
        await act(phone)
    assert caught.error.__cause__ is not None
    assert not caught.error.retryable
    assert len(api.server.requests) == 1


async def test_a_change_whose_answer_takes_too_long_is_not_repeated(api: VendorApi) -> None:
    api.answer_first("reboot", silence())
    async with open_cloud(api.server.url, timeout_s=0.2) as cloud:
        with failing_with(CloudUnclearError, ": timed out"):
            await cloud.phone(PHONE).reboot()
    assert len(api.server.requests) == 1


@pytest.mark.parametrize(
    "data", [None, {}, {"cmd_results": []}, {"cmd_results": [{"instance_id": PHONE}]}, {"task_id": "a/b"}], ids=str
)
@pytest.mark.parametrize("wait_s", [None, NEVER_S])
async def test_a_success_without_its_result_is_unclear(
    wait_s: float | None, data: object, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first("sync-command", ok(data))
    api.answer_first("async-command", ok(data))
    with failing_with(CloudUnclearError):
        await phone.shell("ls", wait_s=wait_s)
    assert len(api.server.requests) == 1


async def test_a_command_that_still_runs_when_the_api_answers_is_unclear(
    api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first("sync-command", ok({"cmd_results": [{"instance_id": PHONE, "status": 1}]}))
    with failing_with(CloudUnclearError, "use wait_s"):
        await phone.shell("sleep 60")


@pytest.mark.parametrize("final", FINAL.values(), ids=FINAL)
@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_a_refusal_is_clear_and_final(
    path_end: str,
    act: Act,
    final: tuple[Answer, type[Exception]],
    api: VendorApi,
    phone: streamer.CloudPhone,
) -> None:
    answer, kind = final
    api.answer_first(path_end, *[answer] * 10)
    with failing_with(kind):
        await act(phone)
    assert len(api.server.requests) == 1


@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_nothing_is_unclear_if_nothing_was_sent(path_end: str, act: Act) -> None:
    with socket.socket() as bound:  # and never listening
        bound.bind(("127.0.0.1", 0))
        async with open_cloud(f"http://127.0.0.1:{bound.getsockname()[1]}") as cloud:
            with failing_with(CloudUnreachableError, "the connection was refused") as caught:
                await act(cloud.phone(PHONE))
    assert not caught.error.was_sent, path_end


# Calls that are repeated


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
@pytest.mark.parametrize(("path_end", "act"), [pytest.param(*case, id=name) for name, case in HARMLESS.items()])
async def test_a_call_that_changes_nothing_is_repeated(
    path_end: str, act: Act, answer: Answer, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.answer_first(path_end, answer)
    if answer is UNCLEAR["no JSON"]:  # which another try does not mend
        with failing_with(CloudReplyError):
            await act(phone)
        return
    await act(phone)
    assert len(api.server.requests) == 2
    assert len({request.headers["x-request-id"] for request in api.server.requests}) == 2


@pytest.mark.parametrize("answer", [reply(429), refusal("APIGW.0308", 429)], ids=["nothing", "a code"])
@pytest.mark.parametrize(("path_end", "act"), ALL)
async def test_after_too_many_calls_every_call_is_repeated(
    path_end: str, act: Act, answer: Answer, api: VendorApi, phone: streamer.CloudPhone
) -> None:
    api.output = dict.fromkeys(["pm clear com.example.shop", "pm uninstall com.example.shop"], "Success\n")
    api.answer_first(path_end, answer, answer)
    await act(phone)
    assert len(api.server.seen(f"/{path_end}")) == 3


async def test_too_many_calls_are_given_up_at_last(api: VendorApi, phone: streamer.CloudPhone) -> None:
    api.answer_first("sync-command", *[reply(429)] * 20)
    with failing_with(CloudReplyError, "HTTP 429"):
        await phone.shell("ls")
    assert len(api.server.requests) == 7
    assert api.commands == []


async def test_refused_credentials_are_renewed_once_for_a_change(api: VendorApi) -> None:
    tokens = iter(["an-old-token", TENANT_TOKEN])
    api.answer_first("reboot", refusal("KOOPHONE.API.1001", 401))
    async with open_cloud(api.server.url, streamer.TokenProvider(lambda: next(tokens))) as cloud:
        await cloud.phone(PHONE).reboot()
    assert [request.headers["x-auth-token"] for request in api.server.requests] == ["an-old-token", TENANT_TOKEN]


async def test_an_identity_service_that_fails_leaves_nothing_unclear(api: VendorApi) -> None:
    api.answer_first("tokens", *[reset] * 10)
    password = streamer.Password(iam_endpoint=api.server.url, domain="domain-1", user="user-1", password=PASSWORD)
    async with open_cloud(api.server.url, password) as cloud:
        with failing_with(CloudUnreachableError):
            await cloud.phone(PHONE).reboot()
    assert api.server.seen("/reboot") == []
    assert len(api.server.requests) == ATTEMPTS
