"""What the pages say of names, commands, options and limits, against the code."""

import ast
import dataclasses
import functools
import inspect
import json
import re
import tomllib
from typing import Any, Final, get_args

import pytest
from typer.main import get_command

import streamer
import streamer.sync
from streamer import cli, emulator, errors
from streamer.agent.arguments import TOOLS
from streamer.cli.exit_codes import MEANINGS
from streamer.cloud import error_codes as codes
from streamer.events import EventKind
from streamer.signaling import messages
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, first_column

GROUP: Final[Any] = get_command(cli.app)
TEXTS: Final = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}


def check(words: list[str]) -> None:
    """Parse the words of a `streamer` command; raises what the command line would say."""
    if words[0].startswith("-"):
        assert words[0] in {"--version", "--help", "--install-completion"}
        return
    values = GROUP.commands[words[0]].make_context(words[0], words[1:]).params
    emulator.Faults.parse([fault for fault in values.get("fault") or [] if fault != "list"])


@pytest.mark.parametrize(("block", "words"), commands("streamer"), ids=str)
def test_a_command_parses(block: Block, words: list[str]) -> None:
    check(words)


@pytest.mark.parametrize(("block", "words"), commands("make"), ids=str)
def test_a_make_target_exists(block: Block, words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(words[0])}:", makefile, re.MULTILINE)


def test_the_command_of_the_service_parses() -> None:
    unit = TEXTS["docs/howto/systemd.md"].replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=/opt/streamer/bin/streamer (.*)$", unit, re.MULTILINE)
    words = [word.replace("%%", "%").replace("%i", "Q39YyZvI").strip('"') for word in line.split()]
    check(words)


def test_the_commands_of_the_workflows_parse() -> None:
    sources = "".join(workflow.source for workflow in blocks("yaml"))
    lines = re.findall(r"- run: streamer (.*)$", sources, re.MULTILINE)
    assert lines
    for line in lines:
        check([word.strip('"') for word in line.split()])


@pytest.mark.parametrize("page", TEXTS)
def test_each_name_is_public(page: str) -> None:
    for module, public in (
        ("streamer", streamer.__all__),
        ("streamer.emulator", emulator.__all__),
        ("streamer.sync", streamer.sync.__all__),
    ):
        named = set(re.findall(rf"(?<![\w.]){re.escape(module)}\.([A-Z]\w+)", TEXTS[page]))
        assert named <= set(public)


@functools.cache
def source() -> str:
    """Return the text of all modules."""
    return "".join(path.read_text(encoding="utf-8") for path in (ROOT / "streamer").rglob("*.py"))


@pytest.mark.parametrize("page", TEXTS)
def test_each_variable_is_read(page: str) -> None:
    for name in set(re.findall(r"\bSTREAMER_[A-Z_]*[A-Z]\b", TEXTS[page])):
        assert name in source() or (name.startswith("STREAMER_IAM_") and f"_{name.rpartition('_')[2]}" in source())


def test_the_diagram_shows_packages_and_modules_that_there_are() -> None:
    drawing = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    shown = {name.replace(".", "/") for name in re.findall(r'class="m">([^<]+)<', drawing)}
    package = ROOT / "streamer"
    assert all((package / name).is_dir() or (package / f"{name}.py").is_file() for name in shown)
    parts = {f"media/{path.parent.name}" for path in package.glob("media/*/__init__.py")}
    assert {"cloud", "signaling", "rtc", *parts} <= shown


def test_the_reference_has_every_public_name() -> None:
    text = "".join(text for page, text in TEXTS.items() if page.startswith("docs/reference/"))
    shown = set(re.findall(r"^::: (streamer\.[\w.]+)$", text, re.MULTILINE))
    of_errors = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    wanted = {f"streamer.{name}" for name in streamer.__all__ if name not in of_errors}
    wanted |= {f"streamer.emulator.{name}" for name in emulator.__all__}
    wanted |= {f"streamer.sync.{name}" for name in streamer.sync.__all__}
    assert wanted <= shown
    assert "streamer.errors" in shown


