"""Write what the code says of itself into the pages, each time the site is built: commands, options, faults."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from typer.main import get_command

import streamer.cli
import streamer.emulator

_ANCHORS: Final = {
    "Connection": "connection-options",
    "Output": "output-options",
}
_SAID_ELSEWHERE: Final = {
    "as_json",
    "quiet",
    "debug",
}  # options of every command


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill in what a page has marked: mkdocs calls this for each page."""
    for mark, write in MARKS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    return markdown


def commands() -> str:
    """Return every command and option, in Markdown. Options that several commands have stand at the end, once."""
    group: Any = get_command(streamer.cli.app)
    sections: list[str] = []
    shared: dict[str, dict[str, str]] = {heading: {} for heading in _ANCHORS}
    for name, command in group.commands.items():
        own, of_command = _options(command)
        for heading, options in of_command.items():
            shared[heading] |= options
        others = [f"the [{heading.lower()} options](#{_ANCHORS[heading]})" for heading in of_command]
        what = "\n\n".join(line.strip() for line in command.help.split("\n\n"))
        usage = " ".join(["streamer", name, *command.collect_usage_pieces(_context(command))])
        sections += [
            f"## `streamer {name}`",
            re.sub(r"(--[a-z-]+)", r"`\1`", what),
            f"```text\n{re.sub('[{}]', '', usage)}\n```",
            _table("option", own),
            f"It also takes {_series(others)}.",
        ]
    for heading, options in shared.items():
        sections += [f"## {heading} options", _table("option", options)]
    return "\n\n".join(sections)


def faults() -> str:
    """Return every fault of the emulator, in Markdown."""
    return _table("fault", streamer.emulator.Faults.describe())


MARKS: Final[Mapping[str, Callable[[], str]]] = {
    "<!-- the commands -->": commands,
    "<!-- the faults -->": faults,
}


def _context(command: Any) -> Any:
    return command.make_context(command.name, [], resilient_parsing=True)


def _options(command: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return a command's own options, and those that it shares with others; each is a name and a text."""
    own: dict[str, str] = {}
    shared: dict[str, dict[str, str]] = {}
    context = _context(command)
    for parameter in command.params:
        name, text = parameter.get_help_record(context)
        name = re.sub(r" <(str|path)>$", "", name)
        heading = getattr(parameter, "rich_help_panel", None)
        if parameter.name in _SAID_ELSEWHERE:
            heading = "Output"
        (own if heading is None else shared.setdefault(heading, {}))[name] = text
    return own, shared


def _table(what: str, rows: Mapping[str, str]) -> str:
    lines = [f"| `{name}` | {text.replace('|', '&#124;')} |" for name, text in rows.items()]
    return "\n".join([f"| {what} | what it does |", "|---|---|", *lines])


def _series(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
