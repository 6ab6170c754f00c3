"""A pytest plugin that spreads the suite over the workers of pytest-xdist (`-n 3`); without workers it does nothing.

The workers take tests from one queue. The long tests come first in it, so that all workers end at about the same time.
"""

from typing import Any, Final

import pytest

# The folders of long tests, which wait for peers, processes and time; the others come after them.
LONG: Final = ("faults", "peers", "whole", "fuzz", "docs")
# The tests of such a function share one run: its fixture tries all of them side by side. One worker takes them all.
TOGETHER: Final = ("tests/faults/test_matrix.py::test_a_fault_", "tests/house/test_tripwire.py::")


def unit_of(test: str) -> str:
    """Return the name of what a worker takes as one piece: a test, or all tests of a function."""
    return test.partition("[")[0] if test.startswith(TOGETHER) else test


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long tests first, in workers."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, int]:
    folder = item.path.parent.name
    return not item.nodeid.startswith(TOGETHER), LONG.index(folder) if folder in LONG else len(LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker one piece of the queue after the other, in the queue's order."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only where there are workers

    config.option.loadscopereorder = False
    scheduling: Any = LoadScopeScheduling(config, log)
    scheduling._split_scope = unit_of
    return scheduling
