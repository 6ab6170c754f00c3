"""`make bench`: every measure, beside its rival or its floor, with the goal and whether it is met.

Both sides are processes of their own; rounds are interleaved; each figure is the median over the rounds.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks import ice_servers, paths, pixels, receiving, sessions, slow, start, still, viewing
from benchmarks.clips import CLIPS, DIRECTORY, access_units
from benchmarks.report import Goal, Report, console, goals_grid, markdown, print_grid

TABLES: Final = DIRECTORY / "tables.md"

Measure = Callable[[int], Iterator[str | Report]]

PARTS: Final[dict[str, Measure]] = {
    "receiving": receiving.measure,
    "pixels": pixels.measure,
    "still": still.measure,
    "slow": slow.measure,
    "lossy": paths.measure,
    "sessions": sessions.measure,
    "ice-servers": ice_servers.measure,
    "start": start.measure,
    "viewing": viewing.measure,
}


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is measured; the medians are shown.")] = 3,
    only: Annotated[str, typer.Option(help=f"Some parts, by their names: {', '.join(PARTS)}.")] = "",
    markdown_file: Annotated[Path, typer.Option("--markdown", help="Where the tables go as Markdown.")] = TABLES,
) -> None:
    """Measure against the rivals and print the tables. A quarter of an hour; `--rounds 1` is quicker and rougher."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("the benchmarks read /proc and pin processes to cores: they need Linux")
    chosen = only.split(",") if only else list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        raise SystemExit(f"no part is called {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    with console.status("making the clips"):
        for clip in CLIPS:
            access_units(clip)
    reports = [_run(name, rounds) for name in chosen]
    goals: list[Goal] = [goal for report in reports for goal in report.goals]
    print_grid(goals_grid(goals))
    markdown_file.write_text(markdown(reports), encoding="utf-8")
    console.print(f"the same as Markdown: {markdown_file}")


def _run(name: str, rounds: int) -> Report:
    begun = time.monotonic()
    with console.status(name) as status:
        for found in PARTS[name](rounds):
            if isinstance(found, Report):
                console.print(f"{name}: {time.monotonic() - begun:.0f} s")
                for grid in found.grids:
                    print_grid(grid)
                for note in found.notes:
                    console.print(f"  {note}")
                return found
            status.update(f"{name}: {found}")
            if not console.is_terminal:
                console.print(f"{name}: {found}")
    raise AssertionError("a part ends with its report")


if __name__ == "__main__":
    typer.run(main)
