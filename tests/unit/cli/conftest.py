"""What a command sets for its process, its tests leave as it was."""

import logging
from collections.abc import Iterator

import pytest

from streamer.cli import output


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what commands do that run in the test's own process: how the package logs, and whether it says anything."""
    ours = logging.getLogger("streamer")
    before = ours.level, ours.propagate, ours.handlers
    yield
    ours.level, ours.propagate, ours.handlers = before
    output.be_quiet(False)
