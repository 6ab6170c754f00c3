"""`streamer timeline show | compare`: what a test has left in its folder, as a page."""

import asyncio
import dataclasses
from pathlib import Path

import typer
from rich.text import Text

from streamer import replay
from streamer.cli.exit_codes import DIFFERS
from streamer.cli.output import show_result, styled
from streamer.errors import ConfigurationError
from streamer.timeline.comparison import Pair, first_difference, verdict
from streamer.watch.region import Region


def check_one(other: Path | None) -> None:
    """Raise `typer.BadParameter` if there is a second folder."""
    if other is not None:
        raise typer.BadParameter(f"expected one folder to show, got {other} too")


def checked_other(action: str, other: Path | None) -> Path:
    """Return the second folder to compare; raise `typer.BadParameter` for another action, or without it."""
    if action != "compare":
        raise typer.BadParameter(f"expected show or compare, got {action}")
    if other is None:
        raise typer.BadParameter("expected two folders to compare, got one: name that of the bad run, too")
    return other


def regions_of(texts: list[str], *, with_status_bar: bool) -> list[Region]:
    """Return the regions that do not count; raise `typer.BadParameter` if one is none."""
    regions = [] if with_status_bar else [Region.STATUS_BAR]
    for text in texts:
        try:
            x, y, width, height = (float(part) if "." in part else int(part) for part in text.split(","))
            regions.append(Region(x, y, width, height))
        except ConfigurationError as error:
            raise typer.BadParameter(str(error), param_hint="'--ignore'") from None
        except ValueError:
            hint = "expected four numbers such as 0.0,0.9,1.0,0.1"
            raise typer.BadParameter(f"{hint}, got {text}", param_hint="'--ignore'") from None
    return regions


async def show(folder: Path, output: Path | None, *, as_json: bool) -> None:
    """Write the page of a run."""
    shown = await asyncio.to_thread(replay.read_replay, folder)
    page = output or (folder if folder.is_dir() else folder.parent) / "timeline.html"
    await asyncio.to_thread(replay.write_page, shown, page)
    facts = {"page": str(page), "test": shown.run.test, "outcome": shown.run.outcome, "video": shown.video}
    show_result(facts, styled(f"wrote {page}: open it in a browser"), as_json=as_json)


async def compare(
    good: Path,
    bad: Path,
    output: Path | None,
    *,
    ignore: list[Region],
    least_s: float,
    share: float,
    as_json: bool,
) -> None:
    """Compare two runs, write their page, and exit with DIFFERS if a step differs."""
    replays = await asyncio.to_thread(replay.read_replay, good), await asyncio.to_thread(replay.read_replay, bad)
    pairs = await asyncio.to_thread(replay.compare_replays, *replays, ignore=ignore, least_s=least_s, share=share)
    page = output or (bad if bad.is_dir() else bad.parent) / "comparison.html"
    await asyncio.to_thread(replay.write_comparison, *replays, pairs, page, ignore=ignore)
    first = first_difference(pairs)
    facts = {
        "differs": first is not None,
        "first": None if first is None else first.name,
        "verdict": verdict(pairs),
        "page": str(page),
        "steps": [_facts(pair) for pair in pairs],
    }
    style = "green" if first is None else "bold red"
    lines = [styled((verdict(pairs), style)), styled(f"wrote {page}: open it in a browser")]
    show_result(facts, Text("\n").join(lines), as_json=as_json)
    if first is not None:
        raise typer.Exit(DIFFERS)


def _facts(pair: Pair) -> dict[str, object]:
    return {
        "name": pair.name,
        "differs_in": pair.kinds,
        "good_s": pair.good and round(pair.good.duration_s, 3),
        "bad_s": pair.bad and round(pair.bad.duration_s, 3),
        "picture": pair.picture and dataclasses.asdict(pair.picture),
        "is_picture_compared": pair.is_picture_compared,
    }
