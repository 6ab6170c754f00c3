"""Where a command's words and bytes go: two consoles, the standard output as a pipe, a directory."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from streamer import errors

out = Console()
err = Console(stderr=True)


def refuse_terminal() -> None:
    """Raise `ConfigurationError` if the standard output is a terminal, which is no place for bytes."""
    if sys.stdout.isatty():
        raise errors.ConfigurationError("expected a pipe or a file at the standard output, got a terminal")


@contextlib.contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Raise `RecordingError` for what the system says against writing there."""
    try:
        yield
    except OSError as error:
        raise errors.RecordingError(f"cannot write into {directory}: {error.strerror}") from error
