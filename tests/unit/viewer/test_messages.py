"""What a page may say, and what it is told."""

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.tracks import Codec
from streamer.viewer import messages
from streamer.viewer.messages import Press, RefusedError, Save, Show, Touch, Type
from tests.support.access_units import STREAM, units
from tests.support.senders import access_unit

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=4)
)


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ({"do": "touch", "finger": 3, "motion": "down", "x": 0, "y": 1}, Touch(3, "down", 0.0, 1.0)),
        ({"do": "press", "key": "A", "modifiers": ["SHIFT"]}, Press("A", ("SHIFT",))),
        ({"do": "type", "text": "hello"}, Type("hello")),
        ({"do": "show", "visible": True}, Show(is_visible=True)),
        ({"do": "show", "visible": True, "form": "mp4"}, Show(is_visible=True, form="mp4")),
        ({"do": "save", "seconds": 30}, Save(30.0)),
    ],
)
def test_a_command_is_read(said: dict[str, object], command: messages.Command) -> None:
    assert messages.read_command(json.dumps(said)) == command


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"\x00", "expected text with a JSON object, got a binary message"),
        ("[" * 16_000, "expected a JSON object, got text that is no JSON"),
        ("{", "expected a JSON object, got text that is no JSON"),
        ("[]", "expected a JSON object, got list"),
        ('{"do": "explode"}', 'expected "do" to be one of touch, press, type, show, refresh, record, save'),
        ('{"do": "touch"}', "touch: expected other facts"),
        ('{"do": "touch", "finger": 0, "motion": "down", "x": 2, "y": 0}', "touch: expected x and y from 0 to 1"),
        ('{"do": "touch", "finger": 10, "motion": "down", "x": 0, "y": 0}', "touch: expected a finger from 0 to 9"),
        (
            '{"do": "touch", "finger": 0, "motion": "sideways", "x": 0, "y": 0}',
            "touch: expected the motion down, move or",
        ),
        ('{"do": "show", "visible": true, "form": "gif"}', "show: expected the form units, mp4 or jpeg"),
        ('{"do": "type", "text": ""}', "type: expected text of 1 to 1000 characters"),
        ('{"do": "save", "seconds": true}', "save: expected seconds above 0"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(said: str | bytes, sentence: str) -> None:
    with pytest.raises(RefusedError) as refused:
        messages.read_command(said)
    assert str(refused.value).startswith(sentence)


@given(st.text(max_size=40) | st.builds(json.dumps, st.dictionaries(st.sampled_from(["do", "x", "text", "key"]), JSON)))
def test_whatever_a_page_says_is_a_command_or_refused(said: str) -> None:
    with contextlib.suppress(RefusedError):
        messages.read_command(said)


def test_a_typed_text_has_no_repr() -> None:
    assert repr(Type("secret")) == "Type(6 characters)"


def test_a_frame_s_message_has_its_time_and_whether_a_decoder_may_begin_there() -> None:
    first, second = units()[:2]
    message = messages.media_message(second)
    assert struct.unpack_from("!BBxxxxxxq", message) == (1, 0, 33_333)
    assert message[16:] == second.data
    assert messages.media_message(first)[:2] == b"\x01\x01"


def test_the_codec_is_the_stream_s_own() -> None:
    profile = STREAM[0][STREAM[0].index(b"\x00\x00\x01\x67") + 4 :][:3]
    assert messages.codec_string(units()[0]) == f"avc1.{profile.hex()}"
    assert (
        messages.codec_string(access_unit(b"", 0, codec=Codec(name="vp8", clock_rate=90_000), keyframe=True)) == "vp8"
    )
