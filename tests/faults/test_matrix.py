"""Every row of the fault matrix comes out as expected."""

import asyncio
import threading
from pathlib import Path

import pytest

from tests.faults.matrix import MATRIX
from tests.faults.trials import Outcome, Row, check, try_all

ROWS = [row for rows in MATRIX.values() for row in rows]
LIMIT_S = 240.0

pytestmark = pytest.mark.timeout(LIMIT_S)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome | Exception]:
    """What came of each row: they are tried once, and side by side, since most of them wait for something."""
    return dict(zip(map(str, ROWS), asyncio.run(_try_all()), strict=True))


async def _try_all() -> list[Outcome | Exception]:
    tried = await try_all(ROWS)
    async with asyncio.timeout(10):
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("decode ", "record ", "phone "))]
    return tried


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_fault_is_what_it_is_said_to_be(outcomes: dict[str, Outcome | Exception], row: Row) -> None:
    outcome = outcomes[str(row)]
    if isinstance(outcome, Exception):
        raise outcome
    check(row, outcome)


def test_the_tables_in_the_documentation_have_every_row() -> None:
    text = Path("docs/reliability.md").read_text(encoding="utf-8")
    lines = [line for line in text.partition("## The proof")[2].splitlines() if line.startswith("| ")]
    expected = [f"| {row.what} |" for row in ROWS]
    assert [start for start in expected if any(line.startswith(start) for line in lines)] == expected
