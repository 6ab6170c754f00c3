"""`streamer mcp`: the tools of `streamer.agent` for a client, until it leaves or a signal comes."""

import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Literal

import streamer
from streamer import errors
from streamer.agent.arguments import CLIP_LIMIT_S
from streamer.agent.files import Files
from streamer.agent.link import PhoneLink
from streamer.agent.texts import can_read
from streamer.agent.tools import Tools
from streamer.cli.connecting import endpoint_of, later, verify
from streamer.cli.options import Connection, Output
from streamer.cli.output import show_result
from streamer.cli.runtime import stop_on_signal

_TOKEN = "STREAMER_MCP_TOKEN"  # noqa: S105 - the name of the variable that holds it
_TOKEN_LEAST = 16  # characters


async def serve(
    instance: str,
    connection: Connection,
    transport: Literal["stdio", "http"],
    *,
    port: int,
    reads_texts: bool,
    directory: Path | None,
    say: Output,
) -> None:
    """Serve the tools until the client leaves or a signal comes. What is wrong with the options is said at once."""
    from streamer.agent import serving  # noqa: PLC0415 - needs an extra

    endpoint_of(connection), verify(connection), streamer.credentials_from_environment()
    if transport == "stdio" and sys.stdin.isatty():
        raise errors.ConfigurationError(
            "expected an MCP client at the standard input, got a terminal: name this command in the client's "
            "configuration, or serve with --transport http"
        )
    link = PhoneLink(later(instance, connection, preroll_s=CLIP_LIMIT_S))
    tools = Tools(link.session, Files(directory), reads_texts=reads_texts and can_read())
    server = serving.server_of(tools, streamer.__version__)
    async with stop_on_signal() as stopped:
        try:
            if transport == "stdio":
                await serving.serve_stdio(server, stopped)
            else:
                given = os.environ.get(_TOKEN) or None
                if given is None and say.quiet and not say.as_json:
                    raise errors.ConfigurationError(f"expected a token in {_TOKEN}: with --quiet, none is printed")
                token = _checked(given) or secrets.token_urlsafe(32)
                listening = _listen(port)
                url = f"http://127.0.0.1:{listening.getsockname()[1]}{serving.PATH}"
                words = [f"MCP is served at {url}. Clients send this header:", "", f"  Authorization: Bearer {token}"]
                if given is not None:
                    words[-1] = f"  Authorization: Bearer …    # that of {_TOKEN}"
                facts = {"url": url, "token": token if given is None else None}
                show_result(facts, "\n".join([*words, "", "Ctrl-C ends it."]), as_json=say.as_json, is_pipe=True)
                await serving.serve_http(server, listening, token, stopped)
        finally:
            await link.aclose()


def _checked(token: str | None) -> str | None:
    if token is not None and not (len(token) >= _TOKEN_LEAST and token.isascii() and token.isprintable()):
        raise errors.ConfigurationError(
            f"expected a token of at least {_TOKEN_LEAST} printable ASCII characters in {_TOKEN}, got another one: "
            "choose a longer one, or unset it to have one made"
        )
    return token


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise errors.ConfigurationError(
            f"cannot listen on port {port} of 127.0.0.1: {error.strerror}; choose another one with --port"
        ) from error
