"""The private names of other libraries that the package uses, as its syntax shows them."""

import ast
import re
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "streamer"
LIBRARIES: Final = {"aioice", "aiortc", "h11", "httpcore", "httpx", "pylibsrtp", "websockets"}
_PUBLIC: Final = {"_exit", "_replace", "_asdict", "_fields"}  # of os and of named tuples
_PRIVATE: Final = re.compile(r"_(?!_)\w+")


def foreign_private_names(path: Path) -> set[str]:
    """Return the private names that a module uses and its own classes do not define.

    In a module that imports one of LIBRARIES that is every private attribute of another object than `self`, and every
    text in the form of a private name, as `shadow` and `getattr` take them.
    """
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    own = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and _is_self(node.value) and isinstance(node.ctx, ast.Store)
    }
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    of_others = {node.attr for node in nodes if isinstance(node, ast.Attribute) and not _is_self(node.value)}
    of_self = {node.attr for node in nodes if isinstance(node, ast.Attribute) and _is_self(node.value)}
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    if {name.partition(".")[0] for name in imported} & LIBRARIES:
        used = of_others | (of_self - own)
        used |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)} - own
        used |= {
            part for name in imported if name.partition(".")[0] in LIBRARIES for part in name.split(".")
        }  # a private module
    else:
        used = of_others - own
    return {name for name in used if _PRIVATE.fullmatch(name)} - _PUBLIC


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and not (node.args or node.keywords):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def users() -> dict[str, set[str]]:
    """Return the modules of the package that use private names of libraries, each with the names."""
    found = {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): foreign_private_names(path)
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    return {module: names for module, names in found.items() if names}
