"""The conversation with the signaling server, on made-up time.

The server's frames are written here by `json.dumps`, apart from the code under test.
"""

import base64
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.errors import (
    DeviceTokenError,
    SignalingClosedError,
    SignalingError,
    SignalingProtocolError,
    SignalingRefusedError,
    SignalingTimeoutError,
    TakenOverError,
)
from streamer.foreign import CONTAINERS_LIMIT
from streamer.secret import Secret
from streamer.signaling.conversation import (
    CANDIDATE_LIMIT,
    ECHO_LIMIT,
    EVENTS_LIMIT,
    HANDSHAKE_TIMEOUT_S,
    MALFORMED_PER_MINUTE,
    MESSAGE_LIMIT,
    OFFER_TIMEOUT_S,
    OFFERS_PER_MINUTE,
    SDP_LIMIT,
    START_TIMEOUT_S,
    Conversation,
)
from streamer.signaling.messages import Authorized, Event, Offer, RemoteCandidate, SignalingRequest, Started
from tests.support.examples import examples

TOKEN: Final = "device-token"
REQUEST: Final = SignalingRequest(
    signaling_url="http://host",
    device_id="box",
    device_token=Secret(TOKEN),
    streaming_id="stream-1",
    client_uuid="uuid-1",
    times=2,
    volume=40,
)
INTERVAL_S: Final = 25.0
TIMEOUT_S: Final = 5.0
OPEN: Final = '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":5000}'
STREAM_ID: Final = "phone-1"


def event(name: str, *arguments: Any) -> str:
    return "42" + json.dumps([name, *arguments])


def message(kind: str, **content: Any) -> str:
    return event("message", {"from": STREAM_ID, "type": kind, **content})


def to_base64(content: Any) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


AUTHORIZED: Final = event("authorize", {"authorized": True, "code": 0})
STARTED: Final = event("start", {"streamId": STREAM_ID, "vcodec": "h264"})
OFFER: Final = message("offer", payload={"type": "offer", "sdp": "v=0"})
CANDIDATE: Final = message("candidate", payload={"candidate": "x"})
CAME: Final = RemoteCandidate("x", None, None)
WAY: Final = {"open": OPEN, "connect": "40", "authorize": AUTHORIZED, "start": STARTED, "offer": OFFER}
LIMITS_S: Final = {
    "open": HANDSHAKE_TIMEOUT_S,
    "connect": HANDSHAKE_TIMEOUT_S,
    "authorize": HANDSHAKE_TIMEOUT_S,
    "start": START_TIMEOUT_S,
    "offer": OFFER_TIMEOUT_S,
}


Skipped: TypeAlias = Callable[[], int]


@pytest.fixture
def skipped(caplog: pytest.LogCaptureFixture) -> Skipped:
    """How many messages were skipped because they made no sense, as the log says."""
    caplog.set_level(logging.DEBUG, "streamer.signaling")
    return lambda: sum("skipped" in record.message for record in caplog.records)


def conversation_at(step: str, now: float = 0.0) -> Conversation:
    """Return a conversation that waits for `step`; "close" is after the offer. Frames and events are taken out."""
    conversation = Conversation(REQUEST, now)
    for name, frame in WAY.items():
        if name == step:
            break
        conversation.receive(frame, now)
    conversation.events()
    conversation.frames_to_send()
    return conversation


def decoded(frames: list[str]) -> list[Any]:
    """Return the events in frames that are nothing else."""
    assert all(frame.startswith("42[") for frame in frames)
    return [json.loads(frame[2:]) for frame in frames]


# Laws: whatever comes, in whatever order.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
scalars: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1402, "", "0", "1402", "h264", 10**30, 1.5, [], {}]
)


