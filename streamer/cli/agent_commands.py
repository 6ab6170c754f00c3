"""The command that serves AI agents, with its options; `streamer.cli.agent` does its work."""

from pathlib import Path
from typing import Annotated, Literal

from streamer.cli.cloud_commands import app
from streamer.cli.help import Command
from streamer.cli.options import OUTPUT, Connection, Instance, Output, choice_option, number_option, option, with_groups

__all__ = ["app"]

_SERVER = "Server"


@app.command(
    cls=Command,
    short_help="Let an AI agent see and touch a phone (MCP).",
    help="Serve the Model Context Protocol, so that an AI agent can see and touch a phone: look, tap, swipe, type, "
    "press, start apps, wait, record. The agent's client starts this command and stops it; most take "
    '{"command": "streamer", "args": ["mcp", "Q39YyZvI"]}. It connects to the phone when the agent first uses a tool.'
    "\n\nA phone serves one connection at a time: the first tool takes the phone over, and ends any other connection, "
    "also a recording, with code 1402.",
)
@with_groups
def mcp(
    instance: Instance,
    *,
    transport: Annotated[
        Literal["stdio", "http"],
        choice_option(
            "How the agent's client talks to it, over standard input and output or over HTTP on this machine",
            _SERVER,
            of=("stdio", "http"),
            metavar="TRANSPORT",
            default=True,
        ),
    ] = "stdio",
    port: Annotated[
        int,
        number_option(
            "The port for HTTP, on 127.0.0.1; 0 takes a free one. Clients send a token: that of STREAMER_MCP_TOKEN, or "
            "one that is made and printed.",
            _SERVER,
            least=0,
            most=65535,
            default=True,
            is_whole=True,
        ),
    ] = 8471,
    texts: Annotated[
        bool,
        option(
            "Read the texts on the screen and give the agent their places, if the extra 'ocr' is installed.",
            _SERVER,
            "--texts/--no-texts",
            show_default=True,
        ),
    ] = True,
    output: Annotated[
        Path | None,
        option(
            "The directory of clips and recordings. Default: a new temporary one.",
            OUTPUT,
            "--output",
            "-o",
            metavar="DIRECTORY",
        ),
    ] = None,
    connection: Connection,
    say: Output,
) -> None:
    from streamer.cli import agent, runtime

    work = agent.serve(instance, connection, transport, port=port, reads_texts=texts, directory=output, say=say)
    runtime.run(work, say)
