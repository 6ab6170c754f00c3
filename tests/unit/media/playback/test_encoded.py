"""The mailbox of encoded frames: a decoder can follow what comes out, whatever was dropped."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.playback.encoded import BYTES_LIMIT, UNITS_LIMIT, Decodable
from streamer.tracks import Codec
from tests.support.senders import access_unit

OPUS = Codec(name="opus", clock_rate=48_000, channels=2)


def video_unit(number: int, data: bytes = b"", *, is_keyframe: bool) -> AccessUnit:
    return access_unit(data, number, keyframe=is_keyframe)


def audio_unit(number: int, data: bytes) -> AccessUnit:
    return replace(access_unit(data, number, codec=OPUS), kind="audio")


def test_frames_before_the_first_keyframe_are_dropped_and_a_reader_asks_for_it() -> None:
    asked: list[bool] = []
    mailbox = Decodable(ask_keyframe=lambda: asked.append(True))
    mailbox.put(video_unit(0, is_keyframe=False))
    assert mailbox.take() is None
    assert (mailbox.dropped, asked) == (1, [True])


@given(st.lists(st.tuples(st.sampled_from("kda"), st.integers(1, BYTES_LIMIT // 3), st.integers(0, 3)), max_size=60))
def test_what_comes_out_can_be_decoded_and_what_does_not_is_counted(steps: list[tuple[str, int, int]]) -> None:
    mailbox = Decodable(ask_keyframe=lambda: None)
    came, before = [], -1
    for number, (kind, size, reads) in enumerate(steps):
        data = bytes(size)
        unit = audio_unit(number, data) if kind == "a" else video_unit(number, data, is_keyframe=kind == "k")
        mailbox.put(unit)
        came += [taken for _ in range(reads) if (taken := mailbox.take()) is not None]
    while (taken := mailbox.take()) is not None:
        came.append(taken)
    assert len(came) + mailbox.dropped == len(steps)
    frames = [number for number, (kind, *_) in enumerate(steps) if kind != "a"]
    for unit in came:
        if unit.kind == "video":
            follows = before >= 0 and unit.rtp_time == frames[frames.index(before) + 1]
            assert follows or unit.is_keyframe
            assert follows or before < 0 or unit.discontinuity
            before = unit.rtp_time


def test_a_reader_that_is_too_far_behind_goes_on_with_the_next_keyframe() -> None:
    mailbox = Decodable(ask_keyframe=lambda: None)
    for number in range(UNITS_LIMIT + 1):
        mailbox.put(video_unit(number, is_keyframe=number == 0))
    assert mailbox.take() is None
    mailbox.put(video_unit(UNITS_LIMIT + 1, is_keyframe=True))
    unit = mailbox.take()
    assert unit is not None
    assert (unit.rtp_time, unit.discontinuity, mailbox.dropped) == (UNITS_LIMIT + 1, True, UNITS_LIMIT + 1)
