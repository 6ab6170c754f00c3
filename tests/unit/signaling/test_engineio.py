"""Engine.IO 3: packet types, the handshake, the heartbeat."""

import itertools
import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import SignalingProtocolError
from streamer.signaling.engineio import Handshake, Heartbeat, parse_handshake, split

SECONDS: Final = st.floats(0.001, 3600)
TEXTS: Final = st.text(st.characters(codec="utf-8"))


@given(st.sampled_from("0123456"), st.text())
def test_a_frame_is_its_type_and_the_rest(packet_type: str, rest: str) -> None:
    assert split(packet_type + rest) == (packet_type, rest)


@given(st.text())
def test_any_other_frame_is_a_protocol_error(frame: str) -> None:
    if frame[:1] in set("0123456"):
        frame = "x" + frame
    with pytest.raises(SignalingProtocolError):
        split(frame)


@given(TEXTS, st.integers(1, 3_600_000), st.integers(1, 3_600_000), st.dictionaries(TEXTS, st.integers()))
def test_a_handshake_is_read_whatever_else_it_says(sid: str, interval: int, timeout: int, more: dict[str, Any]) -> None:
    said = {**more, "sid": sid, "upgrades": [], "pingInterval": interval, "pingTimeout": timeout}
    assert parse_handshake(json.dumps(said)) == Handshake(sid, interval / 1000, timeout / 1000)


@given(st.text() | st.from_regex(r'\{"sid":"x","pingInterval":.{0,8},"pingTimeout":.{0,8}\}', fullmatch=True))
def test_any_text_is_a_handshake_with_sane_times_or_a_protocol_error(text: str) -> None:
    try:
        handshake = parse_handshake(text)
    except SignalingProtocolError:
        return
    assert 0 < handshake.ping_interval_s <= 3600
    assert 0 < handshake.ping_timeout_s <= 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"sid":"x"}',
        '{"sid":1,"pingInterval":1,"pingTimeout":1}',
        '{"sid":"x","pingInterval":"25000","pingTimeout":5000}',
        '{"sid":"x","pingInterval":0,"pingTimeout":5000}',
        '{"sid":"x","pingInterval":25000,"pingTimeout":-1}',
        '{"sid":"x","pingInterval":1e300,"pingTimeout":5000}',
        '{"sid":"x","pingInterval":25000,"pingTimeout":3600001}',
        '{"sid":"\ud800","pingInterval":1,"pingTimeout":1}',
    ],
)
def test_a_handshake_that_makes_no_sense_is_a_protocol_error(text: str) -> None:
    with pytest.raises(SignalingProtocolError):
        parse_handshake(text)


def test_the_client_pings_every_interval_as_long_as_pongs_come() -> None:
    heartbeat = Heartbeat(Handshake("x", 25, 5), now=100)
    now = 100.0
    for _ in range(5):
        assert heartbeat.deadline == now + 25
        assert heartbeat.poll(now + 24.999) is None
        assert heartbeat.poll(now + 25) == "ping"
        assert heartbeat.deadline == now + 30
        now += 27
        heartbeat.pong(now)


def test_an_unanswered_ping_means_dead() -> None:
    heartbeat = Heartbeat(Handshake("x", 25, 5), now=0)
    assert heartbeat.poll(25) == "ping"
    assert heartbeat.poll(29.999) is None
    assert heartbeat.poll(30) == "dead"


def test_an_unrequested_pong_changes_nothing() -> None:
    heartbeat = Heartbeat(Handshake("x", 25, 5), now=0)
    heartbeat.pong(20)
    assert heartbeat.deadline == 25


@given(SECONDS, SECONDS, st.lists(st.tuples(st.floats(0, 100), st.booleans())))
def test_a_server_that_answers_each_ping_at_once_is_never_dead(
    interval_s: float, timeout_s: float, steps: list[tuple[float, bool]]
) -> None:
    # However late `poll` is called, and however many pongs too many come.
    heartbeat = Heartbeat(Handshake("x", interval_s, timeout_s), now=0)
    now = 0.0
    for late_s, pongs_too_often in steps:
        now = max(now, heartbeat.deadline) + late_s
        assert heartbeat.poll(now) == "ping"
        heartbeat.pong(now)
        assert now < heartbeat.deadline <= now + interval_s
        if pongs_too_often:
            heartbeat.pong(now)


@given(SECONDS, SECONDS, st.lists(st.floats(0, 100)))
def test_two_pings_are_never_closer_than_the_interval(interval_s: float, timeout_s: float, pauses: list[float]) -> None:
    heartbeat = Heartbeat(Handshake("x", interval_s, timeout_s), now=0)
    now, pings = 0.0, [0.0]
    for pause in pauses:
        now += pause
        match heartbeat.poll(now):
            case "ping":
                pings.append(now)
                heartbeat.pong(now)
            case "dead":
                pytest.fail("every ping was answered")
    # One unit in the last place of a sum of some thousand seconds is far below a microsecond.
    assert all(later - earlier > interval_s - 1e-6 for earlier, later in itertools.pairwise(pings))
