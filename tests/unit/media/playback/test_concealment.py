"""The line of samples that packets with gaps between them make, against a model that goes sample by sample."""

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.opus import LONGEST_CONCEALMENT, duration
from streamer.media.playback.concealment import FILL_LIMIT, Continuity
from tests.support.examples import examples
from tests.support.senders import OPUS, access_unit

TABLES = (b"\x80", b"\x88", b"\x90", b"\xf8", b"\xf9", b"\xfb\x03")  # 2.5, 5, 10, 20, 40 and 60 ms


@dataclass(frozen=True)
class Packet:
    """How a packet follows the one before."""

    data: bytes
    after: int = 0  # samples from the end of the one before; negative if it begins earlier
    is_lost: bool = False
    pads: bool = False  # whether another packet, of nothing, was lost right before this one


usual = st.builds(
    Packet,
    data=st.sampled_from(TABLES),
    after=st.one_of(st.just(0), st.integers(0, 5000), st.sampled_from([-120, -960, -5000])),
    is_lost=st.booleans(),
    pads=st.booleans(),
)
jumps = st.builds(Packet, data=st.sampled_from(TABLES), after=st.sampled_from([-500_000, FILL_LIMIT + 1, 10**9]))


def units(packets: list[Packet], start: int = 10**10) -> list[AccessUnit]:
    """Return the packets that arrive, as the receiver hands them on."""
    arrived, end, missing = [], start, False
    for packet in packets:
        begin = end + packet.after
        end = begin + (duration(packet.data) or 0)
        missing = missing or packet.is_lost or packet.pads
        if not packet.is_lost:
            arrived.append(access_unit(packet.data, begin, codec=OPUS, discontinuity=missing, arrival_ns=0))
            missing = False
    return arrived


def model(arrived: list[AccessUnit]) -> list[list[object]]:
    """Return the lines, sample by sample: which packet each sample is of, or "lost", or "pause"."""
    lines: list[list[object]] = []
    end, is_missing = 0, False
    for index, unit in enumerate(arrived):
        samples = duration(unit.data) or 0
        is_missing = is_missing or unit.discontinuity
        if not lines or not -FILL_LIMIT <= unit.rtp_time - end <= FILL_LIMIT:
            lines.append([])
            end = unit.rtp_time
        for moment in range(end, unit.rtp_time + samples):
            lacking = "lost" if is_missing else "pause"
            lines[-1].append(index if moment >= unit.rtp_time else lacking)
        if unit.rtp_time + samples > end:  # else all of it is in the past, and it is passed over
            end, is_missing = unit.rtp_time + samples, False
    return lines


def told(plan: Continuity, arrived: list[AccessUnit]) -> list[list[object]]:
    """Return the same of what was planned."""
    lines: list[list[object]] = []
    for index, unit in enumerate(arrived):
        for step in plan.take(unit):
            if step.discontinuity:
                lines.append([])
            lacking = "lost" if step.is_lost else "pause"
            lines[-1] += [index if step.unit is not None else lacking] * step.samples
    return lines


@examples(60)
@given(st.lists(st.one_of(usual, usual, usual, jumps), min_size=1, max_size=12))
def test_a_line_has_every_sample_once_and_names_the_source_of_each(packets: list[Packet]) -> None:
    """Law: whatever is lost, paused, doubled or restarted, the steps are the model's samples, in order."""
    arrived = units(packets)
    assert told(Continuity(), arrived) == model(arrived)


@examples(60)
@given(st.lists(st.one_of(usual, jumps), min_size=1, max_size=30))
def test_within_a_line_steps_follow_each_other_without_a_gap_and_none_is_long(packets: list[Packet]) -> None:
    """Law: each step begins where the one before ended; what is decoded is heard from its own RTP time on."""
    plan = Continuity()
    steps = [step for unit in units(packets) for step in plan.take(unit)]
    for before, after in itertools.pairwise(steps):
        assert after.discontinuity or after.rtp_time == before.rtp_time + before.samples
    for step in steps:
        assert step.samples > 0
        if step.unit is None:
            assert step.samples <= LONGEST_CONCEALMENT
        else:
            assert step.rtp_time == step.unit.rtp_time + step.skipped
            assert step.samples + step.skipped == duration(step.unit.data)
    assert all(step.discontinuity for step in steps[:1])


def of(data: bytes, rtp_time: int, *, lost_before: bool = False, ssrc: int = 1) -> AccessUnit:
    return access_unit(data, rtp_time, codec=OPUS, discontinuity=lost_before, ssrc=ssrc)


def test_losses_and_pauses_are_distinguished() -> None:
    plan = Continuity()
    plan.take(of(b"\xf8", 0))
    assert [(step.samples, step.is_lost) for step in plan.take(of(b"\xf8", 2880, lost_before=True))] == [
        (960, True),
        (960, True),
        (960, False),
    ]
    assert [(step.samples, step.is_lost) for step in plan.take(of(b"\xf8", 4320))] == [(480, False), (960, False)]


def test_a_gap_of_two_seconds_is_filled_and_a_longer_one_is_another_line() -> None:
    plan = Continuity()
    plan.take(of(b"\xf8", 0))
    filled = plan.take(of(b"\xf8", 960 + FILL_LIMIT))
    assert sum(step.samples for step in filled) == FILL_LIMIT + 960
    assert not any(step.discontinuity for step in filled)
    (anew,) = plan.take(of(b"\xf8", 2 * (960 + FILL_LIMIT) + 1))
    assert anew.discontinuity


def test_another_ssrc_is_another_line() -> None:
    plan = Continuity()
    plan.take(of(b"\xf8", 0))
    (anew,) = plan.take(of(b"\xf8", 960, ssrc=2))
    assert anew.discontinuity


def test_an_invalid_packet_is_counted_and_concealed() -> None:
    plan = Continuity()
    plan.take(of(b"\xf8", 0))
    assert plan.take(of(b"\xfb", 960)) == []
    assert plan.malformed == 1
    assert [(step.samples, step.is_lost) for step in plan.take(of(b"\xf8", 1920))] == [(960, True), (960, False)]
