"""Which of two streams is in force, without I/O and clocks: the next one comes up before the former one ends.

    former     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
    candidate          proposed ── connected ── keyframe ━━━━━━━━━━━━━
                                                 or 5 s without one

The phone restarts ICE, a stream's time is almost up, signaling is lost, a local address goes: each time a candidate
comes up while the former stream still flows.

1. The candidate takes over with its first keyframe, so that no frame is missing.
2. A still screen may send no keyframe. The candidate then takes over KEYFRAME_LIMIT_S after it is connected.
3. There are no frames to miss while nothing is in force, or what is in force was never connected or has fallen silent.
   The candidate then takes over as soon as it is connected, unless it is silent itself. Its receiver goes on requesting
   a keyframe.
4. A silent candidate takes over with nothing but a keyframe. The limit begins again when its silence ends.
5. When the candidate ends first, the stream in force goes on. When both have ended, the last error ends the handover.

An error that is not the package's own ends both. So does a take-over by another device (close code 1402), which does
not say who took over: a phone that serves one client at a time closes the former stream for our own candidate [seen].
It is our own candidate if the phone had started that one before, and makes it an offer. It is another device if the
phone had not started the candidate, makes it no offer, or closes the candidate with 1402.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from streamer.errors import SignalingClosedError, StreamerError, TakenOverError
from streamer.media.access_unit import AccessUnit
from streamer.media.fanout import Sink

KEYFRAME_LIMIT_S: Final = 5.0  # from the candidate's connection

Stream = TypeVar("Stream")

Step: TypeAlias = Literal[
    "started",  # the phone knows of the stream
    "offered",  # and has made it an offer
    "connected",  # media can flow
    "keyframe",  # and its first keyframe has come
]


@dataclass(frozen=True, slots=True)
class TookOver(Generic[Stream]):
    """`stream` is in force. `former` still runs and has to be closed; None if it has ended.

    `error` is what ended it, if that is why `stream` took over.
    """

    stream: Stream
    former: Stream | None
    error: StreamerError | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The stream in force has ended, and the candidate goes on: nothing is in force until it is connected."""

    error: StreamerError


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """The candidate has ended, and the stream in force goes on."""

    error: StreamerError


@dataclass(frozen=True, slots=True)
class Over:
    """Neither stream goes on."""

    error: BaseException


