"""One test as it runs: the name of its folder, its budget, and what is kept when."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streamer.testing.footage import Footage
from streamer.testing.running import NAME_LIMIT, Kept, RunningTest, folder_name
from streamer.timeline.records import Measured, Record, Start
from tests.support.access_units import units
from tests.support.plugin_settings import settings

TEST = "tests/test_shop.py::TestCart::test_buys"


class Witness:
    """What a test sees of a phone: twelve frames."""

    def __init__(self, *measured: Measured) -> None:
        self.measured = measured
        self.footage = Footage(units(), begin_ns=0, now_ns=400_000_000)

    def records(self, outcome: str, error: str | None) -> list[Record]:
        return [Start(test=TEST, phone=f"{outcome} {error}")]


def running(folder: Path, *measured: Measured, run: int = 1, **options: str) -> RunningTest:
    item: Any = SimpleNamespace(nodeid=TEST, execution_count=run)
    given = {f"phone_{name}": value for name, value in options.items()}
    test = RunningTest(item, settings(given | {"phone_output": str(folder)}))
    witness: Any = Witness(*measured)
    test._witnesses.append(witness)
    return test


def keep(test: RunningTest, when: str, outcome: str, error: str | None = None) -> Kept | None:
    report: Any = SimpleNamespace(when=when, failed=outcome == "failed")
    return test.keep(report, None if error is None else AssertionError(error))


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("test_it.py::test_a", "test_it-test_a"),
        (TEST, "tests-test_shop-TestCart-test_buys"),
        ("test_it.py::test_a[chrome-2]", "test_it-test_a-chrome-2"),
    ],
)
def test_a_folder_is_named_after_its_test(nodeid: str, name: str) -> None:
    assert folder_name(nodeid) == name


def test_no_two_tests_share_a_folder_and_no_name_is_too_long() -> None:
    nodeids = [f"test_it.py::test_a[{value}]" for value in ("a b", "a:b", "a*b", "é", "x" * 300, "x" * 301, "..", "")]
    names = [folder_name(nodeid) for nodeid in nodeids]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(name) <= NAME_LIMIT + 9
        assert name.isascii()
        assert not set(name) & set('/\\:*?"<>| ')


MEASURED = [
    Measured(first_change_s=0.1, settled_s=0.4, longest_gap_s=0.03),
    Measured(first_change_s=0.2),
    Measured(first_change_s=0.05, settled_s=0.6, longest_gap_s=0.02),
]


def test_the_worst_of_each_time_counts_against_the_budget(tmp_path: Path) -> None:
    test = running(tmp_path, *MEASURED)
    assert test.measured == {"first_change_s": 0.2, "settled_s": 0.6, "longest_gap_s": 0.03}
    assert test.check_budget((), {"settled_s": 0.6, "longest_gap_s": 0.05}) is None
    assert test.check_budget((), {"settled_s": 0.5}) == "expected settled_s of at most 0.5, got 0.600"


@pytest.mark.parametrize("budget", [{}, {"settled": 0.5}, {"settled_s": "fast"}, {"settled_s": True}])
def test_a_budget_that_is_none_fails_the_test(budget: dict[str, object], tmp_path: Path) -> None:
    test = running(tmp_path, *MEASURED)
    assert "in the mark phone_budget" in (test.check_budget((), budget) or "")
    assert "in the mark phone_budget" in (test.check_budget((0.5,), {}) or "")


def test_a_test_that_passes_leaves_nothing(tmp_path: Path) -> None:
    test = running(tmp_path / "results")
    assert [keep(test, when, "passed") for when in ("setup", "call", "teardown")] == [None, None, None]
    test.end()
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_failure_of_a_test_is_kept(tmp_path: Path) -> None:
    test = running(tmp_path)
    assert keep(test, "setup", "passed") is None
    kept = keep(test, "call", "failed", "no cart\nmore")
    assert kept is not None
    names = [str(path.relative_to(tmp_path / "tests-test_shop-TestCart-test_buys")) for path in kept.files]
    assert names == ["failure.png", "video.mp4", "timeline.jsonl"]
    assert kept.problems == []
    assert b"failed no cart" in kept.files[-1].read_bytes()
    assert keep(test, "teardown", "failed") is None


def test_a_repetition_has_a_folder_of_its_own_and_is_kept_if_wanted(tmp_path: Path) -> None:
    rule = "retain-on-failure-and-retries"
    for run, is_kept in ((1, False), (2, True)):
        test = running(tmp_path, run=run, video=rule, timeline=rule)
        assert keep(test, "call", "passed") is None
        assert (keep(test, "teardown", "passed") is not None) == is_kept
    assert [path.name for path in tmp_path.iterdir()] == ["tests-test_shop-TestCart-test_buys-rerun1"]
    running(tmp_path)  # the next run of pytest
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_and_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    kept = keep(running(tmp_path / "results"), "call", "failed", "no")
    assert kept is not None
    assert kept.files == []
    assert [problem.partition(":")[0] for problem in kept.problems] == [
        f"the {what} could not be written" for what in ("image", "video", "timeline")
    ]
