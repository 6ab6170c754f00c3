import json
from typing import Any

import pytest

from streamer.errors import SignalingClosedError, SignalingRefusedError, TakenOverError
from streamer.secret import Secret
from streamer.signaling.conversation import Conversation
from streamer.signaling.messages import Offer, SignalingRequest

TOKEN = "ab+/cd=="


def conversation() -> Conversation:
    request = SignalingRequest(
        signaling_url="http://h", device_id="d", device_token=Secret(TOKEN), streaming_id="s", client_uuid="u"
    )
    conversation = Conversation(request, 0.0)
    conversation.receive('0{"sid":"x","pingInterval":25000,"pingTimeout":5000}', 0.0)
    conversation.receive("40", 0.0)
    return conversation


@pytest.mark.parametrize("payload", [{"reason": None, "code": 1402}, {"reason": "kicked", "code": "1402"}])
def test_a_take_over_is_known_by_its_code_whatever_the_reason_says(payload: dict[str, Any]) -> None:
    with pytest.raises(TakenOverError):
        conversation().receive("42" + json.dumps(["close", payload]), 1.0)


@pytest.mark.parametrize("code", [1300, 1301])
def test_a_client_that_is_not_supported_does_not_try_again(code: int) -> None:
    with pytest.raises(SignalingClosedError) as caught:
        conversation().receive("42" + json.dumps(["close", {"reason": code}]), 1.0)
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
        conversation().receive(frame, 1.0)
    assert caught.value.by_phone is by_phone


@pytest.mark.parametrize("head", ['451-/other,["x",', "461-1["])
def test_attachments_of_what_is_skipped_are_skipped_with_it(head: str) -> None:
    talk = conversation()
    talk.receive(head + '{"_placeholder":true,"num":0}]', 1.0)
    talk.receive(b"\x04rest", 1.0)
    talk.receive('42["message",{"type":"offer","payload":{"sdp":"v=0"}}]', 1.0)
    assert talk.events() == [Offer("v=0")]


def test_a_token_that_the_server_echoes_percent_encoded_is_not_shown() -> None:
    with pytest.raises(SignalingRefusedError) as caught:
        conversation().receive('44"bad request /socket.io/?token=ab%2B%2Fcd%3D%3D"', 1.0)
    assert "ab%2B" not in str(caught.value)
