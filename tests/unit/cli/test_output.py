"""What commands show: text that others have said is text, JSON is plain, and no code page is too small."""

import asyncio
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from streamer.cli import display, options, output, runtime
from streamer.cli.output import Console, show_result, styled

HOSTILE = "\x1b]0;owned\x07[red]x[/red][/]\x9b31m\r\n\u202e:smile:"


def shown(thing: object, *, colours: bool = False) -> str:
    console = Console()
    console.file = io.StringIO()
    if colours:
        console._force_terminal = True
        console._color_system = console._detect_color_system()
    console.print(thing)
    return console.file.getvalue()


def table_of(text: str) -> Table:
    table = display.facts_table()
    table.add_row("name", text)
    return table


@given(st.text())
def test_foreign_text_reaches_a_terminal_without_control_codes_and_markup(text: str) -> None:
    for thing in (text, table_of(text), styled("before ", (text, "bold"))):
        out = shown(thing)
        assert all(character.isprintable() or character == "\n" for character in out), repr(out)


def test_escape_sequences_and_markup_are_shown_as_they_are() -> None:
    for out in (shown(HOSTILE), shown(table_of(HOSTILE)), shown(styled(HOSTILE))):
        assert r"\x1b]0;owned\x07[red]x[/red][/]\x9b31m\r" in out
        assert r"\u202e:smile:" in out


def test_a_status_takes_no_markup() -> None:
    console = Console()
    console.file = io.StringIO()
    with console.status(styled("[/nonsense]")) as status:
        status.update(styled("[/]"))


def test_the_log_is_escaped_also_in_a_traceback() -> None:
    record = logging.LogRecord("streamer", logging.ERROR, "", 0, "< %s", (HOSTILE,), None)
    error = ValueError(HOSTILE)
    record.exc_info = (ValueError, error, None)
    said = runtime._Formatter("%(name)s %(message)s").format(record)
    assert said.startswith(r"streamer < \x1b]0;owned\x07")
    assert "\nValueError: " in said
    assert all(character.isprintable() or character == "\n" for character in said)


