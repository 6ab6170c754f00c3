"""Whatever frames come, in whatever order: events, or a signaling error."""

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.errors import (
    SignalingError,
)
from streamer.signaling.messages import Event, Offer
from tests.support.conversations import (
    INTERVAL_S,
    OFFER,
    TOKEN,
    WAY,
    conversation_at,
    event,
    message,
    to_base64,
)
from tests.support.examples import examples

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
