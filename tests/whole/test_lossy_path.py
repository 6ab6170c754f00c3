"""Frames over a path that loses, delays and reorders, in virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.lossy import Path, Simulation


@given(
    loss=st.floats(0, 0.4),
    delay_ms=st.floats(1, 200),
    jitter_ms=st.floats(0, 30),
    seed=st.integers(0, 2**32),
)
@examples(25)
def test_no_broken_frame_comes_out_whatever_the_path_does(
    loss: float, delay_ms: float, jitter_ms: float, seed: int
) -> None:
    """The law: every access unit given out is, bit for bit, one that was sent, each at most once."""
    path = Path(loss=loss, delay_ms=delay_ms + jitter_ms, jitter_ms=jitter_ms)
    outcome = Simulation(path, seconds=3, seed=seed).run()
    assert outcome.broken == 0
    assert outcome.delivered <= outcome.sent


@pytest.mark.parametrize(("loss", "freeze_ms", "share"), [(0.0, 20, 0.99), (0.03, 250, 0.99), (0.10, 600, 0.95)])
def test_freezes_stay_short_on_a_lossy_path(loss: float, freeze_ms: float, share: float) -> None:
    for seed in range(3):
        outcome = Simulation(Path(loss=loss, delay_ms=30, jitter_ms=5), seconds=20, seed=seed).run()
        assert outcome.longest_freeze_ms <= freeze_ms
        assert outcome.delivered >= share * outcome.sent


def test_reordered_packets_are_hardly_ever_requested() -> None:
    outcome = Simulation(Path(loss=0, delay_ms=30, jitter_ms=5), seconds=20).run()
    assert outcome.retransmissions < 0.01 * outcome.sent * 10


def test_a_faultless_path_delivers_every_frame_after_one_keyframe_request() -> None:
    outcome = Simulation(Path(loss=0, delay_ms=30, jitter_ms=0), seconds=5).run()
    assert outcome.delivered == outcome.sent
    assert outcome.keyframe_requests == 1
    assert outcome.retransmissions == 0
