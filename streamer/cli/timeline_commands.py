"""The command that shows what a test has left, with its options; `streamer.cli.timeline` does its work."""

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.agent_commands import app
from streamer.cli.help import Command
from streamer.cli.options import Output, number_option, option, output_option, with_groups

__all__ = ["app"]

_COMPARISON = "Comparison"


@app.command(
    cls=Command,
    short_help="Show a test's run, or compare two.",
    help="Show what the pytest plugin kept of a test, or compare two runs of it."
    "\n\nstreamer timeline show FOLDER makes a page of HTML with the video, the touches, the steps, the waits and the "
    "frame rate. It needs no network."
    "\n\nstreamer timeline compare GOOD BAD names the first step that took longer or shorter, or after which the "
    "screen looked otherwise, and makes a page with both runs side by side. The exit code is 7 if a step differs.",
)
@with_groups
def timeline(
    action: Annotated[str, typer.Argument(help="show or compare.", metavar="ACTION", show_default=False)],
    folder: Annotated[
        Path, typer.Argument(help="The test's folder; to compare, that of the good run.", metavar="FOLDER")
    ],
    other: Annotated[
        Path | None, typer.Argument(help="The folder of the bad run.", metavar="BAD", show_default=False)
    ] = None,
    *,
    output: Annotated[
        Path | None, output_option("The page.", "FILE", "FOLDER/timeline.html, or BAD/comparison.html")
    ] = None,
    least: Annotated[
        float,
        number_option("Differences of so many seconds are noise.", _COMPARISON, least=0, most=3600, default=True),
    ] = 0.3,
    percent: Annotated[
        float,
        number_option(
            "Differences of so many percent of the shorter time are noise.",
            _COMPARISON,
            least=0,
            most=1000,
            default=True,
        ),
    ] = 30.0,
    ignore: Annotated[
        list[str] | None,
        option(
            "Leave a part of the screen out, as fractions or pixels, such as 0.0,0.9,1.0,0.1. Give it again for "
            "further parts.",
            _COMPARISON,
            metavar="X,Y,WIDTH,HEIGHT",
        ),
    ] = None,
    status_bar: Annotated[
        bool, option("Compare the status bar, too, which has a clock.", _COMPARISON, "--status-bar")
    ] = False,
    say: Output,
) -> None:
    from streamer.cli import runtime, timeline

    if action == "show":
        timeline.check_one(other)
        runtime.run(timeline.show(folder, output, as_json=say.as_json), say)
        return
    work = timeline.compare(
        folder,
        timeline.checked_other(action, other),
        output,
        ignore=timeline.regions_of(ignore or [], with_status_bar=status_bar),
        least_s=least,
        share=percent / 100,
        as_json=say.as_json,
    )
    runtime.run(work, say)
