"""Every row of the fault matrix comes out as expected."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.faults import peers
from tests.faults.matrix import MATRIX
from tests.faults.peers import PEERS
from tests.faults.stages import require_all
from tests.faults.trials import AT_ONCE, Outcome, Row, check, try_all

ROWS: Final = [row for rows in MATRIX.values() for row in rows]
PEERS_ROWS: Final = {f"{title}: {row}": row for title, rows in PEERS.items() for row in rows}

Outcomes: TypeAlias = dict[str, Outcome | Exception]


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """The outcome of each row: all are tried once and side by side, since most of them wait for something."""
    return dict(zip(map(str, ROWS), asyncio.run(_try_all(ROWS, AT_ONCE)), strict=True))


@pytest.fixture(scope="module")
def peers_outcomes() -> Outcomes:
    """The outcome of each row with real peers."""
    require_all()
    tried = asyncio.run(_try_all(list(PEERS_ROWS.values()), peers.AT_ONCE))
    return dict(zip(PEERS_ROWS, tried, strict=True))


async def _try_all(rows: list[Row], at_once: int) -> list[Outcome | Exception]:
    tried = await try_all(rows, at_once)
    async with asyncio.timeout(10):
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("decode ", "record ", "phone "))]
    return tried


@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_fault_has_the_documented_outcome(outcomes: Outcomes, row: Row) -> None:
    _check(row, outcomes[str(row)])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PEERS_ROWS, ids=str)
async def test_a_fault_among_real_peers_has_the_documented_outcome(peers_outcomes: Outcomes, name: str) -> None:
    _check(PEERS_ROWS[name], peers_outcomes[name])


def _check(row: Row, outcome: Outcome | Exception) -> None:
    if row.disk_kb and type(outcome) is OSError and os.environ.get("CI") != "true":
        pytest.skip(str(outcome))  # small disks are for root
    if isinstance(outcome, Exception):
        raise outcome
    check(row, outcome)


@pytest.mark.parametrize(("title", "rows"), {**MATRIX, **PEERS}.items())
def test_the_tables_in_the_documentation_have_every_row(title: str, rows: tuple[Row, ...]) -> None:
    text = Path("docs/reliability.md").read_text(encoding="utf-8").partition("## The proof")[2]
    section = text.partition(f"### {title}\n")[2].partition("\n### ")[0]
    shown = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    assert shown[1:] == [f"| {row.what}" for row in rows]
