"""`streamer timeline` on the command line: what it writes, says and exits with."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streamer import cli
from tests.support.runs import write_run


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, ["timeline", *map(str, arguments)], catch_exceptions=False)


def test_a_run_is_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", has_video=False)
    result = run("show", folder)
    assert result.exit_code == 0
    page = folder / "timeline.html"
    assert result.stdout == f"wrote {page}: open it in a browser\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    facts = json.loads(run("show", folder / "timeline.jsonl", "-o", tmp_path / "page.html", "--json").stdout)
    assert facts == {
        "page": str(tmp_path / "page.html"),
        "test": "tests/test_shop.py::test_pay",
        "outcome": "passed",
        "video": None,
    }


def test_two_runs_are_compared(tmp_path: Path) -> None:
    good = write_run(tmp_path / "good")
    marked = write_run(tmp_path / "marked", marked=2, lengths_s=(1.0, 1.0, 1.2))
    assert run("compare", good, good).exit_code == 0
    result = run("compare", good, marked)
    assert result.exit_code == 7
    verdict, wrote = result.stdout.splitlines()
    assert verdict.startswith('after "pay" 0.9')
    assert wrote == f"wrote {marked / 'comparison.html'}: open it in a browser"
    result = run("compare", good, marked, "--json")
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["differs"], facts["first"], facts["verdict"]) == (7, True, "pay", verdict)
    assert [step["differs_in"] for step in facts["steps"]] == [[], [], ["picture"]]
    assert run("compare", good, marked, "--ignore", "0.0,0.5,1.0,0.5").exit_code == 0
    result = run("compare", good, marked, "--ignore", "0.0,0.5,1.0,0.5", "--least", "0.1", "--percent", "10")
    assert result.exit_code == 7
    assert result.stdout.startswith('"pay" took 1.20 s in the bad run, and 1.00 s in the good\n')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["play", "a"], "expected show or compare, got play"),
        (["compare", "a"], "expected two folders to compare, got one: name that of the bad run, too"),
        (["show", "a", "b"], "expected one folder to show, got b too"),
        (["compare", "a", "b", "--ignore", "1,2,3"], "expected four numbers such as 0.0,0.9,1.0,0.1, got 1,2,3"),
        (["compare", "a", "b", "--ignore", "0,0,2.0,1.0"], "expected width as pixels (int) or a fraction from 0.0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_folder_without_a_timeline_is_an_error(tmp_path: Path) -> None:
    result = run("show", tmp_path)
    assert result.exit_code == 2
    assert "run pytest with --phone-timeline on" in result.stderr
