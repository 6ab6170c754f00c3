"""The conversation with the signaling server, on made-up time.

The server's frames are written here by `json.dumps`, apart from the code under test.
"""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import (
    SignalingProtocolError,
    SignalingRefusedError,
    SignalingTimeoutError,
)
from streamer.signaling.conversation import (
    CANDIDATE_LIMIT,
    ECHO_LIMIT,
    EVENTS_LIMIT,
    MALFORMED_PER_MINUTE,
    MESSAGE_LIMIT,
    OFFER_TIMEOUT_S,
    OFFERS_PER_MINUTE,
    SDP_LIMIT,
    Conversation,
)
from streamer.signaling.messages import Authorized, Offer, RemoteCandidate, Started
from streamer.untrusted_text import CONTAINERS_LIMIT
from tests.support.conversations import (
    AUTHORIZED,
    CAME,
    CANDIDATE,
    INIT,
    INTERVAL_S,
    LIMITS_S,
    OFFER,
    OPEN,
    REQUEST,
    STARTED,
    STREAM_ID,
    TIMEOUT_S,
    WAY,
    conversation_at,
    decoded,
    event,
    message,
    to_base64,
)

Skipped: TypeAlias = Callable[[], int]


@pytest.fixture
def skipped(caplog: pytest.LogCaptureFixture) -> Skipped:
    """How many messages were skipped because they made no sense, as the log says."""
    caplog.set_level(logging.DEBUG, "streamer.signaling")
    return lambda: sum("skipped" in record.message for record in caplog.records)


# The way, step by step.


def test_nothing_is_sent_before_the_server_has_authorized() -> None:
    conversation = Conversation(REQUEST, 0)
    conversation.receive(OPEN, 0)
    conversation.receive("40", 0)
    assert conversation.frames_to_send() == []
    assert conversation.events() == []


def test_authorize_is_answered_with_start() -> None:
    conversation = conversation_at("authorize")
    conversation.receive(AUTHORIZED, 0)
    assert conversation.events() == [Authorized()]
    assert decoded(conversation.frames_to_send()) == [["start", {"room": "box", "times": 2}]]


def test_an_authorize_without_a_code_counts() -> None:
    conversation = conversation_at("authorize")
    conversation.receive(event("authorize", {"authorized": True}), 0)
    assert conversation.events() == [Authorized()]


@pytest.mark.parametrize("vcodec", ["h264", 1, None])
def test_start_is_answered_with_init_that_echoes_the_codec(vcodec: str | int | None) -> None:
    conversation = conversation_at("start")
    conversation.receive(event("start", {"streamId": STREAM_ID, "vcodec": vcodec}), 0)
    assert conversation.events() == [Started()]
    [[name, init]] = decoded(conversation.frames_to_send())
    data = init.pop("data")
    assert (name, init) == ("message", {"to": STREAM_ID, "type": "init"})
    assert json.loads(base64.b64decode(data, validate=True)) == INIT | {"vcodec": vcodec}


def test_answer_and_candidate_go_to_the_stream() -> None:
    conversation = conversation_at("close")
    conversation.send_answer("v=0 answer")
    conversation.send_candidate("1 1 udp 1 192.0.2.1 9 typ host", "video", 1)
    assert decoded(conversation.frames_to_send()) == [
        ["message", {"to": STREAM_ID, "type": "answer", "payload": {"type": "answer", "sdp": "v=0 answer"}}],
        [
            "message",
            {
                "to": STREAM_ID,
                "type": "candidate",
                "payload": {"label": 1, "id": "video", "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host"},
            },
        ],
    ]


