"""What a benchmark found, and how it is shown: on the terminal and as Markdown."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)

_MARKS: Final = {True: "met", False: "not met", None: "not measured"}
_STYLES: Final = {True: "green", False: "red", None: "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One measure: what was found, beside what, and whether that is good enough."""

    measure: str
    ours: str
    beside: str = ""
    ratio: str = ""
    goal: str
    is_met: bool | None  # None: it could not be measured here


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of figures; the first column is text, the others are numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark found."""

    goals: Sequence[Goal] = ()
    grids: Sequence[Grid] = ()
    notes: Sequence[str] = field(default=())


def goals_grid(goals: Iterable[Goal]) -> Grid:
    """Return the goals as a table."""
    rows = [(g.measure, g.ours, g.beside, g.ratio, g.goal, _MARKS[g.is_met]) for g in goals]
    return Grid("Goals", ("measure", "streamer", "beside", "ratio", "goal", ""), rows)


def print_grid(grid: Grid) -> None:
    """Show a table on the terminal."""
    styles = {_MARKS[key]: style for key, style in _STYLES.items()}
    table = Table(title=grid.title)
    for index, heading in enumerate(grid.headings):
        table.add_column(heading, justify="right" if index else "left")
    for row in grid.rows:
        table.add_row(*row, style=styles.get(row[-1]) if row[-1] == "not met" else None)
    console.print(table)


def markdown(reports: Sequence[Report]) -> str:
    """Return everything as Markdown: the goals first."""
    goals = [goal for report in reports for goal in report.goals]
    grids = [goals_grid(goals)] if goals else []
    grids += [grid for report in reports for grid in report.grids]
    notes = [note for report in reports for note in report.notes]
    return "\n".join([*map(_markdown_grid, grids), *(f"- {note}" for note in notes)]).rstrip() + "\n"


def _markdown_grid(grid: Grid) -> str:
    head = "| " + " | ".join(heading or " " for heading in grid.headings) + " |"
    line = "|---|" + "---:|" * (len(grid.headings) - 1)
    body = ["| " + " | ".join(row) + " |" for row in grid.rows]
    return "\n".join([f"**{grid.title}**\n", head, line, *body]) + "\n"


def figure(value: float | None, form: str = "{:.1f}") -> str:
    """Return a number as text, nothing for None."""
    return "" if value is None else form.format(value)
