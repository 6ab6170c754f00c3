"""Frames of the data channel `input`, byte for byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.control import frames
from streamer.control.frames import Key, Motion, Point, Touch
from streamer.errors import ConfigurationError

MOTIONS = st.sampled_from(Motion)
U32 = st.integers(0, 2**32 - 1)
FRACTIONS = st.floats(0, 1, width=32)
TOUCHES = st.builds(Touch, MOTIONS, st.lists(st.builds(Point, U32, FRACTIONS, FRACTIONS), max_size=10).map(tuple))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)


def test_a_touch_down_is_the_bytes_that_a_public_client_sends() -> None:
    touch = Touch(Motion.DOWN, (Point(0, 0.5, 0.25),))
    assert touch.encode(12345) == bytes.fromhex(
        "00 00 00 18 cd 46 40 e4 00 00 00 01 00 00 00 00 3f 00 00 00 3e 80 00 00"
    )


def test_a_move_of_two_fingers_is_the_bytes_that_a_public_client_sends() -> None:
    touch = Touch(Motion.MOVE, (Point(0, 0.5, 0.25), Point(1, 0.75, 0.25)))
    assert touch.encode(12345) == bytes.fromhex(
        "00 00 00 24 cd 46 40 e4 00 00 02 02 00 00 00 00 3f 00 00 00 3e 80 00 00 00 00 00 01 3f 40 00 00 3e 80 00 00"
    )


def test_a_key_down_is_the_bytes_that_a_public_client_sends() -> None:
    assert Key(Motion.DOWN, 4).encode(12345) == bytes.fromhex("00 00 00 0f cf 46 40 e4 00 00 00 00 04 00 00")


def test_a_message_is_the_bytes_that_a_public_client_sends() -> None:
    assert frames.encode_message({"type": "camera_track_added", "camera_id": 0}) == bytes.fromhex(
        "00 00 00 30 d3 7b 22 74 79 70 65 22 3a 22 63 61 6d 65 72 61 5f 74 72 61 63 6b 5f 61 64 64 65 64 22 2c 22 63 61"
        "6d 65 72 61 5f 69 64 22 3a 30 7d"
    )


@given(TOUCHES, st.floats(0, 1e12))
def test_a_touch_has_its_layout_and_a_clock_below_100_seconds(touch: Touch, now_ms: float) -> None:
    data = touch.encode(now_ms)
    length, kind, time_ms, motion, count = struct.unpack_from("!IBfHB", data)
    points = [Point(*struct.unpack_from("!Iff", data, 12 + 12 * number)) for number in range(count)]
    assert (length, kind, motion, tuple(points)) == (12 + 12 * count, 205, touch.motion, touch.points)
    assert len(data) == length
    assert 0 <= time_ms <= 100_000


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50)), max_size=5), st.binary(max_size=4))
def test_frames_in_one_message_are_split_by_their_lengths(parts: list[tuple[int, bytes]], rest: bytes) -> None:
    message = b"".join(frames.encode_frame(*part) for part in parts)
    assert list(frames.split_frames(message + rest)) == parts


@given(st.dictionaries(st.text(), JSON))
def test_a_message_comes_back_as_it_was_sent(message: dict[str, object]) -> None:
    assert list(frames.parse_messages(frames.encode_message(message))) == [message]


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda body: frames.encode_frame(211, body)))
def test_any_bytes_give_objects_or_nothing(data: bytes) -> None:
    assert all(isinstance(message, dict) for message in frames.parse_messages(data))


def test_frames_of_unknown_types_are_ignored() -> None:
    message = frames.encode_frame(99, b"unknown") + frames.encode_message({"type": "app_message"})
    assert list(frames.parse_messages(message)) == [{"type": "app_message"}]


@pytest.mark.parametrize(("frame_type", "body"), [(256, b""), (-1, b""), (205, bytes(frames.BODY_LIMIT + 1))])
def test_an_impossible_frame_is_an_error(frame_type: int, body: bytes) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        frames.encode_frame(frame_type, body)


@pytest.mark.parametrize("message", [{"a": object()}, {"a": "x" * frames.BODY_LIMIT}, {1: 2, "b": {1, object()}}])
def test_an_invalid_or_too_long_message_is_an_error(message: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        frames.encode_message(message)


def test_the_repr_of_a_key_does_not_say_which() -> None:
    assert repr(Key(Motion.DOWN, 29)) == "Key(DOWN, ...)"
