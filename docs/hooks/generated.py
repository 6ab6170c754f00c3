"""Write into the pages, each time the site is built: what the code says of itself, and how to run short examples."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from typer.main import get_command

import streamer.cli
import streamer.emulator
from streamer.cli.help import sections

_SHARED: Final = {
    "API": "API options",
    "Connection": "Connection options",
    "Messages": "Message options",
}
_QUICKSTART: Final = "quickstart.md"
_WHOLE: Final = re.compile(r"^import (streamer|pytest)$", re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Fill in what a page has marked, and say what its short examples need: mkdocs calls this for each page."""
    for mark, write in MARKS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    return with_hint(markdown, page.file.src_uri)


def with_hint(markdown: str, path: str) -> str:
    """Return a page that says below its title how to run its short examples, if it has some."""
    blocks = re.findall(r"^```python\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    is_short = any(re.search(r"\b(phone|instance)\b", block) and not _WHOLE.search(block) for block in blocks)
    if not is_short or path == _QUICKSTART:
        return markdown
    link = f"{'../' * path.count('/')}{_QUICKSTART}#short-examples-on-other-pages"
    title, _, rest = markdown.partition("\n")
    hint = f"<small>The short examples belong inside a program: [how to run them]({link}).</small>"
    return f"{title}\n\n{hint}\n{rest}"


def commands() -> str:
    """Return every command and option, in Markdown. Options that several commands have stand at the end, once."""
    group: Any = get_command(streamer.cli.app)
    pages: list[str] = []
    shared: dict[str, dict[str, str]] = {heading: {} for heading in _SHARED}
    for name, command in group.commands.items():
        context = command.make_context(command.name, [], resilient_parsing=True)
        of_command = sections(command, context)
        titles = [title for heading, title in _SHARED.items() if heading in of_command]
        others = [f"[{title}](#{title.lower().replace(' ', '-')})" for title in titles]
        for heading in _SHARED:
            shared[heading] |= of_command.pop(heading, [])
        what = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
        pages += [
            f"## `streamer {name}`",
            re.sub(r"(--[a-z-]+)", r"`\1`", what),
            f"```text\nstreamer {name} {' '.join(command.collect_usage_pieces(context))}\n```",
            *(_table(heading, dict(rows)) for heading, rows in of_command.items()),
            f"More: {_series(others)}.",
        ]
    for heading, title in _SHARED.items():
        pages += [f"## {title}", _table("option", shared[heading])]
    return "\n\n".join(pages)


def faults() -> str:
    """Return every fault of the emulator, in Markdown."""
    return _table("fault", streamer.emulator.Faults.describe())


MARKS: Final[Mapping[str, Callable[[], str]]] = {
    "<!-- the commands -->": commands,
    "<!-- the faults -->": faults,
}


def _table(what: str, rows: Mapping[str, str]) -> str:
    lines = [f"| `{name}` | {text.replace('|', '&#124;')} |" for name, text in rows.items()]
    return "\n".join([f"| {what} | what it does |", "|---|---|", *lines])


def _series(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
