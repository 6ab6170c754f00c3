"""Where a command's words and bytes go: consoles, JSON, the standard output as a pipe, a directory."""

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
    """A console on which a text is a text, whoever it came from: no markup, no emoji, no escape sequence.

    Lines are broken only where a terminal would break them in the middle of a word.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text that something shown holds, such as a cell of a table."""
        return super().render_str("\n".join(map(escaped, text.split("\n"))), **options)

    @property  # type: ignore[misc]
    def size(self) -> rich.console.ConsoleDimensions:
        """How many columns and lines there are."""
        return super().size if self.is_terminal else _SIZE_ELSEWHERE


out = Console()  # results
notes = Console(stderr=True)  # what happens meanwhile
err = Console(stderr=True)  # why a command failed


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
        """Print the warnings that come meanwhile at the end, without those that the error that is raised names."""
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
    """Print what happens, with its time."""
    notes.print(styled(f"{time.strftime('%H:%M:%S')}  ", (words, style)))


warnings = Warnings()


def be_quiet(quiet: bool) -> None:
    """Show nothing but errors, and JSON that was asked for; or all."""
    out.quiet = notes.quiet = quiet


def escaped(text: str) -> str:
    """Return a text without anything that a terminal could take for a command."""
    return str(UntrustedText(text, limit=_LINE_LIMIT))


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return texts, each by itself or with its style, as one; none of them can bring a style of its own."""
    return Text.assemble(*(escaped(part) if isinstance(part, str) else (escaped(part[0]), part[1]) for part in parts))


def show_result(facts: Mapping[str, Any], words: RenderableType, *, as_json: bool, is_pipe: bool = False) -> None:
    """Print what a command has done: in words, or as one line of JSON.

    With `is_pipe` the standard output has taken bytes, and this goes to the error output.
    """
    if as_json:
        stream = sys.stderr if is_pipe else sys.stdout
        stream.write(json.dumps(facts, default=str) + "\n")  # plain, whatever FORCE_COLOR says
        stream.flush()
    else:
        (notes if is_pipe else out).print(words)


def refuse_terminal() -> None:
    """Raise `ConfigurationError` if the standard output is a terminal, which is no place for bytes."""
    if sys.stdout.isatty():
        raise errors.ConfigurationError(
            "expected a pipe or a file as standard output, got a terminal: redirect it, such as with > FILE"
        )


@contextlib.contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Raise `RecordingError` for what the system says against writing there."""
    try:
        yield
    except OSError as error:
        why = "it is a file: name a directory" if isinstance(error, FileExistsError) else error.strerror
        raise errors.RecordingError(f"cannot write into {directory}: {why}") from error
