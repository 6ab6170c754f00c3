"""Values that must not be printed: tenant tokens, device tokens, passwords, keys."""

import hmac
from typing import Never


class Secret:
    """A string that shows itself only to who calls `reveal()`.

    `repr`, `str` and formatting give `Secret(***)`; it compares in constant time and is not picklable, so that it can
    reach neither a log nor another process by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; called only where it leaves for the wire."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> Never:
        raise TypeError("cannot pickle a Secret: pass on what reveal() returns")