class Handover(Generic[Stream]):
    """Feed it what happens to both streams; each call returns what has changed, if anything has.

    `begin` with one stream and `propose` the next. `deadline` is when `poll` is due, in seconds of the clock of `now`;
    None if nothing is due. What happens to any other stream changes nothing, unless it is a fault of ours.
    """

    def __init__(self) -> None:
        self.in_force: Stream | None = None
        self.candidate: Stream | None = None
        self.deadline: float | None = None
        self._is_flowing = False  # the stream in force: it is connected and not silent
        self._steps: set[Step] = set()  # that the candidate has taken
        self._is_silent = False  # the candidate
        self._ended_by: StreamerError | None = None  # what ended the former stream, while nothing is in force

    def begin(self, stream: Stream) -> None:
        """Put a stream in force, before it is connected."""
        self.close()
        self.in_force = stream

    def propose(self, stream: Stream) -> Stream | None:
        """Let a stream come up beside the one in force. Return the candidate that it replaces: it has to be closed."""
        replaced = self.candidate
        self._clear_candidate()
        self.candidate = stream
        return replaced

    def advance(self, stream: Stream, step: Step, now: float) -> TookOver[Stream] | None:
        """A stream has taken a step."""
        if stream is self.in_force:
            self._is_flowing |= step in {"connected", "keyframe"}
        elif stream is self.candidate:
            self._steps.add(step)
            if step == "keyframe":
                return self._take_over()
        return self._decide(now)

    def note_silence(self, stream: Stream, *, is_silent: bool, now: float) -> TookOver[Stream] | None:
        """A connected stream has fallen silent, or is no longer silent. Saying so again changes nothing."""
        if stream is self.in_force:
            self._is_flowing = not is_silent
        elif stream is self.candidate:
            self._is_silent = is_silent
        return self._decide(now)

    def poll(self, now: float) -> TookOver[Stream] | None:
        """The time has come to `now`."""
        if self.deadline is None or now < self.deadline:
            return None
        return self._take_over()

    def end(
        self, stream: Stream, error: BaseException
    ) -> TookOver[Stream] | Interrupted | CandidateFailed | Over | None:
        """A stream has ended."""
        if not isinstance(error, StreamerError):
            return self._end_both(error)
        if stream is self.in_force:
            if self.candidate is None or (isinstance(error, TakenOverError) and "started" not in self._steps):
                return self._end_both(error)
            self.in_force, self._is_flowing, self._ended_by = None, False, error
            shown = _as_handover(error)
            return self._take_over(shown) if self._is_ready else Interrupted(shown)
        if stream is not self.candidate:
            return None
        if self.in_force is None:
            return self._end_both(self._root_cause(error))
        if isinstance(error, TakenOverError):
            return self._end_both(error)
        self._clear_candidate()
        return CandidateFailed(error)

    def close(self) -> None:
        """Put nothing in force."""
        self.in_force = self._ended_by = None
        self._is_flowing = False
        self._clear_candidate()

    @property
    def _is_ready(self) -> bool:
        """Whether the candidate can take over without a keyframe."""
        return "connected" in self._steps and not self._is_silent

    def _decide(self, now: float) -> TookOver[Stream] | None:
        """Let the candidate take over from a stream that does not flow, or set its limit."""
        if not self._is_ready:
            self.deadline = None
        elif not self._is_flowing:
            return self._take_over()
        elif self.deadline is None:
            self.deadline = now + KEYFRAME_LIMIT_S
        return None

    def _take_over(self, error: StreamerError | None = None) -> TookOver[Stream]:
        assert self.candidate is not None  # noqa: S101 - only a candidate's steps lead here
        verdict = TookOver(self.candidate, self.in_force, error)
        self.in_force, self._is_flowing, self._ended_by = self.candidate, True, None
        self._clear_candidate()
        return verdict

    def _end_both(self, error: BaseException) -> Over:
        self.close()
        return Over(error)

    def _clear_candidate(self) -> None:
        self.candidate = self.deadline = None
        self._steps, self._is_silent = set(), False

    def _root_cause(self, error: StreamerError) -> StreamerError:
        """Return the error of a candidate that ends after the former stream.

        The phone closed the former stream because it was taken over, and has not even made the candidate an offer: it
        serves another device.
        """
        is_foreign = isinstance(self._ended_by, TakenOverError) and "offered" not in self._steps
        return self._ended_by if is_foreign and self._ended_by is not None else error


class Gate(Generic[Stream]):
    """A stream's way to the sink: its access units pass while it is in force, so that two streams are never mixed.

    The candidate's first keyframe calls `on_keyframe`, which may put it in force: then that keyframe passes first.
    """

    def __init__(self, sink: Sink, handover: Handover[Stream], stream: Stream, on_keyframe: Callable[[], None]) -> None:
        self._sink = sink
        self._handover = handover
        self._stream = stream
        self._on_keyframe = on_keyframe

    def put(self, unit: AccessUnit) -> None:
        """Let an access unit pass, or drop it."""
        if self._stream is self._handover.candidate and unit.kind == "video" and unit.is_keyframe:
            self._on_keyframe()
        if self._stream is self._handover.in_force:
            self._sink.put(unit)


def _as_handover(error: StreamerError) -> StreamerError:
    """Return how the end of a stream is shown whose candidate goes on: that candidate, as far as is known, ended it."""
    if not isinstance(error, TakenOverError):
        return error
    return SignalingClosedError(
        "the phone ended the stream for the one that follows it", code=error.code, by_phone=True
    )