@pytest.mark.edge
@pytest.mark.parametrize("settings", [{"FORCE_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}, {}])
def test_json_is_plain_whatever_the_environment_says(settings: dict[str, str]) -> None:
    program = (
        "from streamer.cli.output import show_result; show_result({'a': 'é\\x1b\\udc80', 'b': 1}, '', as_json=True)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | settings, capture_output=True, check=True)
    assert done.stdout == b'{"a": "\\u00e9\\u001b\\udc80", "b": 1}\n'
    assert done.stderr == b""


def test_a_result_beside_a_pipe_goes_to_the_error_output(capsys: pytest.CaptureFixture[str]) -> None:
    show_result({"path": Path("-")}, "", as_json=True, is_pipe=True)
    said = capsys.readouterr()
    assert (said.out, json.loads(said.err)) == ("", {"path": "-"})


@pytest.mark.edge
@pytest.mark.parametrize("encoding", ["ascii", "cp932", "latin-1"])
def test_characters_that_a_code_page_lacks_are_replaced(encoding: str) -> None:
    program = (
        "import sys; from streamer import __main__, cli\n"
        "from streamer.cli.output import out, styled\n"
        "cli.app = lambda: out.print(styled('a · b █ é \\udc80 …'))\n"
        "__main__.main()"
    )
    env = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"a ")
    assert b"\\udc80" in done.stdout


@pytest.mark.edge
def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    program = (
        "from streamer import __main__, cli; from streamer.cli.output import show_result\n"
        "cli.app = lambda: [show_result({'a': 1}, '', as_json=True) for _ in range(100_000)]\n"
        "__main__.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 1)
    process.stderr.close()


@pytest.fixture
def _a_line_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(display, "LINE_EVERY_S", 0.01)
    yield
    output.be_quiet(False)


@pytest.mark.usefixtures("_a_line_at_once")
@pytest.mark.parametrize("quiet", [False, True])
async def test_without_a_terminal_a_line_is_added_at_intervals(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    output.be_quiet(quiet)
    asked = asyncio.Event()
    count = 0

    def line() -> Text:
        nonlocal count
        count += 1
        if count == 3:
            asked.set()
        return Text(f" streaming {count}\n bar")

    async with display.live(line, refresh_per_second=5):
        await asked.wait()
        await asyncio.sleep(0)
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert [line.partition(" ")[2] for line in lines] == (
        [] if quiet else [f" streaming {n} · bar" for n in range(1, 4)]
    )


def test_a_bar_shows_the_progress_and_the_time_left() -> None:
    assert display.bar(0, 90).plain.endswith("━  1m30s left")
    assert display.bar(5400, 9000).plain.endswith("━  1h00m00s left")
    assert display.bar(91, 90).plain.endswith("━  0s left")
    assert {display.bar(done, 100).plain.rfind("━") for done in range(0, 120, 7)} == {40}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.0, "0.0s"),
        (9.96, "10.0s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (90.4, "1m30s"),
        (3599.6, "1h00m00s"),
    ],
)
def test_a_duration_has_its_units(seconds: float, words: str) -> None:
    assert display.duration(seconds) == words


@given(st.floats(0, 1e7))
def test_a_duration_that_is_shown_can_be_given_as_an_option(seconds: float) -> None:
    shown = display.duration(seconds)
    assert options.seconds()(shown) == pytest.approx(seconds, abs=0.5 if seconds > 59.9 else 0.051)


@pytest.fixture
def _warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's warnings as a command shows them."""
    fresh = output.Warnings()
    for module in (output, runtime):
        monkeypatch.setattr(module, "warnings", fresh)
    with monkeypatch.context() as patched:
        patched.setattr(logging, "basicConfig", lambda **_: None)
        runtime._configure_logging(False)


def _log_of_the_package() -> None:
    logger = logging.getLogger("streamer.record")
    for _ in range(2):
        logger.warning("= %s stays in fragments", "a.mp4", exc_info=ValueError("why"))
    logger.error("a.mp4 cannot be written")
    logger.info("nobody needs this")


@pytest.mark.usefixtures("_warnings")
@pytest.mark.parametrize("quiet", [False, True])
def test_a_warning_of_the_package_is_one_line_shown_once(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    output.be_quiet(quiet)
    _log_of_the_package()
    said = capsys.readouterr()
    assert said.out == ""
    assert re.sub(r"[\d:]{8}", "TIME", said.err) == ("" if quiet else "TIME  warning: a.mp4 stays in fragments\n")


@pytest.mark.usefixtures("_warnings")
def test_a_warning_that_an_error_quotes_is_not_shown_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no relay"), output.warnings.held():
        logging.getLogger("streamer.rtc").warning("= turn:a: no answer")
        logging.getLogger("streamer.rtc").warning("= turn:b: refused")
        assert capsys.readouterr().err == ""
        raise ValueError("no relay candidate: turn:a: no answer")
    assert capsys.readouterr().err.endswith("  warning: turn:b: refused\n")


async def test_a_signal_with_an_action_does_not_end_the_command() -> None:
    asked = asyncio.Event()
    assert runtime.SCREENSHOT is not None
    with runtime.on_signal(asked.set, numbers=[runtime.SCREENSHOT]):
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(5):
            await asked.wait()


async def test_a_line_is_drawn_in_the_event_loop_of_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.notes, "_force_terminal", True)
    monkeypatch.setattr(output.notes, "_file", io.StringIO())
    callers = set()
    drawn = asyncio.Event()

    def line() -> Text:
        callers.add(threading.current_thread())
        if not drawn.is_set():
            asyncio.get_running_loop().call_soon(drawn.set)
        return Text("at work")

    async with display.live(line, refresh_per_second=100):
        await drawn.wait()
    assert callers == {threading.main_thread()}
    assert isinstance(output.notes.file, io.StringIO)
    assert "at work" in output.notes.file.getvalue()