@pytest.mark.parametrize("name", sorted(streamer.__all__ + emulator.__all__))
def test_each_field_of_a_public_class_is_described(name: str) -> None:
    """In its docstring, in a comment behind it, which docs/hooks/comments.py shows, or as a fault's meaning."""
    public: Any = getattr(streamer, name, None) or getattr(emulator, name)
    if not (inspect.isclass(public) and dataclasses.is_dataclass(public)) or public is emulator.Faults:
        return
    (tree,) = ast.parse(source := inspect.getsource(public)).body
    assert isinstance(tree, ast.ClassDef)
    lines, text = source.splitlines(), ast.get_docstring(tree) or ""
    fields = [node for node in tree.body if isinstance(node, ast.AnnAssign)]
    bare = [ast.unparse(field.target) for field in fields if "#" not in lines[(field.end_lineno or 0) - 1]]
    assert not [field for field in bare if not field.startswith("_") and f"\n    {field}: " not in text]


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    drawn = re.findall(r"\w+Error\b", TEXTS["docs/reference/errors.md"].partition("```text")[2].partition("```")[0])
    assert set(drawn) == {name for name in streamer.__all__ if name.endswith("Error")}


def test_each_error_has_advice() -> None:
    page = TEXTS["docs/howto/errors.md"]
    told = first_column(page, "| error | it means | do |\n") | {"StreamerError", "CloudError", "SignalingError"}
    assert told == {name for name in streamer.__all__ if name.endswith("Error")}


def test_the_reasons_of_a_recording_are_those_of_the_code() -> None:
    said = set(re.findall(r'"([a-z-]+)"\s+\(', inspect.getdoc(streamer.RecordingError) or ""))
    assert first_column(TEXTS["docs/howto/errors.md"], "| reason | meaning |\n") == said


def test_the_kinds_of_events_are_those_of_the_code() -> None:
    assert first_column(TEXTS["docs/howto/logging.md"], "| kind | meaning |\n") == set(get_args(EventKind))


def test_the_loggers_are_those_of_the_code() -> None:
    used = {
        str(argument.value)
        for path in (ROOT / "streamer").rglob("*.py")
        if "getLogger" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger"
        for argument in node.args
        if isinstance(argument, ast.Constant) and str(argument.value).startswith("streamer.")
    }
    silent = {name for name in used if name.endswith(".websocket") or name.startswith("streamer.emulator.")}
    assert first_column(TEXTS["docs/howto/logging.md"], "| logger | what it logs |\n") == used - silent


def test_each_file_that_a_page_includes_is_there() -> None:
    lines = [line for text in TEXTS.values() for line in text.splitlines() if line.lstrip().startswith("--8")]
    included = [re.fullmatch(r'--8<-- "([\w./-]+)"', line) for line in lines]
    assert [
        line for line, found in zip(lines, included, strict=True) if not (found and (ROOT / found[1]).is_file())
    ] == []
    assert len(lines) > 5


def test_the_configuration_of_an_agents_client_parses_and_the_tools_are_those_of_the_code() -> None:
    configured = [json.loads(block.source) for block in blocks("json") if "mcpServers" in block.source]
    servers = [server for each in configured for server in each["mcpServers"].values()]
    assert [set(server) for server in servers] == [{"command", "args", "env"}, {"url", "headers"}]
    check(servers[0]["args"])
    assert first_column(TEXTS["docs/howto/agents.md"], "| tool | what it does |\n") == set(TOOLS)


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    header = "| extra | what it installs | you need it for |\n"
    assert first_column(TEXTS["docs/quickstart.md"], header) == set(project["optional-dependencies"])


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    table = TEXTS["docs/cli.md"].partition("| code | meaning |\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| (\d+) \| (.+) \|$", table, re.MULTILINE) == [
        (str(code), meaning) for code, meaning in MEANINGS.items()
    ]


def test_the_codes_of_the_api_are_those_of_the_code() -> None:
    table = TEXTS["docs/protocol.md"].partition("| code | meaning | another try |\n")[2].partition("\n\n")[0]
    rows = [(row.split("|")[1], row.split("|")[3].strip()) for row in table.splitlines()[1:]]
    told = {code: another.startswith("yes") for column, another in rows for code in re.findall(r"\d{4}", column)}
    assert told == {code: meaning.retryable for code, meaning in codes._MEANINGS.items()}


def test_the_close_codes_are_those_of_the_code() -> None:
    table = TEXTS["docs/protocol.md"].partition("| code | meaning | streamer |\n")[2].partition("\n\n")[0]
    rows = [(row.split("|")[1], row.split("|")[3].strip()) for row in table.splitlines()[1:]]
    told = {int(code): does.startswith("connects") for column, does in rows for code in re.findall(r"\d{4}", column)}
    known = {code: retryable for code, (_, retryable) in messages._CLOSE_REASONS.items()}
    assert told == known | {1402: False, 1415: True}
