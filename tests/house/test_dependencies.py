"""What `pyproject.toml` says of the packages that this one needs, against what the code imports and CI installs."""

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from streamer.library_hooks import HOOKS, VERSIONS

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: Final[dict[str, list[str]]] = PROJECT["project"]["optional-dependencies"]
TESTING: Final[list[str]] = PROJECT["dependency-groups"]["test"]
NEEDED: Final = {
    requirement.name: requirement
    for requirement in map(Requirement, [*PROJECT["project"]["dependencies"], *chain(*EXTRAS.values()), *TESTING])
    if requirement.name != PROJECT["project"]["name"]
}
IMPORTED_AS: Final = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "pygame": "pygame-ce",
}  # where a package has another name

IMPORTED_IF_THERE: Final = {"pytest_asyncio"}  # nobody need install it


def bound(name: str, operator: str) -> Version | None:
    """Return the version that a package's requirement has with this operator."""
    found = [specifier.version for specifier in NEEDED[name].specifier if specifier.operator == operator]
    return Version(found[0]) if found else None


@pytest.mark.parametrize("name", NEEDED)
def test_the_lowest_tested_versions_are_the_lower_bounds(name: str) -> None:
    """`make test-lowest` reads the bounds with a regular expression, which has to find each of them."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pattern = re.search(r"grep -oE '([^']+)' pyproject.toml", makefile)
    assert pattern is not None
    lowest = {found.group() for found in re.finditer(pattern[1], (ROOT / "pyproject.toml").read_text(encoding="utf-8"))}
    assert f"{name}>={bound(name, '>=')}" in lowest


@pytest.mark.parametrize("name", VERSIONS)
def test_a_library_with_private_names_in_use_is_pinned_to_the_examined_versions(name: str) -> None:
    lower, upper = bound(name, ">="), bound(name, "<")
    assert lower is not None
    hooks = [hook for hook in HOOKS if hook.seen.startswith(f"{name} ")]
    assert {hook.seen for hook in hooks} == {f"{name} {lower}"}
    if any("._" in used for hook in hooks for used in hook.names):
        assert upper == Version(f"{lower.major}.{lower.minor + 1}")
    assert str(Requirement(VERSIONS[name])) == f"{name}{NEEDED[name].specifier}"


def test_an_untested_version_of_av_is_not_installed() -> None:
    assert Version("19.0.0") not in NEEDED["av"].specifier


def test_each_package_that_is_imported_is_named() -> None:
    imported = set()
    for path in (ROOT / "streamer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"streamer"} - IMPORTED_IF_THERE
    for_users = {_name(requirement) for requirement in [*PROJECT["project"]["dependencies"], *chain(*EXTRAS.values())]}
    assert {IMPORTED_AS.get(name, name) for name in foreign} <= for_users


def _name(requirement: str) -> str:
    return Requirement(requirement).name


@pytest.mark.edge
@pytest.mark.parametrize(
    ("python", "folder"),
    [("python3", ".venv"), ("python3.12", ".venv-python3.12"), ("/opt/py/python3", ".venv-python3")],
)
def test_each_python_has_an_environment_of_its_own(python: str, folder: str) -> None:
    said = subprocess.run(
        ["make", "--dry-run", "test", f"PYTHON={python}"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert f"{folder}/bin/python -m pytest" in said
