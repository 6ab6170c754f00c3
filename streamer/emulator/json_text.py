"""JSON that a client sent."""

import json
from typing import Any, Final

CONTAINERS_LIMIT: Final = 10_000  # lists and objects in one text: a megabyte of "[]" takes long to build


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; None for a text that is not JSON, is nested too deeply or has too many parts."""
    brackets: tuple[Any, Any] = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, brackets)) > CONTAINERS_LIMIT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
