"""Finds the proxy of the environment for a URL, for the API and signaling alike."""

import ipaddress
import os
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from streamer.errors import ConfigurationError
from streamer.untrusted_text import parse_url

# The variables for a URL; the first that is set counts. A WebSocket uses those of HTTP unless it has its own.
_NAMES: Final = {
    "http": ("http", "all", "socks"),
    "https": ("https", "all", "socks"),
    "ws": ("ws", "http", "all", "socks"),
    "wss": ("wss", "https", "all", "socks"),
}
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_KINDS: Final = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}


def proxy_url_of(url: str) -> str | None:
    """Return the URL of the proxy for a URL, with its credentials; None if the URL is reached directly.

    Loopback is always reached directly. Raises ConfigurationError if the environment's value is not a proxy URL.
    """
    try:
        parts = urlsplit(url)
        host, port, names = parts.hostname or "", parts.port or _PORTS[parts.scheme], _NAMES[parts.scheme]
    except (ValueError, KeyError):  # connecting will raise the error
        return None
    proxies = getproxies()
    name = next((name for name in names if proxies.get(name)), None)
    if name is None or is_loopback(host) or _is_direct(host, port):
        return None
    proxy = proxies[name] if "://" in proxies[name] else f"http://{proxies[name]}"
    if parse_url(proxy, _KINDS) is None:
        raise ConfigurationError(
            f"expected a URL such as http://proxy.example:3128 in {name}_proxy, got something else: "
            "correct the proxy settings"
        )
    return proxy


def proxy_of(url: str) -> str | None:
    """Return the host of the proxy for a URL, without credentials. Raises as `proxy_url_of`."""
    proxy = proxy_url_of(url)
    return None if proxy is None else urlsplit(proxy).hostname


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address."""
    address = _address(host)
    if address is None:
        return host.rstrip(".").lower().rpartition(".")[2] == "localhost"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _is_direct(host: str, port: int) -> bool:
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    if listed is None and not getproxies_environment():
        return bool(proxy_bypass(host))  # the system's settings, on Windows and macOS
    return is_listed(host, port, listed or "")


def is_listed(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY names a host, by curl's rules.

    Entries are separated by commas or spaces. `*` names every host. A name, with or without a leading dot, names itself
    and its subdomains. An address, or a network such as 10.0.0.0/8, names addresses. A port after an entry limits it to
    that port.
    """
    host, address = host.rstrip(".").lower(), _address(host)
    for entry in no_proxy.replace(",", " ").split():
        if entry == "*":
            return True
        name, of_port = _split_port(entry)
        if of_port not in {None, port}:
            continue
        network = _network(name)
        if address is not None and network is not None:
            if address.version == network.version and address in network:
                return True
        elif address is None and network is None:
            name = name.strip(".").lower()
            if name and (host == name or host.endswith(f".{name}")):
                return True
    return False


def _split_port(entry: str) -> tuple[str, int | None]:
    name, colon, port = entry.rpartition(":")
    is_bracketed = name.startswith("[") and name.endswith("]")
    if colon and port.isdecimal() and len(port) <= 5 and (is_bracketed or ":" not in name):
        return name.strip("[]"), int(port)
    return entry.strip("[]"), None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None
