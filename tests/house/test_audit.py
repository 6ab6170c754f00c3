"""What the audit makes of pip-audit's report."""

import pytest

from tests.audit import judge

FINE = {"name": "fine", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


def test_a_finding_fails_and_says_what_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge([FINE, BAD, UNKNOWN]) == 1
    assert "bad 2.0: PYSEC-1; fixed in 2.1" in capsys.readouterr().out


def test_a_package_that_cannot_be_audited_is_reported_and_does_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge([FINE, UNKNOWN]) == 0
    assert "1 of 2 packages audited, 0 findings" in capsys.readouterr().out
