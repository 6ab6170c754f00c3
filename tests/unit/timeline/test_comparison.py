"""The first step that differs is named, and the noise of machines is no difference."""

import random
from typing import Literal

import pytest

from streamer.timeline.comparison import Pair, PictureDifference, compare, first_difference, verdict
from streamer.timeline.runs import Run, Stage, run_of
from tests.support.runs import STEPS, records_of

LENGTHS = (1.0, 2.0, 0.5)
MARK = PictureDifference(0.012, (0.4, 0.6, 0.1, 0.05))


def run(*lengths_s: float) -> Run:
    return run_of(records_of(lengths_s=lengths_s))


def noisy(seed: int) -> list[float]:
    """Return the lengths of a run on a busy machine: each is longer by up to a quarter, or a quarter second."""
    noise = random.Random(seed)
    return [length + noise.uniform(0, max(0.25, 0.25 * length)) for length in LENGTHS]


def test_ten_pairs_of_equal_runs_differ_in_nothing() -> None:
    for seed in range(10):
        pairs = compare(run(*noisy(seed)), run(*noisy(seed + 100)), lambda *_: "alike")
        assert first_difference(pairs) is None
        assert verdict(pairs) == "no step differs: 3 steps are about as long, and 3 pictures are alike"


def test_the_planted_slower_step_is_named_in_ten_pairs() -> None:
    for seed in range(10):
        lengths = noisy(seed + 100)
        lengths[seed % 3] += 1.6
        first = first_difference(compare(run(*noisy(seed)), run(*lengths)))
        assert first is not None
        assert (first.name, first.kinds) == (STEPS[seed % 3], ("length",))


@pytest.mark.parametrize("number", range(3))
def test_the_first_step_after_which_the_picture_differs_is_named(number: int) -> None:
    def look(good: Stage, _: Stage) -> PictureDifference | Literal["alike", "unknown"]:
        return MARK if STEPS.index(good.name) >= number else "alike"

    pairs = compare(run(*LENGTHS), run(*LENGTHS), look)
    first = first_difference(pairs)
    assert first is not None
    assert (first.name, first.kinds, first.picture) == (STEPS[number], ("picture",), MARK)
    assert verdict(pairs) == f'after "{STEPS[number]}" 1.20 % of the screen differs, in 0.10x0.05 at (0.40, 0.60)'


def test_a_run_that_failed_early_lacks_steps() -> None:
    bad = run_of(records_of(lengths_s=(1.0, 2.0), outcome="failed"))
    pairs = compare(run(*LENGTHS), bad)
    assert [pair.kinds for pair in pairs] == [(), ("outcome",), ("missing",)]
    assert verdict(pairs) == '"find the shoes" failed in the bad run'
    assert pairs[2].sentence == '"pay" is in the good run only'
    assert [pair.kinds for pair in compare(bad, run(*LENGTHS))] == [(), ("outcome",), ("extra",)]


@pytest.mark.parametrize(
    ("good_s", "bad_s", "differs"), [(1.0, 1.29, False), (1.0, 1.31, True), (10.0, 12.9, False), (10.0, 6.9, True)]
)
def test_a_length_differs_by_more_than_both_limits(good_s: float, bad_s: float, differs: bool) -> None:
    (pair,) = compare(run(good_s), run(bad_s))
    assert pair.kinds == (("length",) if differs else ())


def test_the_limits_can_be_set() -> None:
    (pair,) = compare(run(1.0), run(1.2), least_s=0.1, share=0.1)
    assert pair.sentence == f'"{STEPS[0]}" took 1.20 s in the bad run, and 1.00 s in the good'
    (pair,) = compare(run(1.0), run(1.2), least_s=0.1, share=0.5)
    assert pair.sentence == f'"{STEPS[0]}" is alike'


def test_a_pair_has_a_name_even_without_a_good_step() -> None:
    stage = Stage(name="pay", at=0.0, end=1.0, shown_at=1.0)
    assert Pair(good=None, bad=stage).name == "pay"
