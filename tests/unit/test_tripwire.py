"""The plugin that looks for secrets finds them, wherever they are told."""

import subprocess
import sys
from pathlib import Path

import pytest

LEAKS = {
    "print": "print(phone.tenant_token)",
    "log": "logging.getLogger('streamer.any').debug('%s', phone.tenant_token)",
    "error": "logging.getLogger('streamer.any').error('failed', exc_info=ValueError(phone.tenant_token))",
    "file": "(tmp_path / 'report.json').write_text(phone.tenant_token)",
    "nothing": "assert phone.tenant_token",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_test_that_tells_a_token_fails(leak: str, tmp_path: Path) -> None:
    test = tmp_path / "test_leak.py"
    test.write_text(f"import logging\n\nasync def test_leak(phone, tmp_path):\n    {LEAKS[leak]}\n")
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"--rootdir={root}", "-c", str(root / "pyproject.toml"), str(test)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        check=False,
    )
    assert (ended.returncode == 0) == (leak == "nothing"), ended.stdout
    assert ("a token of the embedded phone stands in" in ended.stdout) == (leak != "nothing")
