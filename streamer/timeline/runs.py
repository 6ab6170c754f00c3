"""What one run of a test did, step by step, as its timeline says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from streamer.timeline.records import End, Key, Message, Outcome, Record, Start, Step, Text, Touch, Video

Act: TypeAlias = Touch | Key | Text | Message

UNKNOWN: Final = "a run without a name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A step of a run. In a run without steps it is an action with what followed it, up to the next action.

    Times are Unix times. `shown_at` is the moment at which the next action or step, or the end, found the screen.
    """

    name: str
    at: float
    end: float
    shown_at: float
    depth: int = 0
    outcome: Outcome = "passed"

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return self.end - self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a test. `begin` and `end` are Unix times; `stages` are in the order in which they ended."""

    test: str
    begin: float
    end: float
    outcome: Outcome | None  # None if the timeline has no end
    error: str | None
    video: Video | None
    stages: tuple[Stage, ...]
    records: tuple[Record, ...]


def run_of(records: Iterable[Record]) -> Run:
    """Return the run that a timeline tells of. The first video counts."""
    told = tuple(records)
    start = next((each for each in told if isinstance(each, Start)), None)
    ends = [each for each in told if isinstance(each, End)]
    begin = start.at if start else min((each.at for each in told), default=0.0)
    end = max((_end_of(each) for each in told if not isinstance(each, Video)), default=begin)
    failed = next((each for each in ends if each.outcome == "failed"), ends[-1] if ends else None)
    return Run(
        test=start.test if start else UNKNOWN,
        begin=begin,
        end=end,
        outcome=failed.outcome if failed else None,
        error=failed.error if failed else None,
        video=next((each for each in told if isinstance(each, Video)), None),
        stages=_stages(told, end),
        records=told,
    )


def name_of(act: Act) -> str:
    """Return what an action is called."""
    match act:
        case Touch(verb=verb, paths=((first, *_), *_)):
            return f"{verb} at ({first[0]:.2f}, {first[1]:.2f})"
        case Touch(verb=verb):
            return verb
        case Key(name=name):
            return f"press {name or 'a key'}"
        case Text(length=length, text=text):
            return f"type {length} characters" if text is None else f"type {text}"
        case Message(by_phone=by_phone, kind=kind):
            return f"message {kind or ''} {'from' if by_phone else 'to'} the phone".replace("  ", " ")


def _stages(told: tuple[Record, ...], end: float) -> tuple[Stage, ...]:
    acts = sorted(
        (
            each
            for each in told
            if isinstance(each, Touch | Key | Text) or (isinstance(each, Message) and not each.by_phone)
        ),
        key=lambda act: act.at,
    )
    steps = sorted((each for each in told if isinstance(each, Step)), key=lambda step: (_end_of(step), -step.depth))
    if not steps:
        edges = [*(act.at for act in acts[1:]), end]
        return tuple(
            Stage(name=name_of(act), at=act.at, end=edge, shown_at=edge) for act, edge in zip(acts, edges, strict=False)
        )
    return tuple(
        Stage(
            name=step.name,
            at=step.at,
            end=_end_of(step),
            shown_at=min((next_.at for next_ in (*acts, *steps) if next_.at >= _end_of(step)), default=end),
            depth=step.depth,
            outcome=step.outcome,
        )
        for step in steps
    )


def _end_of(record: Record) -> float:
    """Return when a record ends. The `at` of an `End` is its end already."""
    duration_s = None if isinstance(record, End) else getattr(record, "duration_s", None)
    return record.at + (duration_s or 0.0)
