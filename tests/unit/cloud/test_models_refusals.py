"""Replies that refuse, and what is read of an instance's preparation."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cloud.models import parse_prepared, parse_progress
from streamer.errors import CloudRefusalError, CloudReplyError, CredentialsError
from tests.support.replies import REPLY, SIGNALING, TOKEN, changed, read_ticket


def test_a_code_other_than_0_refuses_even_with_http_200() -> None:
    with pytest.raises(CloudRefusalError) as caught:
        read_ticket({"error_code": "KooPhone.API.1012", "error_msg": "not yours"})
    error = caught.value
    assert (error.status, error.error_code, error.error_msg) == (200, "KooPhone.API.1012", "not yours")
    assert error.meaning == "the instance is not under this tenant"
    assert not error.retryable
    for fact in ("KooPhone.API.1012", "not yours", error.meaning, "HTTP 200", "request-1", "; check the instance id"):
        assert fact in str(error)


def test_an_http_error_refuses_even_with_code_0() -> None:
    with pytest.raises(CloudRefusalError) as caught:
        read_ticket(REPLY, status=400)
    assert (caught.value.status, caught.value.error_code) == (400, "0")


def test_an_unknown_code_is_shown_unchanged() -> None:
    with pytest.raises(CloudRefusalError) as caught:
        read_ticket({"error_code": "KOOPHONE.API.7777", "error_msg": "a new reason"})
    assert caught.value.error_code == "KOOPHONE.API.7777"
    assert caught.value.meaning is None
    assert "KOOPHONE.API.7777" in str(caught.value)
    assert "a new reason" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (200, "KOOPHONE.API.2005", True),
        (400, "KOOPHONE.API.9999", True),
        (500, "KOOPHONE.API.1000", False),
        (429, "common.00000001", True),
        (503, "APIGW.0201", True),
        (400, "common.00000001", False),
        (200, "KOOPHONE.API.7777", False),
    ],
)
def test_the_table_decides_about_retrying_and_otherwise_the_status(status: int, code: str, retryable: bool) -> None:
    with pytest.raises(CloudRefusalError) as caught:
        read_ticket({"error_code": code}, status=status)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("status", "code"), [(401, "KOOPHONE.API.1001"), (401, None), (403, "APIGW.0301"), (200, "apigw.0301")]
)
def test_a_refusal_about_the_tenant_is_a_credentials_error(status: int, code: str | None) -> None:
    with pytest.raises(CredentialsError) as caught:
        read_ticket({"error_code": code}, status=status)
    assert (caught.value.status, caught.value.error_code) == (status, code)


def test_flow_control_is_not_about_credentials() -> None:
    with pytest.raises(CloudRefusalError) as caught:
        read_ticket({"error_code": "APIGW.0308"}, status=429)
    assert not isinstance(caught.value, CredentialsError)
    assert caught.value.retryable


def test_a_401_without_json_is_about_credentials_too() -> None:
    with pytest.raises(CredentialsError) as caught:
        read_ticket(b"<html>401</html>", status=401)
    assert caught.value.error_code is None


@pytest.mark.parametrize(("body", "word"), [(b"", "nothing"), (b" \r\n", "nothing"), (b"\n<html>", "HTML")])
def test_a_reply_that_is_not_json_is_described(body: bytes, word: str) -> None:
    with pytest.raises(CloudReplyError, match=f"got {word}") as caught:
        read_ticket(body)
    assert caught.value.path is None


def test_a_long_message_of_the_server_is_cut() -> None:
    with pytest.raises(CloudRefusalError) as caught:
        read_ticket({"error_code": "x", "error_msg": "m" * 100_000})
    assert len(str(caught.value)) < 1000


def test_a_ticket_shows_no_secret() -> None:
    """Neither the device token, nor the ICE servers, nor what a signaling URL may hold."""
    servers = [{"uri": "turn:b", "usr": "u", "pwd": "turn-password"}]
    url = "https://user:hunter2@host/?token=hunter2"
    shown = repr(read_ticket(changed((f"{SIGNALING}.ice_servers", servers), (f"{SIGNALING}.signaling_url", url))))
    assert "device-1" in shown
    assert TOKEN not in shown
    assert "turn-password" not in shown
    assert "hunter2" not in shown


def test_an_instance_is_ready_when_the_reply_to_prepare_says_so_of_it() -> None:
    def reply(instance_id: str, status: object) -> bytes:
        return msgspec.json.encode({"data": {"status_list": [{"instance_id": instance_id, "status": status}]}})

    assert parse_prepared(reply("a", 0), "a", status=200)
    assert parse_prepared(reply("a", "0"), "a", status=200)
    assert not parse_prepared(reply("b", 0), "a", status=200)
    assert not parse_prepared(reply("a", 1), "a", status=200)
    for empty in (b'{"data": null}', b'{"data": {"status_list": null}}', b"{}"):
        assert not parse_prepared(empty, "a", status=200)


def test_progress_has_the_vendors_words_and_unknown_numbers_unchanged() -> None:
    progress = parse_progress(b'{"data": {"status": 1, "waitingCount": "4"}}', status=200)
    assert str(progress) == "queuing, waiting count 4"
    assert not progress.is_ready
    assert parse_progress(b'{"data": {"status": "0"}}', status=200).is_ready
    assert parse_progress(b'{"data": {"status": -1}}', status=200).has_failed
    assert str(parse_progress(b'{"data": {"status": 17}}', status=200)) == "status 17"


@pytest.mark.parametrize("body", [b'{"data": {}}', b'{"data": []}', b"<html>", b'{"data": {"status": "soon"}}'])
def test_progress_of_another_form_is_a_reply_error(body: bytes) -> None:
    with pytest.raises(CloudReplyError):
        parse_progress(body, status=200)


@given(st.binary(max_size=200))
def test_any_replies_are_read_or_refused(body: bytes) -> None:
    """The law: any bytes yield a result or the documented error."""
    for read in (lambda: parse_prepared(body, "a", status=200), lambda: parse_progress(body, status=200)):
        with contextlib.suppress(CloudReplyError):
            read()
