"""Every Python block of the pages runs as it stands, against emulated phones.

A whole program brings its own loop. A short example has what quickstart.md promises: `asyncio`, `streamer`, `instance`,
`endpoint`, `credentials`, and an open session called `phone`. The files of a test suite are run by pytest, those of a
page together.
"""

import ast
import asyncio
import builtins
import contextlib
import importlib.util
import re
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

import certifi
import numpy as np
import pytest
from PIL import Image

import streamer
from streamer import emulator
from tests.docs.pages import Block, blocks
from tests.support.pytest_runs import run_suite
from tests.support.visiting import visit

LIMIT_S: Final = 40.0
WITH_APPS: Final = {"docs/howto/find.md", "docs/howto/visual-regression.md"}  # whose examples need the emulator's apps
_NAME: Final = re.compile(r"# (conftest|test_\w+)\.py\n")  # with which a file of a page's test suite begins
SUITES: Final = sorted({block.page for block in blocks("python") if _NAME.match(block.source)})
PROGRAMS: Final = [block for block in blocks("python") if not _NAME.match(block.source)]
OPTIONAL: Final = {"cv2", "torch"}  # large, and not needed for anything else here


@pytest.fixture
async def fleet(block: Block) -> AsyncIterator[emulator.Fleet]:
    screen: Literal["showcase", "apps"] = "apps" if block.page in WITH_APPS else "showcase"
    async with emulator.serve_fleet(2, width=360, height=640, tenant_token="demo-token", screen=screen) as running:
        yield running


def of(block: Block, fleet: emulator.Fleet) -> str:
    """Return a block's source with the addresses of this run, and without hours of waiting."""
    source = block.source.replace("http://127.0.0.1:8470", fleet.endpoint).replace("8 * 3600", "1")
    return source.replace('"demo-phone"', f'"{fleet.phones[0].instance_id}"').replace(
        "/etc/ssl/authority.pem", certifi.where()
    )


def imported(tree: ast.Module) -> set[str]:
    return {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }


def free_names(tree: ast.Module) -> set[str]:
    """Return the names that a source uses and does not bind anywhere."""
    nodes = list(ast.walk(tree))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    bound |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    bound |= {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
    return {node.id for node in names} - bound - set(dir(builtins))


def parse(source: str, name: str) -> tuple[Any, ast.Module]:
    code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    tree = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    assert isinstance(tree, ast.Module)
    return code, tree


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
async def test_a_block_runs(
    block: Block, fleet: emulator.Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMER_ENDPOINT", fleet.endpoint)
    monkeypatch.setenv("STREAMER_AUTH_TOKEN", fleet.tenant_token)
    monkeypatch.setattr(webbrowser, "open", visit)
    source = of(block, fleet)
    code, tree = parse(source, str(block))
    modules = imported(tree)
    if missing := {name for name in modules & OPTIONAL if importlib.util.find_spec(name) is None}:
        pytest.skip(f"it compiles; to run it, install {', '.join(missing)}")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save("button.png")
    async with asyncio.timeout(LIMIT_S):
        texts = list(map(ast.unparse, tree.body))
        if "from streamer import sync" in texts or any(text.startswith("asyncio.run(") for text in texts):
            await asyncio.to_thread(exec, code, {"__name__": "__main__", "print": print_without_token})
        else:
            await run_inside(code, free_names(tree), fleet)


def print_without_token(*values: object) -> None:
    """Print what a page's program does; the address of a viewer may be printed, and ends in a token."""
    print(*(str(value).partition("/#")[0] for value in values))  # noqa: T201


async def run_inside(code: Any, names: set[str], fleet: emulator.Fleet) -> None:
    """Run a short example with what it may use."""
    given: dict[str, Any] = {
        "asyncio": asyncio,
        "contextlib": contextlib,
        "streamer": streamer,
        "instance": fleet.phones[0].instance_id,
        "instances": [phone.instance_id for phone in fleet.phones],
        "endpoint": fleet.endpoint,
        "credentials": streamer.Token(fleet.tenant_token),
    }
    assert names <= given.keys() | {"phone"}
    async with contextlib.AsyncExitStack() as stack:
        if "phone" in names:
            given["phone"] = await stack.enter_async_context(
                streamer.connect(
                    given["instance"],
                    endpoint=fleet.endpoint,
                    credentials=given["credentials"],
                    calls_per_minute=1000,  # the emulator takes any number
                )
            )
        if (running := eval(code, given)) is not None:
            await running
        if isinstance(session := given.get("phone"), streamer.Session):
            await session.aclose()  # of a block that ends with its session open


@pytest.mark.parametrize("page", SUITES)
def test_the_tests_of_a_page_pass(page: str, tmp_path: Path) -> None:
    files = {
        name[1]: block.source
        for block in blocks("python")
        if block.page == page and (name := _NAME.match(block.source)) is not None
    }
    tests = sum(len(re.findall(r"^\s*(?:async )?def test_", source, re.MULTILINE)) for source in files.values())
    run = run_suite(tmp_path, files, "-o", "asyncio_default_fixture_loop_scope=function")
    assert run.counts == {"passed": tests}, run.out
