"""The plugin that looks for secrets finds them, wherever they are shown."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

LIMIT_S: Final = 180.0
pytestmark = [pytest.mark.edge, pytest.mark.timeout(2 * LIMIT_S)]

# What a test does with `token` → where that is found.
LEAKS: Final = {
    "printing": ("print(token)", "captured Captured stdout call"),
    "printing_and_reading_it": ("print(token, file=sys.stderr); capsys.readouterr()", "what was printed"),
    "logging": ("LOGGER.debug('%s', token)", "captured Captured log call, the log"),
    "logging_an_error": (
        "LOGGER.error('failed', exc_info=ValueError(token))",
        "captured Captured log call, the log",
    ),
    "raising": ("with pytest.raises(StreamerError): raise StreamerError(token)", "an error"),
    "raising_for_a_cause": (
        "with pytest.raises(StreamerError): raise CloudError('failed') from ValueError(token)",
        "an error",
    ),
    "keeping_an_error": ("KEPT.append(CloudError(token))", "an error"),
    "dropping_an_error": ("SignalingRefusedError(token, code=1)", "an error"),
    "a_fact_of_an_error": ("vars(error := StreamerError('failed'))['token'] = token", "an error"),
    "writing": ("(tmp_path / 'report.json').write_text(token)", "report.json"),
    "another_process": (
        "process = await asyncio.create_subprocess_exec(sys.executable, '-c', f'print({token!r})', stdout=PIPE); "
        "await process.communicate()",
        "what another process said",
    ),
    "nothing": ("assert token", ""),
}
_WORDS: Final = "a token of the emulator stands in:"
_HEAD: Final = """
import asyncio, logging, sys
from subprocess import PIPE
import pytest
from streamer import CloudError, SignalingRefusedError, StreamerError

LOGGER = logging.getLogger("streamer.any")
KEPT = []
"""
_TEST: Final = """
async def test_{}(phone, tmp_path, capsys):
    token = phone.tenant_token
    {}
"""


@pytest.fixture(scope="module", params=[(), ("-n", "1")], ids=["alone", "in a worker"])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of pytest about tests that each leak a token in another way."""
    test, root = tmp_path_factory.mktemp("leaks") / "test_leaks.py", Path(__file__).parents[2]
    test.write_text(_HEAD + "".join(_TEST.format(name, leak) for name, (leak, _) in LEAKS.items()))
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *request.param),
            *(f"--rootdir={root}", "-c", str(root / "pyproject.toml"), str(test)),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=root,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    assert f"{len(LEAKS)} passed, {len(LEAKS) - 1} errors" in ended.stdout, ended.stdout
    return ended.stdout


@pytest.mark.parametrize("leak", LEAKS)
def test_a_test_that_shows_a_token_fails_and_says_where(leak: str, said: str) -> None:
    found = re.search(rf" teardown of test_{leak} _+\n+(?:\[gw0].*\n)?{_WORDS} (.*)\n", said)
    assert (found[1] if found else "") == LEAKS[leak][1]
