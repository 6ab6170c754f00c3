"""What docs/architecture.md says of modules, against the modules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support import private_names

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "streamer"
TEXT: Final = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOCKETS: Final = {
    "AsyncClient",
    "create_connection",
    "create_datagram_endpoint",
    "getaddrinfo",
    "open_connection",
    "_Connect",  # a subclass of websockets'
    "socket.socket",
}
THREADS: Final = {"Thread", "ThreadPoolExecutor", "run_in_executor", "to_thread"}


def trees_with(words: set[str]) -> Iterator[tuple[str, ast.Module]]:
    """Yield the name below the package and the syntax of each module that has one of the words, save those of `cli`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")
        text = path.read_text(encoding="utf-8")
        if not name.startswith("cli") and any(word in text for word in words):
            yield name, ast.parse(text)


def modules_that_call(names: set[str]) -> set[str]:
    """Return the client's modules that call a function of one of these names, dotted or its last part."""
    return {
        module
        for module, tree in trees_with({name.rpartition(".")[2] for name in names})
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and {called := ast.unparse(node.func), called.rpartition(".")[2]} & names
    }


def named_in(sentence: str) -> set[str]:
    """Return what stands in backticks in the one sentence of the document that matches a pattern."""
    (found,) = re.findall(sentence, " ".join(TEXT.split()))
    return set(re.findall(r"`([^`]+)`", found))


def first_column(header: str) -> set[str]:
    """Return what stands in backticks in the first column of the table with this header."""
    assert TEXT.count(header) == 1
    table = TEXT.partition(header)[2].partition("\n\n")[0]
    return {name for row in table.splitlines()[1:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_each_module_has_a_row_in_the_table_of_layers() -> None:
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" and path.stem != "__init__"}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert first_column("| layer | what it knows |\n") == modules | packages


@pytest.mark.parametrize("package", ["agent", "cli", "emulator", "media", "rtc", "sync"])
def test_each_module_of_a_package_has_a_row(package: str) -> None:
    """Modules of `_aiortc` have their own rows; other packages within have one."""
    found = {path.relative_to(PACKAGE / package) for path in (PACKAGE / package).rglob("*.py")}
    names = {
        path.with_suffix("").as_posix() if path.parts[0] in {path.name, "_aiortc"} else path.parts[0]
        for path in found
        if path.stem != "__init__"
    }
    assert first_column(f"| module of `{package}` | what is in it |\n") == names


def test_sockets_are_opened_where_the_document_says() -> None:
    assert named_in(r"Sockets are opened in ([^.]*)\.") == modules_that_call(SOCKETS)


def test_threads_start_where_the_document_says() -> None:
    assert named_in(r"Threads start in ([^.]*)\.") == modules_that_call(THREADS)


def test_private_names_of_libraries_are_used_where_the_document_says() -> None:
    allowed = named_in(r"Private names of libraries are used in ([^.]*) alone\.")
    assert {re.sub("_aiortc/.*", "_aiortc", module) for module in private_names.users()} == allowed
