"""The law of these tests: no sockets, no processes, no sleeping threads. One that needs them bears the mark `edge`."""

import sys
from collections.abc import Iterator
from typing import Final

import pytest

_EDGES: Final = frozenset(
    {"os.fork", "os.posix_spawn", "socket.bind", "socket.connect", "subprocess.Popen", "time.sleep"}
)
_seen: set[str] | None = None  # while a test runs that may not touch any


def _look(event: str, _: tuple[object, ...]) -> None:
    if _seen is not None and event in _EDGES:
        _seen.add(event)


sys.addaudithook(_look)


@pytest.fixture(autouse=True)
def touches_no_edge(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test without the mark that touches the system."""
    global _seen  # noqa: PLW0603 - an audit hook stays as long as the process
    _seen = None if request.node.get_closest_marker("edge") else set()
    yield
    seen, _seen = _seen, None
    assert not seen, f"mark this test as `edge`: it did {', '.join(sorted(seen))}"
