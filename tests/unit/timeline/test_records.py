"""The file of a timeline: what is written can be read, and what was typed is not written."""

import json
from dataclasses import fields

import pytest

from streamer.errors import ConfigurationError
from streamer.timeline import records
from streamer.timeline.records import Record, decode, encode

ALL: list[Record] = [
    records.Start(at=1.0, test="test_sign_in", phone="demo-phone"),
    records.Touch(at=2.0, rtp_time=90_000, verb="swipe", paths=(((0.5, 0.8, 0.0), (0.5, 0.2, 0.3)),), duration_s=0.3),
    records.Key(at=3.0, name="BACK"),
    records.Text(at=4.0, length=6),
    records.Message(at=5.0, by_phone=True, kind="app_message"),
    records.Change(at=6.0, rtp_time=91_500, region=(0.0, 0.0, 1.0, 0.25), share=0.2),
    records.Still(at=7.0, quiet_s=0.3),
    records.Wait(at=8.0, what="Sign in", duration_s=5.0, outcome="timed out", score=0.83, region=(0.1, 0.2, 0.3, 0.1)),
    records.Measured(at=9.0, first_change_s=0.1, settled_s=0.4, longest_gap_s=0.03, frames=9, round_trip_s=0.001),
    records.Interrupted(at=10.0, reason="no packets", duration_s=None),
    records.Frames(at=11.0, frames=30, longest_gap_s=0.034, bytes=90_000),
    records.LeftOut(at=12.0, records=3),
    records.Step(at=13.0, name="sign in", duration_s=1.5, outcome="failed", depth=1),
    records.Video(at=14.0, path="video.mp4", duration_s=12.5),
    records.End(at=15.0, outcome="failed", duration_s=14.0, error='"Sign in" was not on the screen'),
]


def test_each_kind_can_be_read_back() -> None:
    assert list(decode(encode(ALL).splitlines())) == ALL
    assert {type(record) for record in ALL} == set(records._KINDS.values())


def test_lines_are_in_the_order_of_their_times() -> None:
    assert encode(reversed(ALL)) == encode(ALL)


def test_each_line_is_an_object_with_its_kind_and_all_its_fields() -> None:
    for line, record in zip(encode(ALL).splitlines(), ALL, strict=True):
        assert json.loads(line).keys() == {"event", *(field.name for field in fields(record))}


def test_what_was_typed_is_written_only_if_asked_for() -> None:
    typed = [records.Text(length=7, text="hunter2"), records.Key(name="Q", types_text=True), records.Key(name="BACK")]
    assert b"hunter2" not in encode(typed)
    assert b"Q" not in encode(typed)
    assert b"BACK" in encode(typed)
    assert list(decode(encode(typed, with_text=True).splitlines())) == typed
    assert "hunter2" not in repr(typed)
    assert "Q" not in repr(typed)


def test_what_a_reader_does_not_know_is_passed_over() -> None:
    lines = [b'{"event":"smell"}', b"", b'{"event":"still","at":7,"quiet_s":0.3,"mood":"calm"}']
    assert list(decode(lines)) == [records.Still(at=7.0, quiet_s=0.3)]


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"event":"still"}', b'{"event":"still","quiet_s":"long"}'])
def test_what_is_no_record_is_named_by_its_line(line: bytes) -> None:
    with pytest.raises(ConfigurationError, match="expected a record of a timeline in line 2, got something else"):
        list(decode([b"", line]))
