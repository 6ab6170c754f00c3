"""The proxies that the environment names."""

from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from streamer.errors import ConfigurationError

# In the order in which httpx and websockets look for them.
_NAMES: Final = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "ws": ("ws", "socks", "https", "http"),
    "wss": ("wss", "socks", "https"),
}
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_KINDS: Final = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}


def proxy_of(url: str) -> str | None:
    """Return the host, without credentials, of the proxy on the way to a URL; None if it is reached directly.

    Raises ConfigurationError if what the environment names is no proxy.
    """
    try:
        parts = urlsplit(url)
        is_direct = proxy_bypass(f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}")
    except (ValueError, KeyError):  # who connects says what is wrong with it
        return None
    proxies = getproxies()
    name = next((name for name in _NAMES[parts.scheme] if proxies.get(name)), None)
    if is_direct or name is None:
        return None
    proxy = proxies[name] if "://" in proxies[name] or parts.scheme.startswith("ws") else f"http://{proxies[name]}"
    try:
        found = urlsplit(proxy)
        host = found.hostname if found.scheme in _KINDS and found.port != 0 else None
    except ValueError:
        host = None
    if not host:
        raise ConfigurationError(
            f"the proxy settings name no proxy in {name}_proxy: expected a URL such as http://proxy.example:3128"
        )
    return host
