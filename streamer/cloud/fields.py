"""The fields of a JSON reply: pages and deployments do not agree on them, so any may have any form."""

import contextlib
import math
from typing import Final

from streamer.errors import CloudReplyError
from streamer.untrusted_text import decode_json

_NUMBER_LIMIT: Final = 10**12
_KINDS: Final = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}


class Fields:
    """The fields of a JSON object in a reply. Every one may be missing or null, and numbers may be strings [doc].

    A field of another form counts as missing, and a sentence about it is added to `problems`.
    """

    def __init__(self, values: dict[str, object], path: str, problems: list[str]) -> None:
        self._values = values
        self._path = path
        self._problems = problems

    def path_of(self, name: str) -> str:
        """Return the JSON path of a field."""
        return f"{self._path}.{name}" if self._path else name

    def level(self, name: str) -> "Fields | None":
        """Return the fields of an object."""
        value = self._values.get(name)
        if isinstance(value, dict):
            return Fields(value, self.path_of(name), self._problems)
        self._note(name, "an object", value)
        return None

    def text(self, name: str) -> str | None:
        """Return a text; a whole number counts as one."""
        value = self._values.get(name)
        if isinstance(value, str):
            return value or None
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _NUMBER_LIMIT:
            return str(value)
        self._note(name, "a text", value)
        return None

    def number(self, name: str) -> float | None:
        """Return a number below 10^12."""
        value = self._values.get(name)
        number = math.nan
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            with contextlib.suppress(ValueError, OverflowError):
                number = float(value)
        if abs(number) < _NUMBER_LIMIT:  # not NaN, and not infinite
            return number
        self._note(name, "a number", value)
        return None

    def entries(self, name: str) -> list[object]:
        """Return a list; a text or an object counts as a list of it alone."""
        value = self._values.get(name)
        if isinstance(value, list):
            return value
        if isinstance(value, str | dict) and value:
            return [value]
        self._note(name, "a list", value)
        return []

    def _note(self, name: str, expected: str, value: object) -> None:
        """Note a field that has another form; its value may be a secret."""
        if value not in (None, ""):
            kind = _KINDS.get(type(value), "something else")
            self._problems.append(f"expected {expected} at {self.path_of(name)} of the API's reply, got {kind}")


def read_fields(body: bytes, problems: list[str]) -> Fields:
    """Return the fields of a reply. Raises UnreadableJsonError if it is no JSON object."""
    return Fields(decode_json(body, dict[str, object]), "", problems)


def malformed(call: str, status: int, error: Exception) -> CloudReplyError:
    """Return the error that says that the reply to a call is no JSON object."""
    return CloudReplyError(f"the {call} reply cannot be parsed (HTTP {status}): {error}", status=status)
