"""Laws of waiting that every module keeps, read from its syntax."""

import ast
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[2] / "streamer"
ON_A_PEER: Final = {"close", "drain", "recv", "send", "wait_closed"}
CONNECTIONS: Final = ("websocket", "writer")
LIMITS: Final = ("asyncio.timeout(", "asyncio.timeout_at(", "within(", "_or_dropped(")


def unlimited(tree: ast.AST, *, is_limited: bool = False) -> list[int]:
    """Return the lines that wait on a WebSocket or a stream with no time limit around them in the same function."""
    found = []
    if isinstance(tree, ast.AsyncWith):
        is_limited |= any(ast.unparse(item.context_expr).startswith(LIMITS) for item in tree.items)
    elif isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        is_limited = False
    elif isinstance(tree, ast.Await) and isinstance(tree.value, ast.Call) and not is_limited:
        connection, _, method = ast.unparse(tree.value.func).rpartition(".")
        if method in ON_A_PEER and connection.endswith(CONNECTIONS):
            found.append(tree.lineno)
    for child in ast.iter_child_nodes(tree):
        found += unlimited(child, is_limited=is_limited)
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_wait_on_a_peer_s_connection_has_a_limit(path: Path) -> None:
    assert unlimited(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("async def f():\n    await websocket.send(1)", [2]),
        ("async def f():\n    async with within(1, E):\n        await self._websocket.send(1)", []),
        ("async with asyncio.timeout(1):\n    async def g():\n        await writer.drain()", [3]),
    ],
)
def test_the_check_finds_a_wait_without_a_limit(source: str, lines: list[int]) -> None:
    assert unlimited(ast.parse(source)) == lines
