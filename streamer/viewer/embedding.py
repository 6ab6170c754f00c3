"""Which pages of others may have the viewer in a frame, as the browser and the viewer's page are told."""

import re
from collections.abc import Iterable
from typing import Final

from streamer import ConfigurationError

_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(\d{1,5}))?", re.ASCII)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_EMBED_FROM: Final = b'<meta name="embed-from" content="">'
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors "
)


def read_origins(embed_from: str | Iterable[str]) -> tuple[str, ...]:
    """Return origins as browsers write them. Raises ConfigurationError."""
    return tuple(dict.fromkeys(map(_read_origin, [embed_from] if isinstance(embed_from, str) else embed_from)))


def _read_origin(text: object) -> str:
    found = _ORIGIN.fullmatch(text.lower()) if isinstance(text, str) else None
    if found is None or (found[3] and not 0 < int(found[3]) < 65536):
        raise ConfigurationError(
            f"expected an origin that may embed the viewer, such as https://lab.example:8443, got {text!r}: "
            "a scheme, a name or an IPv4 address, and a port, without a path"
        )
    scheme, host, port = found.groups()
    is_default = port is None or int(port) == _DEFAULT_PORTS[scheme]
    return f"{scheme}://{host}" + ("" if is_default else f":{int(port)}")


def policy(origins: tuple[str, ...]) -> str:
    """Return the content security policy: only pages of these origins may have the viewer in a frame."""
    return _POLICY + (" ".join(origins) or "'none'")


def page_for(origins: tuple[str, ...], page: bytes) -> bytes:
    """Return the viewer's page, which talks with pages of these origins only."""
    assert page.count(_EMBED_FROM) == 1  # noqa: S101 - the page is of this package
    return page.replace(_EMBED_FROM, _EMBED_FROM.replace(b'""', f'"{" ".join(origins)}"'.encode()))
