"""What the README shows works: its programs run, its commands exist, its links lead somewhere."""

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import streamer
from streamer import cli
from streamer.emulator import EmulatedPhone

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMIT_S = 30.0


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Return the words of each command line in the README that calls this program."""
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]


@pytest.mark.parametrize("source", blocks("python"))
def test_every_program_compiles(source: str) -> None:
    compile(source, "README.md", "exec")


async def test_the_first_program_runs(phone: EmulatedPhone) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", blocks("python")[0]),
        env=os.environ
        | {
            "INSTANCE": phone.instance_id,
            "STREAMER_ENDPOINT": phone.endpoint,
            "STREAMER_AUTH_TOKEN": phone.tenant_token,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert b"AudioPort(address='10.83.71.187', port=10030, type=1, address_ipv6=None)\n" in out
    assert b"(640, 360, 3) AudioPort(" in out


@pytest.mark.parametrize("words", commands("streamer"), ids=" ".join)
def test_every_command_exists_with_its_options(words: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [words[0], "--help"], env={"COLUMNS": "400"})
    assert result.exit_code == 0
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", result.output)


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_every_make_target_exists(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(words[0])}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bstreamer\.([A-Z]\w+)", README))))
def test_every_name_is_public(name: str) -> None:
    assert name in streamer.__all__


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_every_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    table = set(re.findall(r"^\| (\d+) \|", README, re.MULTILINE))
    assert table == {str(code) for code in {0, 130, *(code for _, code in cli.EXIT_CODES)}}
