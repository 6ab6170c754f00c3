"""The README's program runs, and its links lead somewhere. `test_pages.py` looks at its commands and names."""

import asyncio
import re
import sys
import tomllib

import pytest

from streamer.emulator import EmulatedPhone
from tests.docs.pages import ROOT, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMIT_S = 60.0


async def test_the_first_program_runs(phone: EmulatedPhone) -> None:
    (block,) = [block for block in blocks("python") if block.page == "README.md"]
    source = block.source.replace("http://127.0.0.1:8470", phone.endpoint).replace("demo-token", phone.tenant_token)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", source),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert b"(640, 360, 3)" in out


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_every_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_package_index_shows_no_link_that_leads_nowhere() -> None:
    text = README
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["metadata"]["hooks"]
    for each in build["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    assert re.findall(r"\]\(.*?\)", text) == []
    assert "Quickstart (`docs/quickstart.md`)" in text
    assert "tagged [doc], [seen] or [assumed] in `docs/protocol.md`." in text


def test_the_first_screen_says_what_it_is_and_how_sure() -> None:
    first = README.partition("![")[0]
    assert "gives your Python program" in first
    assert "Status: beta. Not yet tested against a real KooPhone." in first
