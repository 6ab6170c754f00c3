"""Which proxy is on the way to a URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError
from streamer.proxies import is_listed, is_loopback, proxy_of, proxy_url_of

PROXY = "http://user:hunter2@proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no", "ws", "wss", "socks"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_loopback_never_goes_through_a_proxy(name: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, PROXY)
    assert [proxy_url_of(f"{scheme}://{host}:8080/") for scheme in ("http", "https", "ws", "wss")] == [None] * 4


@pytest.mark.parametrize("host", ["localhost.example", "notlocalhost", "128.0.0.1", "::2", "example"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("name", "schemes"),
    [
        ("HTTP_PROXY", {"http", "ws"}),
        ("https_proxy", {"https", "wss"}),
        ("ALL_PROXY", {"http", "https", "ws", "wss"}),
        ("WSS_PROXY", {"wss"}),
    ],
)
def test_the_api_and_signaling_choose_the_same_proxy(
    name: str, schemes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, PROXY)
    chosen = {scheme for scheme in ("http", "https", "ws", "wss") if proxy_url_of(f"{scheme}://host.example/")}
    assert chosen == schemes


def test_a_proxy_is_shown_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert proxy_url_of("https://host.example") == PROXY
    assert proxy_of("https://host.example") == "proxy.example"


@pytest.mark.parametrize("place", ["proxy example", "pröxy..example", "\u2028", "proxy.example/\x01", "[::1", ":0", ""])
def test_an_invalid_proxy_is_refused_without_its_credentials(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://user:hunter2@{place}")
    with pytest.raises(ConfigurationError) as caught:
        proxy_of("https://host.example")
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("ALL_PROXY", "ftp://user:hunter2@proxy.example")
    with pytest.raises(ConfigurationError):
        proxy_of("https://host.example")


@pytest.mark.parametrize(
    ("host", "no_proxy", "expected"),
    [
        ("host.example", "*", True),
        ("host.example", "other, *", True),
        ("host.example", "host.example", True),
        ("host.example", "HOST.EXAMPLE.", True),
        ("host.example.", "host.example", True),
        ("host.example", "example", True),
        ("host.example", ".example", True),
        ("example", ".example", True),
        ("badexample", "example", False),
        ("host.example", "a b,host.example c", True),
        ("host.example", "host.example:443", True),
        ("host.example", "host.example:80", False),
        ("host.example", "", False),
        ("host.example", ",. ,", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "10.1.2.3:80", False),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "2.3", False),
        ("10.1.2.3", "10.0.0.0/99", False),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db8::1", "[2001:db8::1]", True),
        ("2001:db8::1", "[2001:db8::1]:443", True),
        ("2001:db8::1", "[2001:db8::1]:80", False),
        ("2001:db8::1", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_is_read_as_curl_reads_it(host: str, no_proxy: str, expected: bool) -> None:
    assert is_listed(host, 443, no_proxy) is expected


@given(st.text(), st.text())
def test_any_no_proxy_is_read(host: str, no_proxy: str) -> None:
    assert is_listed(host, 443, no_proxy) in {True, False}
