"""What the words given for an option mean, and that the command line's defaults are the package's."""

import contextlib
import inspect
import math
import re
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

import streamer
from streamer import cli, credentials_from_environment
from streamer.cli.frames import next_number
from streamer.cli.options import Api, Connection, default_name, number, one_of, seconds, whole
from streamer.media.playback import audio_frames
from streamer.media.recording import clips


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("90", 90), ("1.5", 1.5), ("10s", 10), ("1m30s", 90), ("1h30m", 5400), ("15m", 900), ("2h", 7200),
        ("7d", 604_800), ("1d2h3m4.5s", 93_784.5),
        ("0.5h", 1800), ("0", 0), ("0s", 0),
    ],
)  # fmt: skip
def test_a_time_is_seconds_or_has_units(words: str, value: float) -> None:
    assert seconds()(words) == value


@pytest.mark.parametrize(
    "words", ["", "inf", "nan", "-1", "-1s", "1x", "s", "1h30", "10 s", "1s1m", "\u0661s", "1e999", "∞"]
)
def test_an_invalid_time_is_refused_with_one_sentence(words: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a time of at least 0s, such as 90s, 15m or 1h30m, got"):
        seconds()(words)


def test_a_time_that_is_too_short_is_refused() -> None:
    assert seconds(0.5)("0.5s") == 0.5
    with pytest.raises(typer.BadParameter, match=r"at least 0\.5s"):
        seconds(0.5)("0.4s")


@given(st.text())
def test_any_words_are_a_finite_time_or_refused(words: str) -> None:
    with contextlib.suppress(typer.BadParameter):
        assert math.isfinite(seconds()(words))


@pytest.mark.parametrize("words", ["", "nan", "inf", "-inf", "0.5", "121", "ten"])
def test_an_invalid_number_or_one_outside_its_limits_is_refused(words: str) -> None:
    assert number(1, 120)("1") == 1
    assert number(1, 120)("120.0") == 120
    with pytest.raises(typer.BadParameter, match="expected a number from 1 to 120, got"):
        number(1, 120)(words)


@pytest.mark.parametrize("words", ["", "1.5", "-1", "0", "121", "ten", "\u0661", "1_0", "9" * 5000])
def test_a_whole_number_outside_its_limits_is_refused(words: str) -> None:
    assert whole(1, 120)("120") == 120
    assert whole(16, 8192, 2)("720") == 720
    with pytest.raises(typer.BadParameter, match="from 16 to 8192 in steps of 2, got 721"):
        whole(16, 8192, 2)("721")
    with pytest.raises(typer.BadParameter, match="expected a whole number from 1 to 120, got"):
        whole(1, 120)(words)


def test_a_word_is_one_of_its_choices_and_can_be_completed() -> None:
    assert one_of(("png", "jpg"))("jpg") == "jpg"
    with pytest.raises(typer.BadParameter, match="expected h264, h265 or vp9, got av2"):
        one_of(("h264", "h265", "vp9"))("av2")
    env = {"_STREAMER_COMPLETE": "complete_bash", "COMP_WORDS": "streamer record --codec h", "COMP_CWORD": "3"}
    result = CliRunner().invoke(cli.app, [], env=env, prog_name="streamer")
    assert result.output.split() == ["h264", "h265"]


@given(st.text())
def test_any_instance_id_makes_a_plain_file_name(instance: str) -> None:
    name = str(default_name(instance, ".mp4"))
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}-\d{8}-\d{6}\.mp4", name)
    assert Path(name).name == name


def test_a_default_name_has_the_phone_and_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20261128-150000")
    assert default_name("Q39YyZvI", ".mp4") == Path("Q39YyZvI-20261128-150000.mp4")
    assert default_name("../{x}") == Path("x_-20261128-150000")
    assert default_name("..") == Path("phone-20261128-150000")


def test_the_numbers_of_images_continue_after_existing_ones() -> None:
    assert next_number([]) == 0
    assert next_number(["000000.png", "000007.jpg", "a.png", "7.png", "000009.txt", "screen-000099.png"]) == 8


