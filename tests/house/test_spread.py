"""How the suite is spread over workers."""

import ast
from pathlib import Path
from typing import Final

from tests.support.spread import TOGETHER, unit_of

ROOT: Final = Path(__file__).parents[2]


def test_tests_that_share_a_run_go_to_one_worker_and_all_others_alone() -> None:
    matrix = "tests/faults/test_matrix.py"
    assert unit_of(f"{matrix}::test_x[at first: HTTP 401]") == unit_of(f"{matrix}::test_y") == matrix
    assert unit_of("tests/unit/media/rtp/test_packet.py::test_x[1]") == "tests/unit/media/rtp/test_packet.py::test_x[1]"


def test_each_module_whose_tests_share_a_run_is_listed() -> None:
    """A fixture of a module, or of the session, that runs something: every worker would run it again."""
    cheap = {"certificate", "generated", "mcp_client", "node"}
    sharing = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "scope=" in text else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in cheap:
                marks = " ".join(map(ast.unparse, node.decorator_list))
                if "scope='module'" in marks or "scope='session'" in marks:
                    sharing.add(str(path.relative_to(ROOT)))
    assert sharing == {test.partition("::")[0] for test in TOGETHER}
