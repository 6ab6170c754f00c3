"""Which of two streams is in force, over every order of events."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamer.errors import ConnectionLostError, SignalingClosedError, TakenOverError
from streamer.handover import (
    KEYFRAME_LIMIT_S,
    CandidateFailed,
    Gate,
    Handover,
    Interrupted,
    Over,
    Step,
    TookOver,
)
from streamer.media.access_unit import AccessUnit
from tests.support.examples import examples
from tests.support.senders import access_unit

LOST = ConnectionLostError("the path is gone")
TAKEN = TakenOverError("another device took the phone over (close code 1402)")
FAULT = ZeroDivisionError()


@pytest.fixture
def handover() -> Handover[str]:
    """One with a stream that is connected, and a candidate."""
    handover: Handover[str] = Handover()
    handover.begin("former")
    assert handover.advance("former", "connected", 0.0) is None
    assert handover.propose("candidate") is None
    return handover


def test_a_candidate_takes_over_with_its_first_keyframe(handover: Handover[str]) -> None:
    assert handover.advance("candidate", "connected", 1.0) is None
    assert handover.in_force == "former"
    assert handover.advance("candidate", "keyframe", 1.5) == TookOver("candidate", "former")
    assert (handover.in_force, handover.candidate, handover.deadline) == ("candidate", None, None)


def test_a_keyframe_may_precede_the_connection(handover: Handover[str]) -> None:
    assert handover.advance("candidate", "keyframe", 1.0) == TookOver("candidate", "former")
    assert handover.advance("candidate", "connected", 1.1) is None
    assert handover.propose("next") is None
    assert handover.advance("next", "connected", 2.0) is None


def test_a_candidate_without_a_keyframe_takes_over_at_the_limit(handover: Handover[str]) -> None:
    handover.advance("candidate", "connected", 1.0)
    handover.advance("candidate", "connected", 2.0)
    assert handover.deadline == 1.0 + KEYFRAME_LIMIT_S
    assert handover.poll(handover.deadline - 0.1) is None
    assert handover.poll(handover.deadline) == TookOver("candidate", "former")
    assert handover.poll(100.0) is None


def test_a_candidate_that_is_not_connected_has_no_limit(handover: Handover[str]) -> None:
    handover.advance("candidate", "offered", 1.0)
    assert handover.deadline is None
    assert handover.poll(1000.0) is None


def test_a_connected_candidate_takes_over_when_the_old_stream_ends(handover: Handover[str]) -> None:
    handover.advance("candidate", "connected", 1.0)
    assert handover.end("former", LOST) == TookOver("candidate", None, LOST)
    assert handover.in_force == "candidate"


def test_a_candidate_that_connects_after_the_old_stream_ended_needs_no_keyframe(
    handover: Handover[str],
) -> None:
    assert handover.end("former", LOST) == Interrupted(LOST)
    assert handover.in_force is None
    assert handover.advance("candidate", "connected", 1.0) == TookOver("candidate", None)


def test_a_silent_stream_yields_to_a_connected_candidate_at_once(handover: Handover[str]) -> None:
    handover.advance("candidate", "connected", 1.0)
    assert handover.note_silence("former", is_silent=True, now=2.0) == TookOver("candidate", "former")


def test_a_candidate_that_connects_beside_a_silent_stream_needs_no_keyframe(handover: Handover[str]) -> None:
    assert handover.note_silence("former", is_silent=True, now=1.0) is None
    assert handover.advance("candidate", "connected", 2.0) == TookOver("candidate", "former")


def test_a_stream_that_resumes_stays_in_force(handover: Handover[str]) -> None:
    handover.note_silence("former", is_silent=True, now=1.0)
    assert handover.note_silence("former", is_silent=False, now=2.0) is None
    assert handover.advance("candidate", "connected", 3.0) is None
    assert handover.deadline == 3.0 + KEYFRAME_LIMIT_S


def test_a_silent_candidate_does_not_take_over_until_it_resumes(handover: Handover[str]) -> None:
    handover.advance("candidate", "connected", 1.0)
    assert handover.note_silence("candidate", is_silent=True, now=3.0) is None
    assert handover.deadline is None
    assert handover.note_silence("former", is_silent=True, now=3.1) is None
    assert handover.end("former", LOST) == Interrupted(LOST)
    assert handover.note_silence("candidate", is_silent=False, now=4.0) == TookOver("candidate", None)


def test_the_limit_begins_again_when_a_candidates_silence_ends(handover: Handover[str]) -> None:
    handover.advance("candidate", "connected", 1.0)
    handover.note_silence("candidate", is_silent=True, now=3.0)
    assert handover.note_silence("candidate", is_silent=False, now=4.0) is None
    assert handover.deadline == 4.0 + KEYFRAME_LIMIT_S


def test_a_stream_that_never_connected_yields_at_once() -> None:
    handover: Handover[str] = Handover()
    handover.begin("former")
    handover.propose("candidate")
    assert handover.advance("candidate", "connected", 1.0) == TookOver("candidate", "former")


def test_a_failed_candidate_costs_nothing_and_another_may_follow(handover: Handover[str]) -> None:
    handover.advance("candidate", "connected", 1.0)
    assert handover.end("candidate", LOST) == CandidateFailed(LOST)
    assert (handover.in_force, handover.candidate, handover.deadline) == ("former", None, None)
    assert handover.propose("next") is None
    assert handover.advance("next", "keyframe", 2.0) == TookOver("next", "former")


def test_a_new_candidate_replaces_the_earlier_one(handover: Handover[str]) -> None:
    handover.advance("candidate", "connected", 1.0)
    assert handover.propose("next") == "candidate"
    assert handover.deadline is None
    assert handover.advance("candidate", "keyframe", 1.0) is None
    assert handover.end("candidate", LOST) is None
    assert handover.in_force == "former"


def test_the_end_of_both_streams_ends_the_handover(handover: Handover[str]) -> None:
    handover.end("former", LOST)
    error = SignalingClosedError("the connection to the signaling server was reset")
    assert handover.end("candidate", error) == Over(error)
    assert (handover.in_force, handover.candidate) == (None, None)


def test_a_stream_without_a_candidate_ends_the_handover(handover: Handover[str]) -> None:
    handover.end("candidate", LOST)
    assert handover.end("former", LOST) == Over(LOST)


@pytest.mark.parametrize("stream", ["former", "candidate", "one before"])
def test_an_internal_error_ends_both(handover: Handover[str], stream: str) -> None:
    handover.advance("candidate", "connected", 1.0)
    assert handover.end(stream, FAULT) == Over(FAULT)
    assert (handover.in_force, handover.candidate) == (None, None)


def test_a_take_over_before_the_phone_knows_of_the_candidate_is_by_another_device(handover: Handover[str]) -> None:
    assert handover.end("former", TAKEN) == Over(TAKEN)


def test_a_take_over_after_the_phone_has_started_the_candidate_is_by_ourselves(handover: Handover[str]) -> None:
    handover.advance("candidate", "started", 1.0)
    verdict = handover.end("former", TAKEN)
    assert isinstance(verdict, Interrupted)
    assert type(verdict.error) is SignalingClosedError
    assert verdict.error.code == 1402
    handover.advance("candidate", "offered", 1.1)
    assert handover.end("candidate", LOST) == Over(LOST)


def test_a_take_over_without_an_offer_to_the_candidate_was_by_another_device(
    handover: Handover[str],
) -> None:
    handover.advance("candidate", "started", 1.0)
    handover.end("former", TAKEN)
    assert handover.end("candidate", LOST) == Over(TAKEN)


def test_a_take_over_of_the_candidate_ends_the_old_stream_too(handover: Handover[str]) -> None:
    handover.advance("candidate", "offered", 1.0)
    assert handover.end("candidate", TAKEN) == Over(TAKEN)


STEPS: tuple[Step, ...] = ("started", "offered", "connected", "keyframe")


class EveryOrder(RuleBasedStateMachine):
    """The law: at most one stream is in force, and never one that has ended. What is handed on never mixes two streams.

    A stream that flows gives way only to a keyframe or the time limit. One that does not flow gives way at once to a
    candidate that does. A silent candidate takes over only with a keyframe. Only the end of both is an error, or an
    error that concerns both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.handover: Handover[int] = Handover()
        self.now = 0.0
        self.gone: set[int] = set()  # ended, replaced or given way
        self.connected: dict[int, float] = {}
        self.heard_since: dict[int, float] = {}  # when a stream was connected, or its last silence ended
        self.silent: set[int] = set()
        self.had_keyframe: set[int] = set()
        self.started: set[int] = set()
        self.offered: set[int] = set()
        self.gates: list[Gate[int]] = []
        self.handed_on: list[tuple[int, bool]] = []
        self.is_over = False

    # What the driver does

    def make(self) -> int:
        stream = len(self.gates)

        class Log:
            def put(_, unit: AccessUnit) -> None:  # noqa: N805
                self.handed_on.append((stream, unit.is_keyframe))

        self.gates.append(Gate(Log(), self.handover, stream, lambda: self.step(stream, "keyframe")))
        return stream

    def took_over(self, verdict: TookOver[int]) -> None:
        former = verdict.former
        assert self.handover.in_force == verdict.stream
        assert verdict.stream not in self.gone
        is_in_time = (
            verdict.stream in self.connected and self.now >= self.heard_since[verdict.stream] + KEYFRAME_LIMIT_S
        )
        assert verdict.stream not in self.silent
        if former is None:
            assert verdict.stream in self.connected or verdict.stream in self.had_keyframe
        else:
            assert former not in self.gone
            assert verdict.error is None
            # It is a keyframe, the limit, or there was nothing to protect.
            is_protected = former in self.connected and former not in self.silent
            assert verdict.stream in self.had_keyframe or is_in_time or not is_protected
            self.gone.add(former)

    def step(self, stream: int, step: Step) -> None:
        before = self.handover.in_force, self.handover.candidate
        is_candidate = stream == self.handover.candidate
        if step == "keyframe":
            self.had_keyframe.add(stream)
            self.silent.discard(stream)
        if step in {"connected", "keyframe"}:
            self.connected.setdefault(stream, self.now)
            self.heard_since.setdefault(stream, self.now)
        elif step == "started":
            self.started.add(stream)
        else:
            self.offered.add(stream)
        verdict = self.handover.advance(stream, step, self.now)
        if verdict is not None:
            assert is_candidate
            self.took_over(verdict)
        else:
            assert (self.handover.in_force, self.handover.candidate) == before
            assert not (is_candidate and step == "keyframe")

    # What happens

    @initialize()
    def begin(self) -> None:
        self.handover.begin(self.make())

    @precondition(lambda self: self.is_over)
    @rule()
    def begin_again(self) -> None:
        self.handover.begin(self.make())
        self.is_over = False

    @precondition(lambda self: not self.is_over)
    @rule()
    def propose(self) -> None:
        before = self.handover.candidate
        assert self.handover.propose(self.make()) == before
        if before is not None:
            self.gone.add(before)

    @rule(data=st.data(), step=st.sampled_from(STEPS))
    def advance(self, data: st.DataObject, step: Step) -> None:
        stream = data.draw(st.integers(max(len(self.gates) - 3, 0), len(self.gates) - 1))
        if step != "keyframe":
            self.step(stream, step)

    @rule(data=st.data(), is_silent=st.booleans())
    def silence(self, data: st.DataObject, is_silent: bool) -> None:
        stream = data.draw(st.integers(max(len(self.gates) - 3, 0), len(self.gates) - 1))
        if stream in self.connected:  # of others nothing is known
            if is_silent:
                self.silent.add(stream)
            elif stream in self.silent:
                self.silent.remove(stream)
                self.heard_since[stream] = self.now
            verdict = self.handover.note_silence(stream, is_silent=is_silent, now=self.now)
            if verdict is not None:
                self.took_over(verdict)

    @rule(seconds=st.floats(0, 2 * KEYFRAME_LIMIT_S))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = self.handover.deadline
        verdict = self.handover.poll(self.now)
        assert (verdict is not None) == (due is not None and self.now >= due)
        if verdict is not None:
            self.took_over(verdict)

    @rule(data=st.data(), is_keyframe=st.booleans())
    def media_arrives(self, data: st.DataObject, is_keyframe: bool) -> None:
        stream = data.draw(st.integers(max(len(self.gates) - 3, 0), len(self.gates) - 1))
        candidate, count = self.handover.candidate, len(self.handed_on)
        self.gates[stream].put(access_unit(b"", 0, keyframe=is_keyframe))
        passed = self.handed_on[count:]
        assert passed == ([(stream, is_keyframe)] if self.handover.in_force == stream else [])
        if stream == candidate:  # no other unit of it comes first
            assert bool(passed) == is_keyframe

    @rule(data=st.data(), error=st.sampled_from([LOST, TAKEN, FAULT]))
    def end(self, data: st.DataObject, error: Exception) -> None:
        stream = data.draw(st.integers(max(len(self.gates) - 3, 0), len(self.gates) - 1))
        in_force, candidate = self.handover.in_force, self.handover.candidate
        was_known = stream not in self.gone and not self.is_over
        self.gone.add(stream)
        verdict = self.handover.end(stream, error)
        concerns_both = error is FAULT or (
            error is TAKEN and (stream == candidate or (stream == in_force and candidate not in self.started))
        )
        match verdict:
            case TookOver():
                assert stream == in_force
                assert verdict.stream == candidate
                assert verdict.error is not None
                self.took_over(verdict)
            case Interrupted():
                assert stream == in_force
                assert candidate is not None
                assert candidate not in self.connected or candidate in self.silent
                assert not concerns_both
            case CandidateFailed():
                assert stream == candidate
                assert self.handover.in_force == in_force is not None
                assert not concerns_both
            case Over():
                assert concerns_both or not was_known or in_force is None or candidate is None
                assert verdict.error is error or (
                    isinstance(verdict.error, TakenOverError) and candidate not in self.offered
                )
                self.gone |= {other for other in (in_force, candidate) if other is not None}
                self.is_over = True
            case None:
                assert error is not FAULT
        if was_known:
            assert verdict is not None

    # What always holds

    @invariant()
    def what_is_in_force_lives(self) -> None:
        in_force, candidate = self.handover.in_force, self.handover.candidate
        assert in_force not in self.gone
        assert candidate not in self.gone
        assert in_force is None or in_force != candidate
        if self.gates:
            assert self.is_over == (in_force is None and candidate is None)

    @invariant()
    def a_candidate_that_flows_waits_only_for_a_stream_that_flows(self) -> None:
        candidate = self.handover.candidate
        if candidate is None or candidate not in self.connected or candidate in self.silent:
            assert self.handover.deadline is None
        else:
            assert self.handover.in_force in self.connected
            assert self.handover.in_force not in self.silent
            assert self.handover.deadline == self.heard_since[candidate] + KEYFRAME_LIMIT_S

    @invariant()
    def what_is_handed_on_never_mixes_two_streams(self) -> None:
        order = [stream for stream, _ in self.handed_on]
        assert order == sorted(order)


TestEveryOrder = EveryOrder.TestCase
TestEveryOrder.settings = examples(60, stateful_step_count=30)
