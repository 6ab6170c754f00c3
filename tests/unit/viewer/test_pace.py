"""Which frames a page is sent: it is never behind by more than a moment, and its decoder can follow."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.viewer.pace import ASK_EVERY_NS, BEHIND_NS, Pace
from tests.support.senders import access_unit

MS = 1_000_000


def test_what_is_old_when_the_page_comes_is_sent() -> None:
    pace = Pace(began_ns=10 * BEHIND_NS)
    assert pace.sends(access_unit(b"", 0, keyframe=True, arrival_ns=0), 10 * BEHIND_NS)
    assert not pace.asks_keyframe(10 * BEHIND_NS)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2 * BEHIND_NS // MS)), max_size=50))
def test_no_late_frame_is_sent_and_a_decoder_can_follow_what_is(frames: list[tuple[bool, int]]) -> None:
    pace, sent_before = Pace(began_ns=0), True
    for number, (is_keyframe, late_ms) in enumerate(frames, start=1):
        arrival_ns = number * 33 * MS
        is_sent = pace.sends(
            access_unit(b"", 0, keyframe=is_keyframe, arrival_ns=arrival_ns), arrival_ns + late_ms * MS
        )
        assert not is_sent or late_ms * MS <= BEHIND_NS
        assert not is_sent or sent_before or is_keyframe
        assert is_sent or late_ms * MS > BEHIND_NS or not sent_before
        sent_before = is_sent
    assert pace.skipped <= len(frames)


def test_a_keyframe_is_requested_once_a_second_while_frames_are_left_out() -> None:
    pace = Pace(began_ns=0)
    assert not pace.sends(access_unit(b"", 0, keyframe=False, arrival_ns=1), 2 * BEHIND_NS)
    assert [pace.asks_keyframe(now) for now in (0, ASK_EVERY_NS - 1, ASK_EVERY_NS)] == [True, False, True]
