"""The site builds without a warning, shows every command, and needs nothing from elsewhere to be read."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from typer.main import get_command

from streamer import cli
from streamer.emulator import Faults
from tests.docs.pages import PAGES, ROOT

pytest.importorskip("mkdocs", reason="the group docs is not installed")
LIMIT_S: Final = 240


@pytest.mark.timeout(LIMIT_S)
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\bsrc=\"([^\"]*)\"|<link[^>]*\bhref=\"([^\"]*)\"", text)
        assert not [url for pair in loaded for url in pair if url.startswith(("http", "//"))], page
        assert ":::" not in text, page
    assert (tmp_path / "index.html").exists()


@pytest.fixture(scope="module")
def generated() -> Any:
    spec = importlib.util.spec_from_file_location("generated", ROOT / "docs" / "hooks" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_with_short_examples_says_how_to_run_them(generated: Any) -> None:
    short, whole = "await phone.screenshot()", "import asyncio\nimport streamer\nphone = 1"
    page = "# Title\n\nText.\n\n```python\n{}\n```\n"
    hinted = generated.with_hint(page.format(short), "howto/frames.md")
    assert hinted.startswith("# Title\n\n<small>")
    assert "(../quickstart.md#short-examples-on-other-pages)" in hinted
    assert "(quickstart.md#short-examples-on-other-pages)" in generated.with_hint(page.format(short), "recording.md")
    for text, path in (
        (page.format(whole), "cli.md"),
        ("# Title\n\nText.\n", "cli.md"),
        (page.format(short), "quickstart.md"),
    ):
        assert generated.with_hint(text, path) == text


def test_the_generated_parts_have_every_option_and_fault(generated: Any) -> None:
    page = generated.commands()
    group: Any = get_command(cli.app)
    for name, command in group.commands.items():
        assert f"## `streamer {name}`" in page
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert re.search(rf"`[^`]*(?<![\w-]){option}\b", page), option
    assert all(f"| `{name}` |" in generated.faults() for name in Faults.describe())
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert all(pages.count(mark) == 1 for mark in generated.MARKS)
