"""The proxies that the environment names."""

from urllib.parse import urlsplit
from urllib.request import getproxies


def proxy_host(*schemes: str) -> str:
    """Return the host, without credentials, of the proxy for the first of these schemes that has one."""
    proxies = getproxies()
    url = next((proxies[scheme] for scheme in (*schemes, "all") if proxies.get(scheme)), "")
    return urlsplit(url if "//" in url else f"//{url}").hostname or "of the environment"