@pytest.mark.parametrize("step", ["offer", "close"])
@pytest.mark.parametrize(
    ("content", "candidate"),
    [
        ({"label": 0, "id": "0", "candidate": "candidate:1 1 udp"}, RemoteCandidate("1 1 udp", "0", 0)),
        ({"label": 1, "id": "audio", "candidate": "a=candidate:1 1 udp\r\n"}, RemoteCandidate("1 1 udp", "audio", 1)),
        ({"label": 0, "id": 0, "candidate": "1 1 UDP"}, RemoteCandidate("1 1 UDP", "0", 0)),
        ({"candidate": "1 1 udp"}, RemoteCandidate("1 1 udp", None, None)),
        ({"label": None, "id": None, "candidate": "1 1 udp"}, RemoteCandidate("1 1 udp", None, None)),
        ({"label": 0, "id": "0", "candidate": ""}, RemoteCandidate("", "0", 0)),
        ({"label": 0, "id": "0", "candidate": None}, RemoteCandidate("", "0", 0)),
    ],
)
def test_a_candidate_is_an_event_before_the_offer_and_after_it(
    step: str, content: dict[str, Any], candidate: RemoteCandidate
) -> None:
    conversation = conversation_at(step)
    conversation.receive(message("candidate", payload=content), 0)
    conversation.receive(message("candidate", data=to_base64(content)), 0)
    assert conversation.events() == [candidate, candidate]


def test_a_candidate_does_not_end_the_wait_for_the_offer() -> None:
    conversation = conversation_at("offer")
    conversation.receive(message("candidate", payload={"candidate": "1 1 udp"}), 0)
    with pytest.raises(SignalingTimeoutError):
        conversation.poll(OFFER_TIMEOUT_S)


def test_a_second_offer_is_an_event_like_the_first() -> None:
    conversation = conversation_at("close")
    conversation.receive(message("offer", payload={"type": "offer", "sdp": "second"}), 1000)
    assert conversation.events() == [Offer("second")]


@pytest.mark.parametrize("frame", [event("providerUpdate", {"load": 1}), event("later", 1, 2), event("bare")])
def test_an_unknown_event_gets_no_reply(frame: str, skipped: Skipped) -> None:
    conversation = conversation_at("close")
    conversation.receive(frame, 0)
    assert (conversation.events(), conversation.frames_to_send(), skipped()) == ([], [], 0)


def test_the_content_of_a_binary_event_comes_with_its_attachment() -> None:
    conversation = conversation_at("offer")
    conversation.receive('451-["message",{"type":"offer","data":{"_placeholder":true,"num":0}}]', 0)
    assert conversation.events() == []
    conversation.receive(b"\x04" + to_base64({"type": "offer", "sdp": "v=0"}).encode(), 0)
    assert conversation.events() == [Offer("v=0")]


def test_an_event_with_an_acknowledgement_id_is_an_event_and_gets_no_acknowledgement() -> None:
    conversation = conversation_at("close")
    conversation.receive(CANDIDATE.replace("42", "4217", 1), 0)
    assert conversation.events() == [CAME]
    assert conversation.frames_to_send() == []


@pytest.mark.parametrize(
    "frame",
    [
        '42/ns,["close",{"reason":"1402"}]',
        "41/ns,",
        '44/ns,"no"',
        "40/ns",
        "431[]",
        AUTHORIZED,
        STARTED,
        event("message"),
        event("message", "text"),
        message("offer"),
        message("offer", payload={"sdp": 1}),
        message("offer", data="not base64!"),
        message("offer", data=to_base64("no object")),
        message("candidate", payload={"candidate": 1}),
        message("candidate", payload={"candidate": "x" * (CANDIDATE_LIMIT + 1)}),
        message("never heard of", payload={}),
    ],
)
def test_senseless_messages_are_skipped(frame: str, skipped: Skipped) -> None:
    conversation = conversation_at("close")
    conversation.receive(frame, 0)
    assert (conversation.events(), conversation.frames_to_send(), skipped()) == ([], [], 1)


@pytest.mark.parametrize("frame", ["6", "5", "3", "40"])
def test_messages_that_need_no_reply_are_not_counted_as_skipped(frame: str, skipped: Skipped) -> None:
    conversation = conversation_at("close")
    conversation.receive(frame, 0)
    assert (conversation.events(), conversation.frames_to_send(), skipped()) == ([], [], 0)


def test_a_ping_of_the_servers_is_answered_with_what_it_carries() -> None:
    conversation = conversation_at("close")
    conversation.receive("2probe", 0)
    assert conversation.frames_to_send() == ["3probe"]


# Time.