def half_right(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with these fields, or some of them, or each of them with a value of another kind; or no object."""
    return st.fixed_dictionaries({}, optional={name: of | scalars for name, of in fields.items()}) | json_values


contents = half_right(
    type=st.sampled_from(["offer", "candidate"]),
    sdp=st.text(),
    candidate=st.text(),
    id=st.text(),
    label=st.integers(),
    reason=st.sampled_from([1402, "1403|x", "x"]),
)
messages = half_right(
    type=st.sampled_from(["offer", "answer", "candidate", "close", "bye"]),
    payload=contents,
    data=contents | contents.map(to_base64) | st.text(),
)
event_frames = st.one_of(
    st.builds(event, st.just("authorize"), half_right(authorized=st.just(True), code=st.integers(-3, 1))),
    st.builds(event, st.just("start"), half_right(streamId=st.text() | st.integers(), vcodec=json_values)),
    st.builds(event, st.just("message"), messages),
    st.builds(event, st.just("close"), half_right(reason=scalars)),
    st.builds(event, st.text(), json_values),
)
binary_heads = st.sampled_from(
    [
        '451-["message",{"type":"offer","data":{"_placeholder":true,"num":0}}]',
        '452-["x",{"_placeholder":true,"num":1},{"_placeholder":true,"num":7}]',
        '450-["x"]',
        '451-["x",' + "[" * 700 + "]" * 700 + "]",
    ]
)
frames = st.one_of(
    st.text(),
    st.binary(),
    st.binary().map(b"\x04".__add__),
    st.from_regex(r"[0-6]{1,2}(\d-)?(/\w*,)?\d{0,2}[\[{\"]?.*", fullmatch=True),
    st.sampled_from([*WAY.values(), "2", "2probe", "3", "6", "5", "431[]", "40/ns", '42/ns,["close"]']),
    event_frames,
    binary_heads,
)
steps = st.sampled_from([*WAY, "close"])


@given(steps, st.lists(st.tuples(st.floats(0, 10), frames | st.none()), max_size=20))
@examples(500)
def test_any_frames_at_any_time_yield_events_or_a_signaling_error(
    step: str, happenings: list[tuple[float, str | bytes | None]]
) -> None:
    now = 0.0
    conversation = conversation_at(step, now)
    try:
        for pause, frame in happenings:
            now += pause
            if frame is None:
                conversation.poll(now)
                # The driver sleeps until the deadline: one in the past would be a busy loop.
                assert conversation.deadline is None or conversation.deadline > now
            else:
                conversation.receive(frame, now)
            assert all(isinstance(outgoing, str) for outgoing in conversation.frames_to_send())
            assert all(isinstance(happened, Event) for happened in conversation.events())
    except SignalingError as error:
        assert TOKEN not in str(error)  # noqa: PT017 - no error is fine, too


def test_json_of_any_depth_yields_events_or_a_signaling_error() -> None:
    # Just below what the JSON decoder gives up at, anything else that recurses gives up.
    for depth in [*range(100, 900, 100), *range(900, 1001)]:
        nested = "[" * depth + "]" * depth
        for step, frame in [
            ("authorize", f'42["authorize",{{"authorized":true,"code":{nested}}}]'),
            ("start", f'42["start",{{"streamId":"x","vcodec":{nested}}}]'),
            ("start", f'42["start",{{"message":{nested}}}]'),
            ("offer", f'42["close",{nested}]'),
            ("offer", f'42["message",{{"type":"offer","data":"{base64.b64encode(nested.encode()).decode()}"}}]'),
        ]:
            with contextlib.suppress(SignalingError):
                conversation_at(step).receive(frame, 0)


@pytest.mark.parametrize("number", ["9" * 4300, "9" * 4301, "9" * 5000, "-" + "9" * 5000, "1e308"])
def test_numbers_of_any_length_yield_events_or_a_signaling_error(number: str) -> None:
    for step, frame in [
        ("authorize", f'42["authorize",{{"authorized":true,"code":{number}}}]'),
        ("start", f'42["start",{{"streamId":{number},"vcodec":{number}}}]'),
        ("start", f'42["start",{{"code":{number},"message":{number}}}]'),
        ("offer", f'42["close",{{"reason":{number}}}]'),
        ("offer", f'42["message",{{"type":"candidate","payload":{{"candidate":"x","id":{number}}}}}]'),
    ]:
        with contextlib.suppress(SignalingError):
            conversation_at(step).receive(frame, 0)


@given(
    st.lists(st.sampled_from(["3", "6", "2", OFFER, event("x"), '42/ns,["close"]', "431[]"]), max_size=30), st.data()
)
def test_a_server_that_answers_pings_is_never_timed_out_whatever_else_it_says(
    said: list[str], data: st.DataObject
) -> None:
    now = 0.0
    conversation = conversation_at("close", now)
    for frame in said:
        assert conversation.deadline is not None
        assert now < conversation.deadline <= now + INTERVAL_S
        now = data.draw(st.floats(now, conversation.deadline))
        conversation.poll(now)
        if "2" in conversation.frames_to_send():
            conversation.receive("3", now)
        conversation.receive(frame, now)
        conversation.frames_to_send()
        conversation.events()


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.booleans())
@example("v=0\r\n", True)
def test_an_offer_is_the_same_as_payload_and_as_base64_data(sdp: str, as_data: bool) -> None:
    content = {"type": "offer", "sdp": sdp}
    conversation = conversation_at("offer")
    conversation.receive(message("offer", **({"data": to_base64(content)} if as_data else {"payload": content})), 0)
    assert conversation.events() == [Offer(sdp)]


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
    assert json.loads(base64.b64decode(data, validate=True)) == {
        "sole": True,
        "mode": "app",
        "role": "master",
        "profile_name": "master",
        "network_type": "wifi",
        "profile": 2,
        "volume": 40,
        "vcodec": vcodec,
        "venctype": 0,
        "frame_aspect": "16:9",
        "keeping_time": 60,
        "user_agent": "koophone-streamer",
        "client_version": "1.0.0",
        "uuid": "uuid-1",
        "sessionid": TOKEN,
        "streamingid": "stream-1",
        "room_session": "",
    }


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
def test_an_event_that_is_not_known_asks_for_nothing(frame: str, skipped: Skipped) -> None:
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
def test_what_makes_no_sense_is_skipped(frame: str, skipped: Skipped) -> None:
    conversation = conversation_at("close")
    conversation.receive(frame, 0)
    assert (conversation.events(), conversation.frames_to_send(), skipped()) == ([], [], 1)


@pytest.mark.parametrize("frame", ["6", "5", "3", "40"])
def test_what_asks_for_nothing_is_not_skipped(frame: str, skipped: Skipped) -> None:
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


def test_after_the_offer_only_pongs_are_waited_for() -> None:
    conversation = conversation_at("close")
    now = 0.0
    for _ in range(10):
        assert conversation.deadline == now + INTERVAL_S
        now += INTERVAL_S
        conversation.poll(now)
        assert conversation.frames_to_send() == ["2"]
        conversation.receive("3", now)


def test_a_pong_that_does_not_come_is_a_time_out() -> None:
    conversation = conversation_at("close")
    conversation.poll(INTERVAL_S)
    conversation.receive(OFFER, INTERVAL_S + TIMEOUT_S - 1)  # only a pong is one
    conversation.poll(INTERVAL_S + TIMEOUT_S - 0.001)
    with pytest.raises(SignalingTimeoutError) as caught:
        conversation.poll(INTERVAL_S + TIMEOUT_S)
    assert caught.value.step == "pong"


def test_pings_go_out_while_a_step_is_waited_for() -> None:
    conversation = Conversation(REQUEST, 0)
    conversation.receive('0{"sid":"x","pingInterval":1000,"pingTimeout":1000}', 0)
    assert conversation.deadline == 1
    conversation.poll(1)
    assert conversation.frames_to_send() == ["2"]


# Ends.


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
def test_a_token_that_is_not_accepted_has_its_error(payload: Any, code: int | None, meaning: str) -> None:
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
def test_a_start_that_is_refused_has_its_error(payload: Any, code: int | None, meaning: str) -> None:
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
def test_a_frame_that_cannot_be_understood_is_skipped(step: str, frame: str | bytes, skipped: Skipped) -> None:
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
def test_an_attachment_that_does_not_come_costs_its_event_alone(head: str, skipped: Skipped) -> None:
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


def test_events_that_nobody_takes_have_a_limit() -> None:
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
