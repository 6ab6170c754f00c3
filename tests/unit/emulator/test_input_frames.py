"""Frames of the data channel `input` as the phone reads them, written out byte by byte."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from streamer.emulator.input_frames import FINGERS_LIMIT, MESSAGE_LIMIT, Key, Point, Text, Touch, read_input

TOUCH_DOWN = bytes.fromhex("00 00 00 18 cd 46 40 e4 00 00 00 01 00 00 00 00 3f 00 00 00 3e 80 00 00")
TOUCH_MOVE = bytes.fromhex(
    "00 00 00 24 cd 46 40 e4 00 00 02 02 00 00 00 00 3f 00 00 00 3e 80 00 00 00 00 00 01 3f 40 00 00 3e 80 00 00"
)
BACK_DOWN = bytes.fromhex("00 00 00 0f cf 46 40 e4 00 00 00 00 04 00 00")
CAMERA = bytes.fromhex(
    "00 00 00 30 d3 7b 22 74 79 70 65 22 3a 22 63 61 6d 65 72 61 5f 74 72 61 63 6b 5f 61 64 64 65 64 22 2c 22 63 61 6d"
    "65 72 61 5f 69 64 22 3a 30 7d"
)


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", 5 + len(body), kind) + body


def test_a_touch_says_where_its_fingers_are() -> None:
    assert read_input(TOUCH_DOWN) == [Touch(0, (Point(0, 0.5, 0.25),), 12345.0)]
    assert read_input(TOUCH_MOVE) == [Touch(2, (Point(0, 0.5, 0.25), Point(1, 0.75, 0.25)), 12345.0)]


def test_a_key_says_its_code_and_modifiers() -> None:
    assert read_input(BACK_DOWN) == [Key(0, 4, 0, 12345.0)]
    assert read_input(frame(207, bytes.fromhex("41200000 0001 001d 0001"))) == [Key(1, 29, 1, 10.0)]


def test_a_text_is_read_as_utf_8() -> None:
    assert read_input(CAMERA) == [Text('{"type":"camera_track_added","camera_id":0}')]
    assert read_input(frame(211, "grüß".encode())) == [Text("grüß")]


def test_an_unknown_type_is_skipped_by_its_length() -> None:
    assert read_input(frame(214, b"whatever") + BACK_DOWN) == [Key(0, 4, 0, 12345.0)]


def test_a_body_that_does_not_fit_its_type_is_skipped() -> None:
    for body in (b"", bytes(5), bytes(100)):
        assert read_input(frame(205, body) + BACK_DOWN) == read_input(BACK_DOWN)
        assert read_input(frame(207, body) + BACK_DOWN) == read_input(BACK_DOWN)
    assert read_input(frame(211, b"\xff") + BACK_DOWN) == read_input(BACK_DOWN)


def test_a_place_without_numbers_is_no_touch() -> None:
    assert read_input(frame(205, struct.pack(">fHBIff", 0, 0, 1, 0, float("nan"), 0.5))) == []


def test_a_wrong_length_ends_the_message() -> None:
    for length in (0, 4, 16, 2**32 - 1):
        assert read_input(BACK_DOWN + struct.pack(">IB", length, 207) + BACK_DOWN[5:]) == read_input(BACK_DOWN)


def test_a_message_that_is_too_long_says_nothing() -> None:
    assert read_input(BACK_DOWN + frame(99, bytes(MESSAGE_LIMIT))) == []


@given(st.lists(st.binary(max_size=80)).map(b"".join))
def test_any_bytes_are_inputs_or_nothing(message: bytes) -> None:
    for read in read_input(message):
        assert isinstance(read, Touch | Key | Text)


@given(kind=st.sampled_from([205, 207, 211]), body=st.binary(max_size=600))
def test_any_body_is_an_input_or_nothing(kind: int, body: bytes) -> None:
    for read in read_input(frame(kind, body)):
        assert type(read) is {205: Touch, 207: Key, 211: Text}[kind]
        assert not isinstance(read, Touch) or len(read.points) <= FINGERS_LIMIT
