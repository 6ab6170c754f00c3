"""How help is laid out: options in sections, in columns that fit into a terminal of 80 columns, and into a pipe."""

import re
import textwrap
from collections.abc import Iterable
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from streamer.cli.exit_codes import MEANINGS

API: Final = "API"
CONNECTION: Final = "Connection"
MESSAGES: Final = "Messages"
CREDENTIALS: Final = (
    ("STREAMER_AUTH_TOKEN", "A token, or"),
    ("STREAMER_AUTH_TOKEN_FILE", "a file that holds the token and is read again when it changes, or"),
    ("STREAMER_IAM_ENDPOINT", "a user's password, with STREAMER_IAM_DOMAIN, _USER, _PASSWORD and perhaps _PROJECT, or"),
    ("STREAMER_ACCESS_KEY", "an access key, with STREAMER_SECRET_KEY."),
)
_EMULATOR: Final = {"phone", "demo"}
_COLUMN: Final = 26  # characters that the names of options take


def sections(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """Return a command's arguments and options by the heading that they stand under: each is a name and a text."""
    found: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) is not None:
            is_argument = parameter.param_type_name == "argument"
            heading = "Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or MESSAGES
            name, text = record
            found.setdefault(heading, []).append((re.sub(r" <(str|path|list\[str\])>$", "", name), _plain(text)))
    return found


def _plain(text: str) -> str:
    """Return a help text without the brackets that stand around some defaults."""
    return re.sub(r"\[default: \((.*?)\)", r"[default: \1", text)


class Command(TyperCommand):
    """A command whose options are shown in sections."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; for one that is missing, name the variable that may hold it."""
        ctx.allow_extra_args = True  # an error of ours says what to do with them
        try:
            rest = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if error.message or error.param is None or not error.param.envvar:
                raise
            message = f"expected a value, got none: give one, or set {error.param.envvar}"
            raise typer.BadParameter(message, ctx=ctx, param=error.param) from None
        if rest and not ctx.resilient_parsing:
            has_output = any(parameter.name == "output" for parameter in self.params)
            remedy = "name the output with -o, and quote" if has_output else "quote"
            ctx.fail(f"expected no more arguments, got {rest[0]}: {remedy} what has spaces")
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the options, and where credentials come from if the command needs some."""
        found = sections(self, ctx)
        for heading, rows in found.items():
            if heading == MESSAGES and API in found:
                _write(formatter, "Credentials, from the environment only", CREDENTIALS)
            _write(formatter, heading, rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the exit codes."""
        _write_exit_codes(formatter)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what follows the command's name."""
        return [re.sub(r"[{}]", "", piece) for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """All commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names; those that need no phone of yours stand at the end."""
        return sorted(super().list_commands(ctx), key=lambda name: name in _EMULATOR)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the exit codes."""
        _write_exit_codes(formatter)


def _write_exit_codes(formatter: Any) -> None:
    _write(formatter, "Exit codes", [(str(code), meaning) for code, meaning in MEANINGS.items()], column=3)


def _write(formatter: Any, heading: str, rows: Iterable[tuple[str, str]], *, column: int = _COLUMN) -> None:
    """Write a section: names in a column of this width, or above their texts if they are longer."""
    width = formatter.width - column - 4
    with formatter.section(heading):
        for name, text in rows:
            first, *others = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) or [""]
            if len(name) > column:
                first, others = "", [first, *others]
            formatter.write(f"  {name:{column}}  {first}".rstrip() + "\n")
            for line in others:
                formatter.write(f"{'':{column + 4}}{line}\n")