@pytest.mark.parametrize("step", WAY)
def test_each_step_has_its_own_time_out(step: str) -> None:
    conversation = conversation_at(step, now=100)
    assert conversation.deadline == 100 + LIMITS_S[step]
    conversation.poll(100 + LIMITS_S[step] - 0.001)
    with pytest.raises(SignalingTimeoutError) as caught:
        conversation.poll(100 + LIMITS_S[step])
    assert caught.value.step == step


def test_after_the_offer_only_pongs_have_a_time_limit() -> None:
    conversation = conversation_at("close")
    now = 0.0
    for _ in range(10):
        assert conversation.deadline == now + INTERVAL_S
        now += INTERVAL_S
        conversation.poll(now)
        assert conversation.frames_to_send() == ["2"]
        conversation.receive("3", now)


def test_a_missing_pong_is_a_time_out() -> None:
    conversation = conversation_at("close")
    conversation.poll(INTERVAL_S)
    conversation.receive(OFFER, INTERVAL_S + TIMEOUT_S - 1)  # only a pong is one
    conversation.poll(INTERVAL_S + TIMEOUT_S - 0.001)
    with pytest.raises(SignalingTimeoutError) as caught:
        conversation.poll(INTERVAL_S + TIMEOUT_S)
    assert caught.value.step == "pong"


def test_pings_go_out_while_a_step_is_awaited() -> None:
    conversation = Conversation(REQUEST, 0)
    conversation.receive('0{"sid":"x","pingInterval":1000,"pingTimeout":1000}', 0)
    assert conversation.deadline == 1
    conversation.poll(1)
    assert conversation.frames_to_send() == ["2"]


# Ends.


MALFORMED: Final[list[str | bytes]] = [
    "",
    "x",
    "0",
    '0{"sid":1}',
    "4",
    "42",
    "42{}",
    "42[5,{}]",
    '42["x"',
    '42["x",' + "[]," * CONTAINERS_LIMIT + "[]]",
    b"",
    b"\x04nobody announced it",
    "4517-" + '["x"]',
    "4" + '2["x"',
]


@pytest.mark.parametrize("step", [step for step in [*WAY, "close"] if step != "open"])
@pytest.mark.parametrize("frame", MALFORMED)
def test_an_unreadable_frame_is_skipped(step: str, frame: str | bytes, skipped: Skipped) -> None:
    conversation, other = conversation_at(step), conversation_at(step)
    conversation.receive(frame, 1)
    assert (conversation.events(), conversation.frames_to_send(), skipped()) == ([], [], 1)
    assert conversation.deadline == other.deadline
    if step != "close":
        conversation.receive(WAY[step], 2)
        other.receive(WAY[step], 2)
        assert conversation.events() == other.events()
        assert conversation.deadline == other.deadline


@given(st.lists(st.tuples(st.sampled_from([*WAY.values(), "2", "3", event("x", 1)]), st.sampled_from(MALFORMED))))
def test_malformed_frames_among_good_ones_change_nothing(frames: list[tuple[str, str | bytes]]) -> None:
    """The law: whatever malformed frames come in between, the good ones yield the same events and the same answers."""
    disturbed, other = conversation_at("connect"), conversation_at("connect")
    for number, (good, malformed) in enumerate(frames):
        for conversation in (disturbed, other):
            conversation.receive(good, number)
        disturbed.receive(malformed, number)
        assert disturbed.events() == other.events()
        assert disturbed.frames_to_send() == other.frames_to_send()
        assert disturbed.deadline == other.deadline


@pytest.mark.parametrize("frame", MALFORMED)
def test_a_server_that_greets_with_a_malformed_frame_is_a_protocol_error(frame: str | bytes) -> None:
    with pytest.raises(SignalingProtocolError):
        conversation_at("open").receive(frame, 0)


def test_malformed_frames_have_a_limit_a_minute() -> None:
    conversation = conversation_at("close")
    for number in range(5 * MALFORMED_PER_MINUTE):  # evenly, as fast as may be
        conversation.receive("", 1 + number * 60 / MALFORMED_PER_MINUTE)
    for _ in range(MALFORMED_PER_MINUTE - 1):
        conversation.receive("", 300)
    with pytest.raises(SignalingProtocolError, match="60 malformed frames a minute") as caught:
        conversation.receive("", 300)
    assert caught.value.retryable


