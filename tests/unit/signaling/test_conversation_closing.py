import json
from typing import Any

import pytest

from streamer.errors import (
    DeviceTokenError,
    SignalingClosedError,
    SignalingError,
    SignalingRefusedError,
    TakenOverError,
)
from streamer.signaling.messages import Offer
from tests.support.conversations import (
    WAY,
    conversation_at,
    event,
    message,
)


@pytest.mark.parametrize("payload", [{"reason": None, "code": 1402}, {"reason": "kicked", "code": "1402"}])
def test_a_take_over_is_known_by_its_code_whatever_the_reason_says(payload: dict[str, Any]) -> None:
    with pytest.raises(TakenOverError):
        conversation_at("authorize").receive("42" + json.dumps(["close", payload]), 1.0)


@pytest.mark.parametrize("code", [1300, 1301])
def test_a_client_that_is_not_supported_does_not_try_again(code: int) -> None:
    with pytest.raises(SignalingClosedError) as caught:
        conversation_at("authorize").receive("42" + json.dumps(["close", {"reason": code}]), 1.0)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("frame", "by_phone"),
    [
        ('42["close",{"reason":"1403"}]', True),
        ('42["close",{"reason":"a new one"}]', True),
        ('42["close"]', True),
        ("41", False),
        ("1", False),
    ],
)
def test_the_end_of_signaling_alone_is_not_the_phones_end_of_the_stream(frame: str, by_phone: bool) -> None:
    with pytest.raises(SignalingClosedError) as caught:
        conversation_at("authorize").receive(frame, 1.0)
    assert caught.value.by_phone is by_phone


@pytest.mark.parametrize("head", ['451-/other,["x",', "461-1["])
def test_attachments_of_a_skipped_event_are_skipped_with_it(head: str) -> None:
    talk = conversation_at("authorize")
    talk.receive(head + '{"_placeholder":true,"num":0}]', 1.0)
    talk.receive(b"\x04rest", 1.0)
    talk.receive('42["message",{"type":"offer","payload":{"sdp":"v=0"}}]', 1.0)
    assert talk.events() == [Offer("v=0")]


def test_a_token_that_the_server_echoes_percent_encoded_is_not_shown() -> None:
    with pytest.raises(SignalingRefusedError) as caught:
        conversation_at("authorize").receive('44"bad request /socket.io/?token=ab%2B%2Fcd%3D%3D"', 1.0)
    assert "ab%2B" not in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "code", "meaning"),
    [
        ({"authorized": False, "code": -1}, -1, "invalid"),
        ({"authorized": False, "code": -2}, -2, "expired"),
        ({"authorized": True, "code": -2}, -2, "expired"),
        ({"authorized": False, "code": 0}, 0, "no reason"),
        ({"authorized": True, "code": []}, None, "no reason"),
        ({"authorized": 1, "code": 0}, 0, "no reason"),
        ({}, None, "no reason"),
        (None, None, "no reason"),
        ("yes", None, "no reason"),
    ],
)
def test_a_rejected_token_has_its_error(payload: Any, code: int | None, meaning: str) -> None:
    with pytest.raises(DeviceTokenError, match=meaning) as caught:
        conversation_at("authorize").receive(event("authorize", payload), 0)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("payload", "code", "meaning"),
    [
        ({"code": 7, "message": "the phone is busy", "times": 0}, 7, "the phone is busy"),
        ({"code": "7", "message": "two\nlines"}, None, r"two\\nlines"),
        ({"streamId": ""}, None, "no reason"),
        ({"streamId": None}, None, "no reason"),
        ({}, None, "no reason"),
        (None, None, "no reason"),
    ],
)
def test_a_refused_start_has_its_error(payload: Any, code: int | None, meaning: str) -> None:
    with pytest.raises(SignalingRefusedError, match=meaning) as caught:
        conversation_at("start").receive(event("start", payload), 0)
    assert (caught.value.code, caught.value.retryable) == (code, True)


@pytest.mark.parametrize("code", [1203, 1400, 1401, 1402, 1403, 1406, 1412, 1415, 3000])
@pytest.mark.parametrize("form", ["{}", "{},text", "{}|text", "{} text", " {}", "{}:1401"])
def test_a_close_reason_is_read_in_every_form(code: int, form: str) -> None:
    for reason in (form.format(code), code):
        for payload in ({"reason": reason}, {"code": reason}, reason):
            for frame in (event("close", payload), message("close", payload=payload)):
                with pytest.raises(SignalingError) as caught:
                    conversation_at("close").receive(frame, 0)
                assert isinstance(caught.value, SignalingClosedError | DeviceTokenError)
                assert caught.value.code == code


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (1203, SignalingClosedError, True),
        (1400, SignalingClosedError, False),
        (1401, SignalingClosedError, False),
        (1402, TakenOverError, False),
        (1403, SignalingClosedError, False),
        (1406, SignalingClosedError, True),
        (1412, SignalingClosedError, False),
        (1415, DeviceTokenError, True),
        (3000, SignalingClosedError, True),
        (7777, SignalingClosedError, True),
    ],
)
def test_a_close_code_has_its_class_and_says_whether_to_try_again(
    code: int, kind: type[SignalingError], retryable: bool
) -> None:
    with pytest.raises(SignalingError) as caught:
        conversation_at("close").receive(event("close", {"reason": str(code)}), 0)
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("payload", [None, {}, [], {"reason": None}, {"reason": "going"}, {"reason": "14021402140214"}])
def test_a_close_without_a_code_is_a_closed_conversation(payload: Any) -> None:
    with pytest.raises(SignalingClosedError) as caught:
        conversation_at("close").receive(event("close", payload), 0)
    assert caught.value.code is None


@pytest.mark.parametrize("step", [*WAY, "close"])
@pytest.mark.parametrize(
    ("frame", "kind"),
    [("1", SignalingClosedError), ("41", SignalingClosedError), ('44"no"', SignalingRefusedError)],
)
def test_a_goodbye_counts_at_every_step(step: str, frame: str, kind: type[SignalingError]) -> None:
    with pytest.raises(kind):
        conversation_at(step).receive(frame, 0)


@pytest.mark.parametrize(
    ("frame", "said"), [('44"no such box"', "no such box"), ("44{}", "no reason"), ("44", "no reason")]
)
def test_a_refusal_says_why_if_the_server_does(frame: str, said: str) -> None:
    with pytest.raises(SignalingRefusedError, match=said):
        conversation_at("connect").receive(frame, 0)
