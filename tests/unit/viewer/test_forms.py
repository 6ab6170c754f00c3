"""The forms in which a page gets a stream, and the messages that announce them."""

import io
import json
import struct
from dataclasses import replace
from typing import Any

import av
import pytest

from streamer.media.access_unit import AccessUnit
from streamer.media.recording.mp4 import find_box
from streamer.viewer.forms import Mp4Fragments, StreamForm, Units
from tests.support.access_units import STREAM, coded_units, units
from tests.support.senders import OPUS, access_unit, encoded, encoded_as

HEADER, TIME_AT = 16, 60  # as the page knows them
HEAD, FRAGMENT = 4, 5


def said(message: str | bytes) -> Any:
    assert isinstance(message, str)
    return json.loads(message)


def media(message: str | bytes) -> tuple[int, bytes]:
    """Return a message's channel and data."""
    assert isinstance(message, bytes)
    return message[0], message[HEADER:]


def taken(form: StreamForm, stream: list[AccessUnit]) -> list[str | bytes]:
    return [message for unit in stream for message in form.take(unit)]


def test_units_come_as_they_are_behind_their_codec() -> None:
    stream = units()
    first, *rest = taken(Units(), stream)
    assert said(first)["say"] == "format"
    assert said(first)["codec"].startswith("avc1.")
    assert [media(message) for message in rest] == [(1, unit.data) for unit in stream]


def test_each_frame_is_a_fragment_behind_one_head_and_all_decode() -> None:
    kind, *rest = taken(Mp4Fragments(), units())
    assert said(kind)["type"] == f'video/mp4; codecs="{said(kind)["codec"]}"'
    assert [media(message)[0] for message in rest] == [HEAD, *[FRAGMENT] * 12]
    with av.open(io.BytesIO(b"".join(media(message)[1] for message in rest)), "r") as container:
        assert len([*container.decode(video=0)]) == 12


def test_a_fragment_s_time_is_where_the_page_writes_it_and_its_frame_lasts_an_hour() -> None:
    _, _, first, second = taken(Mp4Fragments(), units()[:2])
    for number, message in enumerate((first, second), start=1):
        data = media(message)[1]
        track = find_box(data, b"moof", b"traf")
        assert find_box(track, b"tfdt") == b"\x01\x00\x00\x00" + data[TIME_AT : TIME_AT + 8]
        assert struct.unpack_from("!Q", data, TIME_AT) == (number,)
        assert round(struct.unpack_from("!I", find_box(track, b"trun"), 12)[0] / 90_000) == 3600


def test_a_head_comes_again_when_the_size_changes_and_only_then() -> None:
    form = Mp4Fragments()
    channels = [media(message)[0] for message in taken(form, units())[1:]]
    assert channels.count(HEAD) == 1
    turned = encoded(2, size=(128, 160))
    assert [media(message)[0] for message in taken(form, units(turned, start=12))] == [HEAD, FRAGMENT, FRAGMENT]


def test_the_memory_of_a_stream_stays_flat() -> None:
    form, stream = Mp4Fragments(), units()
    for round_ in range(3):
        taken(form, [replace(unit, rtp_time=unit.rtp_time + round_ * 36_000) for unit in stream])
    assert form._track is not None
    assert not form._track.sizes
    assert not form._track.steps
    assert not form._track.pending


@pytest.mark.parametrize("form", [Units, Mp4Fragments])
def test_audio_comes_as_it_is(form: type[StreamForm]) -> None:
    assert [media(message) for message in form().take(access_unit(b"opus", 0, codec=OPUS))] == [(2, b"opus")]


def test_frames_before_a_keyframe_are_left_out() -> None:
    assert taken(Mp4Fragments(), units()[1:6]) == []


@pytest.mark.parametrize("codec", ["h265", "vp9", "av1"])
def test_other_codecs_that_mp4_can_hold_have_a_type(codec: str) -> None:
    kind, *rest = taken(Mp4Fragments(), coded_units(codec, encoded_as(codec, 3)))
    assert said(kind)["type"].startswith('video/mp4; codecs="' + {"h265": "hvc1", "vp9": "vp09", "av1": "av01"}[codec])
    assert [media(message)[0] for message in rest] == [HEAD, *[FRAGMENT] * 3]


def test_a_codec_that_mp4_cannot_hold_has_no_type() -> None:
    assert [said(message) for message in taken(Mp4Fragments(), coded_units("vp8", encoded_as("vp8", 3)))] == [
        {"say": "format", "codec": "vp8", "type": None}
    ]


def test_a_keyframe_that_cannot_be_read_has_no_type() -> None:
    (kind,) = Mp4Fragments().take(access_unit(b"\x00\x00\x01\x65broken", 0, keyframe=True))
    assert said(kind)["type"] is None


def test_a_stream_that_reorders_frames_has_no_type_from_then_on() -> None:
    form = Mp4Fragments()
    first, second, third = units(STREAM[:3])
    taken(form, [first, replace(second, rtp_time=6000)])
    assert [said(message)["type"] for message in taken(form, [replace(third, rtp_time=3000)])] == [None]
