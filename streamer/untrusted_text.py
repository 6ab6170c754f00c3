"""Text from peers: it reaches terminals, logs and error messages only escaped and shortened. Also JSON and URLs."""

import unicodedata
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

SHOWN_LIMIT: Final = 200  # characters of such a text that are shown
URL_LIMIT: Final = 4096  # characters
CONTAINERS_LIMIT: Final = 10_000  # lists and objects in one JSON text: a megabyte of "[]" takes 0.3 s to build


class UntrustedText:
    """A text from a peer. `str()` and formatting return the escaped form; `raw` is the text itself.

    The escaped form is one line of printable characters: control characters, line breaks, direction overrides and lone
    surrogates become `\\xNN` or `\\uNNNN`. It is at most `limit` characters of the text and an ellipsis.
    """

    __slots__ = ("limit", "raw")

    def __init__(self, raw: object, limit: int = SHOWN_LIMIT) -> None:
        self.raw: Final = raw if isinstance(raw, str) else str(raw)
        self.limit: Final = limit

    def __str__(self) -> str:
        shown = "".join(map(_escaped, self.raw[: self.limit]))
        return f"{shown}…" if len(self.raw) > self.limit else shown

    def __repr__(self) -> str:
        return f"UntrustedText('{self}')"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, UntrustedText) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.raw)


class UnreadableJsonError(Exception):
    """A text is not JSON of the expected kind, or has too many lists and objects."""


def decode_json(text: str | bytes, kind: Any = Any) -> Any:
    """Decode JSON. Raises UnreadableJsonError if it is malformed, not a `kind`, or has too many lists and objects."""
    brackets: tuple[Any, Any] = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, brackets)) > CONTAINERS_LIMIT:
        raise UnreadableJsonError(f"expected JSON with at most {CONTAINERS_LIMIT} lists and objects, got more")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:  # RecursionError: nested too deeply
        raise UnreadableJsonError(f"the JSON is malformed: {error}") from error


def parse_url(url: str, schemes: Collection[str]) -> SplitResult | None:
    """Return the parts of a URL, its scheme in lower case. None if it has another scheme or cannot be connected to.

    The host is a valid name or address, and reading `port` raises no error.
    """
    if len(url) > URL_LIMIT or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # as the resolver does
        is_usable = parts.scheme in schemes and host != "" and parts.port != 0
    except ValueError:
        return None
    return parts if is_usable else None


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: scheme, host, port and path, without user, password, query and fragment.

    A URL may lack its scheme, as in `localhost:8470`.
    """
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
    except ValueError:
        return "a URL that cannot be parsed"
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":  # a password may hold /, ? or #, which end the host
        return "a URL with an @ behind its host"
    scheme, host = parts.scheme and f"{parts.scheme}://", parts.netloc.rpartition("@")[2]
    return str(UntrustedText(f"{scheme if host else ''}{host}{parts.path}"))


def _escaped(character: str) -> str:
    if character.isprintable() and unicodedata.category(character) != "Cf":
        return character
    return character.encode("unicode_escape").decode("ascii")
