"""The suite of examples/ui_test is run as a user runs it, on an emulator, with the test of a page beside it."""

from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import ROOT, blocks
from tests.support.pytest_runs import run_suite

pytestmark = pytest.mark.edge
CONFTEST: Final = """
import pytest

@pytest.fixture(scope="session")
def phone_emulator_options():
    return {"width": 360, "height": 640, "fps": 15, "audio": False}
"""


def test_a_suite_signs_in_and_finds_the_bug_also_in_the_words_of_the_page_for_those_who_come(tmp_path: Path) -> None:
    suite = (ROOT / "examples" / "ui_test" / "test_sign_in.py").read_text(encoding="utf-8")
    page = next(block.source for block in blocks("py") if block.page == "docs/howto/from-appium.md")
    files = {"conftest": CONFTEST, "test_sign_in": suite, "test_page": page}
    run = run_suite(tmp_path, files, "-q", "-p", "no:asyncio")
    assert run.counts == {"failed": 1, "passed": 4}, run.out
    said = 'after 5 s "Welcome, Bartholomew.smith" was not on the screen; nearest: "Welcome, Bartholomew.smit" at ('
    assert said in run.out
    assert run.kept() == {
        "test_sign_in-test_a_long_name_is_shown_whole": ["failure.png", "timeline.jsonl", "video.mp4"]
    }
