"""`python -m tests.audit`: whether an installed package has a known vulnerability, as far as can be found out here.

A finding fails. Packages that the advisory service does not know, and a service that cannot be reached, are reported.
"""

import json
import subprocess
import sys
from typing import Any

LIMIT_S = 300


def main() -> int:
    """Ask pip-audit; return the exit code."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--local",
        "--skip-editable",
        "--progress-spinner",
        "off",
        "-f",
        "json",
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        print(f"audit: the advisory service gave no answer within {LIMIT_S} s: nothing was audited")
        return 0
    try:
        packages: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"audit: nothing was audited: {(ended.stderr.strip().splitlines() or ['no answer'])[-1]}")
        return 0 if "onnection" in ended.stderr or "timed out" in ended.stderr else 1
    return judge(packages)


def judge(packages: list[dict[str, Any]]) -> int:
    """Print the result; return the exit code."""
    audited = [package for package in packages if "vulns" in package]
    findings = [(package, finding) for package in audited for finding in package["vulns"]]
    for package, finding in findings:
        fixed = ", ".join(finding["fix_versions"]) or "none yet"
        print(f"audit: {package['name']} {package['version']}: {finding['id']}; fixed in {fixed}")
    print(f"audit: {len(audited)} of {len(packages)} packages audited, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
