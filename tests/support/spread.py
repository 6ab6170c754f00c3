"""A pytest plugin that spreads the suite over the workers of pytest-xdist (`-n 3`); without workers it does nothing.

There are two queues. Tests of logic (`CALM`) take only processor time. The last worker takes them, at a low priority:
it uses what the others leave. All other tests wait for peers, processes and time, and some of them have time limits.
The other workers take them, the long ones first, and help with the tests of logic at the end. The two queues are the
two ends of one: xdist has no more, and no worker looks through thousands of tests that are not for it.
"""

import functools
import os
from typing import Any, Final

import pytest

CALM: Final = ("tests/unit/", "tests/house/", "tests/fuzz/", "tests/whole/test_recording_days.py::")
# The folders of long tests; the others come after them.
LONG: Final = ("faults", "whole", "peers", "docs")
# The tests of such a file share runs: a fixture tries all of them side by side. One worker takes them all.
TOGETHER: Final = (
    "tests/faults/test_matrix.py::",
    "tests/house/test_tripwire.py::",
    "tests/unit/targets/test_reading.py::",
    "tests/whole/test_pytest_plugin.py::",
    "tests/whole/test_sync.py::",
)
NICENESS: Final = 10  # of the worker that takes the tests of logic


def unit_of(test: str) -> str:
    """Return the name of what a worker takes as one piece: a test, or all tests of a file."""
    return test.partition("::")[0] if test.startswith(TOGETHER) else test


def is_calm(test: str) -> bool:
    """Return whether a test takes only processor time."""
    return test.startswith(CALM)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In workers, put the long tests first, and lower the priority of the worker that takes the tests of logic."""
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=_place)
    calm = [item for item in items if is_calm(item.nodeid)]
    if 0 < len(calm) < len(items):
        items[:] = [item for item in items if not is_calm(item.nodeid)] + calm[::-1]
        if _is_last(config.workerinput["workerid"], config.workerinput["workercount"]):
            os.nice(NICENESS)


def _place(item: pytest.Item) -> tuple[bool, int]:
    folder = item.path.parent.name
    return not item.nodeid.startswith(TOGETHER), LONG.index(folder) if folder in LONG else len(LONG)


def _is_last(worker: str, count: int) -> bool:
    return count > 1 and worker == f"gw{count - 1}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker one piece of its queue after the other, in the queue's order."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only where there are workers

    class Lanes(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

        def _reschedule(self, node: Any) -> None:
            assigned = self.assigned_work.get(node, {})  # xdist counts through it with each test
            for piece in [piece for piece, tests in assigned.items() if all(tests.values())]:
                del assigned[piece]
            if self.workqueue and self._next_for(node) is None and not node.shutting_down:
                node.shutdown()
            else:
                super()._reschedule(node)

        def _assign_work_unit(self, node: Any) -> None:
            piece = self._next_for(node) or next(iter(self.workqueue))
            self.workqueue.move_to_end(piece, last=False)
            super()._assign_work_unit(node)

        @functools.cached_property  # it is asked for with each test
        def _is_mixed(self) -> bool:
            return len({is_calm(test) for test in self.collection}) > 1

        def _next_for(self, node: Any) -> str | None:
            """Return the next piece for a worker; None if only those are left that are not for it."""
            if not (self._is_mixed and _is_last(node.gateway.id, self.numnodes)):
                return next(iter(self.workqueue), None)
            piece = next(reversed(self.workqueue), None)
            return piece if piece is not None and is_calm(piece) else None

    config.option.loadscopereorder = False
    return Lanes(config, log)
