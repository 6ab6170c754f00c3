"""Frames of the data channel `input` as the phone reads them, written out byte by byte."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from streamer.emulator.peer import parse_input


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", 5 + len(body), kind) + body


def test_a_touch_says_where_its_fingers_are() -> None:
    body = bytes.fromhex("41200000 0002 02  00000000 3f000000 3e800000  00000001 3f800000 00000000")
    assert parse_input(frame(205, body)) == {
        "type": "touch",
        "time_ms": 10.0,
        "action": 2,
        "points": [(0, 0.5, 0.25), (1, 1.0, 0.0)],
    }


def test_a_key_says_its_code_and_modifiers() -> None:
    body = bytes.fromhex("41200000 0001 0004 0003")
    assert parse_input(frame(207, body)) == {
        "type": "key",
        "time_ms": 10.0,
        "action": 1,
        "key_code": 4,
        "modifiers": 3,
    }


def test_a_text_is_read_as_utf_8() -> None:
    text = '{"type": "app_message", "text": "grüß"}'
    assert parse_input(frame(211, text.encode())) == {"type": "text", "text": text}


def test_an_unknown_type_is_no_input() -> None:
    assert parse_input(frame(99, b"whatever")) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_an_input_or_nothing(message: bytes) -> None:
    assert parse_input(message) is None or message[4] in {205, 207, 211}


@given(kind=st.sampled_from([205, 207, 211]), body=st.binary(max_size=60))
def test_any_body_is_an_input_or_nothing(kind: int, body: bytes) -> None:
    parsed = parse_input(frame(kind, body))
    assert parsed is None or parsed["type"] == {205: "touch", 207: "key", 211: "text"}[kind]