@pytest.mark.parametrize("head", ['451-["x",{"_placeholder":true,"num":0}]', '452-["x"]'])
def test_a_missing_attachment_costs_only_its_event(head: str, skipped: Skipped) -> None:
    conversation = conversation_at("close")
    conversation.receive(head, 0)
    conversation.receive(CANDIDATE, 0)
    conversation.receive(b"\x04late", 0)
    assert (conversation.events(), skipped()) == ([CAME], 2)


def test_an_error_packet_is_a_refusal_before_the_connection_and_may_pass_after_it() -> None:
    for step in [*WAY, "close"]:
        with pytest.raises(SignalingRefusedError) as caught:
            conversation_at(step).receive('44"something went wrong"', 0)
        assert caught.value.retryable == (step not in {"open", "connect"})


def test_a_ping_is_answered_with_a_part_of_what_it_carries() -> None:
    conversation = conversation_at("close")
    conversation.receive("2" + "p" * 100_000, 0)
    assert conversation.frames_to_send() == ["3" + "p" * ECHO_LIMIT]


def test_a_heartbeat_may_come_between_an_event_and_its_attachment() -> None:
    conversation = conversation_at("close")
    conversation.receive('451-["message",{"type":"offer","data":{"_placeholder":true,"num":0}}]', 0)
    conversation.receive("3", 0)
    conversation.receive(b"\x04" + to_base64({"type": "offer", "sdp": "v=0"}).encode(), 0)
    assert conversation.events() == [Offer("v=0")]


# Limits: what is just allowed passes, one more does not.


def test_a_frame_has_a_limit() -> None:
    frame = event("x", "")
    filled = event("x", "y" * (MESSAGE_LIMIT - len(frame)))
    conversation = conversation_at("close")
    conversation.receive(filled, 0)
    with pytest.raises(SignalingProtocolError):
        conversation.receive(event("x", "y" * (MESSAGE_LIMIT - len(frame) + 1)), 0)


def test_an_offer_has_a_limit() -> None:
    conversation = conversation_at("close")
    conversation.receive(message("offer", payload={"type": "offer", "sdp": "x" * SDP_LIMIT}), 0)
    assert conversation.events() == [Offer("x" * SDP_LIMIT)]
    with pytest.raises(SignalingProtocolError):
        conversation.receive(message("offer", payload={"type": "offer", "sdp": "x" * (SDP_LIMIT + 1)}), 0)


def test_offers_have_a_limit_a_minute() -> None:
    conversation = conversation_at("close")
    offer = message("offer", payload={"type": "offer", "sdp": "v=0"})
    for number in range(3 * OFFERS_PER_MINUTE):  # evenly, as fast as may be
        conversation.receive(offer, 60 + number * 60 / OFFERS_PER_MINUTE)
        assert conversation.events() == [Offer("v=0")]
    with pytest.raises(SignalingProtocolError, match="30 offers a minute"):
        conversation.receive(offer, 239)


def test_a_candidate_at_the_limit_passes() -> None:
    conversation = conversation_at("close")
    conversation.receive(message("candidate", payload={"candidate": "x" * CANDIDATE_LIMIT}), 0)
    assert conversation.events() == [RemoteCandidate("x" * CANDIDATE_LIMIT, None, None)]


def test_unread_events_have_a_limit() -> None:
    conversation = conversation_at("close")
    for _ in range(EVENTS_LIMIT):
        conversation.receive(CANDIDATE, 0)
    with pytest.raises(SignalingProtocolError):
        conversation.receive(CANDIDATE, 0)
    assert len(conversation.events()) == EVENTS_LIMIT


def test_attachments_together_have_a_limit(skipped: Skipped) -> None:
    conversation = conversation_at("close")
    conversation.receive('453-["x"]', 0)
    conversation.receive(b"\x04" + bytes(MESSAGE_LIMIT // 2), 0)
    conversation.receive(b"\x04" + bytes(MESSAGE_LIMIT // 2), 0)
    conversation.receive(b"\x04" + bytes(1), 0)
    conversation.receive(CANDIDATE, 0)
    assert (conversation.events(), skipped()) == ([CAME], 1)
