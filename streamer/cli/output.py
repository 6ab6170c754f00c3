"""A command's output: consoles, JSON, the standard output as a pipe, a directory."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import rich.console
from rich.console import RenderableType
from rich.text import Text

from streamer import errors
from streamer.untrusted_text import UntrustedText

_LINE_LIMIT: Final = 10_000  # columns, where no terminal breaks lines; and characters of a text
_WARNINGS_LIMIT: Final = 1000  # different warnings of a command
_SIZE_ELSEWHERE: Final = rich.console.ConsoleDimensions(_LINE_LIMIT, 25)


class Console(rich.console.Console):
    """A console that prints any text literally: no markup, no emoji, no escape sequences.

    It breaks lines only on a terminal.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text inside a renderable, such as a cell of a table."""
        return super().render_str("\n".join(map(escaped, text.split("\n"))), **options)

    @property  # type: ignore[misc]
    def size(self) -> rich.console.ConsoleDimensions:
        """How many columns and lines there are."""
        return super().size if self.is_terminal else _SIZE_ELSEWHERE


out = Console()  # results
notes = Console(stderr=True)  # progress and warnings
err = Console(stderr=True)  # errors


class Warnings:
    """Warnings, each printed once, as a line with its time. Any thread may add one."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._held: list[str] | None = None

    def add(self, message: str) -> None:
        """Print a warning, at once or when `held` ends, unless it was printed before."""
        if message in self._known or len(self._known) >= _WARNINGS_LIMIT:
            return
        self._known.add(message)
        if self._held is None:
            _print_warning(message)
        else:
            self._held.append(message)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold warnings back until the end of the block; then print them, except those that its error names."""
        held: list[str] = []
        self._held = held
        said = ""
        try:
            yield
        except Exception as error:
            said = str(error)
            raise
        finally:
            self._held = None
            for message in held:
                if message not in said:
                    _print_warning(message)


def _print_warning(message: str) -> None:
    note(f"warning: {message}", "yellow")


def note(words: str, style: str = "") -> None:
    """Print a line with the time."""
    notes.print(styled(f"{time.strftime('%H:%M:%S')}  ", (words, style)))


warnings = Warnings()


def be_quiet(quiet: bool) -> None:
    """Print only errors and JSON, or everything."""
    out.quiet = notes.quiet = quiet


def escaped(text: str) -> str:
    """Return a text without control characters."""
    return str(UntrustedText(text, limit=_LINE_LIMIT))


def styled(*parts: str | tuple[str, str]) -> Text:
    """Join texts, each with an optional style. Markup inside a text has no effect."""
    return Text.assemble(*(escaped(part) if isinstance(part, str) else (escaped(part[0]), part[1]) for part in parts))


def show_result(facts: Mapping[str, Any], words: RenderableType, *, as_json: bool, is_pipe: bool = False) -> None:
    """Print a command's result: in words, or as one line of JSON.

    With `is_pipe` the standard output carries data, and the result goes to the error output.
    """
    if as_json:
        stream = sys.stderr if is_pipe else sys.stdout
        stream.write(json.dumps(facts, default=str) + "\n")  # plain, whatever FORCE_COLOR says
        stream.flush()
    else:
        (notes if is_pipe else out).print(words)


def refuse_terminal() -> None:
    """Raise `ConfigurationError` if the standard output is a terminal."""
    if sys.stdout.isatty():
        raise errors.ConfigurationError(
            "expected a pipe or a file as standard output, got a terminal: redirect it, such as with > FILE"
        )


@contextlib.contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Turn an OSError of the block into a `RecordingError`."""
    try:
        yield
    except OSError as error:
        why = "it is a file: name a directory" if isinstance(error, FileExistsError) else error.strerror
        raise errors.RecordingError(f"cannot write into {directory}: {why}") from error
