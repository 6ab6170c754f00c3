"""The commands that show phones, in the browser and in the terminal, with their options."""

from typing import Annotated

import typer

from streamer.cli.help import Command
from streamer.cli.options import Connection, Instance, Output, choice_option, number_option, option, with_groups
from streamer.cli.timeline_commands import app

__all__ = ["app"]

_VIEWER = "Viewer"
_TERMINAL = "Terminal"


@app.command(
    cls=Command,
    short_help="Show phones in the browser, and touch them there.",
    help="Show phones in the browser: live, with their audio, to be touched with mouse, fingers and keys. Nothing is "
    "encoded again. Several phones are shown as a grid."
    "\n\nA phone serves one connection at a time: this one ends any other with code 1402.",
)
@with_groups
def view(
    instances: Annotated[
        list[str],
        typer.Argument(help="The phones' instance ids.", metavar="INSTANCE", envvar="STREAMER_INSTANCE"),
    ],
    *,
    opens: Annotated[
        bool, option("Open the page in the browser.", _VIEWER, "--open/--no-open", show_default=True)
    ] = True,
    host: Annotated[
        str,
        option(
            "The address to listen on. On any but loopback, others on the network reach the page, and need its token.",
            _VIEWER,
            "--host",
            metavar="ADDRESS",
            show_default=True,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        number_option("The port; 0 takes a free one.", _VIEWER, least=0, most=65535, default=True, is_whole=True),
    ] = 0,
    read_only: Annotated[bool, option("Only show: the page cannot touch or record.", _VIEWER, "--read-only")] = False,
    embed_from: Annotated[
        list[str] | None,
        option(
            "An origin whose pages may have the viewer in a frame and act on the phone, such as https://lab.example. "
            "Repeat it for more.",
            _VIEWER,
            "--embed-from",
            metavar="ORIGIN",
        ),
    ] = None,
    connection: Connection,
    say: Output,
) -> None:
    from streamer.cli import runtime, viewer

    work = viewer.show(
        instances,
        connection,
        opens=opens,
        host=host,
        port=port,
        read_only=read_only,
        embed_from=embed_from or [],
        say=say,
    )
    runtime.run(work, say)


@app.command(
    cls=Command,
    short_help="Show a phone in the terminal.",
    help="Show a phone in the terminal, also over SSH: at most 10 frames a second, and only what has changed. "
    "q ends it."
    "\n\nThe terminal is asked what it can do: images of its own (kitty's graphics or sixel), or half blocks in 24-bit "
    "color, or in 256 colors."
    "\n\nA phone serves one connection at a time: this one ends any other with code 1402.",
)
@with_groups
def watch(
    instance: Instance,
    *,
    graphics: Annotated[
        str,
        choice_option(
            "How to draw. By default as the terminal says",
            _TERMINAL,
            "--graphics",
            of=("auto", "blocks", "sixel", "kitty"),
            metavar="KIND",
            default=True,
        ),
    ] = "auto",
    connection: Connection,
    say: Output,
) -> None:
    from streamer.cli import runtime
    from streamer.cli.watch import show

    runtime.run(show(instance, connection, graphics=graphics, say=say), say)
