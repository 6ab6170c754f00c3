"""Where tests lie, what they may import, and how long a file may be, read from the tree and from their syntax."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = ROOT / "tests" / "unit"
UNIT_TESTS: Final = sorted(UNIT.rglob("test_*.py"))
FILES: Final = sorted((ROOT / "tests").rglob("*.py"))
LINES_LIMIT: Final = 450  # of a file
IMPORT: Final = re.compile(r"^[ \t]*((?:from|import) (?:benchmarks|tests)\b[^\n(]*(?:\([^)]*\))?)", re.MULTILINE)


def has_its_module(test: Path) -> bool:
    """Whether a test under tests/unit is named after a module, or a package, in the same folder of streamer."""
    folder = ROOT / "streamer" / test.relative_to(UNIT).parent
    name = test.stem.removeprefix("test_")
    return any(name == path.stem or name.startswith(f"{path.stem}_") for path in folder.glob("[!_]*"))


def imported(text: str) -> Iterator[str]:
    """Yield the full name of whatever is imported of tests and benchmarks, also by a program that stands in a text."""
    for statement in IMPORT.findall(text):
        (node,) = ast.parse(statement).body
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_forbidden(name: str) -> bool:
    """Whether a test may not import this: the benchmarks, or a module of tests."""
    package, *parts = name.split(".")
    return package == "benchmarks" or (package == "tests" and any(part.startswith("test_") for part in parts))


def test_each_unit_test_is_named_after_the_module_that_it_tests() -> None:
    assert [str(test.relative_to(UNIT)) for test in UNIT_TESTS if not has_its_module(test)] == []


@pytest.mark.parametrize(
    ("test", "is_there"),
    [
        ("media/rtp/test_receiver.py", True),
        ("media/rtp/test_receiver_loss.py", True),
        ("media/test_receiver.py", False),
        ("test_receivers.py", False),
        ("nowhere/test_receiver.py", False),
    ],
)
def test_the_check_finds_a_test_without_its_module(test: str, is_there: bool) -> None:
    assert has_its_module(UNIT / test) == is_there


def test_shared_parts_of_unit_tests_are_in_support() -> None:
    assert {path.name for path in UNIT.rglob("*.py")} - {path.name for path in UNIT_TESTS} == {"conftest.py"}


def test_no_test_imports_the_benchmarks_or_another_test() -> None:
    names = [(path.name, name) for path in FILES for name in imported(path.read_text(encoding="utf-8"))]
    assert len(names) > 300
    assert [(path, name) for path, name in names if is_forbidden(name)] == []


def too_long(root: Path) -> list[str]:
    """Return the files of Python under a folder that have more lines than a file may have."""
    return sorted(str(path) for path in root.rglob("*.py") if path.read_bytes().count(b"\n") > LINES_LIMIT)


@pytest.mark.parametrize("folder", ["streamer", "tests", "benchmarks", "examples"])
def test_no_file_has_more_lines_than_the_limit(folder: str) -> None:
    assert too_long(ROOT / folder) == []


def test_the_check_finds_a_file_that_is_too_long(tmp_path: Path) -> None:
    for name, lines in (("long.py", LINES_LIMIT + 1), ("short.py", LINES_LIMIT)):
        (tmp_path / name).write_text("\n" * lines)
    assert too_long(tmp_path) == [str(tmp_path / "long.py")]


@pytest.mark.parametrize(
    ("source", "is_refused"),
    [
        ("from benchmarks.clips import CLIPS", True),
        ("import benchmarks.clips", True),
        ("from tests.unit import (\n    test_pubsub,\n)", True),
        ("def f():\n    from tests.unit.media.test_history import x", True),
        ("from tests.unit import test_pubsub", True),
        ("from tests.support.senders import rtp", False),
        ("from streamer.media import history", False),
    ],
)
def test_the_check_finds_a_forbidden_import(source: str, is_refused: bool) -> None:
    assert any(map(is_forbidden, imported(source))) == is_refused
