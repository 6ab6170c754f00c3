"""Parses ICE servers of the auth reply, and decides which remote candidates are usable."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from streamer.secret import Secret
from streamer.untrusted_text import UntrustedText

# RFC 7064 and RFC 7065. The RFC forbids a query on a stun: URL, but real deployments send one.
_URL: Final = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9a-fA-F:.]+\]|[^][?:\s/]+)(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>[a-z]+))?",
    re.IGNORECASE,
)
SERVERS_LIMIT: Final = 32  # each gets sockets of its own
CANDIDATES_LIMIT: Final = 100  # different ones of the phone in one connection: each is paired with each of ours
_NUMBER: Final = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """One STUN or TURN server."""

    scheme: Literal["stun", "stuns", "turn", "turns"]
    host: str
    port: int
    transport: Literal["udp", "tcp"]
    username: str | None = None
    password: Secret | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}:{host}:{self.port}?transport={self.transport}"


def parse_ice_servers(entries: Iterable[object]) -> tuple[list[IceServer], list[str]]:
    """Return the servers of an `ice_servers` list, and a sentence for each invalid entry.

    An entry is a URL string, `{uri, usr, pwd}` [seen] or `{urls, username, credential}`; `urls` may be a list. Parsing
    stops after SERVERS_LIMIT servers, or as many invalid entries.
    """
    servers: list[IceServer] = []
    problems: list[str] = []
    for entry in entries:
        urls, username, password = _fields(entry)
        if len(servers) + len(urls) > SERVERS_LIMIT or len(problems) >= SERVERS_LIMIT:
            problems.append(f"expected at most {SERVERS_LIMIT} ICE servers, got more: the others are not asked")
            break
        if not urls:
            problems.append(f"expected an ICE server with a URL, got one of type {type(entry).__name__}")
        for url in urls:
            server = _parse_url(url, username, password)
            if server is None:
                problems.append(f"expected a stun: or turn: URL, got '{_without_secrets(url)}'")
            elif server not in servers:
                servers.append(server)
    return servers, problems


def usable_candidate(line: str) -> bool:
    """Whether a remote candidate can be paired: it is UDP, and has an address instead of a name.

    libwebrtc also sends TCP candidates. Browsers hide addresses behind names that resolve only in the same local
    network (draft-ietf-mmusic-mdns-ice-candidates). Their checks reach us anyway, as peer-reflexive candidates.
    """
    fields = line.split()
    if len(fields) < 8 or fields[2].lower() != "udp" or fields[7] not in {"host", "srflx", "relay"}:
        return False
    extensions = zip(fields[8::2], fields[9::2], strict=False)
    numbers = [
        fields[1],
        fields[3],
        fields[5],
        *(value for name, value in extensions if name in {"rport", "generation"}),
    ]
    if not all(_NUMBER.fullmatch(number) for number in numbers) or not 0 < int(fields[5]) < 65536:
        return False
    try:
        ipaddress.ip_address(fields[4])
    except ValueError:
        return False
    return True


class RemoteCandidates:
    """Decides which remote candidates of a connection to use: the first CANDIDATES_LIMIT different usable ones."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def takes(self, line: str) -> bool:
        """Whether to use a candidate, new or repeated."""
        if line in self._known:
            return True
        if len(self._known) >= CANDIDATES_LIMIT or not usable_candidate(line):
            return False
        self._known.add(line)
        return True


def _fields(entry: object) -> tuple[list[str], str | None, Secret | None]:
    if isinstance(entry, str):
        return [entry], None, None
    if not isinstance(entry, Mapping):
        return [], None, None
    urls = entry.get("urls") or entry.get("uri") or entry.get("url")
    username = entry.get("username") or entry.get("usr")
    password = entry.get("credential") or entry.get("pwd")
    listed = urls if isinstance(urls, list) else [urls]
    return (
        [url for url in listed if isinstance(url, str)],
        username if isinstance(username, str) else None,
        Secret(password) if isinstance(password, str) else None,
    )


def _parse_url(url: str, username: str | None, password: Secret | None) -> IceServer | None:
    match = _URL.fullmatch(url.strip())
    if match is None:
        return None
    scheme = match["scheme"].lower()
    secure = scheme in {"stuns", "turns"}
    transport = (match["transport"] or ("tcp" if secure else "udp")).lower()
    port = int(match["port"] or (5349 if secure else 3478))
    if transport not in {"udp", "tcp"} or not 0 < port < 65536:
        return None
    return IceServer(
        scheme=scheme,  # type: ignore[arg-type]
        host=match["host"].strip("[]"),
        port=port,
        transport=transport,  # type: ignore[arg-type]
        username=username,
        password=password,
    )


def _without_secrets(url: str) -> UntrustedText:
    """Return a URL of any form without its user and query, where some put the password."""
    return UntrustedText(url.rpartition("@")[2].partition("?")[0])
