"""Print the tables of docs/reliability.md: python -m tests.faults [TITLE …], all of them or those whose title holds a
word. The whole takes some eight minutes, and needs node, Chromium and coturn.
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from streamer import emulator
from tests.faults import peers
from tests.faults.cancelling import Sweep, sweep
from tests.faults.cycles import cycle, cycles_table
from tests.faults.matrix import MATRIX
from tests.faults.peers import PEERS
from tests.faults.stages import SMALL, require_all
from tests.faults.trials import AT_ONCE, Row, table, try_all

CYCLES = 500
SWEEPS = {
    "where the program itself waits": {"is_whole": False},
    "the same, with `release=True`": {"is_whole": False, "release": True},
    "where any task of the session waits": {"is_whole": True, "release": True},
    "the same, through a reconnection": {"is_whole": True, "release": True, "reconnects": True},
}


def main(*words: str) -> None:
    """Print the requested tables."""
    tables: dict[str, Callable[[], str]] = {title: partial(_rows, rows) for title, rows in MATRIX.items()}
    tables |= {title: partial(_with_peers, rows) for title, rows in PEERS.items()}
    tables["Cancelled at every wait"] = _cancelling
    tables[f"{CYCLES} times connected and left"] = _cycling
    for title, make in tables.items():
        if not words or any(word in title for word in words):
            sys.stdout.write(f"### {title}\n\n{make()}\n\n")
            sys.stdout.flush()


def _rows(rows: tuple[Row, ...], at_once: int = AT_ONCE) -> str:
    return table(rows, asyncio.run(try_all(rows, at_once)))


def _with_peers(rows: tuple[Row, ...]) -> str:
    try:
        require_all()
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        return f"not tried: {missing}"
    return _rows(rows, peers.AT_ONCE)


def _cancelling() -> str:
    lines = ["| cancelled … | waits | left tasks, threads, sockets, or a broken file |", "|---|---:|---|"]
    for what, options in SWEEPS.items():
        swept = asyncio.run(_sweep(**options))
        lines.append(f"| {what} | {swept.points} | {'; '.join(swept.faults) or 'none'} |")
    return "\n".join(lines)


def _cycling() -> str:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:  # not the heap of what came before
        return cycles_table(fresh.submit(cycle, CYCLES, every=100).result())


async def _sweep(**options: bool) -> Sweep:
    async with emulator.serve(**SMALL) as phone:
        return await sweep(phone, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
