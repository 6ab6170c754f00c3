"""pytest as a user runs it, with the plugin, in a process of its own."""

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIMIT_S: Final = 240.0
SMALL: Final = '{"width": 180, "height": 320, "fps": 20, "audio": False}'
CONFTEST: Final = f"""
import pytest

@pytest.fixture(scope="session")
def phone_emulator_options():
    return {SMALL}

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run printed, and what came of each test."""

    code: int
    out: str
    folder: Path  # in which it ran

    @property
    def counts(self) -> dict[str, int]:
        """How many tests passed, failed and so on, as the last line says."""
        last = self.out.strip().splitlines()[-1]
        return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|rerun|skipped)", last)}

    def kept(self) -> dict[str, list[str]]:
        """The names of the files in each test's folder."""
        results = self.folder / "test-results"
        folders = sorted(results.iterdir()) if results.exists() else []
        return {folder.name: sorted(path.name for path in folder.iterdir()) for folder in folders}


def run_pytest(folder: Path, test: str, *words: str, **variables: str) -> Run:
    """Run a test file with a small emulator in a folder that has nothing else."""
    return run_suite(folder, {"conftest": CONFTEST, "test_it": textwrap.dedent(test)}, *words, **variables)


def run_suite(folder: Path, files: dict[str, str], *words: str, **variables: str) -> Run:
    """Run the files of a test suite, each under its name, in a folder that has nothing else."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    for name, source in files.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMER_", "PYTEST_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", *words],
        cwd=folder,
        env=kept | {"COLUMNS": "200"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Run(ended.returncode, ended.stdout, folder)
