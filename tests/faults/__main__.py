"""Print the tables of docs/reliability.md: python -m tests.faults [WORD …] (rows with one of the words, or all)."""

import asyncio
import sys

from tests.faults.matrix import MATRIX
from tests.faults.trials import table, try_all


def main(*words: str) -> None:
    """Try the rows group by group."""
    for title, rows in MATRIX.items():
        asked = [row for row in rows if not words or any(word in str(row) for word in words)]
        if asked:
            sys.stdout.write(f"### {title}\n\n{table(asked, asyncio.run(try_all(asked)))}\n\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
