"""Two runs of a test, step by step: which step took longer, and after which the screen looked otherwise.

Steps are paired by their names, in their order. A step has another length if it took longer or shorter by more than
LEAST_S and by more than SHARE of the shorter time: less than that is the noise of machines and networks. The pictures
are those that the next action found. A picture counts only if the screen was at rest in both runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Final, Literal, TypeAlias

from streamer.timeline.records import Area
from streamer.timeline.runs import Run, Stage

LEAST_S: Final = 0.3
SHARE: Final = 0.3

Kind: TypeAlias = Literal["length", "picture", "outcome", "missing", "extra"]


@dataclass(frozen=True, slots=True)
class PictureDifference:
    """How two pictures differ: as a share of the screen, and where."""

    share: float
    region: Area


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A step of the good run beside that of the bad one; one of them is None if the other run has no such step.

    `picture` is None if the pictures are alike or were not compared. `kinds` says in what the steps differ.
    """

    good: Stage | None
    bad: Stage | None
    picture: PictureDifference | None = None
    is_picture_compared: bool = False
    kinds: tuple[Kind, ...] = ()

    @property
    def name(self) -> str:
        """The step's name."""
        stage = self.good or self.bad
        assert stage is not None  # noqa: S101 - it is a pair of at least one
        return stage.name

    @property
    def sentence(self) -> str:
        """In what the steps differ, in words."""
        good, bad = self.good, self.bad
        if good is None or bad is None:
            return f'"{self.name}" is in the {"good" if bad is None else "bad"} run only'
        parts = []
        if "outcome" in self.kinds:
            parts.append(f'"{self.name}" {bad.outcome} in the bad run')
        if "length" in self.kinds:
            parts.append(
                f'"{self.name}" took {bad.duration_s:.2f} s in the bad run, and {good.duration_s:.2f} s in the good'
            )
        if self.picture is not None:
            x, y, width, height = self.picture.region
            parts.append(
                f'after "{self.name}" {100 * max(self.picture.share, 0.0001):.2f} % of the screen differs, in '
                f"{width:.2f}x{height:.2f} at ({x:.2f}, {y:.2f})"
            )
        return "; ".join(parts) or f'"{self.name}" is alike'


Look: TypeAlias = Callable[[Stage, Stage], PictureDifference | Literal["alike", "unknown"]]


def compare(
    good: Run, bad: Run, look: Look = lambda *_: "unknown", *, least_s: float = LEAST_S, share: float = SHARE
) -> tuple[Pair, ...]:
    """Return the steps of two runs in pairs, in the order in which they ended.

    Args:
        good: The run to compare with.
        bad: The other run.
        look: Says how the pictures after two steps differ; "unknown" if a screen was not at rest, or there is no video.
        least_s: Shorter differences of length are noise, in seconds.
        share: Smaller differences of length are noise, as a share of the shorter length.
    """
    return tuple(_judged(pair, look, least_s, share) for pair in _paired(good.stages, bad.stages))


def first_difference(pairs: tuple[Pair, ...]) -> Pair | None:
    """Return the first pair whose steps differ; None if none do."""
    return next((pair for pair in pairs if pair.kinds), None)


def verdict(pairs: tuple[Pair, ...]) -> str:
    """Say in a sentence which step is the first that differs."""
    if (first := first_difference(pairs)) is not None:
        return first.sentence
    looked = sum(pair.is_picture_compared for pair in pairs)
    return f"no step differs: {len(pairs)} steps are about as long, and {looked} pictures are alike"


def _paired(good: tuple[Stage, ...], bad: tuple[Stage, ...]) -> Iterator[Pair]:
    names = [[stage.name for stage in stages] for stages in (good, bad)]
    for tag, begin, end, bad_begin, bad_end in SequenceMatcher(a=names[0], b=names[1], autojunk=False).get_opcodes():
        if tag == "equal":
            for one, other in zip(good[begin:end], bad[bad_begin:bad_end], strict=True):
                yield Pair(good=one, bad=other)
        else:
            yield from (Pair(good=stage, bad=None, kinds=("missing",)) for stage in good[begin:end])
            yield from (Pair(good=None, bad=stage, kinds=("extra",)) for stage in bad[bad_begin:bad_end])


def _judged(pair: Pair, look: Look, least_s: float, share: float) -> Pair:
    good, bad = pair.good, pair.bad
    if good is None or bad is None:
        return pair
    kinds: list[Kind] = []
    if good.outcome != bad.outcome:
        kinds.append("outcome")
    shorter, longer = sorted((good.duration_s, bad.duration_s))
    if longer - shorter > max(least_s, share * shorter):
        kinds.append("length")
    seen = look(good, bad)
    picture = seen if isinstance(seen, PictureDifference) else None
    if picture is not None:
        kinds.append("picture")
    return replace(pair, picture=picture, is_picture_compared=seen != "unknown", kinds=tuple(kinds))