def test_every_command_that_connects_has_the_same_options() -> None:
    wanted = {f"--{field.name.replace('_', '-')}" for field in fields(Connection)} | {"--json", "--quiet", "--debug"}
    for command in ("record", "frames", "screenshot", "audio"):
        text = CliRunner().invoke(cli.app, [command, "-h"], env={"COLUMNS": "200"}).output
        assert wanted <= set(re.findall(r"--[a-z-]+", text)), command


@pytest.mark.parametrize("command", ["record", "frames", "screenshot", "clip", "audio", "info", "phone", "demo"])
def test_every_command_has_json_and_a_short_help_option(command: str) -> None:
    result = CliRunner().invoke(cli.app, [command, "-h"])
    assert (result.exit_code, "--json" in result.output) == (0, True)


def test_the_defaults_of_the_command_line_are_those_of_the_package() -> None:
    defaults = {name: given.default for name, given in inspect.signature(cli.commands.clip).parameters.items()}
    assert (defaults["width"], defaults["fps"]) == (clips.WIDTH, clips.FPS)
    text = CliRunner().invoke(cli.app, ["audio", "-h"], env={"COLUMNS": "200"}).output
    assert f"{audio_frames.RATES[0]} to {audio_frames.RATES[-1]}" in text
    wanted = inspect.signature(streamer.Session.screenshot).parameters["timeout_s"].default
    assert inspect.signature(cli.commands.screenshot).parameters["timeout"].default == wanted
    assert Connection().give_up_after == streamer.Reconnect().give_up_after_s


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("command", ["", "record", "frames", "screenshot", "clip", "audio", "info", "phone", "demo"])
def test_each_help_fits_its_width_and_has_its_texts_in_one_column(width: int, command: str) -> None:
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": str(width)})
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.isprintable() for line in lines)
    assert not re.search(r"[{}<>()]", lines[0])
    assert {"Exit codes:", *(["Messages:"] if command else [])} <= {*lines}
    if command:
        options = "\n".join(lines).partition("Exit codes:")[0]
        assert {len(found) for found in re.findall(r"^(  -.*?  +)[A-Z]", options, re.MULTILINE)} == {30}


def test_help_says_which_credentials_the_environment_may_hold() -> None:
    for command in ("record", "info"):
        text = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "100"}).output
        for name in re.findall(r"STREAMER_(\w+)", inspect.getdoc(credentials_from_environment) or ""):
            assert f"_{name}" in text or f"_{name.removeprefix('IAM')[1:]}" in text
    assert "Credentials" not in CliRunner().invoke(cli.app, ["clip", "--help"]).output


def test_the_error_about_a_missing_instance_names_its_variable() -> None:
    result = CliRunner().invoke(cli.app, ["info"], env={"STREAMER_INSTANCE": ""})
    assert result.exit_code == 2
    assert "'INSTANCE': expected a value, got none: give one, or set STREAMER_INSTANCE" in result.output
    assert "Missing argument 'FILE'" in CliRunner().invoke(cli.app, ["clip"]).output


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"streamer {streamer.__version__}\n")


@pytest.mark.edge
def test_help_is_shown_before_anything_heavy_is_imported() -> None:
    program = (
        "import sys; sys.argv = ['streamer', 'record', '--help']\n"
        "from streamer import __main__\n"
        "try: __main__.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'aiortc', 'asyncio', 'av', 'httpx', 'msgspec', 'numpy', 'rich', 'websockets'} & sys.modules.keys()\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("record any phone.mp4", "got phone.mp4: name the output with -o, and quote what has spaces"),
        ("record any --duration 2 min", "got min: name the output with -o, and quote what has spaces"),
        ("info any other", "got other: quote what has spaces"),
    ],
)
def test_an_extra_argument_says_where_it_belongs(words: str, said: str) -> None:
    result = CliRunner().invoke(cli.app, words.split())
    assert (result.exit_code, f"expected no more arguments, {said}" in result.output) == (2, True)


def test_a_command_that_asks_the_api_alone_has_no_option_for_a_stream() -> None:
    group: Any = get_command(cli.app)
    of_stream = {field.name for field in fields(Connection)} - {field.name for field in fields(Api)}
    options = {name: {parameter.name for parameter in command.params} for name, command in group.commands.items()}
    streaming = {name for name, names in options.items() if of_stream & names}
    assert streaming == {"record", "frames", "screenshot", "audio", "mcp", "view", "watch"}
    assert all(of_stream <= options[name] for name in streaming)
